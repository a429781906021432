"""`beliefmod export`: every table, exact in parquet, safe and reversible in CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from analysis.export import export_run, spreadsheet_safe
from beliefmod.cli.app import Commands
from beliefmod.cli.export import export
from beliefmod.errors import UserError
from beliefmod.run.tables import RUN_TABLES
from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import TABLES
from tests.analysis.synthetic import write_run
from tests.analysis.synthetic_lens import write_lens

app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
app.command()(export)


@app.command()
def other() -> None:
    """A second command, so that the first keeps its name."""


cli = CliRunner()


def test_parquet_is_exact(run: Path, tmp_path: Path) -> None:
    done = {table.table: table for table in export_run(str(run), str(tmp_path / "out"), "parquet")}
    assert list(done) == ["trials", "probes", "steps", "causal", "drift"]
    for name in ("probes", "steps", "causal", "drift"):
        ids = pl.read_parquet(run / "trials.parquet")["trial_id"]
        files = [path for trial in ids if (path := run / name / f"{trial}.parquet").exists()]
        whole = pl.concat(pl.read_parquet(path) for path in files)
        assert pl.read_parquet(done[name].path).equals(whole) and done[name].rows == whole.height
    trials = pl.read_parquet(done["trials"].path)
    assert trials.equals(pl.read_parquet(run / "trials.parquet"))


def test_csv_keeps_types_nulls_and_lists(run: Path, tmp_path: Path) -> None:
    done = {table.table: table for table in export_run(str(run), str(tmp_path / "out"))}
    exact = pl.concat(
        pl.read_parquet(run / "probes" / f"{trial}.parquet")
        for trial in pl.read_parquet(run / "trials.parquet")["trial_id"]
        if (run / "probes" / f"{trial}.parquet").exists()
    )
    with open(done["probes"].path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == exact.height and list(rows[0]) == [column.name for column in TABLES["probes"]]
    for row, real in zip(rows[:400], exact.head(400).iter_rows(named=True), strict=True):
        assert json.loads(row["token_ids"]) == real["token_ids"]
        assert (
            row["completion"].removeprefix("'") == real["completion"] and int(row["tokens"]) == real["tokens"]
        )
        assert row["loop"] == str(real["loop"]).lower()
        assert row["seq_rep_4"] != "" and float(row["seq_rep_4"]) == real["seq_rep_4"]
        if real["logprob_target"] is None:
            assert row["logprob_target"] == ""
        else:
            assert float(row["logprob_target"]) == real["logprob_target"]
    # null and empty text differ: some answers are empty, some first turns null
    again = pl.read_csv(done["probes"].path, infer_schema=False)
    for name in ("answer", "thinking", "first_turn"):
        assert (
            again[name].null_count() == exact[name].null_count()
            and (exact[name] == "").sum() == (again[name] == "").sum()
        )


def test_columns_are_explained(run: Path, tmp_path: Path) -> None:
    for table in export_run(str(run), str(tmp_path / "out"), tables=["trials", "drift"]):
        rows = list(csv.DictReader(io.StringIO(Path(table.columns).read_text(encoding="utf-8"))))
        declared = TABLES[table.table]
        assert [(r["name"], r["dtype"], r["unit"]) for r in rows] == [
            (c.name, c.dtype, c.unit) for c in declared
        ]
        assert all(r["meaning"].removeprefix("'") == c.meaning for r, c in zip(rows, declared, strict=True))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-5 m/s", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'quoted"]
)
def test_formulas_are_defused(text: str) -> None:
    assert spreadsheet_safe(pl.DataFrame({"a": [text]}))["a"][0] == f"'{text}"


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=30), max_size=8))
def test_csv_can_be_undone(texts: list[str | None]) -> None:
    table = pl.DataFrame({"a": texts, "n": [-1.5] * len(texts)}, schema={"a": pl.String, "n": pl.Float64})
    safe = spreadsheet_safe(table)
    assert safe["n"].equals(table["n"])  # a negative number is no formula
    again = pl.read_csv(io.BytesIO(safe.write_csv().encode()), schema=safe.schema)
    assert not any(str(cell or "x").startswith(tuple("=+-@\t\r\n")) for cell in again["a"])
    assert [cell if cell is None else cell.removeprefix("'") for cell in again["a"]] == texts


def test_a_run_under_way_brings_its_latest_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0, extras=False)
    later = pl.read_parquet(run / "trials.parquet").row(0, named=True) | {"trial_id": "later"}
    (run / "rows").mkdir()
    (run / "rows" / "later.json").write_text(json.dumps(later))
    [trials] = export_run(str(run), tables=["trials"])
    assert trials.path == f"{run}/export/trials.csv" and trials.rows == 5
    assert "later" in pl.read_csv(trials.path)["trial_id"].to_list()


def test_what_was_found_inside_the_model_comes_too(tmp_path: Path) -> None:
    run = write_lens(
        write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0), leave_out=("early",)
    )
    exact = {table.table: table for table in export_run(str(run), str(tmp_path / "exact"), "parquet")}
    assert list(exact) == [name for name in RUN_TABLES if name not in ("judge", "lens_early")]
    for name in LENS_TABLES.keys() - {"early"}:
        assert pl.read_parquet(exact[f"lens_{name}"].path).equals(
            pl.read_parquet(run / "lens" / f"{name}.parquet")
        )
    [done] = export_run(str(run), tables=["lens_doses"])
    assert done.path == f"{run}/export/lens_doses.csv"
    meanings = csv.DictReader(io.StringIO(Path(done.columns).read_text(encoding="utf-8")))
    assert [row["name"] for row in meanings] == [column.name for column in LENS_TABLES["doses"]]
    with pytest.raises(UserError, match='did you mean "lens_doses"'):
        export_run(str(run), tables=["lens_dose"])
    with pytest.raises(UserError, match="has no rows of the table lens_early"):
        export_run(str(run), tables=["lens_early"])


def test_into_a_url(tmp_path: Path) -> None:
    import fsspec

    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=[{}], failed=0)
    export_run(str(run), "memory://exported", tables=["steps"])
    names = sorted(Path(path).name for path in fsspec.filesystem("memory").ls("/exported", detail=False))
    assert names == ["steps.columns.csv", "steps.csv"]


def test_mistakes_are_sentences(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no table probe, did you mean "probes"'):
        export_run(str(run), str(tmp_path), tables=["probe"])
    with pytest.raises(UserError, match="has no rows of the table judge; leave it out of --tables"):
        export_run(str(run), str(tmp_path), tables=["judge"])
    with pytest.raises(UserError, match="no such folder"):
        export_run(str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        export_run(str(run), str(tmp_path / "file" / "deeper"), tables=["trials"])


def test_command(run: Path, tmp_path: Path) -> None:
    result = cli.invoke(
        app, ["export", str(run), "--parquet", "--out", str(tmp_path), "--tables", "trials, steps"]
    )
    assert result.exit_code == 0, result.output
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == [
        f"{tmp_path}/trials.parquet",
        f"{tmp_path}/steps.parquet",
    ]
    wrong = cli.invoke(app, ["export", str(run), "--tables", ","])
    assert wrong.exit_code == 2 and "names no table" in wrong.stderr
