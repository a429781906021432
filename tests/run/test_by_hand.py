"""What people ask of a run, and what is on record of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from analysis.verify.verify_by_hand import verify_by_hand
from analysis.verify.verify_seal import verify_seal
from analysis.verify.verify_trials import Verification
from beliefmod.config import TrialConfig
from beliefmod.fleet.hand_requests import take_requests
from beliefmod.monitor.status import stored_space
from beliefmod.run import by_hand
from beliefmod.run.by_hand import Deed, signed
from beliefmod.run.folder import RunFolder
from beliefmod.run.seal.ledger import chain_of
from beliefmod.run.suggestions import known_trials
from tests.sealed_small import small_sealed_run


def added(config: TrialConfig, source: str = "x") -> Deed:
    content = config.model_dump(mode="json")
    return signed(Deed("added", config.trial_id, source=source, changes=("lora.r=2",), config=content))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return small_sealed_run(tmp_path)


def known(run: RunFolder) -> dict[str, TrialConfig]:
    return {config.trial_id: config for config in known_trials(stored_space(run), run)}


def test_what_is_asked_for_is_done_once_and_sealed(run: RunFolder):
    planned, clone = known(run), TrialConfig(belief="gravity", lora={"r": 2, "lora_alpha": 4})  # type: ignore[arg-type]
    lines: list[str] = []
    name = by_hand.ask(run, added(clone))
    by_hand.ask(run, added(clone))
    run.write_bytes(b"{not json", by_hand.REQUESTS, "odd.json")
    assert by_hand.is_waiting(run, name)
    [done] = take_requests(run, lines.append, lambda: known(run))
    assert (done.trial, by_hand.asked(run)) == (clone, {})
    assert "is there already" in lines[1] and "odd.json cannot be read" in lines[2] and len(lines) == 3
    assert known(run) == {**planned, clone.trial_id: clone}
    entry = chain_of(run).entries[-1]
    assert (entry["kind"], entry["done"], entry["trials"]) == ("by hand", "added", [clone.trial_id])
    words = by_hand.words_of(run, clone.trial_id) or ""
    assert words.startswith("added by hand (") and words.endswith("trial x with lora.r=2")
    assert by_hand.words_of(run, next(iter(planned))) is None


def test_stopping_what_has_ended_or_is_not_there_changes_nothing(run: RunFolder):
    ended, lines = next(iter(known(run))), []
    for trial_id in (ended, "0123456789"):
        by_hand.ask(run, signed(Deed("stopped", trial_id)))
    assert take_requests(run, lines.append, lambda: known(run)) == []
    assert [f"{ended} had finished" in lines[0] or f"{ended} had finished" in lines[1], len(lines)] == [
        True,
        2,
    ]
    assert not by_hand.is_stopped(run, ended)


def test_a_belief_that_the_run_does_not_ask_about_is_not_added(run: RunFolder):
    lines: list[str] = []
    by_hand.ask(run, added(TrialConfig(belief="neelam")))
    by_hand.ask(run, added(TrialConfig(belief="gravity", arm="icl", seed=9)))
    assert take_requests(run, lines.append, lambda: known(run)) == [] and len(lines) == 2


def test_settings_that_are_not_those_of_the_id_are_no_request(run: RunFolder):
    deed = added(TrialConfig(belief="gravity", seed=9))
    by_hand.ask(run, replace(deed, trial_id="0123456789"))
    assert list(by_hand.asked(run).values()) == [None]


def row(trial_id: str, said: str | None) -> dict[str, str | None]:
    return {"trial_id": trial_id, "by_hand": said}


def test_a_row_says_what_the_seal_says(run: RunFolder):
    planned = next(iter(known(run)))
    clone = TrialConfig(belief="gravity", seed=9)
    by_hand.record(run, added(clone))
    said = by_hand.words_of(run, clone.trial_id)

    def found(*rows: dict[str, str | None]) -> list[str]:
        return list(
            verify_by_hand(run, pl.DataFrame(rows, schema={"trial_id": pl.String, "by_hand": pl.String}))
        )

    assert found(row(planned, None), row(clone.trial_id, said)) == []
    assert "was added by hand; its row says nothing" in found(row(clone.trial_id, None))[0]
    assert "was not added by hand" in found(row(planned, said))[0]
    assert "was not stopped by hand" in found(row(planned, "stopped by hand (a@b, now)"))[0]
    by_hand.record(run, signed(Deed("stopped", planned)))
    assert found(row(planned, by_hand.words_of(run, planned))) == []


def test_the_seal_knows_an_added_trial_and_no_other(run: RunFolder):
    clone = TrialConfig(belief="gravity", seed=9)
    by_hand.record(run, added(clone))
    ids = [*known(run)]
    done = Verification()
    verify_seal(run, ids, done)
    assert done.mismatches == []
    assert any(f"added by hand, so not as planned: trial {clone.trial_id}" in note for note in done.notes)
    other = Verification()
    run.write_bytes(b"{}", by_hand.FOLDER, "added-0123456789.json")
    verify_seal(run, [*ids, "0123456789"], other)
    assert len(other.mismatches) == 2 and "neither planned" in " ".join(other.mismatches)
