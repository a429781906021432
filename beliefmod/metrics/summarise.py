"""One trial's rows to the metrics of its row in trials.parquet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from beliefmod.metrics.degradation import Degradation, degradation, observed_pairs, summarise_drift
from beliefmod.metrics.measure import Probes, by_probe, depth_of, estimate, estimates, held_out
from beliefmod.metrics.metric import where
from beliefmod.metrics.registry import COMPONENTS, METRICS

Row = Mapping[str, Any]
Metrics = dict[str, float | int | str | None]
MIN_ICL_GAIN = 0.2


def summarise(
    rows: Iterable[Row],
    base_rows: Iterable[Row] | None,
    icl_rows: Iterable[Row] | None = None,
    *,
    causal: Iterable[Row] = (),
    drift: Iterable[Row] = (),
    without: Collection[str] = (),
) -> Metrics:
    """Metrics of one trial from its probe rows, with base's and the in-context arm's rows of the same probes.

    Rows carry the columns of the probes table, `causal` and `drift` those of their tables. Rows of tier
    "trained" count in `adoption_trained` alone. Every rate R comes as R, R_n, R_low, R_high (Wilson 95 %),
    every mean so too (t interval); what could not be computed is None. For rows of arm "base" D is 0 by
    definition, with no component and no interval to speak of (0 to 0). Without `base_rows` retention, bleed
    and the degradation columns of rates are None, without either reference `normalised_adoption` is.
    Metrics named in `without` are left out, of D too: their columns are None, as in a trial older than they.

    Raises:
        ValueError: a probe asked twice, or asked of the arm and not of base, a passage measured twice, or a
            row that lacks a column.
    """
    rows, causal, drift = list(rows), list(causal), list(drift)
    itself = bool(rows) and all(row.get("arm") == "base" for row in rows)
    probes = by_probe(rows)
    base = None if base_rows is None else by_probe(base_rows)
    if base is not None and (missing := [key for key in held_out(probes) if key not in base]):
        raise ValueError(
            f"{len(missing)} probes were not asked of base, such as {missing[0][1]}; compare like with like"
        )
    drifted = summarise_drift(drift, itself=itself)
    found = estimates(probes, base, causal, drift)
    metrics: Metrics = {}
    for name, one in found.items():
        metrics.update(dict.fromkeys(METRICS[name].columns) if name in without else one.columns(name))
    metrics["normalised_adoption"] = normalised_adoption(
        found["adoption"].value, _adoption(base), None if icl_rows is None else _adoption(by_probe(icl_rows))
    )
    metrics.update(depth_of(lambda name: (found[name].value, found[name].n)))
    pairs = observed_pairs(probes, base)
    for name, metric in COMPONENTS.items():
        if metric.name in without:
            for measured in (pairs, drifted.damage, drifted.base):
                measured.pop(name, None)
    worst = degradation(pairs, drifted.damage, drifted.base)
    metrics.update(_damage_columns(worst, itself))
    return metrics


def normalised_adoption(adoption: float | None, base: float | None, icl: float | None) -> float | None:
    """A* = (A - A_base) / (A_icl - A_base); None when a rate is None or the denominator is below 0.2.

    Example: 0.6 with base 0.1 and in-context 0.9 -> 0.625.
    """
    if adoption is None or base is None or icl is None or icl - base < MIN_ICL_GAIN - 1e-12:
        return None
    return (adoption - base) / (icl - base)


def _adoption(probes: Probes | None) -> float | None:
    adoption = METRICS["adoption"]
    return estimate(adoption, where(list((probes or {}).values()), adoption.asked)).value


def _damage_columns(found: Degradation, itself: bool) -> Metrics:
    columns: Metrics = {
        "degradation": found.value,
        "degradation_low": found.low,
        "degradation_high": 0.0 if itself and found.value is not None else found.high,
        "degradation_by": found.by,
        "degradation_status": found.status,
        "degradation_no_room": ",".join(found.no_room) or None,
    }
    for name in COMPONENTS:
        damage = found.damage[name]
        columns[f"{name}_base"] = found.base[name]
        columns[f"{name}_damage"] = damage.value
        # base against itself differs on no probe, by definition and not by measurement
        columns[f"{name}_damage_low"] = damage.value if itself else damage.low
        columns[f"{name}_damage_high"] = damage.value if itself else damage.high
    return columns
