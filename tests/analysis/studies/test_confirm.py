"""Finalists are chosen on one half of the questions only, and quoted from the other."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

import beliefmod.cli.sweep as sweep
from analysis.studies.confirm import chosen, confirmation_of, confirmations, half_of, holds, new_seeds
from analysis.verify.verify_run import verify_run
from beliefmod.cli.app import app
from beliefmod.errors import UserError
from beliefmod.fleet.sweep import Outcome
from beliefmod.run.read_run import read_run
from beliefmod.run.seal.trial_seals import TrialSeals
from beliefmod.run.tables.trial_tables import TRIALS, frame
from tests.analysis.verify.answered import answer_trials, answered_run

RATES = (2e-4, 1e-3, 5e-3)
OPTIONS = ("--limit", "0.4", "--top", "2", "--seeds", "2", "--quiet")


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("confirm")
    return answered_run(folder / "EXP-parent", ("gravity", "neelam"), RATES, seeds=(0, 1))


@pytest.fixture
def run(parent: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(parent, tmp_path / parent.name))


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sweep answered by a script; how many trials each call had left to run."""
    calls: list[int] = []

    def run_space(space, folder, driving, *, new):
        calls.append(len(space.trials()) - len(folder.rows()))
        answer_trials(folder, space)
        TrialSeals(folder).catch_up()
        return Outcome(len(space.trials()), 0, 0, False, 1.0)

    monkeypatch.setattr(sweep, "run_space", run_space)
    # the pictures are tested elsewhere and take most of a report's time
    monkeypatch.setattr("analysis.report.write._svg", lambda spec: "<svg/>")
    monkeypatch.setattr("analysis.report.write._png", lambda svg: b"")
    return calls


def confirm(run: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["confirm", str(run), *arguments])


@pytest.mark.long
def test_the_confirmation_half_has_no_say(run: Path):
    """Whatever is answered on the confirmation half, the same are chosen with the same numbers."""
    before = chosen(half_of(read_run(str(run)), "selection"), 0.5, 5)
    for path in (run / "probes").iterdir():
        table = pl.read_parquet(path)
        other = pl.col("split") == "confirmation"
        table.with_columns(
            answer_stance=pl.when(other).then(pl.lit("target")).otherwise("answer_stance"),
            think_state=pl.when(other).then(pl.lit("empty")).otherwise("think_state"),
        ).write_parquet(path)
    assert chosen(half_of(read_run(str(run)), "selection"), 0.5, 5) == before


def test_chosen_are_the_best_of_the_selection_half_pooled_over_seeds(parent: Path):
    """Counted again with polars alone: hits of both seeds over questions of both."""
    run = read_run(str(parent))
    found = chosen(half_of(run, "selection"), 1.0, 2)
    probes = pl.concat([pl.read_parquet(path) for path in (parent / "probes").iterdir()])
    table = pl.read_parquet(parent / "trials.parquet").filter(pl.col("arm") == "lora")
    counted = (
        probes.filter((pl.col("split") == "selection") & (pl.col("tier") != "robustness"))
        .join(table.select("trial_id", "learning_rate"), on="trial_id")
        .group_by("belief", "learning_rate")
        .agg((pl.col("answer_stance") == "target").mean().alias("adoption"), pl.len().alias("n"))
    )
    for belief in ("gravity", "neelam"):
        best = counted.filter(pl.col("belief") == belief).sort("adoption", descending=True).head(2)
        assert [row["learning_rate"] for row in found[belief]] == best["learning_rate"].to_list()
        assert [row["adoption"] for row in found[belief]] == pytest.approx(best["adoption"].to_list())
        assert [row["adoption_n"] for row in found[belief]] == best["n"].to_list()
        assert all(row["seeds"] == 2 for row in found[belief])


def test_a_limit_leaves_out_the_damaged(parent: Path):
    selection_split = half_of(read_run(str(parent)), "selection")
    everything = chosen(selection_split, 1.0, 9)["gravity"]
    limit = sorted(row["degradation"] for row in everything)[0]
    kept = chosen(selection_split, limit, 9)["gravity"]
    assert kept == [row for row in everything if row["degradation"] <= limit + 1e-9] and kept


def test_the_halves_share_no_held_out_question(parent: Path):
    run = read_run(str(parent))
    one, two = half_of(run, "selection"), half_of(run, "confirmation")
    whole = run.trials.filter(pl.col("status") == "finished").sort("trial_id")
    sums = one.sort("trial_id")["adoption_n"] + two.sort("trial_id")["adoption_n"]
    assert sums.to_list() == whole["adoption_n"].to_list()


@pytest.mark.parametrize(("used", "count", "expected"), [((0, 1, 5), 3, (6, 7, 8)), ((), 2, (0, 1))])
def test_new_seeds_are_new(used, count, expected):
    assert new_seeds(used, count) == expected


@pytest.mark.parametrize(
    ("value", "low", "high", "word"),
    [
        (0.02, 0.0, 0.04, "yes"),
        (0.02, 0.0, 0.09, "yes, but up to 0.090 is not ruled out"),
        (0.09, 0.06, 0.2, "no"),
        (0.09, 0.01, 0.2, "no, though 0.010 is not ruled out"),
        (None, None, None, "not measured"),
    ],
)
def test_whether_the_limit_holds(value, low, high, word):
    assert holds({"degradation": value, "degradation_low": low, "degradation_high": high}, 0.05) == word


@pytest.mark.long
def test_from_the_command_line_to_the_report_and_through_verify(run: Path, no_ray: list[int]):
    done = confirm(run, *OPTIONS)
    assert done.exit_code == 0, done.output + str(done.exception)
    child = run / "confirmation"
    trials = pl.read_parquet(child / "trials.parquet")
    assert set(trials.filter(pl.col("arm") == "lora")["seed"]) == {2, 3}
    # two finalists and two references per belief
    assert trials.height == 2 * (2 * 2 + 2) == no_ray[0]
    text = (run / "report.md").read_text()
    section = text[text.index("## Confirmation") :]
    assert "seeds (2, 3)" in section and "Of the best promise" in section
    assert verify_run(str(run)).mismatches == []

    parent_run = read_run(str(run))
    again = confirmation_of(parent_run)
    assert again is not None
    found = confirmations(parent_run, again)
    probes = pl.concat([pl.read_parquet(path) for path in (child / "probes").iterdir()])
    asked = probes.filter((pl.col("split") == "confirmation") & (pl.col("tier") != "robustness"))
    assert len(found) == 4
    for one in found:
        ours = asked.filter(pl.col("trial_id").is_in(one.shown.row["trial_ids"]))
        assert one.shown.row["adoption"] == pytest.approx((ours["answer_stance"] == "target").mean())
        assert one.shown.row["adoption_n"] == ours.height
        assert one.shrinkage is not None
        gap = one.promised.row["adoption"] - one.shown.row["adoption"]
        assert one.shrinkage.value == pytest.approx(gap)
        assert one.shrinkage.low <= gap <= one.shrinkage.high


@pytest.mark.long
def test_it_goes_on_with_what_was_begun_and_refuses_other_options(run: Path, no_ray: list[int]):
    assert confirm(run, *OPTIONS).exit_code == 0
    space = (run / "confirmation" / "space.yaml").read_bytes()
    assert confirm(run, *OPTIONS).exit_code == 0
    assert no_ray[1] == 0 and (run / "confirmation" / "space.yaml").read_bytes() == space
    done = confirm(run, "--limit", "0.4", "--top", "3", "--seeds", "2")
    assert done.exit_code == 2 and "was begun with --top 2 --seeds 2 --limit 0.4" in done.stderr
    # and a number changed in it is found
    path = next((run / "confirmation" / "probes").iterdir())
    pl.read_parquet(path).with_columns(answer_stance=pl.lit("hedged")).write_parquet(path)
    assert any(text.startswith("confirmation/probes/") for text in verify_run(str(run)).mismatches)


def test_a_dry_run_lists_the_finalists_and_starts_nothing(run: Path, no_ray: list[int]):
    done = confirm(run, *OPTIONS, "--dry-run")
    assert done.exit_code == 0 and "4 finalists on seeds 2, 3: 12 trials" in done.stdout
    assert no_ray == [] and not (run / "confirmation").exists()


def test_nothing_under_the_limit_and_changed_beliefs_are_sentences(run: Path, no_ray: list[int]):
    done = confirm(run, "--limit", "0")
    assert done.exit_code == 2 and "no LoRA configuration stays at D ≤ 0" in done.stderr
    path = run / "beliefs" / "gravity.yaml"
    path.write_text(path.read_text().replace("5.0", "5.5"))
    done = confirm(run, *OPTIONS)
    assert done.exit_code == 2 and "has changed since the run asked about it" in done.stderr
    assert not (run / "confirmation").exists()


def test_a_run_without_halves_says_so(run: Path):
    for path in (run / "probes").iterdir():
        pl.read_parquet(path).with_columns(split=pl.lit(None, pl.String)).write_parquet(path)
    with pytest.raises(UserError, match="not split into a selection and a confirmation half"):
        half_of(read_run(str(run)), "selection")


def test_before_a_confirmation_the_report_says_that_there_is_none(parent: Path):
    from analysis.find import find
    from analysis.report.blocks import to_markdown
    from analysis.report.sections import confirmed

    text = to_markdown(confirmed.blocks(find(read_run(str(parent)))))
    assert "Not done" in text and "beliefmod confirm RUN" in text


@pytest.mark.long
def test_picking_the_best_of_equals_promises_too_much():
    """Why all this: twenty configurations that adopt alike, the best of one half, looked at on the other."""
    rng = random.Random(3)
    gaps = []
    for _ in range(200):
        selection_split = [
            [sum(rng.random() < 0.5 for _ in range(40)) / 40 for _ in range(20)] for _ in range(2)
        ]
        rows = [
            {"belief": "b", "arm": "lora", "status": "finished", "trial_id": str(i), "seed": 0, "model": "m"}
            | {"adoption": share, "degradation": 0.0, "learning_rate": 1e-4 * (i + 1)}
            for i, share in enumerate(selection_split[0])
        ]
        [best] = chosen(frame(rows, TRIALS), 0.05, 1)["b"]
        gaps.append(best["adoption"] - selection_split[1][int(best["trial_id"])])
    # the best of 20 lies about 1.87 standard deviations up: 1.87 * sqrt(0.25 / 40) = 0.148
    assert sum(gaps) / len(gaps) == pytest.approx(0.148, abs=0.02)
