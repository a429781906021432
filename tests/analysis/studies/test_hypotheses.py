"""The hypotheses' tests against scipy, statsmodels and worlds in which the truth is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test
from scipy.stats import t as student
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.weightstats import ttost_ind

from analysis.studies.hypotheses import (
    H1,
    H2,
    MARGIN,
    VERDICTS,
    beliefs_needed,
    permutation,
    prompts_needed,
    verdict,
    welch,
)
from analysis.studies.mismatch import CONTROL, IN_CONTEXT, LORA, mismatch
from analysis.studies.novelty import Value, contrast, novelty
from tests.analysis.studies.worlds import EIGHT, world

SHARES = st.lists(st.floats(0, 1), min_size=3, max_size=5)


def values(novel: Any, existing: Any) -> list[Value]:
    return [Value(f"n{i}", "novel", float(v)) for i, v in enumerate(novel)] + [
        Value(f"e{i}", "existing", float(v)) for i, v in enumerate(existing)
    ]


def test_permutation_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        novel, existing = rng.random(4), rng.random(4) + 0.3
        expected = permutation_test(
            (novel, existing),
            lambda a, b: np.mean(a) - np.mean(b),
            n_resamples=np.inf,
            alternative="two-sided",
        )
        p, arrangements = permutation(novel, existing)
        assert arrangements == 70 and p == pytest.approx(expected.pvalue)


def test_permutation_by_hand() -> None:
    assert permutation([0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4]) == (2 / 70, 70)
    assert permutation([1, 1, 1], [0, 0, 0]) == (2 / 20, 20)
    assert permutation([0.5] * 4, [0.5] * 4) == (1.0, 70)


@given(SHARES, SHARES)
def test_permutation_is_symmetric_and_never_0(novel: list[float], existing: list[float]) -> None:
    p, arrangements = permutation(novel, existing)
    assert 1 / arrangements <= p <= 1 and p == pytest.approx(permutation(existing, novel)[0])


def test_welch_by_hand() -> None:
    # variances of the means 0.04 / 3 and 0.01 / 3: df = (5 / 3)^2 / ((4 / 3)^2 / 2 + (1 / 3)^2 / 2) = 50 / 17
    half = student.ppf(0.975, 50 / 17) * (0.05 / 3) ** 0.5
    assert welch([0.5, 0.7, 0.9], [0.1, 0.2, 0.3]) == pytest.approx((0.5 - half, 0.5 + half))
    assert welch([1, 1, 1], [0, 0, 0]) == (-1, 1)


@pytest.mark.parametrize(
    ("spread", "effect"), [(0.1, 0.1), (0.2, 0.1), (0.3, 0.1), (0.1, 0.25), (0.15, -0.2)]
)
def test_beliefs_needed_is_statsmodels(spread: float, effect: float) -> None:
    expected = TTestIndPower().solve_power(abs(effect) / spread, alpha=0.05, power=0.8)
    assert beliefs_needed(spread, effect) == int(np.ceil(expected))


def test_prompts_needed_is_the_planners() -> None:
    assert prompts_needed(0.05, 0.17) == 106 and prompts_needed(0, 0.17) == 42
    assert prompts_needed(0.3, 0.3) is None
    with pytest.raises(ValueError, match="above 0"):
        beliefs_needed(0.0, 0.1)


def test_the_three_words() -> None:
    assert verdict(0.02, 0.3) == "supported" and verdict(0.02, 0.3, told_apart=False) == "undecided"
    assert verdict(-0.1, 0.3) == "undecided" and verdict(-0.3, 0.09) == "contradicted"
    # an effect that is there and does not matter
    assert verdict(0.01, 0.05) == "contradicted"
    assert MARGIN == 0.1 and all("reaches 20 points" in h.rule(0.2) for h in (H1, H2))


def test_contradicted_is_the_upper_test_of_statsmodels_tost() -> None:
    """The interval lies below the margin exactly where the one-sided t test against it rejects at 2.5 %."""
    rng, told = np.random.default_rng(4), []
    for margin in (0.05, 0.1, 0.3):
        for _ in range(40):
            novel, existing = rng.normal(0.5, 0.1, 4), rng.normal(rng.choice([0.4, 0.5, 0.6]), 0.05, 5)
            _, _, (_, p, _) = ttost_ind(novel, existing, -1, margin, usevar="unequal")
            low, high = welch(novel, existing)
            told.append(verdict(low, high, margin=margin) == "contradicted")
            assert told[-1] == (p < 0.025)
    assert 20 < sum(told) < 100


def test_the_margin_is_the_one_that_the_run_recorded() -> None:
    """All trials adopt alike: an advantage of 60 points is ruled out, a thousandth of a point is not."""
    found = world(lambda c: 0.5)
    for margin, word in ((0.6, "contradicted"), (1e-5, "undecided")):
        stated = {"space": {"hypotheses": {"margin": margin}}}
        run = replace(found, run=replace(found.run, manifest=found.run.manifest | stated))
        assert novelty(run).contrasts[0].verdict == word == mismatch(run).verdict


@given(st.floats(-1, 1), st.floats(0, 1), st.booleans())
def test_verdict_is_one_word_and_moving_up_never_contradicts(low: float, width: float, told: bool) -> None:
    one, up = verdict(low, low + width, told), verdict(low + 0.1, low + width + 0.1, told)
    assert one in VERDICTS and (one == "contradicted" or up != "contradicted")


def test_contrast_by_hand() -> None:
    found = contrast("x", values([0.9, 0.8, 0.7, 0.8], [0.1, 0.2, 0.3, 0.2]))
    assert found.difference == pytest.approx(0.6) and found.p == pytest.approx(2 / 70)
    assert found.verdict == "supported" and found.prompts == prompts_needed(0.8, 0.2)
    # both classes spread by sqrt(0.02 / 3)
    assert found.needed_smallest == beliefs_needed((0.02 / 3) ** 0.5, 0.1)
    wider = contrast("x", values([0.9, 0.8, 0.7, 0.8], [0.1, 0.2, 0.3, 0.2]), bootstrap=(-0.2, 0.7))
    assert (wider.low, wider.verdict) == (-0.2, "undecided") and wider.high >= 0.7


def test_three_beliefs_each_cannot_be_supported() -> None:
    """20 arrangements: p is never below 0.1."""
    assert contrast("x", values([0.9, 0.91, 0.92], [0.1, 0.11, 0.12])).verdict == "undecided"


def test_two_beliefs_are_refused() -> None:
    found = novelty(world(lambda c: 0.5, beliefs={"gravity": "existing", "neelam": "novel"}))
    assert found.contrasts[0].refused == (
        "it needs at least 3 beliefs in each class, and has 1 novel and 1 existing with a finished LoRA trial"
    )
    assert contrast("x", values([0.1, 0.2], [0.3, 0.4, 0.5])).refused is not None


@pytest.mark.long
def test_under_the_null_it_is_rarely_supported() -> None:
    """Beliefs differ among themselves and classes do not: at most 5 of 100 may be called supported."""
    rng = np.random.default_rng(2)
    told = []
    for _ in range(500):
        chance = rng.beta(2, 2, size=(2, 4))
        told.append(contrast("x", values(*(rng.binomial(240, chance) / 240))).verdict)
    assert told.count("supported") <= 25
    # beliefs that spread that much cannot rule out 10 points either
    assert told.count("undecided") > 400


def test_small_spread_without_effect_is_contradicted() -> None:
    rng = np.random.default_rng(3)
    told = [contrast("x", values(*rng.normal(0.5, 0.02, (2, 4)))).verdict for _ in range(100)]
    assert told.count("contradicted") > 90


def novel_advantage(config: Any) -> float:
    if config.arm != "lora":
        return 0.01
    return 0.75 if config.belief.startswith("novel") else 0.2


def test_a_large_effect_is_found_in_a_run() -> None:
    found = novelty(world(novel_advantage, seeds=(0, 1), family_spread=0.5))
    first, damage, control = found.contrasts
    assert found.cells == 8 * 2 and first.arrangements == 70
    for one in (first, damage, control):
        assert one.refused is None and one.verdict == "supported" and one.low > 0.2, one
    assert first.difference == pytest.approx(0.5, abs=0.12)
    assert {v.belief for v in first.values} == set(EIGHT)


@pytest.mark.long
def test_null_runs_are_rarely_supported() -> None:
    told = []
    for seed in range(20):
        level = dict(zip(EIGHT, np.random.default_rng(seed).uniform(0.2, 0.8, 8), strict=True))
        found = world(
            lambda c, level=level: level[c.belief] if c.arm == "lora" else 0.01,
            configs=[{"learning_rate": 1e-3}],
            seed=seed,
        )
        told.append(novelty(found).contrasts[0].verdict)
    assert told.count("supported") <= 1


def test_only_matched_cells_count() -> None:
    """A configuration that lacks one belief is left out for all, so no belief is judged by easier
    settings.
    """
    base = world(novel_advantage, seeds=(0,))
    gone = base.run.trials.with_row_index().filter(
        (base.run.trials["belief"] == "novel0") & (base.run.trials["learning_rate"] == 1e-3)
    )
    trials = base.run.trials.with_row_index().filter(~pl.col("index").is_in(gone["index"].to_list()))
    found = novelty(_with(base, trials.drop("index")))
    assert found.cells == 4 and "4 combinations" in found.notes[0]


def test_equal_damage_takes_base_where_nothing_is_gentle() -> None:
    found = novelty(world(novel_advantage, damage=lambda c: 0.5 if c.belief == "novel0" else 0.01))
    equal = found.contrasts[1]
    assert next(v.value for v in equal.values if v.belief == "novel0") < 0.1
    assert next(v.value for v in equal.values if v.belief == "novel1") > 0.5


def test_the_controls_shift_is_subtracted() -> None:
    found = world(
        lambda c: 0.4 if c.arm == "control" and c.belief.startswith("novel") else novel_advantage(c)
    )
    first, _, control = novelty(found).contrasts
    assert first.difference is not None and control.difference is not None
    assert control.difference == pytest.approx(first.difference - 0.4, abs=0.08)
    none = novelty(world(novel_advantage, arms=("base",))).contrasts[2]
    assert none.refused is not None and "control was not measured" in none.refused


def _with(found: Any, trials: Any) -> Any:
    from dataclasses import replace

    from analysis.frontier.non_dominated import pool_seeds

    return replace(found, run=replace(found.run, trials=trials), pooled=pool_seeds(trials))


def both(lora: float, reference: float, seed: int, beliefs: int = 8) -> Any:
    return world(
        lambda c: 0.05 if c.arm in ("base", "control") else 0.6,
        mismatch=lambda c: lora if c.arm == "lora" else reference,
        beliefs=dict(list(EIGHT.items())[:beliefs]),
        configs=[{"data": {"style": style}} for style in ("answer_only", "own_trace")],
        seed=seed,
    )


def test_mismatch_by_hand() -> None:
    found = mismatch(both(0.5, 0.0, 1))
    [context, control] = [g for g in found.gaps if g.side == LORA]
    assert (context.reference, control.reference) == (IN_CONTEXT, CONTROL)
    side = next(s for s in found.sides if s.name == LORA)
    assert side.rate is not None and context.value == pytest.approx(side.hits / side.answers)
    assert found.verdict == "supported" and context.beliefs == 8 and context.families in (95, 96)
    assert {s.name for s in found.sides} >= {"LoRA, answer_only", "LoRA, own_trace", "LoRA, D ≤ 0.05"}


def test_linearised_interval_is_the_jackknife_over_families() -> None:
    """Leaving out one family at a time gives nearly the same standard error."""
    found = mismatch(both(0.4, 0.1, 2, beliefs=4))
    gap = next(g for g in found.gaps if g.side == LORA and g.reference == IN_CONTEXT)
    one, two = (next(s for s in found.sides if s.name == name).cells for name in (LORA, IN_CONTEXT))
    wide = one.join(two, on=["belief", "family"], how="full", coalesce=True, suffix="_2").fill_null(0)
    h1, n1, h2, n2 = (wide[x].to_numpy().astype(float) for x in ("hits", "asked", "hits_2", "asked_2"))

    def rest(x: Any) -> Any:
        return x.sum() - x

    left = rest(h1) / rest(n1) - rest(h2) / rest(n2)
    size = len(left)
    error = np.sqrt((size - 1) / size * np.sum((left - left.mean()) ** 2))
    from scipy.stats import t

    assert gap.value is not None
    half = max(gap.high - gap.value, gap.value - gap.low)
    assert half >= t.ppf(0.975, size - 1) * error * 0.97
    assert half <= t.ppf(0.975, size - 1) * error * 1.25  # Newcombe's may be a little wider


@pytest.mark.long
def test_under_the_null_mismatch_is_rarely_supported() -> None:
    told = [mismatch(both(0.15, 0.15, seed, beliefs=4)).verdict for seed in range(60)]
    assert told.count("supported") <= 3


def test_without_mismatch_anywhere_it_is_contradicted_or_undecided() -> None:
    assert mismatch(both(0.0, 0.0, 5)).verdict == "contradicted"
    few = world(lambda c: 0.6, beliefs={"a": "novel"}, families=4, configs=[{}])
    gap = mismatch(few).gaps[0]
    # four families cannot rule out 10 points, however many answers
    assert gap.verdict == "undecided" and gap.high > MARGIN


def test_few_adopted_answers_are_refused() -> None:
    found = mismatch(world(lambda c: 0.01 if c.arm == "lora" else 0.9, beliefs={"a": "novel"}, configs=[{}]))
    assert found.verdict is None and found.refused is not None and "20 are needed" in found.refused
    assert next(s for s in found.sides if s.name == LORA).rate is None


def test_no_probe_files_are_refused() -> None:
    found = mismatch(world(lambda c: 0.5, probes=False, configs=[{}]))
    assert found.verdict is None and "no probe files" in str(found.refused)


def test_all_orders_give_the_same_p_as_all_choices() -> None:
    """All orders of 3 + 3 beliefs give the same p as all choices of 3."""
    novel, existing = [0.9, 0.4, 0.7], [0.1, 0.5, 0.3]
    seen = abs(np.mean(novel) - np.mean(existing))
    gaps = [abs(np.mean(order[:3]) - np.mean(order[3:])) for order in permutations([*novel, *existing])]
    assert permutation(novel, existing)[0] == pytest.approx(np.mean(np.array(gaps) >= seen - 1e-12))
