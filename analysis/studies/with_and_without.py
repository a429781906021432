"""A setting's effect at equal settings: configurations with it against the same ones without it.

For regularisers it answers whether one pushes the frontier out: more adoption for no more damage, or less
damage for no less adoption.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.findings import Findings
from analysis.studies.long_table import trained
from analysis.studies.matched import MANY, paired_gap, pairs, t_half
from beliefmod.metrics.registry import METRICS

WITHOUT: Mapping[str, object] = {
    "data.framing": "plain",
    "data.mask_empty_thinking": False,
    "data.replay_ratio": 0.0,
    "objective.kl_to_base": 0.0,
    "weight_decay": 0.0,
    "lora.max_update_norm": 0.0,
    "lora.layers_to_transform": "all",
    "stop_at_degradation": math.inf,
    "lora.use_rslora": False,
    "lora.loraplus_lr_ratio": 1.0,
}
"""Settings that can be left out, with the value that leaves them out."""
SHARES = ("adoption", "integrity", "empty_thinking")
"""Metrics that are compared question by question; damage D is compared configuration by configuration."""
OUT, IN, TRADE, SAME = "out", "in", "a trade", "no difference shown"


@dataclass(frozen=True)
class Gap:
    """Mean of the pairs' differences, with minus without, and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


@dataclass(frozen=True)
class Compared:
    """One value of a setting against the settings' absence.

    pairs: configurations that differ in the setting alone. shares: metric -> gap in the metric's unit (0 to
    1), None where it was not measured or with fewer than three pairs. damage: the gap in D, from a t interval
    over pairs. families: question families behind the interval of adoption. without: mean over the pairs'
    sides without the setting, of each metric.
    """

    setting: str
    value: object
    pairs: int
    shares: Mapping[str, Gap | None]
    damage: Gap | None
    families: int
    without: Mapping[str, float | None]

    @property
    def frontier(self) -> str | None:
        """What the setting does to the frontier; None where adoption or D could not be compared."""
        adoption, damage = self.shares["adoption"], self.damage
        if adoption is None or damage is None:
            return None
        better, worse = (adoption.sign > 0) + (damage.sign < 0), (adoption.sign < 0) + (damage.sign > 0)
        return TRADE if better and worse else OUT if better else IN if worse else SAME


def with_and_without(found: Findings) -> list[Compared]:
    """Every value of a setting that can be left out, where some configurations differ in it alone."""
    rows = trained(found)
    return list(_compare(found, rows)) if rows.height else []


def _compare(found: Findings, rows: pl.DataFrame) -> Iterator[Compared]:
    for name, absent in WITHOUT.items():
        if name not in rows.columns:
            continue
        if name == "stop_at_degradation":  # null: no limit
            rows = rows.with_columns(pl.col(name).fill_null(math.inf))
        chosen = pairs(rows, name, absent)
        for value in sorted({rows[name][place] for place, _ in chosen if rows[name][place] is not None}):
            alike = [(one, other) for one, other in chosen if rows[name][one] == value]
            shares, families = {}, 0
            for metric in SHARES:
                gap = paired_gap(found, rows, alike, *METRICS[metric].expressions())
                shares[metric] = None if gap is None else Gap(*gap[:3])
                families = gap[3] if metric == "adoption" and gap is not None else families
            without = rows[[other for _, other in alike]]
            means = {
                metric: without[metric].mean() if metric in without.columns else None for metric in SHARES
            }
            yield Compared(name, value, len(alike), shares, _damage(rows, alike), families, means)  # pyright: ignore[reportArgumentType]


def _damage(rows: pl.DataFrame, alike: list[tuple[int, int]]) -> Gap | None:
    values = rows["degradation"].to_list()
    each = [values[a] - values[b] for a, b in alike if values[a] is not None and values[b] is not None]
    if len(each) < MANY:
        return None
    mean, half = float(np.mean(each)), t_half(np.array(each))
    return Gap(mean, mean - half, mean + half)
