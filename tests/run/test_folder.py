"""The run folder: whole files, rows last, damage survives."""

import errno
import json
import os
import shutil

import pytest

from beliefmod.errors import StorageTrouble, UserError
from beliefmod.run import storage as run_storage
from beliefmod.run.folder import MANIFEST, SPACE, RunFolder
from beliefmod.run.integrity import clean, sound_rows

ROW = {"trial_id": "aa", "arm": "lora", "belief": "gravity", "status": "finished", "adoption": 0.5}


def test_write_leaves_only_the_whole_file(folder, tmp_path):
    folder.write_bytes(b"old", "a", "b.txt")
    folder.write_bytes(b"new", "a", "b.txt")
    assert (tmp_path / "run" / "a" / "b.txt").read_bytes() == b"new"
    assert os.listdir(tmp_path / "run" / "a") == ["b.txt"]


def test_a_failed_write_keeps_the_old_content_and_no_rest(folder, tmp_path, monkeypatch):
    folder.write_bytes(b"old", "file")
    monkeypatch.setattr(run_storage, "RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StorageTrouble, match=r"run: cannot be written \(No space left on device\)"):
        folder.write_bytes(b"new", "file")
    assert os.listdir(tmp_path / "run") == ["file"]
    assert (tmp_path / "run" / "file").read_bytes() == b"old"


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_short_trouble_is_waited_for(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run_storage, "RETRY_SECONDS", (0.0, 0.0))
    sync, calls = os.fsync, []

    def twice(file):
        calls.append(file)
        return full_disk() if len(calls) < 3 else sync(file)

    monkeypatch.setattr(os, "fsync", twice)
    folder.write_bytes(b"new", "file")
    assert (tmp_path / "run" / "file").read_bytes() == b"new"
    assert len(calls) == 3


def test_a_folder_that_is_gone_is_not_made_anew(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run_storage, "RETRY_SECONDS", ())
    folder.write_json({}, MANIFEST)
    again = RunFolder(folder.url)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(StorageTrouble, match="it is gone"):
        folder.write_bytes(b"x", "rows", "aa.json")
    (tmp_path / "run").mkdir()  # as an unmounted disk leaves its mount point
    for one in (folder, again):
        with pytest.raises(StorageTrouble, match="it is gone"):
            one.write_trial(ROW)
    assert os.listdir(tmp_path / "run") == []


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
    def save(name):
        def fill(place):
            place.mkdir()
            (place / name).write_text("1")

        return fill

    folder.store_adapter(save("old"), "aa")
    folder.store_adapter(save("new"), "aa")
    assert os.listdir(tmp_path / "run" / "adapters") == ["aa"]
    assert os.listdir(tmp_path / "run" / "adapters" / "aa") == ["new"]


def test_an_adapter_that_cannot_be_made_leaves_the_earlier_one(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run_storage, "RETRY_SECONDS", ())
    (tmp_path / "run" / "adapters" / "aa").mkdir(parents=True)

    def fill(place):
        place.mkdir()
        (place / "half").write_text("1")
        full_disk()

    with pytest.raises(StorageTrouble, match="No space"):
        folder.store_adapter(fill, "aa")
    assert os.listdir(tmp_path / "run" / "adapters") == ["aa"]
    assert os.listdir(tmp_path / "run" / "adapters" / "aa") == []


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (None, "there is no such folder"),
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
    memory.store_adapter(lambda place: (place.mkdir(), (place / "weights").write_bytes(b"12"))[0], "aa")
    memory.write_trial(ROW, [{"trial_id": "aa", "probe_id": "p"}])
    assert memory.assemble() == 1
    assert sound_rows(memory) == (["aa"], [])
    memory.write_bytes(b"1", "adapters", "aa", "weights")
    assert sound_rows(memory) == ([], ["aa"])
    assert memory.assemble() == 0
    memory.write_trial(ROW)
    assert memory.assemble() == 1
    assert memory.read_frame("trials.parquet")["trial_id"].to_list() == ["aa"]


def test_damage_done_to_a_finished_trial_is_seen_and_its_row_removed(folder, tmp_path):
    run = tmp_path / "run"
    names = ("aa", "bb", "cc", "dd", "ee")
    for name in names:
        row = {**ROW, "trial_id": name}
        folder.write_trial(row, [{"trial_id": name, "probe_id": "p"}], [{"trial_id": name, "step": 1}])
    folder.write_trial({**ROW, "trial_id": "ff", "status": "failed"})
    folder.write_trial({**ROW, "trial_id": "gg", "status": "stopped", "adoption": None})
    assert sound_rows(folder) == ([*names, "gg"], [])
    whole = (run / "probes" / "aa.parquet").read_bytes()
    (run / "probes" / "aa.parquet").write_bytes(whole[:-1])
    flipped = bytearray((run / "steps" / "bb.parquet").read_bytes())
    flipped[10] ^= 1
    (run / "steps" / "bb.parquet").write_bytes(flipped)
    (run / "steps" / "cc.parquet").unlink()
    (run / "rows" / "dd.json").write_text("{")
    assert sound_rows(folder) == (["ee", "gg"], ["aa", "bb", "cc", "dd"])
    assert sorted(path.stem for path in (run / "rows").iterdir()) == ["ee", "ff", "gg"]


def test_rows_of_older_versions_are_trusted_where_their_probes_can_be_read(folder, tmp_path):
    for name in ("aa", "bb"):
        folder.write_trial({**ROW, "trial_id": name}, [{"trial_id": name, "probe_id": "p"}])
        folder.write_json({**ROW, "trial_id": name}, "rows", f"{name}.json")
    (tmp_path / "run" / "probes" / "bb.parquet").write_bytes(b"PAR1")
    assert sound_rows(folder) == (["aa"], ["bb"])


def test_half_written_files_and_folders_are_cleaned_up(folder, tmp_path):
    run = tmp_path / "run"
    folder.write_trial(ROW)
    for half in ("rows/aa.json.1a2b3c4d.tmp", "manifest.json.1a2b3c4d.tmp"):
        (run / half).write_text("{")
    (run / "adapters" / "aa.1a2b3c4d.tmp").mkdir(parents=True)
    (run / "adapters" / "aa.1a2b3c4d.tmp" / "weights").write_text("1")
    clean(folder)
    assert sorted(str(path.relative_to(run)) for path in run.rglob("*")) == [
        "adapters",
        "rows",
        "rows/aa.json",
    ]


def test_looking_whether_a_folder_can_be_written_takes_nothing_that_came_meanwhile(tmp_path, monkeypatch):
    """Two sweeps look at the same time, and one has begun before the other has looked."""
    runs = RunFolder(str(tmp_path / "runs"))
    runs.try_writing()
    assert not (tmp_path / "runs").exists(), "no trace"
    create = RunFolder.create

    def create_beside_another(folder: RunFolder) -> None:
        create(folder)
        (tmp_path / "runs" / "EXP-other").mkdir()

    monkeypatch.setattr(RunFolder, "create", create_beside_another)
    runs.try_writing()
    assert (tmp_path / "runs" / "EXP-other").is_dir()


def test_a_folder_that_another_sweep_took_away_while_empty_is_made_again(tmp_path, monkeypatch):
    runs = RunFolder(str(tmp_path / "runs"))
    makedirs, taken = runs.fs.makedirs, []

    def made_and_taken(path: str, exist_ok: bool) -> None:
        makedirs(path, exist_ok=exist_ok)
        if not taken:
            taken.append(path)
            (tmp_path / "runs").rmdir()

    monkeypatch.setattr(runs.fs, "makedirs", made_and_taken)
    runs.create()
    assert taken and [*(tmp_path / "runs").iterdir()] == []
