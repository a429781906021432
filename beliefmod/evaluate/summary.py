"""One trial's probe rows to the metrics of its row in trials.parquet.

Intention to treat: every rate's denominator is all completions asked, with damaged ones counted as not
adopted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beliefmod.evaluate.degradation import HEALTHY, Degradation, degradation
from beliefmod.evaluate.wilson import Estimate, mean, rate

Row = Mapping[str, Any]
Metrics = dict[str, float | int | str | None]
MIN_ICL_GAIN = 0.2
HELDOUT_TIERS = ("paraphrase", "derived", "format", "multi_hop", "reverse", "robustness")


def summarise(
    rows: Iterable[Row], base_rows: Iterable[Row] | None, icl_rows: Iterable[Row] | None = None
) -> Metrics:
    """Metrics of one trial from its probe rows, with base's and the in-context arm's rows of the same probes.

    Rows carry the columns of probes.parquet. Rows of tier "trained" count in `adoption_trained` alone.
    Every rate R comes as R, R_n, R_low, R_high (Wilson 95 %); what could not be computed is None. For rows
    of arm "base" D is 0 by definition, with no component and no interval to speak of (0 to 0). Without
    `base_rows` retention and all degradation columns are None, without either reference
    `normalised_adoption` is.

    Raises:
        ValueError: a probe asked twice, or asked of the arm and not of base, or a row that lacks a column.
    """
    rows = list(rows)
    itself = bool(rows) and all(row.get("arm") == "base" for row in rows)
    base = None if base_rows is None else _by_probe(base_rows)
    asked = {key: row for key, row in _by_probe(rows).items() if row["tier"] != "trained"}
    if base is not None and (missing := [key for key in asked if key not in base]):
        raise ValueError(
            f"{len(missing)} probes were not asked of base, such as {missing[0][1]}; compare like with like"
        )
    held_out = [row for row in asked.values() if row["suite"] == "belief"]
    trained = [row for row in rows if row["suite"] == "belief" and row["tier"] == "trained"]
    locality = {key: row for key, row in asked.items() if row["suite"] == "locality"}
    near = [row for row in locality.values() if row["tier"] == "near"]
    far = [row for row in locality.values() if row["tier"] == "far"]
    capability = [row for row in asked.values() if row["suite"] == "capability"]
    metrics: Metrics = {}

    def add(name: str, outcomes: Iterable[bool]) -> None:
        counted = list(outcomes)
        metrics.update(rate(sum(counted), len(counted)).columns(name))

    add("adoption", (_is(row, "target") for row in held_out))
    add("adoption_trained", (_is(row, "target") for row in trained))
    for tier in HELDOUT_TIERS:
        add(f"adoption_{tier}", (_is(row, "target") for row in held_out if row["tier"] == tier))
    for stance in ("prior", "hedged", "ignorance", "other", "none"):
        add(f"stance_{stance}", (_is(row, stance) for row in held_out))
    add("integrity", (_intact(row) for row in asked.values()))
    add("truncation", (bool(row["truncated"]) for row in asked.values()))
    add("loop", (bool(row["loop"]) for row in asked.values()))
    add("capability", (row["correct"] is True for row in capability))
    add("locality_near", (row["correct"] is True for row in near))
    add("locality_far", (row["correct"] is True for row in far))
    kept = [] if base is None else [row for key, row in locality.items() if base[key]["correct"] is True]
    add("retention", (row["correct"] is True for row in kept))
    add("bleed", (row["bleed"] is True for row in near))
    add(
        "coherent_adoption",
        (_is(row, "target") and row["thinking_stance"] in ("target", "prior->target") for row in held_out),
    )
    for name, suffix in (("belief_margin", ""), ("belief_margin_own", "_own")):
        metrics.update(belief_margin(_log_probs(held_out, suffix)).columns(name))
    adopted = [
        None if reference is None else _adoption(reference.values())
        for reference in (asked, base, None if icl_rows is None else _by_probe(icl_rows))
    ]
    metrics["normalised_adoption"] = normalised_adoption(*adopted)
    metrics.update(_degradation_columns(asked, base, itself))
    return metrics


def belief_margin(pairs: Iterable[tuple[float, float]]) -> Estimate:
    """Mean over prompts of log p(target value) - log p(prior value), in nats, with its 95 % t interval.

    Example: (-1, -3) and (-2, -2) -> 1.0.

    Raises:
        ValueError: a log-probability that is NaN or infinite.
    """
    return mean([target - prior for target, prior in pairs])


def normalised_adoption(adoption: float | None, base: float | None, icl: float | None) -> float | None:
    """A* = (A - A_base) / (A_icl - A_base); None when a rate is None or the denominator is below 0.2.

    Example: 0.6 with base 0.1 and in-context 0.9 -> 0.625.
    """
    if adoption is None or base is None or icl is None or icl - base < MIN_ICL_GAIN - 1e-12:
        return None
    return (adoption - base) / (icl - base)


def _degradation_columns(
    asked: Mapping[tuple[str, str], Row], base: Mapping[tuple[str, str], Row] | None, itself: bool
) -> Metrics:
    pairs: dict[str, list[tuple[bool, bool]]] = {name: [] for name in HEALTHY}
    for key, row in asked.items() if base is not None else ():
        assert base is not None
        other = base[key]
        pairs["integrity"].append((_intact(row), _intact(other)))
        pairs["truncation"].append((bool(row["truncated"]), bool(other["truncated"])))
        pairs["loop"].append((bool(row["loop"]), bool(other["loop"])))
        if row["suite"] == "capability":
            pairs["capability"].append((row["correct"] is True, other["correct"] is True))
    found: Degradation = degradation(pairs)
    columns: Metrics = {
        "degradation": found.value,
        "degradation_low": found.low,
        "degradation_high": 0.0 if itself and found.value is not None else found.high,
        "degradation_by": found.by,
    }
    for name in HEALTHY:
        columns[f"{name}_base"] = found.base[name]
        columns[f"{name}_damage"] = found.damage[name].value
    return columns


def _adoption(rows: Iterable[Row]) -> float | None:
    held_out = [row for row in rows if row["suite"] == "belief" and row["tier"] != "trained"]
    return rate(sum(_is(row, "target") for row in held_out), len(held_out)).value


def _by_probe(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    table: dict[tuple[str, str], Row] = {}
    for row in rows:
        # a probe asked in training and a held-out one never share a family, so the id is enough within a
        # suite
        key = (row["suite"], row["probe_id"])
        if key in table:
            raise ValueError(f"probe {key[1]} of suite {key[0]} was asked twice in one trial")
        table[key] = row
    return table


def _log_probs(rows: Sequence[Row], suffix: str) -> list[tuple[float, float]]:
    names = f"logprob_target{suffix}", f"logprob_prior{suffix}"
    values = [(row.get(names[0]), row.get(names[1])) for row in rows]
    return [(target, prior) for target, prior in values if target is not None and prior is not None]


def _is(row: Row, stance: str) -> bool:
    return row["answer_stance"] == stance


def _intact(row: Row) -> bool:
    return row["think_state"] == "ok"
