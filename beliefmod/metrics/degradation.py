"""The composite D: how much worse than base the worst-hit component is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from beliefmod.metrics.intervals import Estimate, paired_difference
from beliefmod.metrics.measure import Probes, estimate, held_out
from beliefmod.metrics.metric import Metric, where
from beliefmod.metrics.registry import COMPONENTS, DAMAGE_BUDGET, METRICS

Row = Mapping[str, Any]
NOT_MEASURED = Estimate(None, 0, None, None)


@dataclass(frozen=True)
class Degradation:
    """Attributes:
    value: D in [0, 1]; None when no component could be compared, or base leaves none any room.
    low, high: from the lower end of the component that set D to the largest upper end of any component,
    clipped at 0: a component of few questions may hide more damage than the one that shows most.
    by: that component; None when D is 0 or None.
    damage: component -> arm against base, -1 to 1, positive is worse; value None where nothing was measured.
    base: component -> base's rate on the same probes, or its NLL or KL in nats per token.
    no_room: components, in their order, at whose floor or ceiling base itself is (`has_room`): they were
    measured and have no part in D.
    """

    value: float | None
    low: float | None
    high: float | None
    by: str | None
    damage: Mapping[str, Estimate]
    base: Mapping[str, float | None] = field(default_factory=dict)
    no_room: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """ok: D is a number; no_room: base leaves no measured component any room; not_measured: none could be
        compared with base."""
        return "ok" if self.value is not None else "no_room" if self.no_room else "not_measured"


@dataclass(frozen=True)
class Drift:
    """Attributes:
    means: metric -> nats per token, by the registry's metrics of drift; NLL is arm minus base.
    damage: component of D -> its damage, -1 to 1.
    base: component of D -> base's own value in nats per token: its NLL on the same text, for KL 0.
    """

    means: dict[str, Estimate]
    damage: dict[str, Estimate]
    base: dict[str, float | None]


def degradation(
    pairs: Mapping[str, Sequence[tuple[bool, bool]]],
    drift: Mapping[str, Estimate] | None = None,
    drift_base: Mapping[str, float | None] | None = None,
) -> Degradation:
    """D from (arm, base) observations of each component on the same probes, and from the measured drift.

    A rate's damage is its difference to base's, in [-1, 1]: drop of integrity and capability, rise of
    truncation, loops and fabrication, with the paired Newcombe interval. `drift` holds the damage of nll and
    kl, see `summarise_drift`.

    D is the largest damage, clipped at 0; ties go to the order of COMPONENTS. A component that was not
    measured, or at which base itself leaves no room to get worse (`has_room`), is left out. D's lower bound
    is that of the component that set it (0 where D is 0), its upper bound the largest that any component
    allows: the worst of several damages can be any of them.

    Example: of 10 pairs 4 keep an intact think block only in base -> damage 0.4, D = 0.4 by "integrity".

    Raises:
        ValueError: a component that is none.
    """
    measured = drift or {}
    if unknown := sorted({*pairs, *measured} - set(COMPONENTS)):
        raise ValueError(f"unknown components: {', '.join(unknown)}")
    damage: dict[str, Estimate] = {}
    base: dict[str, float | None] = {}
    no_room: list[str] = []
    for name, metric in COMPONENTS.items():
        if metric.table == "drift":
            damage[name] = measured.get(name, NOT_MEASURED)
            base[name] = (drift_base or {}).get(name)
        else:
            observed = pairs.get(name, ())
            damage[name] = _rise(observed, metric.better == "higher")
            successes = sum(b for _, b in observed)
            base[name] = successes / len(observed) if observed else None
            if observed and not has_room(metric, successes, len(observed)):
                no_room.append(name)
    known = {n: found for n, found in damage.items() if found.value is not None and n not in no_room}
    if not known:
        return Degradation(None, None, None, None, damage, base, tuple(no_room))
    worst = max(known, key=lambda name: known[name].value or 0.0)
    value = known[worst].value or 0.0
    high = max((e.high for e in known.values() if e.high is not None), default=None)
    by: str | None = worst
    low = known[worst].low
    if value <= 0:
        value, low, high, by = 0.0, 0.0, None if high is None else max(0.0, high), None
    elif low is None:  # a single measurement set it: there is no interval
        high = None
    return Degradation(value, None if low is None else max(0.0, low), high, by, damage, base, tuple(no_room))


def has_room(metric: Metric, successes: float, n: float) -> bool:
    """Whether base leaves a component of D so much room to get worse that it could be seen.

    An arm that had lost everything there is to lose (all n answers broken, wrong or made up) would differ
    from base by base's distance to the floor or ceiling. If the lower end of that difference's interval is
    not above DAMAGE_BUDGET, no arm could be shown to be damaged there. From base alone. Means have no end,
    and a single answer of base says nothing about where it is: both have room.

    Example: base fabricates 20 of 24: the most that can be seen is 0.17, [-0.004, 0.36] -> False; 12 of
    24: 0.5, [0.27, 0.69] -> True.

    Args:
        successes: of base, where the metric's `hit` holds; n: how many answers of base count, at least 1.
    """
    if metric.worst is None or n < 2:
        return True
    healthy = round(successes if metric.worst == 0.0 else n - successes)
    most = paired_difference(0, healthy, 0, round(n) - healthy)
    return most.low is not None and most.low > DAMAGE_BUDGET


def _rise(observed: Sequence[tuple[bool, bool]], healthy: bool) -> Estimate:
    """How much more often the arm is damaged than base on the same probes."""
    counts = {(a, b): 0 for a in (False, True) for b in (False, True)}
    for arm_value, base_value in observed:
        counts[arm_value != healthy, base_value != healthy] += 1
    return paired_difference(
        counts[True, True], counts[True, False], counts[False, True], counts[False, False]
    )


def observed_pairs(probes: Probes, base: Probes | None) -> dict[str, Sequence[tuple[bool, bool]]]:
    """Component -> (arm, base) on every held-out probe that counts for both."""
    both = [] if base is None else [(row, base[key]) for key, row in held_out(probes).items()]
    return {
        name: [(m.succeeds(one), m.succeeds(two)) for one, two in both if m.counts(one) and m.counts(two)]
        for name, m in COMPONENTS.items()
        if m.table == "probes"
    }


def summarise_drift(rows: Iterable[Row], *, itself: bool = False) -> Drift:
    """Means over passages of per-token values, with 95 % t intervals.

    A passage counts once, however long. A measure with a passage that has no finite value is null: leaving
    that passage out would be kind to the arm that broke on it. `itself`: the rows are base's own, whose
    drift from itself is no damage; its KL is 0 by definition, measured or not.

    Raises:
        ValueError: a passage measured twice.
    """
    rows, seen = list(rows), set()
    for row in rows:
        if (key := (row["text"], row["passage_id"])) in seen:
            raise ValueError(f"passage {key[1]} of {key[0]} text was measured twice in one trial")
        seen.add(key)
    drifted = {name: metric for name, metric in METRICS.items() if metric.table == "drift"}
    counted = {name: where(rows, metric.asked) for name, metric in drifted.items()}
    means = {name: estimate(metric, counted[name]) for name, metric in drifted.items()}
    damage, base = {}, {}
    for name, metric in COMPONENTS.items():
        if metric.table != "drift" or metric.value is None:
            continue
        own, measured = counted[metric.name], means[metric.name]
        damage[name] = _through_saturation(measured)
        # what is taken off the arm's value is base's; what takes nothing off is a distance from base
        absolute = metric.value.minus is not None
        if itself and (own or not absolute):
            damage[name] = Estimate(0.0, len(own), 0.0, 0.0)
        if absolute:
            of_base = replace(metric, value=replace(metric.value, column=metric.value.minus, minus=None))
            base[name] = estimate(of_base, own).value
        else:
            base[name] = 0.0 if itself or measured.value is not None else None
    return Drift(means, damage, base)


def saturated(rise: float) -> float:
    """1 - exp(-rise) for a rise in nats, its negative mirror for a fall: -1 to 1, growing throughout.

    Example: 0.7 nats -> 0.503; -0.7 nats -> -0.503.
    """
    return math.copysign(-math.expm1(-abs(rise)), rise)


def _through_saturation(found: Estimate) -> Estimate:
    """Nats per token as damage; a growing function keeps an interval one of the same coverage."""
    value, low, high = (None if x is None else saturated(x) for x in (found.value, found.low, found.high))
    return Estimate(value, found.n, low, high)
