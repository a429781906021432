"""A finished run looked into, interrupted and looked into again, as a user would."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame
from tests.interp.example_run import ADOPTED, example_run

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "beliefmod", "lens"]


@pytest.mark.long
def test_a_run_is_looked_into_and_its_report_written_again(tmp_path: Path):
    run = example_run(tmp_path, ADOPTED)
    options = ["--prompts", "6", "--scales", "0,1"]
    process = subprocess.Popen([*COMMAND, str(run), *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("lens (1 of 8)"):  # the first part is complete, the second has begun
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    told = process.stderr.read()
    assert process.wait(60) == 130
    assert "Traceback" not in told and "stopped by Ctrl-C" in told
    assert f"complete parts, written to {run}/lens: lens" in told
    rest = ["ablations", "patching", "doses", "channels", "chain", "truth", "leak"]
    [goes_on] = [line for line in told.splitlines() if line.startswith("go on with:")]
    named = goes_on.partition("--parts ")[2].split()[0].split(",")
    assert named == rest[-len(named) :]
    readings = pl.read_parquet(run / "lens" / "readings.parquet")
    assert readings.height and not (run / "lens" / "truth.parquet").exists()

    command = [*COMMAND, str(run), *options, "--parts", ",".join(rest)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"report: {run}/report.html\n"
    tables = {path.stem: pl.read_parquet(path) for path in (run / "lens").glob("*.parquet")}
    assert set(tables) == set(LENS_TABLES) and tables["readings"].equals(readings)
    for name, table in tables.items():
        assert table.schema == frame((), LENS_TABLES[name]).schema, name
        assert table.height, name
    [row] = tables["overview"].filter(pl.col("trial_id") == ADOPTED).to_dicts()
    assert row["final_diff"] is not None and row["kl_base"] > 0
    assert "Inside the model" in (run / "report.html").read_text()
    manifest = json.loads((run / "lens" / "manifest.json").read_text())
    assert list(manifest["parts"]) == ["lens", *rest]
