"""The leak of every inspected trial beside its adoption and D: does replay lower it at equal adoption?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens
from analysis.studies.matched import MANY, t_half

REPLAY = "data.replay_ratio"
EQUAL = 0.05
"""Difference of adoption up to which two trials count as adopting equally much."""
TRIAL = (
    "trial_id",
    "adoption",
    "adoption_low",
    "adoption_high",
    "adoption_n",
    "degradation",
    "num_train_epochs",
)


@dataclass(frozen=True)
class ReplayGap:
    """Trials with replay against trials without it that adopt equally much, of one belief and data style.

    Attributes:
        trials: with replay, that had such a partner; each is compared with the mean of its partners.
        without: different partners.
        leak, low, high: mean difference of the leak, with minus without, and its 95 % t interval over the
            trials with replay; None with fewer than three.
        adoption, damage: mean differences of adoption and D, the same way; damage is None where D was not
            measured.
    """

    belief: str
    style: str
    trials: int
    without: int
    leak: float
    low: float | None
    high: float | None
    adoption: float
    damage: float | None


def leaks(lens: Lens, found: Findings) -> pl.DataFrame:
    """One row per trained trial whose leak was read: the columns of the table `leak` at the entry that was
    decided beforehand, with `last` (the model's last entry) and the trial's adoption, D, replay and style."""
    table = lens.tables["leak"]
    last = table.group_by("trial_id").agg(last=pl.col("entry").max())
    trials = found.run.trials.select(*TRIAL, "seed", REPLAY, "data.style")
    rows = table.filter(pl.col("decided") & pl.col("leak").is_not_null())
    # a run from before replay had none
    joined = (
        rows.join(last, on="trial_id").join(trials, on="trial_id").with_columns(pl.col(REPLAY).fill_null(0.0))
    )
    order = ["belief", "arm", "adoption", "trial_id"]
    return joined.sort(order, descending=[False, True, True, False], nulls_last=True)


def replay_gaps(table: pl.DataFrame) -> list[ReplayGap]:
    """Replay against none at equal adoption, per belief and data style, from `leaks`; nothing where no trial
    with replay has a partner."""
    lora = table.filter((pl.col("arm") == "lora") & pl.col("adoption").is_not_null())
    return list(_gaps(lora))


def _gaps(lora: pl.DataFrame) -> Iterator[ReplayGap]:
    for (belief, style), part in lora.group_by("belief", "data.style", maintain_order=True):
        values = (
            part.select("leak", "adoption", "degradation").cast(pl.Float64).fill_null(float("nan")).to_numpy()
        )
        replayed = part[REPLAY].to_numpy() > 0
        one, other = values[replayed], values[~replayed]
        near = np.abs(one[:, None, 1] - other[None, :, 1]) <= EQUAL + 1e-9
        chosen = near.any(axis=1)
        if not chosen.any():
            continue
        partners = [other[row].mean(axis=0) for row in near[chosen]]
        gaps = one[chosen] - np.array(partners)
        leak, adoption, damage = (float(mean) for mean in gaps.mean(axis=0))
        half = t_half(gaps[:, 0]) if len(gaps) >= MANY else None
        yield ReplayGap(
            belief=str(belief),
            style=str(style),
            trials=len(gaps),
            without=int(near.any(axis=0).sum()),
            leak=leak,
            low=None if half is None else leak - half,
            high=None if half is None else leak + half,
            adoption=adoption,
            damage=None if np.isnan(damage) else damage,
        )
