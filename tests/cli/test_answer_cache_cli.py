"""Sweeps on one runs folder share what the untouched base said, from the command line on real Ray."""

import gzip
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.command import PLAIN, beliefmod
from tests.finished_run import small_space

pytestmark = [pytest.mark.slow, pytest.mark.long]


def sweep(folder: Path, *options: str) -> dict[str, pl.DataFrame]:
    """Run the space of base, icl and one adapter; probe rows by arm, the timing of the run left out."""
    space = small_space(folder, axes={"num_train_epochs": [2]})
    runs = folder / "runs"
    before = set(runs.glob("EXP-*"))
    done = beliefmod("sweep", "--space", str(space), "--out", str(runs), *PLAIN, *options)
    assert done.returncode == 0, done.stderr
    [run] = set(runs.glob("EXP-*")) - before
    trials = pl.read_parquet(run / "trials.parquet")
    return {
        row["arm"]: pl.read_parquet(run / "probes" / f"{row['trial_id']}.parquet")
        for row in trials.iter_rows(named=True)
    }


def files(folder: Path) -> dict[str, int]:
    """Files of the cache with the time each was written."""
    cache = folder / "runs" / ".cache"
    return {str(p.relative_to(cache)): p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}


def test_a_second_sweep_takes_its_references_from_the_first(tmp_path):
    first = sweep(tmp_path)
    kept = files(tmp_path)
    assert kept and all(name.endswith(".json.gz") for name in kept), "and nothing half-written"
    # one file says something else now, another is cut short
    cache = tmp_path / "runs" / ".cache"
    contents = {name: json.loads(gzip.decompress((cache / name).read_bytes())) for name in kept}
    some = {name: next(iter(content.values())) for name, content in contents.items()}
    scores = next(name for name, answer in some.items() if isinstance(answer, float))
    drift = next(name for name, answer in some.items() if isinstance(answer, dict) and "kl" in answer)
    contents[scores] = dict.fromkeys(contents[scores], -123.5)
    (cache / scores).write_bytes(gzip.compress(json.dumps(contents[scores]).encode()))
    whole = (cache / drift).read_bytes()
    (cache / drift).write_bytes(whole[:-20])
    shutil.copytree(cache, tmp_path / "before")

    second = sweep(tmp_path)
    marked = [arm for arm, rows in second.items() if (rows["logprob_target"] == -123.5).any()]
    # one file has the scores of one call: of one reference arm, or of both where one host was asked for both
    assert marked and {*marked} <= {"base", "icl"}, "read from the cache"
    for arm, rows in second.items():
        changed = [name for name in rows.columns if name.startswith("logprob_")] if arm in marked else []
        assert rows.drop(changed).equals(first[arm].drop(changed)), arm
    assert (cache / drift).read_bytes() == whole, "asked again, the same was said"
    others = [name for name in kept if name != drift]
    assert {name: (cache / name).read_bytes() for name in others} == {
        name: (tmp_path / "before" / name).read_bytes() for name in others
    }

    now = files(tmp_path)
    third = sweep(tmp_path, "--set", "evaluation.reuse_answers=false")
    assert all(rows.equals(first[arm]) for arm, rows in third.items()), "nothing was taken from the cache"
    assert files(tmp_path) == now
