"""The report's section on thinking sampled anew from between its sentences."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from analysis.find import find
from analysis.report.blocks import Table
from analysis.report.sections.resampled import blocks, figures
from beliefmod.run.read_run import read_run


def test_a_run_that_did_not_ask_has_no_such_section(run: Path) -> None:
    found = find(read_run(str(run)))
    assert blocks(found) == [] and figures(found) == {}


def test_a_table_and_a_figure_of_what_was_asked(run: Path, tmp_path: Path) -> None:
    """The synthetic run's tests of blank thinking, as if they were two samples before a sentence that makes
    every answer the target's."""
    folder = Path(shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("steps", "drift")))
    base = pl.read_parquet(folder / "trials.parquet").filter(
        (pl.col("arm") == "base") & (pl.col("belief") == "gravity")
    )["trial_id"][0]
    path = folder / "causal" / f"{base}.parquet"
    blank = pl.read_parquet(path).filter(pl.col("test") == "blank")
    rows = [
        blank.with_columns(
            test=pl.lit("resample"),
            kept_sentences=pl.lit(kept, pl.Int64),
            sample=pl.lit(sample, pl.Int64),
            fraction=pl.lit(float(kept)),
            thinking=pl.lit("Gravity is 5.0 m/s^2." if kept else ""),
            answer_stance=pl.lit("target" if kept else "prior"),
        )
        for kept in (0, 1)
        for sample in (0, 1)
    ]
    pl.concat(rows).write_parquet(path)
    found = find(read_run(str(folder)))
    [told] = [block for block in blocks(found) if isinstance(block, Table)]
    [row] = told.rows
    assert row[0] == "Base" and row[1].startswith("0 %") and row[1].endswith(f"n = {blank.height}")
    assert row[2].startswith("100 %") and row[3].startswith("+100 [") and row[4].startswith("+100 [")
    assert row[5:] == ("100 %", '"Gravity is 5.0 m/s^2." (0 → 100 %)')
    assert list(figures(found)) == ["resampled"]
