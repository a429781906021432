"""The queue of a pack, without an engine: what is held, also while it starts."""

import pytest

from beliefmod.capacity.resources import QUESTIONING_STEPS
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


def test_a_trial_that_has_not_begun_is_given_back_with_its_branches():
    queue, trunk, branch, other = TrialQueue(keeps_branches=True), trial(20), trial(3), trial(5)
    base = TrialConfig(belief="gravity", arm="base")
    other = other.model_copy(update={"seed": 1})
    for config, branches in ((trunk, [branch]), (other, []), (base, [])):
        queue.attach(config, branches)
    work = queue.waiting_work()
    assert set(work) == {trunk.trial_id, other.trial_id}, "an untrained arm needs no slot"
    assert sum(work.values()) + QUESTIONING_STEPS == queue.backlog() and queue.in_slots() == 0
    assert start_next(queue) == base and start_next(queue) == trunk
    assert queue.in_slots() == 1
    assert queue.give_back(trunk.trial_id) == [] and queue.holds(branch.trial_id), "it has begun"
    assert queue.give_back(other.trial_id) == [other] and not queue.holds(other.trial_id)
    queue.put_back(trunk)
    assert queue.give_back(trunk.trial_id) == [trunk, branch]
    assert not queue.holds(trunk.trial_id) and not queue.holds(branch.trial_id)


def test_a_trial_is_stopped_by_hand_wherever_it_is():
    queue, trunk, branch, other = TrialQueue(keeps_branches=True), trial(20), trial(3), trial(5)
    other = other.model_copy(update={"seed": 1})
    queue.attach(trunk, [branch])
    queue.attach(other, [])
    for config in (trunk, other):
        queue.stop_by_hand(config.trial_id)
    assert start_next(queue) == trunk
    stopped = queue.take_stopped_by_hand()
    assert [(run.config, run.steps) for run in stopped] == [(other, [])], "the other one is just starting"
    queue.end(other)
    queue.start(TrialRun(trunk, AdapterJob(trunk.trial_id, trunk, (TrainRow((1, 2), 1),)), ()))
    [run] = queue.take_stopped_by_hand()
    assert run is queue.run_of(trunk.trial_id)
    queue.end(trunk)
    assert start_next(queue) == branch, "and its branches go on"
    queue.put_back(branch)
    queue.attach(trunk, [])
    queue.stop_by_hand(branch.trial_id)
    queue.stop_by_hand("elsewhere")
    assert [run.config for run in queue.take_stopped_by_hand()] == [branch]
    assert queue.take_stopped_by_hand() == [] and not queue.holds(branch.trial_id)
