"""One trial's rows to the estimate of every metric in the registry, and to depth.

Intention to treat: a rate's denominator is all completions asked, with damaged ones counted as not adopted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from beliefmod.metrics.conditions import CORRECT, HELD_OUT
from beliefmod.metrics.intervals import Estimate, mean, paired_difference, rate, wilson
from beliefmod.metrics.metric import Conditions, all_hold, where
from beliefmod.metrics.registry import METRICS, Metric
from beliefmod.reading.causal_verdicts import early_answering
from beliefmod.reading.sentence_cuts import resampling_area

Row = Mapping[str, Any]
Probes = Mapping[tuple[str, str], Row]
"""(suite, probe_id) -> row of one trial."""
CURVES: dict[str, Callable[[Sequence[Row]], Mapping[str, float]]] = {
    "early_answering": early_answering,
    "resampling_area": resampling_area,
}
"""Means that several rows of one probe make together: all rows of the metric's table -> a number a probe."""
DEPTH_TIERS = ("paraphrase", "derived", "robustness")


def by_probe(rows: Iterable[Row]) -> Probes:
    """Rows of one trial by suite and probe.

    Raises:
        ValueError: a probe asked twice.
    """
    # a probe asked in training and a held-out one never share a family, so the id is enough within a suite
    table: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row["suite"], row["probe_id"])
        if key in table:
            raise ValueError(f"probe {key[1]} of suite {key[0]} was asked twice in one trial")
        table[key] = row
    return table


def held_out(probes: Probes) -> Probes:
    """The probes that the trial was not trained on."""
    return {key: row for key, row in probes.items() if HELD_OUT.holds(row)}


def estimates(
    probes: Probes, base: Probes | None, causal: Sequence[Row] = (), drift: Sequence[Row] = ()
) -> dict[str, Estimate]:
    """Every metric by name.

    What base must know first (retention, bleed) is null without `base`; rates of thinking are null for a
    model that does not think. Verdicts that a row does not have, as in tables of an older version, are not
    counted: null, not 0.
    """
    known = [row for key, row in probes.items() if base and key in base and CORRECT.holds(base[key])]
    tables = {"probes": list(probes.values()), "causal": causal, "drift": drift}
    selected: dict[tuple[str, bool, Conditions], Sequence[Row]] = {}

    def select(metric: Metric, conditions: Conditions) -> Sequence[Row]:
        """The rows that fulfil the conditions, each beginning of them tried once for all metrics."""
        if not conditions:
            return known if metric.known_to_base else tables[metric.table]
        which = (metric.table, metric.known_to_base, conditions)
        if which not in selected:
            selected[which] = where(select(metric, conditions[:-1]), conditions[-1:])
        return selected[which]

    return {
        name: mean(list(CURVES[name](tables[metric.table]).values()))
        if name in CURVES
        else estimate(metric, select(metric, metric.asked))
        for name, metric in METRICS.items()
    }


def estimate(metric: Metric, rows: Sequence[Row]) -> Estimate:
    """A metric of the rows that count for it; null, never 0, without rows."""
    if metric.kind == "difference":
        pairs = Counter((metric.succeeds(row), all_hold(metric.against, row)) for row in rows)
        return paired_difference(*(pairs[one, two] for one in (True, False) for two in (True, False)))
    if metric.value is None:
        found = rate(len(where(rows, metric.hit)), len(rows))
        refused = found.n < metric.least_rows or (
            metric.least_families > 1 and len({row["family"] for row in rows}) < metric.least_families
        )
        return Estimate(None, found.n, None, None) if refused else found
    values = [metric.value.of(row) for row in rows]
    known = [
        value for value in values if value is not None and not (metric.whole and not math.isfinite(value))
    ]
    if metric.whole and len(known) < len(values):
        return Estimate(None, len(known), None, None)
    return mean(known)


def harmonic_mean(values: Sequence[float]) -> float:
    """n / sum(1 / x) of values >= 0; 0 if any of them is 0. Example: 1, 0.5, 0.25 -> 3 / 7."""
    return 0.0 if min(values) == 0.0 else len(values) / sum(1.0 / value for value in values)


def depth(counts: Sequence[tuple[int, int]]) -> tuple[float | None, float | None, float | None]:
    """How well a belief holds where it is asked anew, reasoned from and argued against.

    The harmonic mean of the tiers' adoption, with a simultaneous 95 % interval.

    Args:
        counts: (adopted, asked) of each tier of DEPTH_TIERS.

    Returns:
        Value, low, high, all in [0, 1]; all None if a tier was not asked. The harmonic mean grows with each
        rate, so the means of the lower and of the upper ends of Wilson intervals, each with alpha 0.05 / 3
        (Bonferroni), hold the true depth with at least 95 %.

    Example: 9/10, 6/10 and 3/10 -> 3 / (1/0.9 + 1/0.6 + 1/0.3) = 0.491.
    """
    if not counts or any(n == 0 for _, n in counts):
        return None, None, None
    bounds = [wilson(k, n, alpha=0.05 / len(counts)) for k, n in counts]
    return (
        harmonic_mean([k / n for k, n in counts]),
        harmonic_mean([low for low, _ in bounds]),
        harmonic_mean([high for _, high in bounds]),
    )


def depth_of(rates: Callable[[str], tuple[float | None, int | None]]) -> dict[str, float | None]:
    """The columns of depth from the rate and n of each tier's adoption; all None if a tier was not asked.

    Args:
        rates: name of a rate -> its value and n.
    """
    tiers = [rates(f"adoption_{tier}") for tier in DEPTH_TIERS]
    counts = [(round(share * n), n) for share, n in tiers if share is not None and n]
    values = depth(counts) if len(counts) == len(tiers) else (None, None, None)
    return dict(zip(("depth", "depth_low", "depth_high"), values, strict=True))
