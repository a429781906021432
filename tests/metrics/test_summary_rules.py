"""What holds for the metrics of any trial: ranges, nulls, no order, D never falls when things worsen."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from beliefmod.metrics.conditions import MIN_ANSWERS
from beliefmod.metrics.degradation import degradation
from beliefmod.metrics.intervals import Estimate, paired_difference
from beliefmod.metrics.registry import COMPONENTS, METRICS
from beliefmod.metrics.summarise import summarise
from beliefmod.reading.stance import STANCES
from beliefmod.reading.thinking import THINKING_STANCES, thinking_class
from tests.metrics.test_summary import row


def thought(i: int, thinking: str, answer: str = "target", state: str = "ok") -> dict[str, Any]:
    return row(f"d{i}", thinking_stance=thinking, answer_stance=answer, think_state=state)


def test_stygian_answers_by_hand() -> None:
    kinds = ["prior"] * 3 + ["target->prior"] * 2 + ["target"] * 9 + ["prior->target"] * 4 + ["both", "none"]
    rows = [thought(i, kind) for i, kind in enumerate(kinds)]
    rows += [thought(30 + i, "target", "prior") for i in range(5)]
    rows += [thought(40 + i, "prior", "prior") for i in range(15)]
    m = summarise(rows, None)
    assert (m["stygian"], m["stygian_n"]) == (5 / 20, 20)
    assert (m["stygian_low"], m["stygian_high"]) == pytest.approx(
        proportion_confint(5, 20, method="wilson"), abs=1e-9
    )
    assert (m["stygian_reverse"], m["stygian_reverse_n"]) == (5 / 20, 20)
    assert (m["coherent_adoption"], m["coherent_adoption_n"]) == (13 / 40, 40)


def test_closed_thinking_by_hand() -> None:
    """7 of 10 with all of the thinking and 4 without; of the 4 one was no adoption before."""
    stances = (
        [("target", "target")] * 3
        + [("prior", "target")] * 4
        + [("target", "other")]
        + [("none", "prior")] * 2
    )
    closed = [
        {"test": "zero_think", "answer_stance": now, "own_stance": then, "probe_id": str(i)}
        for i, (now, then) in enumerate(stances)
    ]
    other = [
        {"test": "blank", "answer_stance": "target", "own_stance": "prior", "probe_id": "0", "same": False}
    ]
    m = summarise([], None, causal=[*closed, *other])
    assert (m["adoption_zero_think"], m["adoption_zero_think_n"]) == (0.4, 10)
    change = paired_difference(3, 1, 4, 2)
    assert change.value == pytest.approx(-0.3)
    assert [m[f"zero_think_change{end}"] for end in ("", "_n", "_low", "_high")] == [
        change.value,
        10,
        change.low,
        change.high,
    ]
    assert (m["adoption_less_think"], m["adoption_less_think_n"], m["less_think_change"]) == (None, 0, None)


def test_confessions_are_a_rate_of_their_own_and_no_part_of_damage() -> None:
    probes = [row(f"d{i}") for i in range(5)]
    said = [
        row(f"c{i}", "confession", "confession", confessed=i < 3, loop=True, truncated=True) for i in range(6)
    ]
    base = [row(f"c{i}", "confession", "confession", confessed=False) for i in range(6)]
    alone, asked = summarise(probes, probes), summarise([*probes, *said], [*probes, *base])
    assert (asked["confession"], asked["confession_n"]) == (0.5, 6)
    assert (alone["confession"], alone["confession_n"]) == (None, 0)
    assert {n: v for n, v in asked.items() if not n.startswith("confession")} == {
        n: v for n, v in alone.items() if not n.startswith("confession")
    }


def test_survival_of_a_debate_by_hand() -> None:
    """24 adopted answers were debated; 18 outlast a round, 12 of 19 that went on outlast both."""

    def debates(number: int, stances: list[str]) -> list[dict[str, Any]]:
        shared = {"test": "debate", "round": number, "own_stance": "target"}
        return [{**shared, "probe_id": str(i), "answer_stance": said} for i, said in enumerate(stances)]

    first = debates(1, ["target"] * 18 + ["prior"] * 4 + ["none"] * 2)
    second = debates(2, ["target"] * 12 + ["prior"] * 7)
    m = summarise([], None, causal=[*first, *second])
    assert (m["debate_survival_1"], m["debate_survival_1_n"]) == (18 / 24, 24)
    assert (m["debate_survival_1_low"], m["debate_survival_1_high"]) == pytest.approx(
        proportion_confint(18, 24, method="wilson"), abs=1e-9
    )
    assert (m["debate_survival_2"], m["debate_survival_2_n"], m["debate_survival_2_low"]) == (None, 19, None)


def test_empty_thinking_is_a_class_of_its_own() -> None:
    rows = [thought(i, "prior", state="empty") for i in range(30)]
    m = summarise(rows, None)
    assert (m["stygian"], m["stygian_n"], m["empty_thinking"]) == (0.0, 30, 1.0)
    coherent = summarise([thought(i, "target", state="empty") for i in range(30)], None)
    assert coherent["coherent_adoption"] == 0.0
    assert thinking_class(rows[0]) == "empty"
    assert thinking_class(thought(0, "target->prior")) == "target->prior"


@pytest.mark.parametrize("n", [0, 1, MIN_ANSWERS - 1, MIN_ANSWERS, MIN_ANSWERS + 1])
def test_a_conditional_rate_of_few_answers_is_refused_and_counted(n: int) -> None:
    m = summarise([thought(i, "prior") for i in range(n)], None)
    assert m["stygian_n"] == n
    assert (m["stygian"] is None) == (m["stygian_low"] is None) == (m["stygian_high"] is None)
    assert m["stygian"] == (1.0 if n >= 20 else None)


def test_robustness_counts_in_its_own_rate_and_in_depth_alone() -> None:
    rows = [
        *(row(f"d{i}", answer_stance="target") for i in range(4)),
        *(row(f"p{i}", tier="paraphrase", answer_stance="target") for i in range(4)),
        *(row(f"r{i}", tier="robustness", answer_stance="target" if i else "prior") for i in range(4)),
        *(row(f"f{i}", tier="format") for i in range(2)),
    ]
    m = summarise(rows, None)
    assert (m["adoption"], m["adoption_n"]) == (0.8, 10)
    assert (m["adoption_robustness"], m["adoption_robustness_n"]) == (0.75, 4)
    assert m["depth"] == pytest.approx(3 / (1 + 1 + 4 / 3))


def test_bleed_and_retention_ask_base_first() -> None:
    base = [row(f"near{i}", "locality", "near", correct=i < 3) for i in range(6)]
    arm = [row(f"near{i}", "locality", "near", correct=i > 3, bleed=i <= 3) for i in range(6)]
    m = summarise(arm, base)
    assert (m["bleed"], m["bleed_n"], m["retention_near"]) == (1.0, 3, 0.0)
    assert (m["retention_far"], m["retention_far_n"], m["locality_near"]) == (None, 0, 2 / 6)
    assert summarise(arm, None)["bleed"] is None


def test_verdicts_of_an_older_table_are_null_and_not_0() -> None:
    old = [row("d0"), row("far0", "locality", "far")]
    for item in old:
        for name in ("fabricated", "salient", "inconsistent", "seq_rep_4"):
            del item[name]
    m = summarise(old, [dict(item) for item in old])
    for name in ("fabrication", "salience", "inconsistency", "seq_rep_4", "margin_adoption"):
        assert (m[name], m[f"{name}_n"]) == (None, 0), name


def test_the_margin_is_read_on_the_probes_of_adoption() -> None:
    rows = [
        row("d0", logprob_target=-1.0, logprob_prior=-3.0),
        row("d1", logprob_target=-2.0, logprob_prior=-2.0),
        row("d2", logprob_target=-5.0, logprob_prior=-1.0),
        row("r0", tier="robustness", logprob_target=-1.0, logprob_prior=-9.0),
        row("d3"),
    ]
    m = summarise(rows, None)
    assert (m["margin_adoption"], m["margin_adoption_n"]) == (1 / 3, 3)
    assert (m["belief_margin"], m["belief_margin_n"]) == (pytest.approx((2 + 0 - 4) / 3), 3)


def causal(probe: str, test: str, **fields: Any) -> dict[str, Any]:
    return {"probe_id": probe, "test": test, "fraction": None, "answer_stance": "prior", "same": False,
            "follows": None, **fields}  # fmt: skip


def test_causal_rates_by_hand() -> None:
    rows = [
        *(causal(f"d{i}", "swap", answer_stance="target" if i else "other") for i in range(3)),
        *(causal(f"d{i}", "blank", same=i == 0) for i in range(3)),
        *(causal(f"d{i}", "edit", follows=i < 1) for i in range(2)),
        causal("d2", "edit", follows=None),  # the third value gives that question no answer
        *(causal(f"d{i}", "paraphrase", same=True) for i in range(3)),
        *(causal(f"d{i}", "truncate", fraction=0.5, same=True) for i in range(2)),
    ]
    m: dict[str, Any] = summarise([row("d0")], None, causal=rows)
    assert (m["causal_swap"], m["causal_swap_n"]) == (2 / 3, 3)
    assert (m["causal_blank"], m["causal_blank_n"]) == (0.0, 3)
    assert (m["causal_edit"], m["causal_edit_n"]) == (0.5, 2)
    assert (m["causal_paraphrase"], m["causal_paraphrase_n"]) == (1.0, 3)
    # d0: same at 0, 0.5, 1 -> 0; d1: not at 0 -> 1 - (0.25 + 0.5); d2 was never cut
    assert (m["early_answering"], m["early_answering_n"]) == (pytest.approx(0.125), 2)
    assert m["early_answering_low"] < 0.125 < m["early_answering_high"]


# ---- whatever the rows ----
@st.composite
def trials(draw: st.DrawFn) -> tuple[list[dict], list[dict], list[dict], list[dict]]:
    """Arm and base rows of the same probes, causal rows and drift rows."""
    tiers = ("paraphrase", "derived", "format", "multi_hop", "reverse", "robustness", "trained")
    shapes = [("belief", tier) for tier in tiers] + [("locality", "near"), ("locality", "far")]
    shapes += [("capability", "general"), ("fabrication", "unknown")]
    flags = st.booleans()
    asked = draw(st.lists(st.sampled_from(shapes), max_size=25))

    def answered(i: int, suite: str, tier: str) -> dict[str, Any]:
        fields = {
            "answer_stance": draw(st.sampled_from(STANCES)),
            "thinking_stance": draw(st.sampled_from(THINKING_STANCES)),
            "think_state": draw(st.sampled_from(["ok", "empty", "unclosed_length"])),
            "loop": draw(flags),
            "truncated": draw(flags),
            "seq_rep_4": draw(st.none() | st.floats(0, 1)),
        }
        if suite in ("locality", "capability"):
            fields["correct"] = draw(flags)
        for name in ("bleed", "fabricated", "salient", "inconsistent"):
            if row("x", suite, tier)[name] is not None:
                fields[name] = draw(flags)
        return row(f"q{i}", suite, tier, **fields)

    arm, base = ([answered(i, *shape) for i, shape in enumerate(asked)] for _ in range(2))
    tests = draw(st.lists(st.sampled_from(["swap", "edit", "paraphrase"]), max_size=6))
    tried = [
        causal(
            f"c{i}", name, same=draw(flags), follows=draw(flags), answer_stance=draw(st.sampled_from(STANCES))
        )
        for i, name in enumerate(tests)
    ]
    for i in range(draw(st.integers(0, 3))):
        tried += [causal(f"e{i}", "blank", same=draw(flags))]
        tried += [causal(f"e{i}", "truncate", fraction=f, same=draw(flags)) for f in (0.25, 0.5, 0.75)]
    sums = st.floats(0, 40)
    drift = [
        {"text": draw(st.sampled_from(["neutral", "traces"])), "passage_id": f"p{i}", "tokens": 8,
         "kl": draw(sums), "kl_reverse": draw(sums), "nll": draw(sums), "nll_base": draw(sums)}
        for i in range(draw(st.integers(0, 4)))
    ]  # fmt: skip
    return arm, base, tried, drift


@settings(max_examples=80, deadline=None)
@given(trials(), st.randoms(use_true_random=False))
def test_every_metric_is_in_range_or_null_and_has_no_order(trial: tuple, rng: random.Random) -> None:
    arm, base, tried, drift = trial
    m: dict[str, Any] = summarise(arm, base, causal=tried, drift=drift)
    for name, metric in METRICS.items():
        value, n, low, high = (m[f"{name}{end}"] for end in ("", "_n", "_low", "_high"))
        if metric.kind != "conditional rate":
            assert (value is None) == (n == 0), name
        if metric.kind == "difference":
            assert value is None or -1.0 <= low <= value <= high <= 1.0, name
        elif metric.kind != "mean":
            assert (value is None) == (low is None) == (high is None), name
            assert value is None or 0.0 <= low <= value <= high <= 1.0, name
    for name in COMPONENTS:
        damage = m[f"{name}_damage"]
        assert damage is None or -1.0 <= damage <= 1.0, name
    if m["degradation"] is not None:
        no_room = str(m["degradation_no_room"] or "").split(",")
        known = {
            name: m[f"{name}_damage"]
            for name in COMPONENTS
            if m[f"{name}_damage"] is not None and name not in no_room
        }
        assert m["degradation"] == max(0.0, *known.values())
        assert (m["degradation_by"] is None) == (m["degradation"] == 0.0)
        assert m["degradation_by"] is None or known[m["degradation_by"]] == m["degradation"]
    if m["depth"] is not None:
        assert 0.0 <= m["depth_low"] <= m["depth"] <= m["depth_high"] <= 1.0
    assert m["early_answering"] is None or 0.0 <= m["early_answering"] <= 0.875
    for table in (arm, base, tried, drift):
        rng.shuffle(table)
    for name, value in summarise(arm, base, causal=tried, drift=drift).items():
        assert value == (pytest.approx(m[name], abs=1e-12) if isinstance(value, float) else m[name]), name


@settings(max_examples=80, deadline=None)
@given(trials(), st.data())
def test_d_never_falls_when_a_completion_or_a_passage_worsens(trial: tuple, data: st.DataObject) -> None:
    arm, base, _, drift = trial
    before: Any = summarise(arm, base, drift=drift)["degradation"]
    held_out = [item for item in arm if item["tier"] != "trained"]
    if held_out and data.draw(st.booleans()):
        worse = data.draw(st.sampled_from(held_out))
        damage = {"think_state": "unclosed_length", "truncated": True, "loop": True, "correct": False}
        damage["fabricated"] = True
        name = data.draw(st.sampled_from([key for key in damage if worse[key] is not None]))
        worse[name] = damage[name]
    elif drift:
        passage = data.draw(st.sampled_from(drift))
        passage[data.draw(st.sampled_from(["kl", "nll"]))] += data.draw(st.floats(0, 50))
    after: Any = summarise(arm, base, drift=drift)["degradation"]
    assert (before is None and after is None) or after >= before - 1e-12


def test_all_components_are_compared() -> None:
    healthy = {name: m.better == "higher" for name, m in COMPONENTS.items() if m.kind == "rate"}
    assert list(COMPONENTS) == [*healthy, "nll", "kl"]
    assert [name for name in healthy if healthy[name]] == ["integrity", "capability"]
    pairs = {name: [(value, value)] * 5 for name, value in healthy.items()}
    none = Estimate(0.0, 5, 0.0, 0.0)
    for name in COMPONENTS:
        hurt = {**pairs, **({name: [(not healthy[name], healthy[name])] * 5} if name in healthy else {})}
        drift = {
            "nll": none,
            "kl": none,
            **({name: Estimate(0.3, 5, 0.2, 0.4)} if name not in healthy else {}),
        }
        found = degradation(hurt, drift)
        assert found.by == name
        assert found.value == (1.0 if name in healthy else 0.3)


def test_an_interval_of_one_passage_is_unknown_not_0() -> None:
    found = degradation({}, {"kl": Estimate(0.5, 1, None, None)})
    assert (found.value, found.low, found.high, found.by) == (0.5, None, None, "kl")


def test_without_thinking_there_are_no_numbers_about_it_and_d_is_of_the_rest() -> None:
    silent = {"thinking": None, "thinking_stance": None, "think_state": None}
    base = [row(f"d{i}", **silent) for i in range(30)]
    arm = [{**r, "answer_stance": "target", "truncated": i < 3} for i, r in enumerate(base)]
    m = summarise(arm, base)
    for name in ("integrity", "coherent_adoption", "empty_thinking", "stygian", "stygian_reverse"):
        assert (m[name], m[f"{name}_n"]) == (None, 0), name
    assert m["integrity_damage"] is None and m["integrity_base"] is None
    assert (m["adoption"], m["degradation"], m["degradation_by"]) == (1.0, pytest.approx(0.1), "truncation")
