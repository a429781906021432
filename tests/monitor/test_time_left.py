"""The time left against sweeps of which the truth is known: simulated ones and a real one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from beliefmod.config import TrialConfig
from beliefmod.monitor.status import stored_space
from beliefmod.monitor.tally import Tally
from beliefmod.probing.asking_progress import Asked, AskingProgress
from beliefmod.run.folder import RunFolder

EVENTS = Path(__file__).parent / "real_sweep_events.jsonl"
"""`make real` on 2026-11-29, 24 trials on two hosts: seconds, trial, step; at a trial's end null, the seconds
that questioning took and when it ended."""
REAL = Path(__file__).parents[2] / "docs" / "example-real"
Event = tuple[float, str, Mapping[str, Any]]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(1.8e9 + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _simulated(
    trials: Mapping[str, TrialConfig], step: float, questioning: float, together: int, hosts: int
) -> list[Event]:
    """Hosts that take turns: each trains `together` trials step by step, then questions them at once."""
    events: list[Event] = []
    names = list(trials)
    for host in range(hosts):
        at, mine = 11.0 * host, names[host::hosts]
        for first in range(0, len(mine), together):
            group = mine[first : first + together]
            for done in range(1, trials[group[0]].total_steps + 1):
                at += step * len(group)
                events += [(at, name, {"status": "training", "optimizer_step": done}) for name in group]
            at += questioning * len(group)
            told = {"evaluate_seconds": questioning * len(group), "finished_at": _moment(at)}
            events += [(at, name, {"status": "finished", **told}) for name in group]
    return sorted(events, key=lambda event: event[0])


def _guesses(tally: Tally, events: list[Event]) -> Iterator[tuple[float, float | None, float]]:
    """Share of the time passed, guess and truth, sixty times."""
    end, place = events[-1][0], 0
    for look in range(1, 60):
        now = end * look / 60
        while place < len(events) and events[place][0] <= now:
            at, trial_id, result = events[place]
            tally.report(trial_id, result, at)
            place += 1
        yield now / end, tally.seconds_left(now), end - now


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("steps_worth", [6, 30, 80, 300])
def test_what_questioning_costs_is_learned(steps_worth, hosts):
    """From the first trials that were questioned on; the former rule took 30 steps for it."""
    made = [TrialConfig(belief="gravity", seed=seed, num_train_epochs=10) for seed in range(32)]
    trials = {config.trial_id: config for config in made}
    events = _simulated(trials, 1.0, float(steps_worth), 4, hosts)
    found = [each for each in _guesses(Tally(trials, started=0.0, hosts=hosts), events) if each[0] >= 0.3]
    assert len(found) > 40
    for share, guess, truth in found:
        assert guess is not None
        assert guess == pytest.approx(truth, rel=0.3, abs=0.04 * events[-1][0]), (share, guess, truth)


def test_a_real_sweep_from_its_own_events():
    events: list[Event] = []
    for line in EVENTS.read_text().splitlines():
        at, trial_id, step, *end = json.loads(line)
        result: dict[str, Any] = {"status": "training", "optimizer_step": step}
        if end:
            result = {"status": "finished", "evaluate_seconds": end[0], "finished_at": end[1]}
        events.append((float(at), trial_id, result))
    trials = {config.trial_id: config for config in stored_space(RunFolder(str(REAL))).trials()}
    assert {trial_id for _, trial_id, _ in events} <= set(trials)
    found = [
        (share, guess / truth)
        for share, guess, truth in _guesses(Tally(trials, started=0.0, hosts=2), events)
        if 0.08 < share < 0.95 and guess is not None
    ]
    assert len(found) > 45
    for share, ratio in found:
        assert 1 / 1.4 < ratio < 1.4, (share, ratio)


def test_trials_that_were_not_questioned_teach_nothing_and_are_no_work_any_more():
    made = [TrialConfig(belief="gravity", seed=seed) for seed in range(3)]
    trials = {config.trial_id: config for config in made}
    tally = Tally(trials, started=0.0)
    first, second, third = trials
    tally.report(first, {"status": "failed"})
    told = {"evaluate_seconds": 20.0, "finished_at": _moment(29)}
    tally.report(second, {"status": "finished", **told})
    # 29 s: 20 for questioning, 1 for each of nine steps; of the third the same is left
    assert tally.seconds_left(29.0) == pytest.approx(29.0)
    tally.stop(third)
    assert tally.seconds_left(29.0) == pytest.approx(0.0)


@pytest.mark.parametrize("known", [False, True], ids=["asks base", "base is known"])
@pytest.mark.parametrize("subject", [20.0, 300.0])
def test_it_moves_while_answers_are_written_also_before_the_first_trial(subject, known):
    """One host: base and in context are asked, then twelve trials, four at a time. It says every five seconds
    how far it is; no trial reports while it asks."""
    arms = [TrialConfig(belief=b, arm=a) for b in ("gravity", "neelam") for a in ("base", "icl")]  # type: ignore[arg-type]
    trained = [TrialConfig(belief="gravity", seed=seed, num_train_epochs=10) for seed in range(12)]
    configs = {config.trial_id: config for config in (*arms, *trained)}
    takes = 1.0 if known else subject
    end = 4 * takes + 12 * (30 + subject)
    clock = [0.0]
    progress = AskingProgress(lambda: clock[0])
    tally, found = Tally(configs, started=0.0), []

    def pass_seconds(seconds: float) -> None:
        clock[0] += seconds
        tally.asked({"host": progress.look()})
        found.append((clock[0] / end, tally.seconds_left(clock[0]), end - clock[0]))

    def ask(subjects: int, each: float, references: bool) -> None:
        with progress.timed(), progress.subjects(subjects, references):
            for _ in range(100 * subjects):
                progress.put()
            for _ in range(20 * subjects):
                progress.answered(5)
                progress.wrote(0 if references and known else 5)
                pass_seconds(each / 20)

    ask(4, takes, True)
    for config in arms:
        tally.report(config.trial_id, {"status": "finished"}, clock[0])
    for first in range(0, 12, 4):
        group = [config.trial_id for config in trained[first : first + 4]]
        for step in range(1, 31):
            pass_seconds(4.0)
            for trial_id in group:
                tally.report(trial_id, {"status": "training", "optimizer_step": step}, clock[0])
        ask(4, subject, False)
        for trial_id in group:
            told = {"evaluate_seconds": 4 * subject, "finished_at": _moment(clock[0])}
            tally.report(trial_id, {"status": "finished", **told}, clock[0])
    shown = [(share, guess, truth) for share, guess, truth in found if guess is not None]
    if not known:
        assert shown[0][0] < 4 * takes / end, "before the first trial has ended"
    # until the first step is taken it is not known what one costs
    steps_known = (4 * takes + 120) / end
    for share, guess, truth in (each for each in shown if each[0] > steps_known + 0.1):
        assert guess == pytest.approx(truth, rel=0.3, abs=0.05 * end), (share, guess, truth)
    moving = [guess for share, guess, _ in shown if share > steps_known + 0.1]
    assert len(set(moving)) > 0.8 * len(moving), "it does not stand still"


def test_what_is_asked_is_counted_in_arms():
    clock = [0.0]
    progress = AskingProgress(lambda: clock[0])
    with progress.timed():
        with progress.subjects(2, references=True):
            assert progress.look() == Asked()
            for _ in range(10):
                progress.put()
            progress.answered(5)
            progress.wrote(2)
            clock[0] = 4.0
            assert progress.look() == Asked(4.0, written=0.4, references=1.0)
            progress.answered(5)
        with progress.subjects(4):
            for _ in range(8):
                progress.put()
            progress.answered(4)
            progress.wrote(4)
            progress.ended()
            assert progress.look() == Asked(4.0, written=2.4, references=2.0, under_way=1.0)
    clock[0] = 9.0
    assert progress.look() == Asked(4.0, written=2.4, references=2.0)
