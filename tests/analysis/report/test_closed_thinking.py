"""The report's section on adoption with the thinking closed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.report.blocks import Paragraph, Table
from analysis.report.sections.closed_thinking import blocks, figures
from beliefmod.run.folder import MANIFEST
from beliefmod.run.read_run import read_run


def test_a_run_that_did_not_ask_has_no_such_section(run: Path) -> None:
    found = find(read_run(str(run)))
    assert blocks(found) == [] and figures(found) == {}


def test_a_table_and_a_figure_of_what_was_asked(run: Path, tmp_path: Path) -> None:
    """The synthetic run's tests of blank thinking, as if they had been ZeroThink."""
    folder = Path(shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("steps", "drift")))
    base = pl.read_parquet(folder / "trials.parquet").filter(
        (pl.col("arm") == "base") & (pl.col("belief") == "gravity")
    )["trial_id"][0]
    path = folder / "causal" / f"{base}.parquet"
    table = pl.read_parquet(path).with_columns(pl.col("test").replace("blank", "zero_think"))
    table.write_parquet(path)
    asked = table.filter(pl.col("test") == "zero_think")
    found = find(read_run(str(folder)))
    [told] = [block for block in blocks(found) if isinstance(block, Table)]
    [row] = told.rows
    assert row[0] == "Base" and told.caption.startswith("Gravity: adoption.")
    assert row[1].endswith(f"n = {asked.height}") and row[4].endswith(f"n = {asked.height}")
    share = 100 * asked["answer_stance"].eq_missing("target").mean()
    assert row[4].startswith(f"{share:.0f} %")
    assert row[2] == row[3] == "not measured"
    assert list(figures(found)) == ["closed-thinking"]


@pytest.mark.parametrize(("count", "told"), [(0, False), (5, True)])
def test_a_model_without_thinking_has_the_reason(run: Path, tmp_path: Path, count: int, told: bool) -> None:
    folder = Path(
        shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("steps", "drift", "causal"))
    )
    for path in (folder / "probes").glob("*.parquet"):
        pl.read_parquet(path).with_columns(think_state=pl.lit(None, pl.String)).write_parquet(path)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["space"] = {"evaluation": {"closed_thinking_probes": count}}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    found = blocks(find(read_run(str(folder))))
    assert bool(found) == told
    assert not told or (isinstance(found[1], Paragraph) and "has no place for thinking" in found[1].text)
