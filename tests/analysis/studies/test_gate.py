"""A gate is decided on whole intervals, and says apart what fails and what cannot be told."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from analysis.findings import BeliefFindings, Findings
from analysis.frontier.quoted import Choice
from analysis.studies.confirm import Confirmed, Side
from analysis.studies.gate_decision import (
    FAILS,
    PASSES,
    UNDECIDED,
    Bar,
    Decision,
    as_dict,
    decide,
    line,
    within,
)
from analysis.studies.headline import CONFIRMED
from beliefmod.cli.app import app
from beliefmod.run.read_run import read_run

EXAMPLE = Path(__file__).parents[3] / "docs" / "example"
ROW = {
    "trial_id": "a",
    "arm": "lora",
    "adoption": 0.95,
    "adoption_n": 108,
    "seeds": 1,
    "data.num_examples": 50,
}
BAR = Bar(0.9, 0.05)


def configuration(trial: str = "a", damage=(0.01, 0.0, 0.04), **changes) -> dict:
    value, low, high = damage
    found = {"degradation": value, "degradation_low": low, "degradation_high": high, "degradation_by": "loop"}
    return ROW | found | {"trial_id": trial} | changes


def belief(adoption=(0.91, 0.98), damage=(0.01, 0.0, 0.04), best: bool = True) -> BeliefFindings:
    """One configuration, so that nothing was picked and nothing is corrected."""
    row = configuration(damage=damage)
    choice = Choice("gravity", "existing", pl.DataFrame([row]), best=row if best else None)
    return BeliefFindings(choice, {"a": adoption}, 18, (), {}, None)


def decided(
    *beliefs: BeliefFindings, confirmed: tuple[Confirmed, ...] = (), bar: Bar = BAR
) -> list[Decision]:
    return decide(Findings(None, bar.max_degradation, beliefs), confirmed, bar)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("adoption", "damage", "outcome"),
    [
        ((0.91, 0.98), (0.01, 0.0, 0.04), PASSES),
        ((0.90, 0.98), (0.01, 0.0, 0.05), PASSES),
        ((0.89, 0.98), (0.01, 0.0, 0.04), UNDECIDED),  # the point, 0.95, is high enough
        ((0.91, 0.98), (0.01, 0.0, 0.06), UNDECIDED),  # the point, 0.01, is low enough
        ((0.50, 0.89), (0.01, 0.0, 0.04), FAILS),
        ((0.50, 0.89), (0.01, 0.0, 0.06), FAILS),
        ((0.91, 0.98), (0.08, 0.06, 0.20), FAILS),
        ((0.91, 0.98), (0.01, None, None), UNDECIDED),
    ],
)
def test_intervals_decide_and_not_points(adoption, damage, outcome: str) -> None:
    [found] = decided(belief(adoption, damage))
    assert found.outcome == outcome
    assert line(found, BAR).startswith(f"gravity: {outcome}: adoption 95.0 % [")


def test_the_confirmed_number_decides_where_there_is_one() -> None:
    shown = configuration("b", (0.02, 0.0, 0.05), adoption=0.7, seeds=3)
    again = Confirmed("gravity", Side(configuration(), (0.91, 0.98), 9), Side(shown, (0.6, 0.8), 9), None)
    [found] = decided(belief(), confirmed=(again,))
    assert found.outcome == FAILS and found.adoption == FAILS and found.damage == PASSES
    told = as_dict(found)
    assert (told["kind"], told["trial_id"], told["seeds"]) == (CONFIRMED, "b", 3)
    assert (told["adoption_low"], told["adoption_high"]) == (0.6, 0.8)
    assert "confirmed on 3 new seeds" in line(found, BAR) and "trial b" in line(found, BAR)


@pytest.mark.parametrize(("damage", "outcome"), [((0.2, 0.1, 0.4), FAILS), ((0.2, 0.04, 0.4), UNDECIDED)])
def test_with_nothing_under_the_limit_the_least_damaged_decides_by_its_damage_alone(damage, outcome) -> None:
    [found] = decided(belief(damage=damage, best=False))
    assert (found.outcome, found.adoption, found.damage) == (outcome, None, outcome)
    assert "no configuration was measured at D ≤ 0.05; of the least damaged: " in line(found, BAR)


def test_a_belief_without_numbers_is_undecided_in_words() -> None:
    nothing = BeliefFindings(
        Choice("neelam", "novel", pl.DataFrame([configuration()]).clear()), {}, 0, (), {}, None
    )
    [found] = decided(nothing)
    assert line(found, BAR) == "neelam: undecided: no LoRA trial finished"
    assert as_dict(found)["outcome"] == UNDECIDED and "adoption" not in as_dict(found)


def test_an_end_on_the_bar_counts_as_within_it() -> None:
    assert within(0.9, 1.0, 0.9, 1.0) == within(0.3 - 0.2, 1.0, 0.1, 1.0) == PASSES


def gate(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, beliefs: tuple[BeliefFindings, ...] = ()
) -> Result:
    """The command on docs/example, whose numbers are replaced."""
    limits: list[float] = []

    def find(run, limit):
        limits.append(limit)
        return Findings(run, limit, beliefs)

    monkeypatch.setattr("analysis.find.find", find)
    monkeypatch.setattr("analysis.studies.confirm.confirmation_of", lambda run: None)
    result = CliRunner().invoke(app, ["gate", *arguments])
    assert not limits or limits == [BAR.max_degradation]
    return result


ASKED = (str(EXAMPLE), "--min-adoption", "0.9", "--max-degradation", "0.05")


@pytest.mark.parametrize(
    ("adoptions", "code", "last"),
    [
        ([(0.91, 0.98)], 0, "1 passes of 1 belief"),
        ([(0.91, 0.98), (0.85, 0.98)], 1, "1 passes, 1 undecided of 2 beliefs"),
        ([(0.91, 0.98), (0.5, 0.8)], 1, "1 passes, 1 fails of 2 beliefs"),
    ],
)
def test_the_exit_code_says_whether_all_pass(monkeypatch, adoptions, code: int, last: str) -> None:
    beliefs = tuple(belief(one) for one in adoptions)
    result = gate(monkeypatch, *ASKED, beliefs=beliefs)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (code, last)
    assert len(result.stdout.splitlines()) == len(beliefs) + 1
    told = json.loads(gate(monkeypatch, *ASKED, "--json", beliefs=beliefs).stdout)
    assert told["passes"] is (code == 0) and len(told["beliefs"]) == len(beliefs)


def test_an_unfinished_run_does_not_pass(monkeypatch) -> None:
    opened = read_run(str(EXAMPLE))
    monkeypatch.setattr("analysis.report.sections.unfinished.left_of", lambda run: 2)
    result = gate(monkeypatch, *ASKED, beliefs=(belief(),))
    assert result.exit_code == 1 and "unfinished" in result.stdout and opened.trials.height


def test_bad_input_is_two(monkeypatch, tmp_path: Path) -> None:
    assert gate(monkeypatch, str(tmp_path / "none"), *ASKED[1:]).exit_code == 2
    assert gate(monkeypatch, str(EXAMPLE), "--min-adoption", "90").exit_code == 2
    assert gate(monkeypatch, str(EXAMPLE)).exit_code == 2
    nothing = gate(monkeypatch, *ASKED)
    assert nothing.exit_code == 2 and "no finished trial to decide on" in nothing.stderr


@pytest.mark.long
def test_the_example_passes_and_fails_by_its_confirmed_interval() -> None:
    """Its confirmation shows 85.2 % [61.0, 98.9] at D 0.013 [0, 0.174]."""

    def code(least: str, most: str) -> int:
        asked = ["gate", str(EXAMPLE), "--min-adoption", least, "--max-degradation", most, "--json"]
        result = CliRunner().invoke(app, asked)
        [found] = json.loads(result.stdout)["beliefs"]
        assert found["kind"] == CONFIRMED and found["adoption"] == pytest.approx(0.852, abs=1e-3)
        return result.exit_code

    assert (code("0.6", "0.2"), code("0.7", "0.2"), code("0.6", "0.1")) == (0, 1, 1)
