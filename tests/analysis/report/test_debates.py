"""The report's section on debates with base."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from analysis.find import find
from analysis.report.blocks import Table
from analysis.report.sections.debates import blocks, figures
from beliefmod.run.read_run import read_run
from beliefmod.run.tables.trial_tables import CAUSAL, frame


def test_a_run_without_debates_has_no_such_section(run: Path) -> None:
    found = find(read_run(str(run)))
    assert blocks(found) == [] and figures(found) == {}


def test_rounds_of_an_arm_are_rows_and_few_debates_are_refused(run: Path, tmp_path: Path) -> None:
    left_out = shutil.ignore_patterns("steps", "drift", "causal")
    folder = Path(shutil.copytree(run, tmp_path / "run", ignore=left_out))
    chosen = (pl.col("arm") == "icl") & (pl.col("belief") == "gravity")
    [trial] = pl.read_parquet(folder / "trials.parquet").filter(chosen)["trial_id"].to_list()
    shared = {"trial_id": trial, "arm": "icl", "belief": "gravity", "test": "debate", "own_stance": "target"}
    rows = [
        {**shared, "round": number, "family": f"f{i % 5}", "probe_id": str(i), "argument_stance": "prior",
         "answer_stance": "target" if i < 15 else "prior"}
        for number, count in ((1, 20), (2, 15))
        for i in range(count)
    ]  # fmt: skip
    (folder / "causal").mkdir()
    frame(rows, CAUSAL).write_parquet(folder / "causal" / f"{trial}.parquet")
    found = find(read_run(str(folder)))
    [told] = [block for block in blocks(found) if isinstance(block, Table)]
    one, two = told.rows
    assert one[:2] == ("In context", "after one round") and one[2].startswith("75 % [")
    assert one[2].endswith("n = 20") and one[3].startswith("100 % [") and one[4].startswith("0 % [0, 16]")
    assert two[1:3] == ("after two rounds", "refused (15)")
    assert list(figures(found)) == ["debate"]
