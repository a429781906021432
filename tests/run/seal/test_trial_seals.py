"""Trials are sealed as they end, whatever died in between; what ran again says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beliefmod.run.folder import RunFolder
from beliefmod.run.integrity import sound_rows
from beliefmod.run.seal.ledger import append, chain_of
from beliefmod.run.seal.raw import RAW, raw_digest
from beliefmod.run.seal.sealed_state import state_of
from beliefmod.run.seal.trial_seals import TrialSeals

STEP = {"step": 1, "loss": 0.5, "learning_rate": 1e-3, "grad_norm": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(str(tmp_path / "run"))
    made.create()
    append(made, [{"kind": "plan"}], begin=True)
    return made


def end(folder: RunFolder, trial_id: str, status: str = "finished", loss: float = 0.5) -> None:
    row = {"trial_id": trial_id, "arm": "lora", "belief": "gravity", "status": status}
    folder.write_trial(row, (), [{**STEP, "trial_id": trial_id, "loss": loss}])


def kinds(folder: RunFolder) -> list[tuple[str, str | None]]:
    chain = chain_of(folder)
    assert chain.problems == ()
    return [(entry["kind"], entry.get("status")) for entry in chain.entries[1:]]


def test_a_trial_is_sealed_when_it_has_ended_and_once(folder):
    seals = TrialSeals(folder)
    seals.add("a")  # its process has ended, the trial has not
    end(folder, "a")
    seals.add("a")
    seals.add("a")
    TrialSeals(folder).catch_up()
    assert kinds(folder) == [("trial", "finished")]
    entry = chain_of(folder).entries[1]
    assert set(entry["files"]) == {"rows/a.json", "steps/a.parquet"}
    assert entry["raw"] == {"steps": raw_digest("steps", [{**STEP, "trial_id": "a"}])}


def test_what_ended_before_a_crash_is_sealed_by_the_next_driver(folder):
    end(folder, "a")
    end(folder, "b", "failed")
    TrialSeals(folder).catch_up()
    end(folder, "b")  # failed trials run again
    TrialSeals(folder).catch_up()
    assert kinds(folder) == [("trial", "finished"), ("trial", "failed"), ("trial", "finished")]
    state = state_of(chain_of(folder).entries)
    assert state.ended() == {"a", "b"} and state.repeated() == {}


@pytest.mark.parametrize("what", ["damaged", "gone"])
def test_a_trial_that_runs_again_says_why(folder, what):
    end(folder, "a")
    TrialSeals(folder).catch_up()
    if what == "damaged":
        (Path(folder.root) / "steps" / "a.parquet").write_bytes(b"")
    else:
        (Path(folder.root) / "rows" / "a.json").unlink()
    _, damaged = sound_rows(folder)
    seals = TrialSeals(folder)
    seals.lost(damaged)
    assert state_of(chain_of(folder).entries).files == {}  # nothing stands for it until it has run
    end(folder, "a", loss=0.7)
    seals.add("a")
    assert kinds(folder) == [("trial", "finished"), ("again", None), ("trial", "finished")]
    state = state_of(chain_of(folder).entries)
    assert what in state.repeated()["a"] and state.ended() == {"a"}


def test_a_run_from_before_the_seal_stays_as_it_was(tmp_path):
    folder = RunFolder(str(tmp_path / "old"))
    folder.create()
    end(folder, "a")
    seals = TrialSeals(folder)
    seals.lost(["a"])
    seals.add("a")
    seals.catch_up()
    assert not seals.active and not (tmp_path / "old" / "seal").exists()


def test_a_new_scorer_leaves_the_raw_digest_and_a_changed_answer_does_not():
    row = {
        "suite": "belief",
        "probe_id": "p",
        "completion": "5 N",
        "token_ids": [1, 2],
        "logprob_prior": -0.5,
    }
    read = {**row, "answer_stance": "target", "logprob_target": None}
    assert raw_digest("probes", [row]) == raw_digest("probes", [read | {"answer_stance": "prior"}])
    for name, value in (("completion", "6 N"), ("token_ids", [2, 1]), ("logprob_prior", -0.25)):
        assert raw_digest("probes", [row]) != raw_digest("probes", [{**read, name: value}])
    assert set(RAW) == {"probes", "causal", "steps", "drift"}


def test_the_digest_of_what_is_written_is_that_of_what_is_read(folder):
    end(folder, "a", loss=1 / 3)
    stored = json.loads((Path(folder.root) / "rows" / "a.json").read_text())["_files"]["steps/a.parquet"]
    assert stored["raw"] == raw_digest("steps", folder.read_frame("steps", "a.parquet").to_dicts())
