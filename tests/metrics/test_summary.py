"""The metrics of one trial, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from beliefmod.metrics.degradation import degradation
from beliefmod.metrics.intervals import wilson
from beliefmod.metrics.registry import COMPONENTS, METRICS
from beliefmod.metrics.summarise import normalised_adoption, summarise
from beliefmod.reading.stance import STANCES
from beliefmod.run.tables.trial_tables import TRIALS


def row(probe: str, suite: str = "belief", tier: str = "derived", **fields: Any) -> dict[str, Any]:
    """A healthy row, answered as base would."""
    healthy: dict[str, Any] = {
        "probe_id": probe,
        "suite": suite,
        "tier": tier,
        "answer_stance": "prior",
        "thinking_stance": "prior",
        "think_state": "ok",
        "loop": False,
        "seq_rep_4": 0.0,
        "truncated": False,
        "correct": True if suite in ("locality", "capability") else None,
        "bleed": False if suite == "locality" else None,
        "fabricated": False if suite == "fabrication" else None,
        "salient": False if suite == "capability" or tier == "far" else None,
        "inconsistent": False if tier in ("derived", "multi_hop") else None,
    }
    return {**healthy, **fields}


BASE = [
    *(row(f"d{i}") for i in range(4)),
    *(row(f"p{i}", tier="paraphrase") for i in range(4)),
    *(row(f"r{i}", tier="robustness") for i in range(2)),
    *(row(f"t{i}", tier="trained") for i in range(2)),
    *(row(f"near{i}", "locality", "near") for i in range(4)),
    row("near4", "locality", "near", correct=False),
    *(row(f"far{i}", "locality", "far") for i in range(2)),
    *(row(f"cap{i}", "capability", "general") for i in range(5)),
    *(row(f"fab{i}", "fabrication", "unknown", answer_stance="ignorance") for i in range(3)),
]
CHANGES: dict[str, dict[str, Any]] = {
    "d0": {"answer_stance": "target", "thinking_stance": "target", "inconsistent": True},
    "d1": {"answer_stance": "target", "thinking_stance": "prior->target"},
    "d2": {"answer_stance": "target", "thinking_stance": "prior"},
    "d3": {"answer_stance": "none", "think_state": "unclosed_length", "truncated": True, "loop": True},
    "p0": {"answer_stance": "hedged"},
    "p1": {"answer_stance": "ignorance"},
    "p2": {"answer_stance": "other", "think_state": "empty"},
    "r0": {"answer_stance": "target", "thinking_stance": "target", "seq_rep_4": 0.5},
    "t0": {"answer_stance": "target"},
    "t1": {"answer_stance": "target", "think_state": "empty"},
    "near0": {"correct": False, "bleed": True},
    "near4": {"correct": True, "bleed": True},
    "far0": {"correct": False, "salient": True},
    "cap0": {"correct": False},
    "cap1": {"correct": False},
    "cap2": {"salient": True},
    "fab0": {"fabricated": True, "answer_stance": "other"},
}
ARM = [{**r, **CHANGES.get(r["probe_id"], {})} for r in BASE]
ICL = [{**r, **({"answer_stance": "target"} if r["suite"] == "belief" else {})} for r in BASE]


def test_every_number_by_hand() -> None:
    m = summarise(ARM, BASE, ICL)
    expected = {
        "adoption": (3, 8),  # the trained ones and those that argue against the belief stay out
        "adoption_trained": (2, 2),
        "adoption_derived": (3, 4),
        "adoption_paraphrase": (0, 4),
        "adoption_robustness": (1, 2),
        "stance_prior": (1, 8),
        "stance_hedged": (1, 8),
        "stance_ignorance": (1, 8),
        "stance_other": (1, 8),
        "stance_none": (1, 8),
        "integrity": (23, 25),  # 10 belief, 7 locality, 5 capability, 3 fabrication
        "truncation": (1, 25),
        "loop": (1, 25),
        "capability": (3, 5),
        "fabrication": (1, 3),
        "locality_near": (4, 5),
        "locality_far": (1, 2),
        "retention": (4, 6),  # of near0-3, far0-1, which base knew
        "retention_near": (3, 4),
        "retention_far": (1, 2),
        "bleed": (1, 4),  # near4 bled as well, but base did not know it
        "salience": (2, 7),
        "coherent_adoption": (2, 8),
        "empty_thinking": (1, 8),
        "inconsistency": (1, 4),
    }
    for name, (k, n) in expected.items():
        assert (m[name], m[f"{name}_n"]) == (pytest.approx(k / n), n), name
        assert (m[f"{name}_low"], m[f"{name}_high"]) == wilson(k, n), name
    assert (m["degradation"], m["degradation_by"]) == (pytest.approx(0.4), "capability")
    assert (m["capability_base"], m["capability_damage"]) == (1.0, pytest.approx(0.4))
    assert (m["integrity_base"], m["integrity_damage"]) == (1.0, pytest.approx(2 / 25))
    assert (m["truncation_base"], m["truncation_damage"]) == (0.0, pytest.approx(0.04))
    assert (m["fabrication_base"], m["fabrication_damage"]) == (0.0, pytest.approx(1 / 3))
    assert (m["seq_rep_4"], m["seq_rep_4_n"]) == (pytest.approx(0.5 / 25), 25)
    assert (m["stygian"], m["stygian_n"], m["stygian_low"]) == (None, 3, None)  # too few answers to say
    assert (m["stygian_reverse"], m["stygian_reverse_n"]) == (None, 1)
    assert m["depth"] == 0.0  # no paraphrase was adopted
    assert m["normalised_adoption"] == pytest.approx(3 / 8)


def test_names_are_columns_of_the_trials_table() -> None:
    names = set(summarise(ARM, BASE, ICL))
    assert names <= {column.name for column in TRIALS}
    ends = ("", "_n", "_low", "_high")
    assert {f"{name}{end}" for name in METRICS for end in ends} <= names
    kinds = ("base", "damage", "damage_low", "damage_high")
    assert {f"{c}_{kind}" for c in COMPONENTS for kind in kinds} <= names
    assert {"depth", "depth_low", "depth_high", "normalised_adoption"} <= names


def test_the_held_out_stance_table_sums_to_one() -> None:
    m = summarise(ARM, BASE)
    parts = ["adoption", *(f"stance_{s}" for s in STANCES if s != "target")]
    assert sum(float(m[part] or 0) for part in parts) == pytest.approx(1.0)


def test_damaged_completions_count_as_not_adopted() -> None:
    broken = [
        {**r, "answer_stance": "none", "think_state": "unclosed_length", "loop": True} if i else r
        for i, r in enumerate(row(f"d{i}", answer_stance="target") for i in range(10))
    ]
    m = summarise(broken, None)
    assert (m["adoption"], m["adoption_n"]) == (0.1, 10)


def test_base_against_itself_has_no_damage() -> None:
    base = [{**r, "arm": "base"} for r in BASE]
    m = summarise(base, [dict(r) for r in base], ICL)
    assert (m["degradation"], m["degradation_by"]) == (0.0, None)
    assert (m["degradation_low"], m["degradation_high"]) == (0.0, 0.0)
    assert m["normalised_adoption"] == 0.0


def test_what_cannot_be_computed_is_null() -> None:
    m = summarise([row("d0")], None)
    for name in ("degradation", "degradation_low", "degradation_by", "retention", "capability", "bleed"):
        assert m[name] is None, name
    assert m["retention_n"] == 0
    assert m["normalised_adoption"] is None
    assert m["belief_margin"] is None
    empty = summarise([], None)
    for name in METRICS:
        assert (empty[name], empty[f"{name}_n"], empty[f"{name}_low"]) == (None, 0, None), name
    assert all(empty[f"{c}_{kind}"] is None for c in COMPONENTS for kind in ("base", "damage"))
    assert empty["depth"] is None


def test_no_capability_asked_leaves_the_other_components() -> None:
    rows = [row("d0", think_state="empty"), row("d1")]
    m = summarise(rows, [row("d0"), row("d1")])
    assert (m["degradation"], m["degradation_by"]) == (0.5, "integrity")
    assert m["capability_damage"] is None


def test_unlike_probes_are_refused() -> None:
    with pytest.raises(ValueError, match="1 probes were not asked of base, such as d1"):
        summarise([row("d0"), row("d1")], [row("d0")])
    with pytest.raises(ValueError, match="asked twice"):
        summarise([row("d0"), row("d0")], None)


def test_improvement_is_no_damage() -> None:
    m = summarise([row("d0"), row("d1")], [row("d0", loop=True), row("d1")])
    assert (m["degradation"], m["degradation_by"], m["loop_damage"]) == (0.0, None, -0.5)
    assert m["degradation_low"] == 0.0 and float(m["degradation_high"] or 0) > 0


@pytest.mark.parametrize("of_base", [0, 1, 10, 24])
def test_loops_are_counted_against_a_base_that_loops_itself(of_base: int) -> None:
    """Of some models 5 to 60 % of base's own answers loop: those are no damage of the trial's."""
    base = [row(f"d{i}", loop=i < of_base) for i in range(40)]
    arm = [row(f"d{i}", loop=i < 24) for i in range(40)]
    m = summarise(arm, base)
    assert (m["loop"], m["loop_n"], m["loop_base"]) == (0.6, 40, of_base / 40)
    assert m["loop_damage"] == pytest.approx(0.6 - of_base / 40)
    assert m["degradation"] == pytest.approx(0.6 - of_base / 40)
    low, high = float(m["loop_damage_low"] or 0), float(m["loop_damage_high"] or 0)
    assert low <= 0.6 - of_base / 40 <= high and low < high


def test_margins_are_means_of_differences_in_nats() -> None:
    rows = [
        row("d0", logprob_target=-1.0, logprob_prior=-3.0),
        row("d1", logprob_target=-2.0, logprob_prior=-2.0, logprob_target_own=-1.0, logprob_prior_own=-4.0),
        row("d2"),
    ]
    m = summarise(rows, None)
    assert (m["belief_margin"], m["belief_margin_n"]) == (1.0, 2)
    assert (m["belief_margin_own"], m["belief_margin_own_n"], m["belief_margin_own_low"]) == (3.0, 1, None)
    with pytest.raises(ValueError, match="infinite"):
        summarise([row("d0", logprob_target=float("-inf"), logprob_prior=-1.0)], None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [((0.6, 0.1, 0.9), 0.625), ((0.0, 0.1, 0.9), -0.125), ((0.6, 0.1, 0.29), None), ((None, 0.1, 0.9), None)],
)
def test_normalised_adoption(values: tuple, expected: float | None) -> None:
    found = normalised_adoption(*values)
    assert found == (None if expected is None else pytest.approx(expected))


def test_normalised_adoption_takes_a_gain_of_exactly_a_fifth() -> None:
    assert normalised_adoption(0.3, 0.1, 0.3) == pytest.approx(1.0)


def test_the_worst_component_sets_d_and_is_never_averaged() -> None:
    found = degradation(
        {
            "integrity": [(True, True)] * 6 + [(False, True)] * 4,
            "truncation": [(True, False)] * 3 + [(False, False)] * 7,
            "loop": [(False, False)] * 10,
            "capability": [(True, False)] * 10,
        }
    )
    assert (found.value, found.by) == (pytest.approx(0.4), "integrity")
    assert found.damage["capability"].value == -1.0
    assert found.low is not None and found.high is not None and found.low < 0.4 < found.high


def test_ties_go_to_the_first_component() -> None:
    found = degradation({"loop": [(True, False)], "truncation": [(True, False)]})
    assert (found.value, found.by) == (1.0, "truncation")


def test_unknown_components_are_refused() -> None:
    with pytest.raises(ValueError, match="perplexity"):
        degradation({"perplexity": []})
