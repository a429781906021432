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
