"""A run that another scorer has read becomes the run that this one would have written."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.report.write import write_report
from beliefmod.cli.app import app
from tests.analysis.verify.answered import answered_run

EXAMPLE = Path(__file__).parents[3] / "docs" / "example"
ADOPTS = pl.col("answer_stance") == "target"


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run whose answers a script wrote, with its report."""
    run = answered_run(tmp_path_factory.mktemp("rescore") / "EXP-answered", rates=(2e-4, 5e-3))
    write_report(run)
    return run


@pytest.fixture(
    params=["answered", pytest.param("example", marks=pytest.mark.long)],
)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    whole = EXAMPLE if request.param == "example" else request.getfixturevalue("answered")
    copy = tmp_path / "run"
    # without its seal, as the runs are that older scorers read: what is sealed is not read again once changed
    shutil.copytree(whole, copy, ignore=shutil.ignore_patterns("figures", "lens", "confirmation", "seal"))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "sealed": False}))
    return copy


def called(*words: str):
    """A command of the CLI; `verify` with --quick, for answers that are made up have made-up token ids."""
    return CliRunner().invoke(app, list(words))


def read_by_an_older_scorer(run: Path) -> str:
    """Take every adoption of one trained trial for something else, in all files of it; the trial."""
    table = pl.read_parquet(run / "trials.parquet")
    best = table.filter(pl.col("arm") == "lora").sort("adoption", descending=True).row(0, named=True)
    assert best["adoption"] > 0.5
    name = best["trial_id"]
    path = run / "probes" / f"{name}.parquet"
    probes = pl.read_parquet(path)
    probes.with_columns(
        answer_stance=pl.when(ADOPTS).then(pl.lit("other")).otherwise(pl.col("answer_stance"))
    ).write_parquet(path)
    changed = table.with_columns(
        adoption=pl.when(pl.col("trial_id") == name).then(0.0).otherwise(pl.col("adoption"))
    )
    changed.write_parquet(run / "trials.parquet")
    row = run / "rows" / f"{name}.json"
    row.write_text(json.dumps({**json.loads(row.read_text()), "adoption": 0.0}))
    return name


@pytest.mark.long
def test_verdicts_metrics_and_report_are_those_of_this_version(run: Path):
    before = {path.name: pl.read_parquet(path) for path in (run / "probes").iterdir()}
    row = pl.read_parquet(run / "trials.parquet")
    name = read_by_an_older_scorer(run)
    assert called("verify", str(run), "-q", "--quick").exit_code == 1
    done = called("rescore", str(run))
    assert done.exit_code == 0, done.output
    assert " values are others now" in done.output and "; 0 values" not in done.output
    checked = called("verify", str(run), "-q", "--quick")
    assert checked.exit_code == 0, checked.output
    after = {path.name: pl.read_parquet(path) for path in (run / "probes").iterdir()}
    # a run of an older version gets the columns that have come since
    assert all(after[name].select(table.columns).equals(table) for name, table in before.items())
    assert len(after) == len(before)
    again = pl.read_parquet(run / "trials.parquet")
    assert again["adoption"].to_list() == row["adoption"].to_list()
    assert again["final_loss"].to_list() == row["final_loss"].to_list()
    assert "rescored" in json.loads((run / "manifest.json").read_text())
    assert "Answers read again later" in (run / "report.md").read_text()
    files = json.loads((run / "rows" / f"{name}.json").read_text())["_files"]
    held = (run / "probes" / f"{name}.parquet").read_bytes()
    assert files[f"probes/{name}.parquet"]["sha256"] == sha256(held).hexdigest()


@pytest.mark.long
def test_a_run_with_something_missing_is_left_as_it_is(run: Path):
    path = next((run / "probes").iterdir())
    pl.read_parquet(path)[:-1].write_parquet(path)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    done = called("rescore", str(run), "-q")
    assert done.exit_code == 2 and "something is missing" in done.output, done.output
    assert "beliefmod verify" in done.output
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_a_sweep_that_has_not_ended_is_refused(run: Path):
    manifest = run / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "status": "running"}))
    done = called("rescore", str(run), "-q")
    assert done.exit_code == 2 and "the sweep has not ended" in done.output and "resume" in done.output


@pytest.mark.long
def test_what_was_stopped_between_rows_and_table_is_done_again(run: Path):
    """A rescore that died had written a row's file, and not yet the table that is put together from them."""
    path = next((run / "rows").iterdir())
    row = json.loads(path.read_text())
    path.write_text(json.dumps({**row, "adoption": 0.123}))
    assert called("verify", str(run), "-q", "--quick").exit_code == 1
    done = called("rescore", str(run), "-q")
    assert done.exit_code == 0, done.output
    checked = called("verify", str(run), "-q", "--quick")
    assert checked.exit_code == 0, checked.output
    assert json.loads(path.read_text())["adoption"] == row["adoption"]
