"""The planner where it is known, or assumed, how many questions a model can answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.stats.power import Design, power
from analysis.studies.answerable_power import answerable_counts
from beliefmod.cli.app import app
from beliefmod.run.read_run import read_run
from tests.analysis.verify.answered import answered_run


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return answered_run(tmp_path_factory.mktemp("power") / "EXP-answered", ("gravity", "neelam"))


def planned(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["power", *arguments])
    return result.exit_code, result.output.splitlines()


def by_hand(run: Path, belief: str) -> tuple[int, int, int]:
    """Questions asked, answerable ones and their families, counted over base's and the in-context answers."""
    trials = pl.read_parquet(run / "trials.parquet").filter(pl.col("belief") == belief)
    said = {}
    for arm in ("base", "icl"):
        trial = trials.filter(pl.col("arm") == arm)["trial_id"][0]
        rows = pl.read_parquet(run / "probes" / f"{trial}.parquet").filter(
            (pl.col("suite") == "belief") & ~pl.col("tier").is_in(["trained", "robustness"])
        )
        said[arm] = {row["probe_id"]: row for row in rows.iter_rows(named=True)}
    able = {name for name, row in said["icl"].items() if row["answer_stance"] == "target"}
    if belief != "neelam":
        able |= {name for name, row in said["base"].items() if row["answer_stance"] == "prior"}
    return len(said["base"]), len(able), len({said["base"][name]["family"] for name in able})


@pytest.mark.long
def test_a_run_says_what_its_answerable_questions_can_show(answered: Path) -> None:
    code, lines = planned("--from", "0.05", "--to", "0.17", "--run", str(answered))
    assert code == 0 and lines[0] == "106 prompts per arm"
    for belief, line in zip(("gravity", "neelam"), lines[-2:], strict=True):
        asked, able, families = by_hand(answered, belief)
        assert 8 <= able < asked
        assert line.startswith(
            f"{belief}: {able} of {asked} questions are answerable for this model, in {families} f"
        )
        assert f"power {100 * power(Design(0.05, 0.17), able):.0f} %" in line
        assert f"about {-(-106 * asked // able)} questions" in line


def test_without_a_second_rate_it_says_what_can_be_told_apart(answered: Path) -> None:
    code, lines = planned("--from", "0.05", "--run", str(answered))
    assert code == 0 and len(lines) == 2 and " 5 % can be told from " in lines[0]


def test_one_half_of_the_families_has_its_own_count(answered: Path) -> None:
    run = read_run(str(answered))
    whole = answerable_counts(run)
    halves = [answerable_counts(run, half) for half in ("selection", "confirmation")]
    for belief, gates in whole.items():
        assert sum(half[belief].either for half in halves) == gates.either
        assert sum(half[belief].asked for half in halves) == gates.asked


def test_a_share_says_how_many_prompts_to_ask() -> None:
    code, lines = planned("--from", "0.05", "--to", "0.17", "--answerable", "0.25")
    assert code == 0 and "25 % of those asked are, 424 are to be asked" in lines[-1]


def test_a_run_without_marks_is_a_sentence(answered: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(answered, tmp_path / "EXP-older"))
    for path in (run / "probes").glob("*.parquet"):
        pl.read_parquet(path).drop("answerable").write_parquet(path)
    code, lines = planned("--from", "0.05", "--to", "0.17", "--run", str(run))
    assert code == 2 and "not marked as answerable" in " ".join(lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "0.17", "--answerable", "0"), "--answerable is 0; give a share"),
        (("--n", "9", "--answerable", "0.5"), "--answerable needs --to"),
        (("--to", "0.17", "--answerable", "0.5", "--run", "x"), "not both"),
    ],
)
def test_wrong_options_are_sentences(arguments: tuple[str, ...], said: str) -> None:
    code, lines = planned("--from", "0.05", *arguments)
    assert code == 2 and said in " ".join(lines)
