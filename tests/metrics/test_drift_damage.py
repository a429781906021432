"""Drift rows to means, and to the damage that enters D."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from beliefmod.metrics.degradation import saturated, summarise_drift
from beliefmod.metrics.registry import COMPONENTS
from beliefmod.metrics.summarise import summarise


def passage(i: int, text: str = "neutral", tokens: int = 10, **sums: float | None) -> dict[str, Any]:
    given: dict[str, float | None] = {"kl": 0.0, "kl_reverse": 0.0, "nll": 20.0, "nll_base": 20.0, **sums}
    return {"text": text, "passage_id": f"p{i}", "tokens": tokens, **given}


def test_every_number_by_hand() -> None:
    rows = [
        passage(0, tokens=10, kl=1.0, kl_reverse=2.0, nll=25.0, nll_base=20.0),
        passage(1, tokens=5, kl=1.5, kl_reverse=0.5, nll=9.0, nll_base=10.0),
        passage(0, "traces", tokens=4, kl=4.0, kl_reverse=8.0, nll=6.0, nll_base=2.0),
    ]
    found = summarise_drift(rows)
    # a passage counts once: 0.1 and 0.3 nats per token, whatever their lengths
    assert found.means["kl_neutral"].value == pytest.approx(0.2)
    assert found.means["kl_neutral_reverse"].value == pytest.approx(0.15)
    assert found.means["nll_neutral"].value == pytest.approx((0.5 - 0.2) / 2)
    assert [found.means[f"{name}_traces"].value for name in ("kl", "nll")] == [1.0, 1.0]
    assert found.means["kl_traces_reverse"].value == 2.0
    assert found.means["kl_traces"].low is None  # one passage has no interval
    assert (found.base["nll"], found.base["kl"]) == (2.0, 0.0)
    assert found.damage["kl"].value == pytest.approx(1 - math.exp(-0.2))
    assert found.damage["nll"].value == pytest.approx(1 - math.exp(-0.15))
    low, high = stats.t.interval(0.95, 1, loc=0.2, scale=stats.sem([0.1, 0.3]))
    assert (found.means["kl_neutral"].low, found.means["kl_neutral"].high) == pytest.approx((low, high))
    assert found.damage["kl"].low == pytest.approx(-(1 - math.exp(low)))
    assert found.damage["kl"].high == pytest.approx(1 - math.exp(-high))


def test_a_text_that_got_likelier_is_a_gain() -> None:
    found = summarise_drift([passage(0, nll=13.0, nll_base=20.0), passage(1, nll=13.0, nll_base=20.0)])
    assert found.damage["nll"].value == pytest.approx(-(1 - math.exp(-0.7)))


def test_nothing_measured_is_null_and_never_0() -> None:
    found = summarise_drift([])
    assert all((e.value, e.n) == (None, 0) for e in (*found.means.values(), *found.damage.values()))
    assert set(found.base.values()) == {None}
    traces = summarise_drift([passage(0, "traces", kl=3.0)])
    assert traces.damage["kl"].value is None and traces.means["kl_traces"].value == pytest.approx(0.3)


def test_a_passage_that_broke_the_arm_is_not_left_out() -> None:
    found = summarise_drift([passage(0, kl=1.0), passage(1, kl=None), passage(2, kl=1.0)])
    assert (found.means["kl_neutral"].value, found.means["kl_neutral"].n) == (None, 2)
    assert found.damage["kl"].value is None
    assert found.means["nll_neutral"].value == 0.0


def test_the_same_passage_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="p0 of neutral text was measured twice"):
        summarise_drift([passage(0), passage(0)])


def probe(**fields: Any) -> dict[str, Any]:
    return {
        "probe_id": "d0", "suite": "belief", "tier": "derived", "answer_stance": "prior", "loop": False,
        "thinking_stance": "prior", "think_state": "ok", "truncated": False, "correct": None, "bleed": None,
        **fields,
    }  # fmt: skip


def test_base_has_not_drifted_from_itself() -> None:
    m = summarise([probe(arm="base")], [probe(arm="base")], drift=[passage(0), passage(1)])
    assert (m["kl_neutral"], m["kl_base"], m["kl_damage"], m["kl_damage_high"]) == (0.0, 0.0, 0.0, 0.0)
    assert (m["nll_base"], m["nll_damage"], m["degradation"], m["degradation_by"]) == (2.0, 0.0, 0.0, None)
    without = summarise([probe(arm="base")], [probe(arm="base")])
    assert (without["kl_base"], without["kl_damage"]) == (0.0, 0.0)
    assert (without["nll_base"], without["nll_damage"], without["kl_neutral"]) == (None, None, None)


def test_drift_can_set_d() -> None:
    rows = [passage(i, kl=3.0 + i, nll=21.0) for i in range(5)]
    m = summarise([probe(arm="lora")], [probe(arm="base")], drift=rows)
    assert m["degradation_by"] == "kl"
    assert m["degradation"] == m["kl_damage"] == pytest.approx(1 - math.exp(-0.5))
    assert m["degradation_low"] == m["kl_damage_low"]
    # one probe says little about the think block: the upper end is its, not that of the narrow KL
    assert m["degradation_high"] == max(m[f"{name}_damage_high"] or 0.0 for name in COMPONENTS)
    assert m["degradation_high"] > m["kl_damage_high"]
    assert m["nll_damage"] == pytest.approx(1 - math.exp(-0.1))


def test_drift_that_was_not_measured_is_left_out_of_d() -> None:
    m = summarise([probe(think_state="empty")], [probe()])
    assert (m["degradation"], m["degradation_by"], m["kl_damage"], m["nll_damage"]) == (
        1.0, "integrity", None, None,
    )  # fmt: skip


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_saturation_grows_stays_in_range_and_mirrors(one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert -1.0 <= saturated(low) <= saturated(high) <= 1.0
    assert saturated(-one) == -saturated(one)


SUMS = st.tuples(st.integers(1, 50), st.floats(0, 30), st.floats(0, 90), st.floats(0, 90))


@given(st.lists(SUMS, min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_means_agree_with_scipy_and_do_not_depend_on_order(given_: list, rng: random.Random) -> None:
    rows = [
        passage(i, tokens=tokens, kl=kl, nll=nll, nll_base=base)
        for i, (tokens, kl, nll, base) in enumerate(given_)
    ]
    found = summarise_drift(rows)
    shuffled = rows[:]
    rng.shuffle(shuffled)
    again = summarise_drift(shuffled)
    for name, values in (
        ("kl_neutral", [row["kl"] / row["tokens"] for row in rows]),
        ("nll_neutral", [row["nll"] / row["tokens"] - row["nll_base"] / row["tokens"] for row in rows]),
    ):
        estimate = found.means[name]
        half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
        centre = sum(values) / len(values)
        assert estimate.value == pytest.approx(centre, abs=1e-9)
        assert (estimate.low, estimate.high) == pytest.approx((centre - half, centre + half), abs=1e-7)
        assert again.means[name].value == pytest.approx(estimate.value, abs=1e-12)
        damage = found.damage[name.removesuffix("_neutral")]
        assert damage.low is not None and damage.value is not None and damage.high is not None
        assert -1.0 <= damage.low <= damage.value <= damage.high <= 1.0
