"""One trial's rows to the metrics of its row in trials.parquet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from beliefmod.metrics.degradation import Degradation, degradation
from beliefmod.metrics.depth import DEPTH_TIERS, depth
from beliefmod.metrics.drift_damage import Drift, summarise_drift
from beliefmod.metrics.intervals import Estimate, mean
from beliefmod.metrics.rates import (
    Asked,
    adopted,
    causal_rates,
    intact,
    margin,
    probe_rates,
    share,
    sort_probes,
    stance,
    thinks,
)
from beliefmod.metrics.registry import COMPONENTS
from beliefmod.reading.causal_verdicts import early_answering

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
) -> Metrics:
    """Metrics of one trial from its probe rows, with base's and the in-context arm's rows of the same probes.

    Rows carry the columns of the probes table, `causal` and `drift` those of their tables. Rows of tier
    "trained" count in `adoption_trained` alone. Every rate R comes as R, R_n, R_low, R_high (Wilson 95 %),
    every mean so too (t interval); what could not be computed is None. For rows of arm "base" D is 0 by
    definition, with no component and no interval to speak of (0 to 0). Without `base_rows` retention, bleed
    and the degradation columns of rates are None, without either reference `normalised_adoption` is.

    Raises:
        ValueError: a probe asked twice, or asked of the arm and not of base, a passage measured twice, or a
            row that lacks a column.
    """
    rows = list(rows)
    itself = bool(rows) and all(row.get("arm") == "base" for row in rows)
    asked = sort_probes(rows)
    base = None if base_rows is None else sort_probes(base_rows)
    icl = None if icl_rows is None else sort_probes(icl_rows)
    if base is not None and (missing := [key for key in asked.rows if key not in base.rows]):
        raise ValueError(
            f"{len(missing)} probes were not asked of base, such as {missing[0][1]}; compare like with like"
        )
    causal = list(causal)
    drifted = summarise_drift(drift, itself=itself)
    rates = probe_rates(asked, base)
    estimates: dict[str, Estimate] = {
        **rates,
        **causal_rates(causal),
        "belief_margin": belief_margin(margin(row) for row in asked.adoption),
        "belief_margin_own": belief_margin(margin(row, "_own") for row in asked.adoption),
        "seq_rep_4": mean([r["seq_rep_4"] for r in asked.rows.values() if r.get("seq_rep_4") is not None]),
        "early_answering": mean(list(early_answering(causal).values())),
        **drifted.means,
    }
    metrics: Metrics = {}
    for name, estimate in estimates.items():
        metrics.update(estimate.columns(name))
    metrics["normalised_adoption"] = normalised_adoption(
        rates["adoption"].value, *(None if other is None else _adoption(other) for other in (base, icl))
    )
    counts = [(sum(found), len(found)) for found in (adopted(asked, tier) for tier in DEPTH_TIERS)]
    metrics["depth"], metrics["depth_low"], metrics["depth_high"] = depth(counts)
    metrics.update(_damage_columns(_compare(asked, base, drifted), itself))
    return metrics


def belief_margin(margins: Iterable[float | None]) -> Estimate:
    """Mean over prompts of log p(target value) - log p(prior value), in nats, with its 95 % t interval.

    Example: -1 - -3 = 2 and -2 - -2 = 0 -> 1.0. Prompts without a margin (None) are left out.

    Raises:
        ValueError: a margin that is NaN or infinite.
    """
    return mean([value for value in margins if value is not None])


def normalised_adoption(adoption: float | None, base: float | None, icl: float | None) -> float | None:
    """A* = (A - A_base) / (A_icl - A_base); None when a rate is None or the denominator is below 0.2.

    Example: 0.6 with base 0.1 and in-context 0.9 -> 0.625.
    """
    if adoption is None or base is None or icl is None or icl - base < MIN_ICL_GAIN - 1e-12:
        return None
    return (adoption - base) / (icl - base)


def _adoption(asked: Asked) -> float | None:
    return share(stance(row) == "target" for row in asked.adoption).value


def _compare(asked: Asked, base: Asked | None, drifted: Drift) -> Degradation:
    """Each probe's health beside base's on the same probe."""
    both = [] if base is None else [(row, base.rows[key]) for key, row in asked.rows.items()]
    of = {
        suite: [pair for pair in both if pair[0]["suite"] == suite] for suite in ("capability", "fabrication")
    }
    return degradation(
        {
            "integrity": [(intact(a), intact(b)) for a, b in both if thinks(a) and thinks(b)],
            "truncation": [(bool(a["truncated"]), bool(b["truncated"])) for a, b in both],
            "loop": [(bool(a["loop"]), bool(b["loop"])) for a, b in both],
            "capability": [(a["correct"] is True, b["correct"] is True) for a, b in of["capability"]],
            "fabrication": [
                (a["fabricated"], b["fabricated"])
                for a, b in of["fabrication"]
                if a["fabricated"] is not None and b["fabricated"] is not None
            ],
        },
        drifted.damage,
        drifted.base,
    )


def _damage_columns(found: Degradation, itself: bool) -> Metrics:
    columns: Metrics = {
        "degradation": found.value,
        "degradation_low": found.low,
        "degradation_high": 0.0 if itself and found.value is not None else found.high,
        "degradation_by": found.by,
    }
    for name in COMPONENTS:
        damage = found.damage[name]
        columns[f"{name}_base"] = found.base[name]
        columns[f"{name}_damage"] = damage.value
        # base against itself differs on no probe, by definition and not by measurement
        columns[f"{name}_damage_low"] = damage.value if itself else damage.low
        columns[f"{name}_damage_high"] = damage.value if itself else damage.high
    return columns
