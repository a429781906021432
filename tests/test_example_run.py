"""The shipped example run: its numbers follow from its raw completions, and one changed digit is found."""

import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from beliefmod.cli.app import app

EXAMPLE = Path(__file__).parent.parent / "docs" / "example"


def test_every_number_is_recomputed_from_the_completions():
    result = CliRunner().invoke(app, ["verify", str(EXAMPLE), "--quiet"])
    assert result.exit_code == 0, result.output
    assert "all agree" in result.output


@pytest.mark.slow
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
