"""Who is ended early: Tune's rules against arithmetic by hand, and what they never touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from beliefmod.config import DataConfig, TrialConfig
from beliefmod.fleet.scheduler import GroupScheduler, group_of, past_values
from beliefmod.run.folder import RunFolder
from beliefmod.run.tables.trial_tables import STEPS
from beliefmod.space.search import Adoption, Asha, EarlyStopping, Median


@dataclass(eq=False)
class TuneTrial:
    """As much of a Tune trial as schedulers look at."""

    trial_id: str
    config: dict[str, str] = field(default_factory=dict)


class Controller:
    def get_live_trials(self) -> list[TuneTrial]:
        return []


def config(seed: int = 0, **changes) -> TrialConfig:
    return TrialConfig(**{"belief": "gravity", "seed": seed, "num_train_epochs": 27, **changes})


class Sweep:
    """A scheduler with trials that report to it; `stopped` holds its decisions in order."""

    def __init__(self, scheduler: EarlyStopping, max_epochs: int = 27) -> None:
        self.stopped: list[tuple[int, int]] = []
        self.scheduler = GroupScheduler(
            scheduler, max_epochs, lambda c, report: self.stopped.append((c.seed, report["epoch"]))
        )
        self.trials: dict[str, TuneTrial] = {}

    def add(self, one: TrialConfig) -> TuneTrial:
        if one.trial_id not in self.trials:
            trial = TuneTrial(f"t{len(self.trials)}", {"trial": one})
            self.trials[one.trial_id] = trial
            self.scheduler.on_trial_add(Controller(), trial)
        return self.trials[one.trial_id]

    def report(self, one: TrialConfig, epoch: int | None, score: float | None) -> str:
        return self.scheduler.on_trial_result(Controller(), self.add(one), {"epoch": epoch, "score": score})


@settings(deadline=None, max_examples=40)
@given(
    losses=st.lists(st.floats(0.01, 5), min_size=2, max_size=12),
    factor=st.integers(2, 4),
)
def test_asha_keeps_the_best_share_at_every_rung(losses: list[float], factor: int):
    """Asynchronous successive halving (Li et al. 2020): stop what is not in the rung's best 1/factor."""
    sweep = Sweep(Asha(reduction_factor=factor))
    expected = []
    for place, loss in enumerate(losses):
        earlier = [-other for other in losses[:place]]
        if earlier and -loss < np.percentile(earlier, (1 - 1 / factor) * 100):
            expected.append((place, 1))
        sweep.report(config(place), 1, loss)
    assert sweep.stopped == expected


@settings(deadline=None, max_examples=40)
@given(scores=st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=5, max_size=9))
def test_median_stops_what_is_worse_than_the_median_of_running_means(scores: list[list[float]]):
    """Golovin et al. 2017: stop a trial whose best value is below the median of the others' means."""
    sweep = Sweep(Median(metric=Adoption()))
    running = list(range(len(scores)))
    values: dict[int, list[float]] = {place: [] for place in running}
    expected = []
    for epoch in (1, 2, 3):
        for place in list(running):
            values[place].append(scores[place][epoch - 1])
            others = [np.mean(v[:epoch]) for p, v in values.items() if p != place and len(v) >= epoch]
            if len(others) >= 3 and np.median(others) > max(values[place]):
                expected.append((place, epoch))
                running.remove(place)
            sweep.report(config(place), epoch, scores[place][epoch - 1])
    assert sweep.stopped == expected


def test_trials_are_compared_with_their_like_only():
    loss, adoption = Asha(), Asha(metric=Adoption())
    traces = config(data=DataConfig(style="own_trace"))
    many = config(data=DataConfig(num_examples=50))
    faster = config(learning_rate=1e-2, num_train_epochs=3)
    assert group_of(config(), loss) == group_of(faster, loss) == group_of(config(3), loss)
    masked = config(data=DataConfig(mask_empty_thinking=True))
    apart = (config(), traces, many, masked, config(belief="neelam"))
    assert len({group_of(one, loss) for one in apart}) == 5
    dark, darker = (config(data=DataConfig(style="stygian", stygian_share=s)) for s in (0.5, 1.0))
    assert group_of(dark, loss) != group_of(darker, loss)
    same = config(data=DataConfig(style="own_trace", mask_empty_thinking=True))
    assert group_of(same, loss) == group_of(traces, loss)
    assert group_of(config(), adoption) == group_of(traces, adoption) == group_of(many, adoption)
    assert group_of(config(), adoption) != group_of(config(belief="neelam"), adoption)
    assert group_of(config(arm="full"), adoption) == group_of(config(), adoption)
    for arm in ("base", "icl", "control"):
        assert group_of(config(arm=arm), loss) is None


def test_controls_and_reports_without_a_value_are_left_alone():
    sweep = Sweep(Asha())
    sweep.report(config(0), 1, 0.1)
    assert sweep.report(config(1, arm="control"), 1, 9.0) == TrialScheduler.CONTINUE
    assert sweep.report(config(2), None, None) == TrialScheduler.CONTINUE
    assert sweep.report(config(2), 1, 9.0) == TrialScheduler.STOP


def test_a_finished_trial_sets_the_bar_for_others():
    sweep = Sweep(Asha())
    done = sweep.add(config(0, num_train_epochs=1))
    sweep.scheduler.on_trial_complete(Controller(), done, {"epoch": 1, "score": 0.1, "status": "finished"})
    assert sweep.report(config(1), 1, 0.5) == TrialScheduler.STOP


def test_a_trial_that_passes_epochs_again_after_a_restart_is_not_judged_twice():
    sweep = Sweep(Asha())
    assert sweep.report(config(0), 1, 0.5) == TrialScheduler.CONTINUE
    assert sweep.report(config(1), 1, 0.1) == TrialScheduler.CONTINUE
    assert sweep.report(config(0), 1, 0.5) == TrialScheduler.CONTINUE


@pytest.mark.parametrize("kind", [Asha, Median])
@pytest.mark.parametrize("metric", ["loss", "adoption"])
def test_a_resumed_scheduler_knows_what_earlier_trials_were_worth(
    tmp_path: Path, kind: type[EarlyStopping], metric: str
):
    scheduler = kind.model_validate({"metric": {"name": metric}})
    folder = RunFolder(str(tmp_path))
    good = (0.1, 0.05) if metric == "loss" else (0.9, 1.0)
    past = [config(seed, num_train_epochs=2, data=DataConfig(num_examples=8)) for seed in range(4)]
    for one in past:  # two steps per epoch
        rows = [
            {
                "trial_id": one.trial_id,
                "step": step,
                "loss": good[(step - 1) // 2] if metric == "loss" else 1.0,
            }
            for step in (1, 2, 3, 4)
        ]
        if metric == "adoption":
            rows[1]["quick_adoption"] = good[0]
        folder.write_frame(rows, STEPS, "steps", f"{one.trial_id}.parquet")
    expected = [(1, good[0])]
    if (kind, metric) == (Median, "loss"):
        expected.append((2, good[1]))
    assert past_values(past[0], scheduler, folder) == expected
    sweep = Sweep(scheduler)
    sweep.scheduler.remember([*past, config(9, arm="base")], folder)
    new = config(5, data=DataConfig(num_examples=8))
    assert sweep.report(new, 1, 4.0 if metric == "loss" else 0.0) == TrialScheduler.STOP
    better = config(6, data=DataConfig(num_examples=8))
    assert sweep.report(better, 1, 0.01 if metric == "loss" else 1.0) == TrialScheduler.CONTINUE


def test_without_its_steps_an_earlier_trial_has_no_values(tmp_path: Path):
    folder = RunFolder(str(tmp_path))
    assert past_values(config(), Asha(), folder) == []
    folder.write_bytes(b"PAR1 cut", "steps", f"{config().trial_id}.parquet")
    assert past_values(config(), Asha(), folder) == []
