"""Rows of the drift table to means per token, and to the damage they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beliefmod.metrics.intervals import Estimate, mean

Row = Mapping[str, Any]
TEXTS = ("neutral", "traces")


@dataclass(frozen=True)
class Drift:
    """Attributes:
    means: kl_neutral, kl_neutral_reverse, kl_traces, kl_traces_reverse, nll_neutral and nll_traces, in nats
        per token; nll is arm minus base.
    damage: nll and kl on neutral text as components of D, -1 to 1.
    base: nll (nats per token of neutral text) and kl (0) of base.
    """

    means: Mapping[str, Estimate]
    damage: Mapping[str, Estimate]
    base: Mapping[str, float | None]


def summarise_drift(rows: Iterable[Row], *, itself: bool = False) -> Drift:
    """Means over passages of per-token values, with 95 % t intervals.

    A passage counts once, however long. A measure with a passage that has no finite value is null: leaving
    that passage out would be kind to the arm that broke on it. `itself`: the rows are base's own, whose
    drift from itself is no damage; its KL is 0 by definition, measured or not.

    Raises:
        ValueError: a passage measured twice.
    """
    table = _by_text(rows)
    means: dict[str, Estimate] = {}
    for text in TEXTS:
        own = table[text]
        means[f"kl_{text}"] = _mean([_per_token(row, "kl") for row in own])
        means[f"kl_{text}_reverse"] = _mean([_per_token(row, "kl_reverse") for row in own])
        means[f"nll_{text}"] = _mean(
            [_difference(_per_token(row, "nll"), _per_token(row, "nll_base")) for row in own]
        )
    damage = {name: _through(saturated, means[f"{name}_neutral"]) for name in ("nll", "kl")}
    if itself:
        n = len(table["neutral"])
        damage["kl"] = Estimate(0.0, n, 0.0, 0.0)
        damage["nll"] = Estimate(0.0, n, 0.0, 0.0) if n else damage["nll"]
    kl_base = 0.0 if itself or means["kl_neutral"].value is not None else None
    nll_base = _mean([_per_token(row, "nll_base") for row in table["neutral"]]).value
    return Drift(means, damage, {"nll": nll_base, "kl": kl_base})


def saturated(rise: float) -> float:
    """1 - exp(-rise) for a rise in nats, its negative mirror for a fall: -1 to 1, growing throughout.

    Example: 0.7 nats -> 0.503; -0.7 nats -> -0.503.
    """
    return math.copysign(-math.expm1(-abs(rise)), rise)


def _through(function: Callable[[float], float], estimate: Estimate) -> Estimate:
    """An estimate mapped through a growing function, which keeps its interval one of the same coverage."""
    mapped = [None if x is None else function(x) for x in (estimate.value, estimate.low, estimate.high)]
    return Estimate(mapped[0], estimate.n, mapped[1], mapped[2])


def _by_text(rows: Iterable[Row]) -> dict[str, list[Row]]:
    table: dict[str, list[Row]] = {text: [] for text in TEXTS}
    seen: set[tuple[str, str]] = set()
    for row in rows:
        key = (row["text"], row["passage_id"])
        if key in seen:
            raise ValueError(f"passage {key[1]} of {key[0]} text was measured twice in one trial")
        seen.add(key)
        if row["tokens"]:
            table[row["text"]].append(row)
    return table


def _per_token(row: Row, name: str) -> float | None:
    value = row[name]
    return None if value is None or not math.isfinite(value) else value / row["tokens"]


def _difference(one: float | None, two: float | None) -> float | None:
    return None if one is None or two is None else one - two


def _mean(values: Sequence[float | None]) -> Estimate:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Estimate(None, len(known), None, None)
    return mean(known)
