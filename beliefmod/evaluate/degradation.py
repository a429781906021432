"""The composite D: how much worse than base the worst-hit component is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beliefmod.evaluate.wilson import Estimate, paired_difference

# component -> whether True in a row is the healthy value
HEALTHY: dict[str, bool] = {"integrity": True, "truncation": False, "loop": False, "capability": True}


@dataclass(frozen=True)
class Degradation:
    """Attributes:
    value: D in [0, 1]; None when no component could be compared.
    low, high: 95 % interval of the component that set D, clipped at 0.
    by: that component; None when D is 0 or None.
    damage: component -> arm against base, -1 to 1, positive is worse; value None where nothing was asked.
    base: component -> base's rate on the same probes.
    """

    value: float | None
    low: float | None
    high: float | None
    by: str | None
    damage: Mapping[str, Estimate]
    base: Mapping[str, float | None]


def degradation(pairs: Mapping[str, Sequence[tuple[bool, bool]]]) -> Degradation:
    """D from (arm, base) observations of each component on the same probes.

    Every component is a difference of two rates and so already lies in [-1, 1]: drop of integrity, rise of
    truncation, rise of loops, drop of capability. D is the largest of them, clipped at 0; ties go to the
    order named here. Its interval is the paired Newcombe interval of that component. Where D is 0 no
    component set it: the lower bound is 0 and the upper one the largest that any component allows. An arm
    that equals base on every probe, as base itself does, has D = 0 with the interval such n allow.

    Example: of 10 pairs 4 keep an intact think block only in base -> damage 0.4, D = 0.4 by "integrity".

    Raises:
        ValueError: a component that is not one of HEALTHY.
    """
    if unknown := sorted(set(pairs) - set(HEALTHY)):
        raise ValueError(f"unknown components: {', '.join(unknown)}")
    damage: dict[str, Estimate] = {}
    base: dict[str, float | None] = {}
    for name, healthy in HEALTHY.items():
        observed = pairs.get(name, ())
        counts = {(a, b): 0 for a in (False, True) for b in (False, True)}
        for arm_value, base_value in observed:
            counts[arm_value != healthy, base_value != healthy] += 1
        damage[name] = paired_difference(
            counts[True, True], counts[True, False], counts[False, True], counts[False, False]
        )
        base[name] = sum(b for _, b in observed) / len(observed) if observed else None
    known = {name: estimate for name, estimate in damage.items() if estimate.value is not None}
    if not known:
        return Degradation(None, None, None, None, damage, base)
    worst = max(known, key=lambda name: known[name].value or 0.0)
    value = known[worst].value or 0.0
    if value <= 0:
        high = max(estimate.high or 0.0 for estimate in known.values())
        return Degradation(0.0, 0.0, max(0.0, high), None, damage, base)
    low, high = known[worst].low or 0.0, known[worst].high or 0.0
    return Degradation(value, max(0.0, low), high, worst, damage, base)
