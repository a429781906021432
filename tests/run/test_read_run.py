"""Run folders: whole, unfinished, damaged, remote, and things that are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fsspec
import polars as pl
import pytest

from beliefmod.errors import UserError
from beliefmod.run.read_run import read_run
from beliefmod.run.tables.trial_tables import CAUSAL, DRIFT, JUDGE, TRIALS, frame
from tests.analysis.synthetic import grid, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two beliefs, 16 configurations each, all arms, one failed trial."""
    configs = list(grid(examples=(10, 50), epochs=(3, 10), rates=(2e-4, 5e-3)))
    return write_run(tmp_path_factory.mktemp("runs") / "EXP-small", configs=configs)


def copied(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to / "EXP-copy"))


def message(location: Path | str) -> str:
    with pytest.raises(UserError) as caught:
        read_run(str(location))
    [problem] = caught.value.problems
    assert str(location).split("://")[-1] in problem
    return problem


def test_whole_run(run: Path) -> None:
    opened = read_run(str(run))
    assert opened.trials.columns == [column.name for column in TRIALS]
    assert opened.trials.height == 2 * (3 + 16) + 1
    assert opened.notes == () and opened.manifest["git_commit"] == "abc1234"
    ids = opened.trials["trial_id"].to_list()
    probes = opened.probes(ids[:3], ["trial_id", "answer_stance"])
    assert probes.columns == ["trial_id", "answer_stance"] and probes["trial_id"].n_unique() == 3
    assert opened.steps(ids)["trial_id"].n_unique() == 2 * (1 + 16)
    assert opened.probes(["nobody"]).is_empty() and opened.probes([]).is_empty()


def test_not_there(tmp_path: Path) -> None:
    assert "no such folder" in message(tmp_path / "missing")
    assert "not a run folder" in message(tmp_path) and "sweep" in message(tmp_path)


def test_unknown_protocol() -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        read_run("nosuch://bucket/run")


def test_remote_folder(run: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(run), "/bucket/EXP", recursive=True)
    opened = read_run("memory://bucket/EXP")
    local = read_run(str(run))
    assert opened.trials.equals(local.trials)
    ids = local.trials["trial_id"].to_list()
    assert opened.probes(ids).height == local.probes(ids).height
    memory.rm("/bucket", recursive=True)


def test_without_manifest_it_says_so(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    (folder / "manifest.json").unlink()
    opened = read_run(str(folder))
    assert opened.manifest == {} and "no manifest.json" in opened.notes[0]


def test_rows_written_after_the_table_count(run: Path, tmp_path: Path) -> None:
    """A sweep under way: a row that the table calls failed has finished since, and another is new."""
    folder = copied(run, tmp_path)
    table = pl.read_parquet(folder / "trials.parquet")
    failed = table.filter(pl.col("status") == "failed").row(0, named=True)
    done = table.filter(pl.col("arm") == "lora").row(0, named=True)
    new = {**failed, "status": "finished", "error": None, "adoption": 0.5, "adoption_n": 10}
    table.filter(pl.col("trial_id") != done["trial_id"]).write_parquet(folder / "trials.parquet")
    (folder / "rows").mkdir()
    for row in (new, done):
        (folder / "rows" / f"{row['trial_id']}.json").write_text(json.dumps(row))
    trials = read_run(str(folder)).trials
    assert trials.height == table.height and trials["trial_id"].n_unique() == table.height
    assert trials.filter(pl.col("trial_id") == failed["trial_id"])["status"].to_list() == ["finished"]


def test_rows_alone_are_a_run(run: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(run / "trials.parquet").head(3).to_dicts()
    (tmp_path / "rows").mkdir()
    for row in rows:
        (tmp_path / "rows" / f"{row['trial_id']}.json").write_text(json.dumps(row))
    assert read_run(str(tmp_path)).trials.height == 3


@pytest.mark.parametrize("content", ['{"trial_id": "x"', '["x"]', "", '{"trial_id": "y"}'])
def test_a_damaged_row_is_named_and_left_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "x.json").write_text(content)
    opened = read_run(str(tmp_path))
    assert opened.trials.is_empty() and any("rows/x.json is damaged" in note for note in opened.notes)


def test_a_row_of_wrong_types_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "x.json").write_text('{"trial_id": "x", "adoption": "high"}')
    with pytest.raises(UserError, match="not a trial's"):
        read_run(str(tmp_path))


@pytest.mark.parametrize("content", ["{", "[]", '"run"'])
def test_damaged_manifest(run: Path, tmp_path: Path, content: str) -> None:
    folder = copied(run, tmp_path)
    (folder / "manifest.json").write_text(content)
    assert "JSON" in message(folder)


@pytest.mark.parametrize("size", [0, 100, -30])
def test_cut_table(run: Path, tmp_path: Path, size: int) -> None:
    folder = copied(run, tmp_path)
    whole = (folder / "trials.parquet").read_bytes()
    (folder / "trials.parquet").write_bytes(whole[:size])
    assert "parquet" in message(folder)


def test_cut_probe_file_is_named(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    path = sorted((folder / "probes").iterdir())[0]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=path.name):
        read_run(str(folder)).probes([path.stem])


def test_missing_columns(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    table = pl.read_parquet(folder / "trials.parquet")
    table.drop("integrity", "loop_n").write_parquet(folder / "trials.parquet")
    opened = read_run(str(folder))
    assert "integrity, loop_n" in opened.notes[0] and opened.trials["integrity"].null_count() == table.height
    table.drop("status", "arm").write_parquet(folder / "trials.parquet")
    assert "arm, status" in message(folder)


def test_a_run_from_before_a_setting_lacks_nothing_and_gets_its_default_beside_later_trials(
    run: Path, tmp_path: Path
) -> None:
    folder = copied(run, tmp_path)
    later = ["objective.name", "objective.kl_to_base"]
    whole = pl.read_parquet(folder / "trials.parquet")
    whole.drop(later).write_parquet(folder / "trials.parquet")
    opened = read_run(str(folder))
    assert opened.notes == () and opened.trials[later].null_count().row(0) == (whole.height,) * 2
    resumed = pl.when(pl.col("seed") == 0).then(pl.col(later)).otherwise(None)
    mixed = whole.with_columns(seed=pl.int_range(pl.len()) % 2).with_columns(resumed)
    mixed.write_parquet(folder / "trials.parquet")
    trials = read_run(str(folder)).trials.filter(pl.col("arm").is_in(["lora", "control"]))
    assert trials[later].unique().rows() == [("sft", 0.0)]


def test_two_models_are_not_one_frontier(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    table = pl.read_parquet(folder / "trials.parquet")
    other = pl.when(pl.col("seed") == 99).then(pl.lit("other")).otherwise(pl.col("model"))
    table.with_columns(other.alias("model")).write_parquet(folder / "trials.parquet")
    assert "bundled, other" in message(folder)


def test_nan_is_not_a_number(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    table = pl.read_parquet(folder / "trials.parquet")
    table.with_columns(pl.lit(float("nan")).alias("adoption")).write_parquet(folder / "trials.parquet")
    assert read_run(str(folder)).trials["adoption"].null_count() == table.height


def test_drift_causal_and_judge(tmp_path: Path) -> None:
    frame([{"trial_id": "a", "status": "finished"}], TRIALS).write_parquet(tmp_path / "trials.parquet")
    bare = read_run(str(tmp_path))
    assert bare.drift(["a"]).is_empty() and bare.causal(["a"]).is_empty() and bare.judge().is_empty()
    assert bare.drift(["a"]).columns == [column.name for column in DRIFT]
    for name in ("drift", "causal"):
        (tmp_path / name).mkdir()
    frame([{"trial_id": "a", "kl": 0.5}], DRIFT).write_parquet(tmp_path / "drift" / "a.parquet")
    frame([{"trial_id": "a", "test": "swap"}], CAUSAL).write_parquet(tmp_path / "causal" / "a.parquet")
    frame([{"trial_id": "a", "reason": "sample"}], JUDGE).write_parquet(tmp_path / "judge.parquet")
    opened = read_run(str(tmp_path))
    assert opened.drift(["a", "b"])["kl"].to_list() == [0.5]
    assert opened.causal(["a"], ["trial_id", "test"]).rows() == [("a", "swap")]
    assert opened.judge()["reason"].to_list() == ["sample"]
