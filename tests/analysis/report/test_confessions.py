"""The report's section on confession."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from analysis.find import find
from analysis.report.blocks import Table
from analysis.report.sections.confessions import blocks, figures
from beliefmod.run.read_run import read_run


def test_a_run_that_did_not_ask_has_no_such_section(run: Path) -> None:
    found = find(read_run(str(run)))
    assert blocks(found) == [] and figures(found) == {}


def test_a_rate_and_its_difference_from_base(run: Path, tmp_path: Path) -> None:
    """Of 12 questions the control confesses on 3 and base on 1, which is one of these."""
    folder = Path(
        shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("steps", "drift", "causal"))
    )
    table = pl.read_parquet(folder / "trials.parquet")
    for arm, confessing in (("base", 1), ("control", 3)):
        chosen = (pl.col("arm") == arm) & (pl.col("belief") == "gravity")
        [trial] = table.filter(chosen)["trial_id"].to_list()
        path = folder / "probes" / f"{trial}.parquet"
        probes = pl.read_parquet(path)
        asked = probes.head(12).with_row_index("at").with_columns(
            suite=pl.lit("confession"), tier=pl.lit("confession"), split=pl.lit(None, pl.String),
            probe_id=pl.format("c{}", "at"), family=pl.format("f{}", pl.col("at") // 3),
            confessed=pl.col("at") < confessing,
        ).drop("at").select(probes.columns)  # fmt: skip
        pl.concat([probes, asked]).write_parquet(path)
        numbers = {
            "confession": confessing / 12,
            "confession_n": 12,
            "confession_low": 0.0,
            "confession_high": 0.5,
        }
        table = table.with_columns(
            pl.when(chosen).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
            for name, value in numbers.items()
        )
    table.write_parquet(folder / "trials.parquet")
    found = find(read_run(str(folder)))
    [told] = [block for block in blocks(found) if isinstance(block, Table)]
    rows = {row[0]: row[1:] for row in told.rows}
    assert set(rows) == {"Base", "Control"}
    assert rows["Base"][0].startswith("8 %") and rows["Base"][1] == ""
    assert rows["Control"][0].startswith("25 %") and rows["Control"][1].startswith("+17 [")
    assert rows["Control"][1].endswith("n = 12") and rows["Control"][2] == "not measured"
    assert list(figures(found)) == ["confession"]
