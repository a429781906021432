"""Attacks on the chain itself: cut off, hashed anew in part, put in another order, lengthened.

Where a chain is hashed anew to its end nothing in the folder shows it; the hash that a reader has does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.verify.verify_seal import verify_seal
from analysis.verify.verify_trials import Verification
from beliefmod.run.folder import RunFolder
from beliefmod.run.manifest import update_manifest
from beliefmod.run.read_run import read_run
from beliefmod.run.seal.hash_chain import Entry, digest, link_all
from beliefmod.run.seal.ledger import append, chain_of, hashes
from beliefmod.run.seal.sessions import seal_session
from tests.sealed import rewrite_chain
from tests.sealed_small import small_sealed_run


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(small_sealed_run(tmp_path_factory.mktemp("chain")).root)


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "run"))


def sealed(run: Path, expect: str | None = None) -> Verification:
    done = Verification()
    verify_seal(RunFolder(str(run)), read_run(str(run)).trials["trial_id"].to_list(), done, expect)
    return done


def entries(run: Path) -> list[Entry]:
    return list(chain_of(RunFolder(str(run))).entries)


def last(run: Path) -> str:
    return chain_of(RunFolder(str(run))).last


def place(run: Path, kind: str) -> int:
    """Of the last entry of a kind."""
    return max(n for n, entry in enumerate(entries(run)) if entry["kind"] == kind)


def rehash(changed: list[Entry], start: int, end: int | None = None) -> list[Entry]:
    """Entries from `start` to before `end` (None: all) hashed anew, so that they follow each other."""
    whole = changed[:start]
    for entry in changed[start:end]:
        facts = {name: value for name, value in entry.items() if name not in ("n", "previous", "hash")}
        whole += link_all(whole[-1] if whole else None, [facts])
    return [*whole, *(changed[end:] if end is not None else [])]


def change_a_row(run: Path) -> str:
    path = sorted((run / "rows").iterdir())[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), "adoption": 1.0}))
    return f"rows/{path.name}"


def with_new_hash(run: Path, path: str) -> Callable[[list[Entry]], list[Entry]]:
    now = hashes(RunFolder(str(run)), [path])
    return lambda old: [
        {**entry, "files": {**entry["files"], **now}} if path in entry.get("files", {}) else entry
        for entry in old
    ]


def test_the_end_cut_off(run: Path):
    published = last(run)
    rewrite_chain(run, lambda old: old[:-1])
    [said] = sealed(run).mismatches
    assert said.startswith("seal/chain.jsonl: has no end of the last session, though manifest.json says")
    assert any("has no entry with the expected hash" in text for text in sealed(run, published).mismatches)


def test_trials_and_the_end_cut_off_and_called_interrupted(run: Path):
    """As a sweep under way looks: the ended trials that the chain lacks are named."""
    cut = place(run, "trial")
    trial = entries(run)[cut]["trial_id"]
    rewrite_chain(run, lambda old: old[:cut])
    update_manifest(RunFolder(str(run)), status="interrupted")
    done = sealed(run)
    assert done.mismatches == []
    assert f"seal/chain.jsonl: does not have the end of trial {trial} yet" in done.notes


def test_an_entry_taken_out(run: Path):
    cut = place(run, "trial")
    rewrite_chain(run, lambda old: [*old[:cut], *old[cut + 1 :]])
    said = sealed(run).mismatches
    assert any(f"line {cut + 1}: does not follow the line before it" in text for text in said)


def test_two_entries_in_another_order(run: Path):
    at = place(run, "trial")
    rewrite_chain(run, lambda old: [*old[: at - 1], old[at], old[at - 1], *old[at + 1 :]])
    assert any(f"line {at}: does not follow the line before it" in text for text in sealed(run).mismatches)


def test_an_entry_twice(run: Path):
    rewrite_chain(run, lambda old: [*old, old[-1]])
    said = sealed(run).mismatches
    assert any(f"line {len(entries(run))}: does not follow" in text for text in said)


def test_a_trials_file_replaced_with_its_hash_in_the_chain(run: Path):
    path = change_a_row(run)
    rewrite_chain(run, with_new_hash(run, path))
    said = sealed(run).mismatches
    assert any("was changed after it was written, for its hash is of other content" in text for text in said)


def test_a_trials_file_replaced_and_its_entry_hashed_anew(run: Path):
    path = change_a_row(run)
    at = next(n for n, entry in enumerate(entries(run)) if path in entry.get("files", {}))
    rewrite_chain(run, lambda old: rehash(with_new_hash(run, path)(old), at, at + 1))
    said = sealed(run).mismatches
    assert any(f"line {at + 2}: does not follow the line before it" in text for text in said)


@pytest.mark.parametrize("all_of_it", [False, True])
def test_the_plan_edited_with_its_hash(run: Path, all_of_it: bool):
    published = last(run)
    path = run / "seal" / "plan.json"
    plan = json.loads(path.read_text())
    path.write_text(json.dumps({**plan, "damage_limit": 0.5}))
    edit = with_new_hash(run, "seal/plan.json")
    rewrite_chain(run, lambda old: rehash(edit(old), 0, None if all_of_it else 1))
    said = sealed(run).mismatches
    if all_of_it:  # the chain is whole: what is left are the space that says other, and the reader's hash
        assert "seal/plan.json: damage_limit is 0.5, and space.yaml has 0.05" in said
        assert not any("does not follow" in text for text in said)
        assert any(
            "has no entry with the expected hash" in text for text in sealed(run, published).mismatches
        )
    else:
        assert any("line 2: does not follow the line before it" in text for text in said)


def test_a_trial_taken_off_the_plan_with_its_hash(run: Path):
    path = run / "seal" / "plan.json"
    plan = json.loads(path.read_text())
    gone = plan["trials"][-1]
    path.write_text(json.dumps({**plan, "trials": plan["trials"][:-1]}))
    rewrite_chain(run, lambda old: rehash(with_new_hash(run, "seal/plan.json")(old), 0))
    said = sealed(run).mismatches
    assert any(text.startswith(f"space.yaml: has trial {gone} that seal/plan.json") for text in said)
    assert any(f"trial {gone}: was neither planned" in text for text in said)


def test_the_chain_of_another_run(run: Path, tmp_path: Path):
    other = Path(small_sealed_run(tmp_path / "other", seeds=(0, 2)).root)
    shutil.copy(other / "seal" / "chain.jsonl", run / "seal" / "chain.jsonl")
    said = sealed(run).mismatches
    assert any("is not the file that was sealed" in text for text in said)


def test_a_session_put_behind_the_end_to_free_the_manifest(run: Path):
    """A session that begins unseals manifest and trial table, for it goes on to write them."""
    folder = RunFolder(str(run))
    seal_session(folder)
    update_manifest(folder, name="another")
    [said] = sealed(run).mismatches
    assert "has no end of the last session, though manifest.json says that the sweep has finished" in said


def test_a_trial_said_to_have_run_again(run: Path):
    """The excuse is in the chain, and whoever reads the report's head sees it."""
    path = change_a_row(run)
    trial = Path(path).stem
    folder = RunFolder(str(run))
    append(folder, [{"kind": "again", "trials": [trial], "why": "its files were damaged"}])
    facts = {"kind": "trial", "trial_id": trial, "status": "finished", "files": hashes(folder, [path])}
    append(folder, [facts])
    assert any(f"trial {trial}: ran again after it had been sealed" in text for text in sealed(run).notes)


def test_a_trial_sealed_again_and_nothing_said(run: Path):
    path = change_a_row(run)
    folder, trial = RunFolder(str(run)), Path(path).stem
    facts = {"kind": "trial", "trial_id": trial, "status": "finished", "files": hashes(folder, [path])}
    append(folder, [facts])
    [said] = sealed(run).mismatches
    assert f"seals other files of trial {trial}, which had finished; no entry between says why" in said


def test_what_our_commands_do_not_write(run: Path):
    folder = RunFolder(str(run))
    update_manifest(folder, name="another")
    append(folder, [{"kind": "edit", "files": hashes(folder, ["manifest.json"])}])
    [said] = sealed(run).mismatches
    assert "seals manifest.json, which no command writes as edit" in said


@pytest.mark.parametrize("kind", ["rescore", "end"])
def test_a_suite_changed_after_the_plan_and_sealed_anew(run: Path, kind: str):
    path = run / "suites" / "capability.yaml"
    path.write_text(path.read_text() + "\n")
    folder = RunFolder(str(run))
    append(folder, [{"kind": kind, "files": hashes(folder, ["suites/capability.yaml"])}])
    [said] = sealed(run).mismatches
    assert "seals another suites/capability.yaml than was planned in entry 0" in said


@pytest.mark.parametrize("field", ["status", "trial_id"])
def test_a_trials_entry_without_what_it_needs_is_a_sentence(run: Path, field: str):
    at = place(run, "trial")
    rewrite_chain(run, lambda old: rehash([{k: v for k, v in e.items() if k != field or e is not old[at]}
                                           for e in old], at))  # fmt: skip
    assert f"seal/chain.jsonl, entry {at}: does not say which trial ended, or how" in sealed(run).mismatches


def test_a_hash_written_over(run: Path):
    def forge(old: list[Entry]) -> list[Entry]:
        forged = {**old[2], "status": "failed"}
        return [*old[:2], {**forged, "hash": digest(forged)}, *old[3:]]

    rewrite_chain(run, forge)
    assert any("line 4: does not follow the line before it" in text for text in sealed(run).mismatches)
