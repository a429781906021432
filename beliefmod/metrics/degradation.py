"""The composite D: how much worse than base the worst-hit component is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from beliefmod.metrics.intervals import Estimate, paired_difference
from beliefmod.metrics.registry import COMPONENTS

# the components that are rates -> whether True in a row is the healthy value
HEALTHY: dict[str, bool] = {
    "integrity": True,
    "truncation": False,
    "loop": False,
    "capability": True,
    "fabrication": False,
}


@dataclass(frozen=True)
class Degradation:
    """Attributes:
    value: D in [0, 1]; None when no component could be compared.
    low, high: from the lower end of the component that set D to the largest upper end of any component,
    clipped at 0: a component of few questions may hide more damage than the one that shows most.
    by: that component; None when D is 0 or None.
    damage: component -> arm against base, -1 to 1, positive is worse; value None where nothing was measured.
    base: component -> base's rate on the same probes, or its NLL or KL in nats per token.
    """

    value: float | None
    low: float | None
    high: float | None
    by: str | None
    damage: Mapping[str, Estimate]
    base: Mapping[str, float | None] = field(default_factory=dict)


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
    measured is left out. D's lower bound is that of the component that set it (0 where D is 0), its upper
    bound the largest that any component allows: the worst of several damages can be any of them.

    Example: of 10 pairs 4 keep an intact think block only in base -> damage 0.4, D = 0.4 by "integrity".

    Raises:
        ValueError: a component that is none.
    """
    measured = drift or {}
    if unknown := sorted({*pairs, *measured} - set(COMPONENTS)):
        raise ValueError(f"unknown components: {', '.join(unknown)}")
    damage: dict[str, Estimate] = {}
    base: dict[str, float | None] = {}
    for name in COMPONENTS:
        if name in HEALTHY:
            observed = pairs.get(name, ())
            damage[name] = _rise(observed, HEALTHY[name])
            base[name] = sum(b for _, b in observed) / len(observed) if observed else None
        else:
            damage[name] = measured.get(name, Estimate(None, 0, None, None))
            base[name] = (drift_base or {}).get(name)
    known = {name: estimate for name, estimate in damage.items() if estimate.value is not None}
    if not known:
        return Degradation(None, None, None, None, damage, base)
    worst = max(known, key=lambda name: known[name].value or 0.0)
    value = known[worst].value or 0.0
    high = max((e.high for e in known.values() if e.high is not None), default=None)
    if value <= 0:
        return Degradation(0.0, 0.0, None if high is None else max(0.0, high), None, damage, base)
    low = known[worst].low
    if low is None:  # a single measurement set it: there is no interval
        return Degradation(value, None, None, worst, damage, base)
    return Degradation(value, max(0.0, low), high, worst, damage, base)


def _rise(observed: Sequence[tuple[bool, bool]], healthy: bool) -> Estimate:
    """How much more often the arm is damaged than base on the same probes."""
    counts = {(a, b): 0 for a in (False, True) for b in (False, True)}
    for arm_value, base_value in observed:
        counts[arm_value != healthy, base_value != healthy] += 1
    return paired_difference(
        counts[True, True], counts[True, False], counts[False, True], counts[False, False]
    )
