"""The tally behind the progress display, with hand-computed times."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.capacity.resources import CORE_SHARE, QUESTIONING_STEPS, Capacity
from beliefmod.config import TrialConfig
from beliefmod.fleet.progress import LINE_SECONDS, Progress
from beliefmod.monitor.tally import Tally, clock


def configs(count: int) -> dict[str, TrialConfig]:
    made = [TrialConfig(belief="gravity", seed=seed) for seed in range(count)]
    return {config.trial_id: config for config in made}


def test_time_left_is_proportional_to_work():
    table = configs(4)
    tally = Tally(table, started=0.0)
    assert tally.seconds_left(10.0) is None
    first, second, *_ = table
    tally.report(first, {"status": "finished", "optimizer_step": 9})
    # one of four equal trials took 10 s, three are left
    assert tally.seconds_left(10.0) == pytest.approx(30.0)
    tally.report(second, {"status": "training", "optimizer_step": 3})
    work = 9 + QUESTIONING_STEPS
    assert tally.seconds_left(10.0) == pytest.approx(10.0 * (4 * work - work - 3) / (work + 3))
    # trained, so half of its questioning is taken for done
    tally.report(second, {"status": "training", "optimizer_step": 9})
    done = 18 + 1.5 * QUESTIONING_STEPS
    assert tally.seconds_left(10.0) == pytest.approx(10.0 * (4 * work - done) / done)


def test_counts_and_earlier_trials():
    table = configs(2)
    tally = Tally(table, earlier=3, started=0.0)
    first, second = table
    tally.report(first, {"status": "failed", "optimizer_step": 2})
    tally.report(second, {"status": "training", "optimizer_step": 1})
    assert (tally.done, tally.total, tally.failed) == (4, 5, {first})
    assert tally.headline(65.0).startswith("4/5 done, 1 running, 1 failed, 1m05s elapsed")


def test_trials_ended_early_and_trials_yet_to_be_chosen_are_counted():
    table, chosen = configs(2), TrialConfig(belief="neelam")
    tally = Tally(table, started=0.0, unchosen=2)
    first, _ = table
    assert (tally.done, tally.total) == (0, 4)
    tally.report(first, {"status": "training", "optimizer_step": 8})
    tally.stop(first)
    tally.choose(chosen)
    tally.choose(chosen)
    tally.report(chosen.trial_id, {"status": "training", "optimizer_step": 6})
    assert (tally.done, tally.total, tally.unchosen) == (1, 4, 1)
    assert tally.headline(65.0).startswith("1/4 done, 1 running, 0 failed, 1 stopped early, 1m05s elapsed")
    assert tally.seconds_left(10.0) is None, "what questioning costs is not known yet"
    tally.report(chosen.trial_id, {"status": "finished", "optimizer_step": 9})
    # 8 steps of the one that was stopped and 9 of two more, of which two are questioned; a fourth like these
    steps, asked = (8 + 9 + 9) * 4 / 3, 2 * 4 / 3
    work, done = steps + asked * QUESTIONING_STEPS, 17 + QUESTIONING_STEPS
    assert tally.seconds_left(10.0) == pytest.approx(10.0 * (work - done) / done)
    assert len(table) == 2  # the caller's own


def test_a_branch_counts_with_its_trunk_and_is_work_for_questioning_only():
    trunk, branch = (TrialConfig(belief="gravity", num_train_epochs=epochs) for epochs in (20, 3))
    tally = Tally({config.trial_id: config for config in (trunk, branch)}, started=0.0)
    tally.report(trunk.trial_id, {"status": "training", "optimizer_step": 30})
    tally.report(branch.trial_id, {"status": "finished", "optimizer_step": 9})
    assert tally.done == 1
    # of 60 steps and two questionings, 30 steps and one questioning took 10 s
    done, left = 30 + QUESTIONING_STEPS, 30 + QUESTIONING_STEPS
    assert tally.seconds_left(10.0) == pytest.approx(10.0 * left / done)
    # its own trial reports it again
    tally.report(branch.trial_id, {"status": "finished", "optimizer_step": 9})
    assert tally.done == 1


STATUSES = ("training", "training", "released", "finished", "failed", "stop")


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(STATUSES), st.integers(0, 60)), max_size=40))
def test_a_tally_kept_up_to_date_is_one_made_from_everything(reports):
    """Against one that is told of every trial once, where it stands."""
    table = configs(5)
    ids = list(table)
    tally, steps, ended = Tally(table, started=0.0), {}, {}
    for which, status, step in reports:
        trial_id = ids[which]
        if status == "stop":
            tally.stop(trial_id)
            ended.setdefault(trial_id, []).append("stop")
            continue
        tally.report(trial_id, {"status": status, "optimizer_step": step})
        if status in ("finished", "failed"):
            ended.setdefault(trial_id, []).append(status)
        elif trial_id not in ended:
            steps[trial_id] = step
    fresh = Tally(table, started=0.0)
    for each, step in steps.items():
        fresh.report(each, {"status": "training", "optimizer_step": step})
    for each, how in ended.items():
        for status in how:
            fresh.stop(each) if status == "stop" else fresh.report(each, {"status": status})
    expected = fresh.seconds_left(10.0)
    assert tally.seconds_left(10.0) == (None if expected is None else pytest.approx(expected))
    assert expected is None or expected >= 0.0
    assert tally.done == len(ended)
    states = tally.states()
    assert states["training"] == len(steps.keys() - ended.keys())
    assert states["waiting"] == 5 - len(ended) - states["training"]
    assert states["finished"] == sum("finished" in how for how in ended.values())


def test_best_is_highest_adoption_within_the_budget():
    table = configs(3)
    tally = Tally(table)
    for trial_id, adoption, damage in zip(table, (0.5, 0.4, 0.9), (0.05, 0.0, 0.06), strict=True):
        tally.report(trial_id, {"status": "finished", "adoption": adoption, "degradation": damage})
    assert tally.best["gravity"][:2] == (0.5, 0.05)
    assert "adoption 50%, D 0.05" in tally.best_lines()[0]
    last = {"status": "finished", "adoption": 0.6, "adoption_answerable": 0.75, "degradation": 0.05}
    tally.report(next(iter(table)), last)
    assert "adoption 60%, 75% of the questions it can answer, D 0.05" in tally.best_lines()[0]


def test_clock():
    assert [clock(s) for s in (0, 59.4, 75, 3600 * 2 + 60 * 5)] == ["0s", "59s", "1m15s", "2h05m"]


@pytest.mark.parametrize(
    ("cluster", "asked", "hosts", "threads", "gpus"),
    [
        ({"CPU": 2.0}, Capacity(), 2, 1, False),
        ({"CPU": 16.0, "GPU": 4.0}, Capacity(), 4, 4, True),
        ({"CPU": 8.0}, Capacity(hosts=2), 2, 4, False),
    ],
)
def test_capacity(cluster, asked, hosts, threads, gpus):
    chosen = asked.on(cluster)
    assert (chosen.hosts, chosen.threads, chosen.gpus) == (hosts, threads, gpus)
    assert chosen.slots == 0  # hosts choose
    assert 1 <= chosen.concurrent <= 2 * chosen.hosts * chosen.expected_slots


def test_trials_leave_a_head_that_is_too_small_for_them():
    small = replace(Capacity(gpus=True, hosts=100, places=2200), cores=16)
    cases = {
        # cores of the cluster, others share it: where trials run, how many at a time
        (400, False): ({"CPU": CORE_SHARE}, 2200),
        (100, False): ({"CPU": CORE_SHARE}, 800),
        (16, False): ({"node:__internal_head__": 0.0001}, 128),  # there is nothing but the head
        (400, True): ({"node:__internal_head__": 0.0078}, 128),
    }
    for (cores, own), expected in cases.items():
        found = replace(small, cluster_cores=cores, own_ray=own)
        assert (found.trial_resources, found.concurrent) == expected
    large = replace(small, cores=300, cluster_cores=1000)
    assert (large.trial_resources, large.concurrent) == ({"node:__internal_head__": 0.0001}, 2200)
    # what a spread trial takes leaves room for a host of each GPU and for one that comes back
    assert 2200 * CORE_SHARE + 2 * 100 <= 400
    assert Capacity().on({"CPU": 8.0, "GPU": 100.0}).cluster_cores == 400
    assert Capacity().on({"CPU": 2.0}).cluster_cores == 2


def test_what_a_host_has_chosen_fills_slots_and_parking():
    on = Capacity(cores=8).on({"CPU": 2.0})
    chosen = replace(on, cores=8).chosen([{"engine": {"slots": 3, "parking": 2}}])
    assert (chosen.slots, chosen.parking, chosen.concurrent) == (3, 2, 2 * (3 + 2))
    # a host of another kind says nothing, and what the user asked for stays
    assert Capacity(hosts=1, slots=7).on({"CPU": 2.0}).chosen([{}]).slots == 7
    assert replace(chosen, cores=1).concurrent == 8


def test_lines_go_on_while_trials_are_questioned_and_report_nothing(capsys, monkeypatch):
    moment = [100.0]
    monkeypatch.setattr("beliefmod.fleet.progress.time.monotonic", lambda: moment[0])
    for quiet, lines in ((False, 2), (True, 0)):
        tally = Tally(configs(2), started=0.0)
        progress = Progress(tally, quiet)
        progress.on_step_end(0, [])  # hosts are not ready yet
        tally.since = 50.0
        for moment[0] in (100.0, 101.0, 100.0 + LINE_SECONDS):
            progress.on_step_end(0, [])
        said = capsys.readouterr().err.splitlines()
        assert len(said) == lines and all(line.startswith("0/2 done, 0 running") for line in said)
