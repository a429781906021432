"""The queue of a pack, without an engine: what is held, also while it starts."""

import pytest

from beliefmod.config import TrialConfig
from beliefmod.engine.jobs import AdapterJob, TrainRow
from beliefmod.trial import TrialRun
from beliefmod.worker.queue import TrialQueue


def trial(epochs: int) -> TrialConfig:
    return TrialConfig(belief="gravity", num_train_epochs=epochs)


def start_next(queue: TrialQueue) -> TrialConfig:
    config = queue.next_ready(lambda _: True)
    assert config is not None
    return config


@pytest.mark.parametrize("becomes", ["started", "put back", "failed"])
def test_a_trial_that_is_attached_again_while_it_starts_is_not_queued_twice(becomes: str):
    queue, trunk, branch = TrialQueue(keeps_branches=True), trial(20), trial(3)
    queue.attach(trunk, [branch])
    assert start_next(queue) == trunk
    assert queue.holds(trunk.trial_id) and queue.backlog() > trunk.total_steps
    queue.attach(trunk, [branch])  # its owner's process was killed, and the next one comes back
    assert queue.waiting() == 0 and queue.next_ready(lambda _: True) is None
    if becomes == "started":
        queue.start(TrialRun(trunk, AdapterJob(trunk.trial_id, trunk, (TrainRow((1, 2), 1),)), ()))
        assert [run.config for run in queue.running()] == [trunk] and queue.waiting() == 0
    elif becomes == "put back":
        queue.put_back(trunk)
        assert queue.waiting() == 1 and start_next(queue) == trunk
    else:
        queue.end(trunk)
        assert not queue.holds(trunk.trial_id)
        assert start_next(queue) == branch, "and its branches are not lost"


def test_all_that_is_given_back_holds_what_starts():
    queue = TrialQueue(keeps_branches=True)
    queue.attach(trial(20), [trial(3)])
    start_next(queue)
    assert {config.num_train_epochs for config in queue.take_all()} == {20, 3}
    assert not queue.holds(trial(20).trial_id)
