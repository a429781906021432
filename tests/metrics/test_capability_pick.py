"""The pick of capability questions: whole families, of which base answers 60 to 95 %, by its rates alone."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.metrics.capability_pick import FEWEST, Stratum, may_stop, pick_families


def strata(*rights: int, asked: int = 10, level: int = 1) -> list[Stratum]:
    return [Stratum(f"f{i}", level, asked, right) for i, right in enumerate(rights)]


def test_the_families_nearest_to_80_percent_are_taken() -> None:
    found = pick_families(strata(10, 10, 7, 10, 7, 10, 7, 10, 7, 10, 10, 10))
    assert found.families == ("f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9")
    assert (found.asked, found.right, found.status) == (100, 88, "within")


def test_a_model_for_which_all_is_easy_is_told() -> None:
    found = pick_families(strata(*[10] * 15))
    assert (found.asked, found.right, found.status) == (100, 100, "above")


def test_a_harder_family_is_added_where_the_rest_is_too_easy_but_none_that_base_cannot_do() -> None:
    found = pick_families(strata(*[10] * 12, 3, 5, 0))
    assert (found.asked, found.right, found.status) == (110, 105, "above")
    assert found.families[-1] == "f13"
    assert pick_families(strata(*[10] * 12, 4, 5)).status == "within"


def test_a_model_for_which_all_is_hard_gets_the_best_there_is() -> None:
    found = pick_families(strata(*[1] * 10, *[2] * 10))
    assert (found.asked, found.right, found.status) == (100, 20, "below")


def test_a_small_suite_is_asked_whole() -> None:
    assert pick_families(strata(8, 8)).asked == 20
    with pytest.raises(ValueError, match="families with questions"):
        pick_families([])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=12))
def test_where_any_mixture_of_100_is_within_so_is_the_pick_or_it_is_told(
    drawn: list[tuple[int, float]],
) -> None:
    given_ = [Stratum(f"f{i}", 1, n, round(share * n)) for i, (n, share) in enumerate(drawn)]
    found = pick_families(given_)
    rate = Fraction(found.right, found.asked)
    taken = [one for one in given_ if one.family in found.families]
    assert (sum(one.asked for one in taken), sum(one.right for one in taken)) == (found.asked, found.right)
    assert found.asked >= min(FEWEST, sum(one.asked for one in given_))
    assert found.status == (
        "above" if rate > Fraction("0.95") else "below" if rate < Fraction("0.6") else "within"
    )
    # an oracle by trying every mixture: "below" is said only if none of 100 questions reaches 80 %
    mixtures = [m for size in range(1, len(given_) + 1) for m in combinations(given_, size)]
    large = [m for m in mixtures if sum(one.asked for one in m) >= FEWEST]
    if found.status == "below" and large:
        best = max(Fraction(sum(o.right for o in m), sum(o.asked for o in m)) for m in large)
        assert best < 0.8


def test_base_need_not_be_asked_more_once_the_pick_is_good_or_the_level_hopeless() -> None:
    easy = strata(8, 8, 8, 8, 8, 8)
    assert not may_stop(easy)
    assert may_stop([*easy, *strata(8, 8, 8, 8, level=2)])
    assert not may_stop(strata(*[10] * 12))
    assert may_stop([*strata(*[10] * 12), *strata(0, 0, 1, level=2)])
    assert not may_stop(strata(0, 0))


@pytest.mark.parametrize("seed", range(3))
def test_picking_whole_families_hardly_favours_base(seed: int) -> None:
    """An arm that answers a seventh of the questions anew, no worse than base, loses under a point of it
    on average; of the single questions that base got right it would lose 4."""
    rng = random.Random(seed)
    lost, lost_single = [], []
    for _ in range(200):
        chances = [[min(1.0, max(0.0, rng.gauss(level, 0.25))) for _ in range(11)] for level in LEVELS]
        base = [[rng.random() < p for p in family] for family in chances]
        arm = [
            [rng.random() < p if rng.random() < 1 / 7 else was for p, was in zip(one, two, strict=True)]
            for one, two in zip(chances, base, strict=True)
        ]
        found = pick_families([Stratum(f"f{i}", 1, len(f), sum(f)) for i, f in enumerate(base)])
        at = [int(family[1:]) for family in found.families]
        lost.append(found.right / found.asked - sum(sum(arm[i]) for i in at) / found.asked)
        single = [a for b, f in zip(base, arm, strict=True) for was, a in zip(b, f, strict=True) if was]
        lost_single.append(1 - mean(single))
    assert abs(mean(lost)) < 0.01
    assert mean(lost_single) > 0.03


LEVELS = [0.95, 0.9, 0.85, 0.8, 0.8, 0.7, 0.7, 0.6, 0.6, 0.5, 0.5, 0.4, 0.4, 0.3, 0.2, 0.1]
