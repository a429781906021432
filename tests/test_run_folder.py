"""The run folder: whole files, rows last, damage survives."""

import json
import os

import pytest

from beliefmod.errors import UserError
from beliefmod.run_folder import MANIFEST, SPACE, RunFolder

ROW = {"trial_id": "aa", "arm": "lora", "belief": "gravity", "status": "finished", "adoption": 0.5}


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    return folder


def test_write_leaves_only_the_whole_file(folder, tmp_path):
    folder.write_bytes(b"old", "a", "b.txt")
    folder.write_bytes(b"new", "a", "b.txt")
    assert (tmp_path / "run" / "a" / "b.txt").read_bytes() == b"new"
    assert os.listdir(tmp_path / "run" / "a") == ["b.txt"]


def test_a_failed_write_keeps_the_old_content_and_no_rest(folder, tmp_path, monkeypatch):
    folder.write_bytes(b"old", "file")

    def full(path, data, **options):
        (tmp_path / "run" / path.rpartition("/")[2]).write_bytes(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.fs, "pipe_file", full)
    with pytest.raises(OSError, match="No space"):
        folder.write_bytes(b"new", "file")
    assert os.listdir(tmp_path / "run") == ["file"]
    assert (tmp_path / "run" / "file").read_bytes() == b"old"


def test_nan_is_not_json(folder):
    with pytest.raises(ValueError, match=r"JSON|nan"):
        folder.write_json({"a": float("nan")}, "x.json")


def test_the_row_is_written_after_everything_else(folder, monkeypatch):
    written = []
    monkeypatch.setattr(RunFolder, "write_bytes", lambda self, data, *parts: written.append(parts))
    steps = [{"trial_id": "aa", "step": 1}]
    causal, drift = [{"trial_id": "aa", "test": "swap"}], [{"trial_id": "aa", "text": "neutral"}]
    folder.write_trial(ROW, [{"trial_id": "aa", "probe_id": "p"}], steps, causal, drift)
    assert written == [
        *((table, "aa.parquet") for table in ("probes", "steps", "causal", "drift")),
        ("rows", "aa.json"),
    ]


def test_a_row_outside_the_schema_writes_no_row(folder):
    with pytest.raises(ValueError, match="adoptoin"):
        folder.write_trial({**ROW, "adoptoin": 1.0})
    assert folder.rows() == []


def test_a_damaged_row_counts_as_absent(folder, tmp_path):
    folder.write_trial(ROW)
    folder.write_trial({**ROW, "trial_id": "bb"})
    whole = (tmp_path / "run" / "rows" / "bb.json").read_bytes()
    (tmp_path / "run" / "rows" / "bb.json").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "run" / "rows" / "cc.json").write_text(json.dumps({"trial_id": "dd"}))
    assert [row["trial_id"] for row in folder.rows()] == ["aa"]


def test_assemble_orders_rows_and_types_columns(folder):
    folder.write_trial(ROW)
    folder.write_trial({**ROW, "trial_id": "bb", "status": "failed", "adoption": None, "error": "why"})
    assert folder.assemble(["bb", "aa"]) == 2
    table = folder.read_frame("trials.parquet")
    assert table["trial_id"].to_list() == ["bb", "aa"]
    assert table["adoption"].to_list() == [None, 0.5]
    assert table["learning_rate"].dtype.is_float()


def test_finished_rows_only_of_finished_trials(folder, tmp_path):
    probes = [{"trial_id": "aa", "probe_id": "p", "token_ids": [1, 2]}]
    drift = [{"trial_id": "aa", "text": "neutral", "kl": 0.5, "kl_reverse": None}]
    folder.write_trial({**ROW, "status": "failed"}, probes, drift=drift)
    assert folder.finished_rows("probes", "aa") is None
    assert folder.finished_rows("drift", "aa") is None
    folder.write_trial(ROW, probes, drift=drift)
    [stored] = folder.finished_rows("probes", "aa")
    assert (stored["probe_id"], stored["token_ids"]) == ("p", [1, 2])
    [stored] = folder.finished_rows("drift", "aa")
    assert (stored["kl"], stored["kl_reverse"]) == (0.5, None)
    assert folder.finished_rows("causal", "aa") == []
    assert folder.finished_rows("probes", "bb") is None
    (tmp_path / "run" / "drift" / "aa.parquet").write_bytes(b"cut short")
    assert folder.finished_rows("drift", "aa") is None


def test_storing_an_adapter_replaces_an_earlier_attempt(folder, tmp_path):
    local = tmp_path / "adapter"
    local.mkdir()
    (local / "old").write_text("1")
    folder.store_adapter(local, "aa")
    (local / "old").rename(local / "new")
    folder.store_adapter(local, "aa")
    assert os.listdir(tmp_path / "run" / "adapters") == ["aa"]
    assert os.listdir(tmp_path / "run" / "adapters" / "aa") == ["new"]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (None, "no such run folder"),
        ({}, "is not a run folder"),
        ({MANIFEST: "{}"}, "is not a run folder"),
        ({MANIFEST: "{", SPACE: "name: x"}, "is damaged"),
    ],
)
def test_opening_what_is_no_run(tmp_path, files, complaint):
    path = tmp_path / "run"
    if files is not None:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_text(content)
    with pytest.raises(UserError, match=complaint):
        RunFolder.open(str(path))


def test_unwritable_output_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        RunFolder(str(tmp_path / "file" / "run")).create()


def test_another_file_system(folder):
    memory = RunFolder("memory://runs/one")
    memory.create()
    memory.write_trial(ROW)
    assert memory.assemble() == 1
    assert memory.read_frame("trials.parquet")["trial_id"].to_list() == ["aa"]
