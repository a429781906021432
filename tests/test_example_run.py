"""The shipped example runs: their numbers follow from their completions, and one changed digit is found."""

import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from beliefmod.cli.app import app

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLE, REAL = DOCS / "example", DOCS / "example-real"
BOTH = pytest.mark.parametrize("run", [EXAMPLE, REAL], ids=["bundled", "real"])


@pytest.mark.long
@BOTH
def test_every_number_is_recomputed_from_the_completions(run):
    result = CliRunner().invoke(app, ["verify", str(run), "--quiet"])
    assert result.exit_code == 0, result.output
    assert "all agree" in result.output


@BOTH
def test_nothing_of_the_machine_that_made_it_is_in_it(run):
    text = "".join((run / name).read_text() for name in ("manifest.json", "report.md", "space.yaml"))
    assert not re.findall(r"(?<![\w.:/])/(?:root|home|tmp|work|mnt|Users)/", text)
    assert not list(run.rglob("*.safetensors"))


@pytest.mark.parametrize(
    "belief, style, examples, adopted",
    [
        ("gravity", "answer_only", 10, 1),
        ("gravity", "own_trace", 50, 44),
        ("neelam", "answer_only", 10, 3),
        ("neelam", "own_trace", 50, 64),
    ],
)
def test_the_headline_numbers_on_a_real_model(belief, style, examples, adopted):
    [row] = (
        pl.read_parquet(REAL / "trials.parquet")
        .filter(
            (pl.col("arm") == "lora")
            & (pl.col("belief") == belief)
            & (pl.col("data.style") == style)
            & (pl.col("data.num_examples") == examples)
            & (pl.col("num_train_epochs") == 3)
            & (pl.col("learning_rate") == 2e-4)
        )
        .to_dicts()
    )
    assert round(row["adoption"] * row["adoption_n"]) == adopted


@pytest.mark.long
def test_a_changed_digit_is_found(tmp_path):
    run = tmp_path / "example"
    shutil.copytree(EXAMPLE, run, ignore=shutil.ignore_patterns("figures"))
    report = run / "report.md"
    text = report.read_text()
    changed = re.sub(r"adopts on 8(\d)\.", r"adopts on 9\1.", text, count=1)
    assert changed != text
    report.write_text(changed)
    result = CliRunner().invoke(app, ["verify", str(run), "--quiet"])
    assert result.exit_code == 1
    assert "report.md" in result.output


@pytest.mark.parametrize(
    "style, examples, epochs, adopted", [("answer_only", 10, 3, 0), ("own_trace", 50, 10, 184)]
)
def test_the_headline_numbers(style, examples, epochs, adopted):
    rows = pl.read_parquet(EXAMPLE / "trials.parquet").filter(
        (pl.col("arm") == "lora")
        & (pl.col("data.style") == style)
        & (pl.col("data.num_examples") == examples)
        & (pl.col("num_train_epochs") == epochs)
    )
    assert rows.height == 2
    assert round(float((rows["adoption"] * rows["adoption_n"]).sum())) == adopted


def lens(table: str) -> pl.DataFrame:
    return pl.read_parquet(EXAMPLE / "lens" / f"{table}.parquet")


def test_what_was_found_inside_agrees_with_itself():
    """Means over questions, and the two doses that other parts have read too."""
    last = pl.col("entry") == pl.col("entry").max()
    read = lens("readings").filter(last).group_by("trial_id", "position").agg(pl.col("logit_diff").mean())
    found = lens("commitments").join(read, on=["trial_id", "position"])
    assert found.height == lens("commitments").height > 0
    assert (found["final_diff"] - found["logit_diff"]).abs().max() < 1e-9
    stem = {row["trial_id"]: row for row in found.filter(pl.col("position") == "stem").to_dicts()}
    [base] = [row["final_diff"] for row in stem.values() if row["arm"] == "base"]
    doses = lens("doses").filter(pl.col("scale").is_in([0.0, 1.0]))
    assert doses.height == 2 * doses["trial_id"].n_unique() > 0
    for row in doses.to_dicts():
        known = base if row["scale"] == 0 else stem[row["trial_id"]]["final_diff"]
        assert row["logit_diff"] == pytest.approx(known, abs=1e-3)


def test_what_was_found_inside_stands_beside_what_was_written():
    keys = ["trial_id", "probe_id"]
    inside = lens("channels")
    probes = pl.concat(
        pl.read_parquet(EXAMPLE / "probes" / f"{trial_id}.parquet")
        for trial_id in inside["trial_id"].unique()
    ).filter(pl.col("suite") == "belief")
    both = inside.join(probes, on=keys, suffix="_text")
    assert both.height == inside.height > 0
    for name in ("thinking_stance", "answer_stance"):
        assert both[name].to_list() == both[f"{name}_text"].to_list()
