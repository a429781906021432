"""A real driver with hosts that train nothing: trials move to an idle host, one is stopped, one is added."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from analysis.verify.verify_seal import verify_seal
from analysis.verify.verify_trials import Verification
from beliefmod.capacity.resources import Capacity
from beliefmod.cli.prepare_sweep import new_run
from beliefmod.cli.sweep import settle
from beliefmod.config import TrialConfig
from beliefmod.fleet.sweep import run_sweep
from beliefmod.run.by_hand import Deed, ask, asked, signed
from tests.fleet.slow_host import RAN, SlowHost


@pytest.mark.slow
@pytest.mark.long
def test_trials_move_to_an_idle_host_and_people_stop_and_add_some(tmp_path: Path):
    from benchmarks.trivial_host import trivial_space

    space = trivial_space(10)
    folder = new_run(space, str(tmp_path))
    trained = [config for config in space.trials() if config.is_trained]
    last, clone = trained[-1], TrialConfig(belief="gravity", seed=99, num_train_epochs=1)

    def steer() -> None:
        while not folder.entries(RAN):
            time.sleep(0.1)
        content = clone.model_dump(mode="json")
        ask(folder, signed(Deed("added", clone.trial_id, source=last.trial_id, config=content)))
        ask(folder, signed(Deed("stopped", last.trial_id)))

    thread = threading.Thread(target=steer, daemon=True)
    thread.start()
    outcome = run_sweep(
        space, folder, address=None, capacity=Capacity(hosts=2), dashboard=False, quiet=False,
        host_class=SlowHost,
    )  # fmt: skip
    assert (outcome.missing, outcome.failed, outcome.added) == (0, 0, 1)
    rows = {row["trial_id"]: row for row in folder.rows()}
    assert rows[last.trial_id]["status"] == "stopped" and rows[clone.trial_id]["status"] == "finished"
    assert outcome.finished == len(space.trials()) and outcome.stopped == 1 and asked(folder) == {}
    ran = [folder.read_json(RAN, name)["host"] for name in folder.entries(RAN)]
    assert min(ran.count(f"beliefmod-host-{number}") for number in (0, 1)) >= 2, ran
    settle(folder, outcome)
    done = Verification()
    verify_seal(folder, list(rows), done)
    assert done.mismatches == [] and any(clone.trial_id in note for note in done.notes)
