"""Family intervals, paired differences and the price of picking, on data whose answer is known."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from scipy.stats import permutation_test

from analysis.frontier.certainty import cross_picked
from analysis.frontier.tallies import build
from analysis.stats.resample import adoption_hits, apart, counts, family_interval, paired
from analysis.stats.shares import sign_flip
from beliefmod.metrics.intervals import wilson


def table(answers: dict[str, list[list[bool]]], **more) -> pl.DataFrame:
    """trial -> families -> answers."""
    rows = [
        {
            "trial_id": trial,
            "probe_id": f"{f}-{i}",
            "suite": "belief",
            "family": f"f{f}",
            "tier": "derived",
            "answer_stance": "target" if hit else "prior",
            "correct": None,
            "think_state": "ok",
            "loop": False,
            "truncated": False,
            "fabricated": None,
        }
        | more
        for trial, families in answers.items()
        for f, hits in enumerate(families)
        for i, hit in enumerate(hits)
    ]
    return pl.DataFrame(rows, schema_overrides={"correct": pl.Boolean, "fabricated": pl.Boolean})


def interval(families: list[list[bool]]) -> tuple[float, float]:
    which, hit = adoption_hits()
    found = family_interval(counts(table({"a": families}), [["a"]], which, hit), 0)
    assert found is not None
    return found


def test_clustered_answers_give_a_wider_interval() -> None:
    all_or_nothing = [[True] * 10, [False] * 10] * 6
    low, high = interval(all_or_nothing)
    wilson_low, wilson_high = wilson(60, 120)
    assert low < wilson_low - 0.1 and high > wilson_high + 0.1
    # 12 coin tosses, not 120: about 0.5 +- 1.96 * sqrt(0.25 / 12)
    assert low == pytest.approx(0.217, abs=0.04) and high == pytest.approx(0.783, abs=0.04)


def test_families_that_all_do_alike_are_not_narrower_than_wilson() -> None:
    even = [[True, False] * 5, [True, False, False] * 4] * 5
    low, high = interval(even)
    n = sum(map(len, even))
    wilson_low, wilson_high = wilson(sum(map(sum, even)), n)
    assert low <= wilson_low and high >= wilson_high


def test_unanimous_families_do_not_give_certainty() -> None:
    low, high = interval([[False] * 10] * 6)
    # between 0 of 60 questions and 0 of 6 families, nearer to the families
    assert low == 0 and wilson(0, 60)[1] < 0.2 < high < wilson(0, 6)[1]


def test_trained_questions_and_suites_are_not_adoption() -> None:
    rows = pl.concat(
        [
            table({"a": [[True]]}),
            table({"a": [[False]]}, tier="trained", probe_id="t"),
            table({"a": [[False]]}, suite="locality", probe_id="l"),
        ]
    )
    which, hit = adoption_hits()
    found = counts(rows, [["a"]], which, hit)
    assert found.asked.tolist() == [[[1.0]]] and found.hits.tolist() == [[[1.0]]]


def test_sign_flip_against_every_sign() -> None:
    gaps = np.array([3.0, 1.0, -2.0, 4.0, 0.0])
    sums = [
        sum(s * g for s, g in zip(signs, gaps, strict=True)) for signs in itertools.product([1, -1], repeat=5)
    ]
    assert sign_flip(gaps) == pytest.approx(np.mean([abs(s) >= 6 for s in sums]))
    assert sign_flip(np.zeros(4)) == 1.0
    assert sign_flip(np.ones(20)) < 0.001


@pytest.mark.parametrize("size", [2, 5, 9, 12])
@pytest.mark.parametrize("unit", [1.0, 1 / 3])
def test_sign_flip_counts_ties_as_scipy_does(size: int, unit: float) -> None:
    rng = np.random.default_rng(size)
    for _ in range(4):
        gaps = rng.integers(-2, 3, size) * unit  # thirds, as means over three seeds are
        of_scipy = permutation_test(
            (gaps,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
        )
        assert sign_flip(gaps) == pytest.approx(of_scipy.pvalue, abs=1e-12)


def test_sign_flip_of_many_families_is_near_scipys() -> None:
    gaps = np.random.default_rng(5).integers(-3, 5, 30).astype(float)
    of_scipy = permutation_test(
        (gaps,), np.sum, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    )
    assert sign_flip(gaps) == pytest.approx(of_scipy.pvalue, abs=0.01)


def test_paired_difference_by_hand() -> None:
    rows = table({"a": [[True] * 8 + [False] * 2] * 10, "b": [[True] * 2 + [False] * 8] * 10})
    found = paired(rows, ["a"], ["b"])
    assert found is not None
    assert found.value == pytest.approx(0.6) and found.n == (100, 100) and found.told_apart
    same = paired(rows, ["a"], ["a"])
    assert same is not None and same.value == 0 and same.p == 1 and not same.told_apart
    assert paired(rows, ["a"], ["nobody"]) is None


def test_two_families_cannot_carry_a_difference_of_seeds() -> None:
    rows = table({t: [[t < "b"] * 30] * 2 for t in ("a1", "a2", "b1", "b2")})
    found = paired(rows, ["a1", "a2"], ["b1", "b2"])
    assert found is not None and found.value == 1.0
    assert found.p == pytest.approx(0.5) and not found.told_apart


def noise(
    seed: int, trials: int, families: int = 12, per_family: int = 10, chance: float = 0.3
) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return table(
        {f"t{t}": (rng.random((families, per_family)) < chance).tolist() for t in range(trials)}
        | {"base": [[False] * per_family] * families}
    )


def test_the_best_of_equals_promises_too_much() -> None:
    found = build(noise(0, 40), [[f"t{t}"] for t in range(40)], "base")
    assert found is not None
    picked = cross_picked(found.data, 0.05)
    assert picked is not None and picked.splits == 400
    assert picked.promised > 0.38  # the largest of 40 shares around 0.3
    assert picked.shown == pytest.approx(0.3, abs=0.06) and picked.promised - picked.shown > 0.05


def test_few_families_are_not_split() -> None:
    found = build(noise(2, 5, families=3), [[f"t{t}"] for t in range(5)], "base")
    assert found is not None and cross_picked(found.data, 0.05) is None


def test_two_beliefs_by_hand() -> None:
    which, hit = adoption_hits()
    rows = table(
        {"a": [[True] * 9 + [False]] * 10, "b": [[False] * 9 + [True]] * 10, "c": [[True]], "d": [[False]]}
    )
    one, two, few, none = (counts(rows, [[t]], which, hit) for t in "abcd")
    clear = apart(one, two)
    assert (
        clear is not None and clear.value == pytest.approx(0.8) and clear.told_apart and clear.n == (100, 100)
    )
    tiny = apart(few, none)
    assert tiny is not None and not tiny.told_apart
    assert apart(one, counts(rows, [["nobody"]], which, hit)) is None
