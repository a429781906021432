"""A run's chain on disk: appended to by several processes, after crashes, also in a bucket."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.seal.ledger import append, chain_of, is_sealed, seal_files


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(str(tmp_path / "run"))
    made.create()
    return made


def chain_file(folder: RunFolder) -> Path:
    return Path(folder.path("seal", "chain.jsonl"))


def test_a_run_without_a_seal_stays_without(folder):
    assert append(folder, [{"kind": "export"}]) is None
    assert seal_files(folder, "report", ["report.md"]) is None
    assert not is_sealed(folder) and chain_of(folder).entries == ()


def test_entries_follow_one_another_over_openings(folder):
    append(folder, [{"kind": "plan"}], begin=True)
    folder.write_bytes(b"x", "report.md")
    entry = seal_files(RunFolder(folder.url), "report", ["report.md", "report.html"], limit=0.05)
    chain = chain_of(folder)
    assert chain.problems == () and [e["kind"] for e in chain.entries] == ["plan", "report"]
    assert entry == chain.entries[1] and list(entry["files"]) == ["report.md"]


def test_what_a_crash_left_of_an_entry_goes(folder):
    append(folder, [{"kind": "plan", "long": "x" * 200_000}], begin=True)
    with chain_file(folder).open("ab") as file:
        file.write(b'{"n": 1, "previous": "ab')
    append(folder, [{"kind": "trial"}])
    chain = chain_of(folder)
    assert chain.problems == () and chain.torn == 0 and len(chain.entries) == 2


def test_a_crash_before_the_first_entry_was_whole(folder):
    chain_file(folder).parent.mkdir()
    chain_file(folder).write_bytes(b'{"n": 0, "pre')
    append(folder, [{"kind": "plan"}])
    assert [entry["n"] for entry in chain_of(folder).entries] == [0]


def test_a_damaged_last_line_is_a_sentence(folder):
    chain_file(folder).parent.mkdir()
    chain_file(folder).write_bytes(b"nothing\n")
    with pytest.raises(UserError, match=r"seal/chain.jsonl: its last line is no entry of a chain"):
        append(folder, [{"kind": "trial"}])


def _appends(url: str, name: str) -> None:
    folder = RunFolder(url)
    for number in range(20):
        append(folder, [{"kind": "trial", "trial_id": f"{name}{number}"}])


def test_several_processes_make_one_chain(folder):
    append(folder, [{"kind": "plan"}], begin=True)
    processes = [
        multiprocessing.get_context("fork").Process(target=_appends, args=(folder.url, name))
        for name in "abc"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    chain = chain_of(folder)
    assert chain.problems == () and len({entry.get("trial_id") for entry in chain.entries}) == 61


def test_a_store_that_cannot_append_gets_the_whole_chain(tmp_path):
    folder = RunFolder("memory://bucket/seal-run")
    folder.create()
    append(folder, [{"kind": "plan"}], begin=True)
    append(folder, [{"kind": "trial"}, {"kind": "end"}])
    chain = chain_of(folder)
    assert chain.problems == () and [e["kind"] for e in chain.entries] == ["plan", "trial", "end"]
