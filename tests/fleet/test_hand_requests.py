"""The driver's loop acts on requests, and a searcher takes trials on the way."""

from __future__ import annotations

from types import SimpleNamespace

from beliefmod.config import TrialConfig
from beliefmod.fleet import hand_requests as module
from beliefmod.fleet.hand_requests import HandRequests
from beliefmod.fleet.tuner import KnownTrials
from beliefmod.monitor.tally import Tally
from beliefmod.run.by_hand import Deed, ask, signed
from beliefmod.run.folder import RunFolder

FIRST, SECOND, CLONE = (TrialConfig(belief="gravity", seed=seed) for seed in range(3))


def test_what_is_added_begins_next_and_what_is_stopped_is_told_to_hosts(folder: RunFolder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    trials = {config.trial_id: config for config in (FIRST, SECOND)}
    searcher, stopped, tally = KnownTrials([FIRST, SECOND], share=True), [], Tally(trials, started=0.0)

    def known() -> dict[str, TrialConfig]:
        return {**trials, **({CLONE.trial_id: CLONE} if folder.entries("by_hand") else {})}

    requests = HandRequests(folder, lambda line: None, known, stopped.append, searcher, tally.add)
    assert searcher.suggest("a")["trial"] == FIRST  # type: ignore[index]
    ask(folder, signed(Deed("added", CLONE.trial_id, source="x", config=CLONE.model_dump(mode="json"))))
    requests.on_step_end(1, [])
    assert searcher.suggest("b")["trial"] == CLONE  # type: ignore[index]
    assert tally.total == 3
    ask(folder, signed(Deed("stopped", FIRST.trial_id)))
    requests.on_step_end(2, [])
    assert stopped == [], "it has just looked"
    clock[0] += module.SECONDS
    requests.on_step_end(3, [])
    assert stopped == [FIRST.trial_id]
    assert searcher.suggest("c")["trial"] == SECOND  # type: ignore[index]
    assert searcher.suggest("d") == KnownTrials.FINISHED
    assert not searcher.add(CLONE), "it runs after the others have ended"


def test_a_trial_stopped_by_hand_is_counted_as_stopped():
    tally = Tally({FIRST.trial_id: FIRST}, started=0.0)
    tally.report(FIRST.trial_id, {"status": "training", "optimizer_step": 2})
    tally.report(FIRST.trial_id, {"status": "stopped", "optimizer_step": 2})
    assert tally.states() == {"waiting": 0, "training": 0, "finished": 0, "failed": 0, "stopped": 1}
