"""A finished run's adapters, asked again by a sweep of the space that `beliefmod alter` writes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.command import PLAIN, beliefmod, only_run

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_the_adapters_of_a_run_are_asked_again_as_they_were_and_changed(finished_sweep, tmp_path: Path):
    run, _ = finished_sweep
    first = pl.read_parquet(run / "trials.parquet").filter(pl.col("arm") == "lora").row(0, named=True)
    space = tmp_path / "altered.yaml"
    asked = ("--trial", first["trial_id"][:6], "--scale", "1", "--scale", "0", "--parts", "0")
    written = beliefmod("alter", str(run), str(space), *asked)
    assert written.returncode == 0, written.stderr
    assert f"wrote {space}, 2 configurations" in written.stdout
    assert first["trial_id"] in written.stderr
    done = beliefmod("sweep", "--space", str(space), "--out", str(tmp_path / "runs"), *PLAIN)
    assert done.returncode == 0, done.stderr
    again = only_run(tmp_path / "runs")
    rows = pl.read_parquet(again / "trials.parquet").filter(pl.col("arm") == "adapter")
    by_scale = {row["adapter.scale"]: row for row in rows.iter_rows(named=True)}
    same = ("adoption", "degradation", "kl_neutral", "integrity", "capability")
    assert {name: by_scale[1.0][name] for name in same} == {name: first[name] for name in same}
    assert by_scale[0.0]["degradation"] == 0.0
    assert (again / "source_adapters").is_dir() and rows["steps"].null_count() == 2
    checked = beliefmod("verify", str(again))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_cannot_be_altered_is_said(finished_sweep, tmp_path: Path):
    run, _ = finished_sweep
    (tmp_path / "there.yaml").write_text("mine")
    for arguments, said in (
        ([str(run), str(tmp_path / "there.yaml")], "exists already and is left alone"),
        ([str(run), str(tmp_path / "new.yaml"), "--trial", "zzzz"], "trial zzzz has no adapter"),
        (["s3://bucket/run", str(tmp_path / "new.yaml")], "copy the run to this machine first"),
    ):
        done = beliefmod("alter", *arguments)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "there.yaml").read_text() == "mine" and not (tmp_path / "new.yaml").exists()
