"""Rows read once as long as they do not change, and listings on every kind of file system."""

import json
import uuid

import pytest

from beliefmod.run import folder as run_folder
from beliefmod.run import row_index
from beliefmod.run.folder import RunFolder
from beliefmod.run.integrity import clean, sound_rows
from beliefmod.run.row_index import RowIndex, RowState, chunks, read_rows, row_entries

ROW = {"trial_id": "aa", "arm": "lora", "status": "finished"}


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    url = str(tmp_path / "run") if request.param == "local" else f"memory://{uuid.uuid4().hex}/run"
    made = RunFolder(url)
    made.create()
    return made


@pytest.fixture
def read(folder, monkeypatch):
    """Names of files that were read, in order."""
    names: list[str] = []
    inner = folder.read_many
    monkeypatch.setattr(folder, "read_many", lambda paths: names.extend(paths) or inner(paths))
    return names


def test_a_row_is_read_again_when_it_changes(folder, read):
    folder.write_trial(ROW)
    folder.write_trial({**ROW, "trial_id": "bb"})
    index = RowIndex(folder, lambda row, entry: row["status"])
    assert index.look() == {"aa": "finished", "bb": "finished"}
    assert index.look() == {"aa": "finished", "bb": "finished"} and len(read) == 2
    folder.write_trial({**ROW, "status": "failed"})
    assert index.look() == {"aa": "failed", "bb": "finished"}
    assert read[2:] == ["rows/aa.json"]
    folder.write_bytes(b"{", "rows", "bb.json")
    assert index.look() == index.look() == {"aa": "failed"}
    assert read[3:] == ["rows/bb.json"]
    folder.delete("rows", "aa.json")
    assert index.look() == {}


def test_a_trial_that_fails_again_has_another_state(folder):
    failed = {**ROW, "status": "failed", "error": "why", "finished_at": "2026-11-22T10:15:00Z"}
    folder.write_trial(failed)
    before = folder.states()["aa"]
    assert folder.states()["aa"] == before and before.status == "failed"
    folder.write_trial({**failed, "error": "whY"})  # as long, in the same second
    assert folder.states()["aa"] != before


def test_files_are_read_in_parts_and_a_missing_one_is_left_out(folder, monkeypatch):
    monkeypatch.setattr(row_index, "CHUNK", 2)
    assert list(chunks(list("abcde"))) == [["a", "b"], ["c", "d"], ["e"]]
    for name in ("aa", "bb", "cc"):
        folder.write_trial({**ROW, "trial_id": name})
    folder.write_bytes(b'{"trial_id": "aa"}', "rows", "dd.json")
    found = dict(read_rows(folder, ["aa", "bb", "cc", "dd", "ee"]))
    assert list(found) == ["aa", "bb", "cc", "dd"] and found["dd"] is None


def test_a_table_put_together_in_parts_is_the_same(folder, monkeypatch):
    rows = [
        {**ROW, "trial_id": f"t{n}", "adoption": None if n % 2 else n / 8, "error": "why" if n == 5 else None}
        for n in range(7)
    ]
    for row in rows:
        folder.write_trial(row)
    order = ["t6", "t0", "t3"]
    folder.assemble(order)
    whole = folder.read_frame("trials.parquet")
    assert whole["trial_id"].to_list() == ["t6", "t0", "t3", "t1", "t2", "t4", "t5"]
    monkeypatch.setattr(run_folder, "CHUNK", 2)
    assert folder.assemble(order) == 7
    assert folder.read_frame("trials.parquet").equals(whole)


def test_listings_say_what_is_there(folder):
    assert folder.entries("rows") == {} and row_entries(folder) == {}
    folder.write_bytes(b"123", "rows", "b.json")
    folder.write_bytes(b"1", "rows", "a.json.tmp")
    folder.write_bytes(b"1", "adapters", "aa", "weights")
    assert list(row_entries(folder)) == ["b"] and list(folder.entries("rows")) == ["a.json.tmp", "b.json"]
    entry = folder.entries("rows")["b.json"]
    assert (entry.is_folder, entry.size) == (False, 3)
    assert {name: one.is_folder for name, one in folder.entries().items()} == {"adapters": True, "rows": True}


def test_a_bucket_is_not_asked_for_each_file_by_itself(monkeypatch):
    folder = RunFolder(f"memory://{uuid.uuid4().hex}/run")
    folder.create()
    probes = [{"trial_id": "x", "probe_id": "p"}]
    for n in range(20):
        folder.write_trial({**ROW, "trial_id": f"t{n:02d}"}, [{**probes[0], "trial_id": f"t{n:02d}"}])
    asked: list[str] = []
    for name in ("ls", "find", "info", "size", "exists", "cat"):
        inner = getattr(folder.fs, name)

        def count(*arguments, name=name, inner=inner, **options):
            asked.append(name)
            return inner(*arguments, **options)

        monkeypatch.setattr(folder.fs, name, count)
    clean(folder)
    assert sound_rows(folder) == ([f"t{n:02d}" for n in range(20)], [])
    folder.states()
    assert len(asked) < 40, asked  # among them those that a memory file system makes of one
    # reading them is left to `cat`, which asks a bucket for many at a time
    assert asked.count("cat") == 3


def test_an_object_store_is_asked_once_to_write_a_file(monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    asked: list[str] = []
    monkeypatch.setattr(MemoryFileSystem, "protocol", ("s3", "s3a"))
    folder = RunFolder(f"memory://{uuid.uuid4().hex}/run")
    folder.fs.makedirs(folder.root, exist_ok=True)
    for name in ("pipe_file", "mv", "makedirs"):
        inner = getattr(folder.fs, name)

        def count(*arguments, name=name, inner=inner, **options):
            asked.append(name)
            return inner(*arguments, **options)

        monkeypatch.setattr(folder.fs, name, count)
    folder.write_bytes(b"1", "rows", "aa.json")
    assert asked == ["pipe_file"] and folder.read_bytes("rows", "aa.json") == b"1"


def test_a_state_is_what_is_compared(folder):
    folder.write_bytes(json.dumps(ROW).encode(), "rows", "aa.json")
    entry = row_entries(folder)["aa"]
    assert RowState.of(ROW, entry) == ("finished", (entry.size, *entry.stamp))
