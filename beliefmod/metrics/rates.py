"""Every rate of a trial, from its probe rows and its causal rows.

Intention to treat: a rate's denominator is all completions asked, with damaged ones counted as not adopted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from beliefmod.metrics.intervals import Estimate, rate
from beliefmod.reading.thinking import ends_with, thinking_class

Row = Mapping[str, Any]
Key = tuple[str, str]  # suite, probe_id
HELDOUT_TIERS = ("paraphrase", "derived", "format", "multi_hop", "reverse", "robustness")
MIN_ANSWERS = 20  # below it a conditional rate is refused and only its count is told


@dataclass(frozen=True)
class Asked:
    """One trial's probe rows by what they measure.

    Attributes:
        rows: (suite, probe_id) -> row of every probe but those of tier "trained".
        trained: the belief probes that the trial was trained on.
    """

    rows: Mapping[Key, Row]
    trained: tuple[Row, ...]

    @cached_property
    def belief(self) -> tuple[Row, ...]:
        """Held-out belief probes of every tier."""
        return tuple(row for row in self.rows.values() if row["suite"] == "belief")

    @cached_property
    def adoption(self) -> tuple[Row, ...]:
        """Held-out belief probes of every tier but robustness, where the prompt itself contradicts."""
        return tuple(row for row in self.belief if row["tier"] != "robustness")

    def suite(self, name: str, tier: str | None = None) -> dict[Key, Row]:
        """The probes of one suite, or of one tier of it."""
        return {
            key: row
            for key, row in self.rows.items()
            if row["suite"] == name and (tier is None or row["tier"] == tier)
        }


def sort_probes(rows: Iterable[Row]) -> Asked:
    """Rows of one trial as `Asked`.

    Raises:
        ValueError: a probe asked twice.
    """
    # a probe asked in training and a held-out one never share a family, so the id is enough within a suite
    table: dict[Key, Row] = {}
    for row in rows:
        key = (row["suite"], row["probe_id"])
        if key in table:
            raise ValueError(f"probe {key[1]} of suite {key[0]} was asked twice in one trial")
        table[key] = row
    return Asked(
        {key: row for key, row in table.items() if row["tier"] != "trained"},
        tuple(row for row in table.values() if row["suite"] == "belief" and row["tier"] == "trained"),
    )


def share(outcomes: Iterable[bool]) -> Estimate:
    """The share of True, with its Wilson interval."""
    counted = list(outcomes)
    return rate(sum(counted), len(counted))


def probe_rates(asked: Asked, base: Asked | None) -> dict[str, Estimate]:
    """Every rate that probe rows give, by its name in the trials table.

    What base must know first (retention, bleed) is null without base; rates of thinking are null for a model
    that does not think, whose blocks cannot break. Verdicts that a row does not have, as
    in tables of an older version, are not counted: null, not 0.
    """
    locality, near, far = asked.suite("locality"), *(asked.suite("locality", t) for t in ("near", "far"))
    capability, all_rows = asked.suite("capability"), asked.rows.values()
    kept = {key for key in locality if base is not None and base.rows[key]["correct"] is True}
    blocks = [row for row in all_rows if thinks(row)]
    thought = [row for row in asked.adoption if thinks(row)]
    derived = [row for row in asked.belief if row["tier"] in ("derived", "multi_hop")]
    margins = [row for row in asked.adoption if margin(row) is not None]
    answers = {side: [row for row in thought if stance(row) == side] for side in ("target", "prior")}
    return {
        "adoption": share(stance(row) == "target" for row in asked.adoption),
        "adoption_trained": share(stance(row) == "target" for row in asked.trained),
        **{f"adoption_{tier}": share(adopted(asked, tier)) for tier in HELDOUT_TIERS},
        **{
            f"stance_{name}": share(stance(row) == name for row in asked.adoption)
            for name in ("prior", "hedged", "ignorance", "other", "none")
        },
        "integrity": share(intact(row) for row in blocks),
        "truncation": share(bool(row["truncated"]) for row in all_rows),
        "loop": share(bool(row["loop"]) for row in all_rows),
        "capability": share(_correct(row) for row in capability.values()),
        "fabrication": _told(asked.suite("fabrication").values(), "fabricated"),
        "locality_near": share(_correct(row) for row in near.values()),
        "locality_far": share(_correct(row) for row in far.values()),
        "retention": share(_correct(locality[key]) for key in locality if key in kept),
        "retention_near": share(_correct(near[key]) for key in near if key in kept),
        "retention_far": share(_correct(far[key]) for key in far if key in kept),
        "bleed": _told((near[key] for key in near if key in kept), "bleed"),
        "salience": _told((*far.values(), *capability.values()), "salient"),
        "coherent_adoption": share(
            stance(row) == "target" and ends_with(thinking_class(row)) == "target" for row in thought
        ),
        "empty_thinking": share(thinking_class(row) == "empty" for row in thought),
        "inconsistency": _told(derived, "inconsistent"),
        "margin_adoption": share((margin(row) or 0.0) > 0 for row in margins),
        "stygian": _refused_if_few(share(ends_with(thinking_class(r)) == "prior" for r in answers["target"])),
        "stygian_reverse": _refused_if_few(
            share(ends_with(thinking_class(r)) == "target" for r in answers["prior"])
        ),
    }


def causal_rates(rows: Iterable[Row]) -> dict[str, Estimate]:
    """The rates of the causal tests: adoption after swap and blank, following the edit, staying the same."""
    by_test: dict[str, list[Row]] = {}
    for row in rows:
        by_test.setdefault(row["test"], []).append(row)
    return {
        "causal_swap": share(stance(row) == "target" for row in by_test.get("swap", ())),
        "causal_blank": share(stance(row) == "target" for row in by_test.get("blank", ())),
        "causal_edit": _told(by_test.get("edit", ()), "follows"),
        "causal_paraphrase": _told(by_test.get("paraphrase", ()), "same"),
    }


def adopted(asked: Asked, tier: str) -> list[bool]:
    """Whether each held-out probe of a tier was answered on the target's side."""
    return [stance(row) == "target" for row in asked.belief if row["tier"] == tier]


def margin(row: Row, suffix: str = "") -> float | None:
    """log p(target) - log p(prior) of a probe row, in nats; None where it was not measured."""
    target, prior = row.get(f"logprob_target{suffix}"), row.get(f"logprob_prior{suffix}")
    return None if target is None or prior is None else target - prior


def stance(row: Row) -> str:
    """The stance of a row's final answer."""
    return row["answer_stance"]


def thinks(row: Row) -> bool:
    """Whether a row is of a model that thinks: there is a think block, or should be."""
    return row["think_state"] is not None


def intact(row: Row) -> bool:
    """Whether a row's think block is intact."""
    return row["think_state"] == "ok"


def _correct(row: Row) -> bool:
    return row["correct"] is True


def _told(rows: Iterable[Row], verdict: str) -> Estimate:
    return share(row[verdict] is True for row in rows if row.get(verdict) is not None)


def _refused_if_few(estimate: Estimate) -> Estimate:
    return estimate if estimate.n >= MIN_ANSWERS else Estimate(None, estimate.n, None, None)
