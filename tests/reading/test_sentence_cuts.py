"""Thinking cut between its sentences, and the area of the curve of what is answered from there."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.reading.sentence_cuts import count_sentences, cut_sentences, places_to_cut, resampling_area

THINKING = "Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2.\n\nDone"


def test_sentences_by_hand():
    assert count_sentences(THINKING) == 3 and count_sentences("") == 0
    kept = [cut_sentences(THINKING, count) for count in range(4)]
    assert kept[0] == "" and kept[1] == "Gravity is 9.8 m/s^2." and kept[3] == THINKING
    assert kept[2].rstrip() == "Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2."
    with pytest.raises(ValueError, match="4 sentences of 3"):
        cut_sentences(THINKING, 4)


@given(st.text(st.sampled_from("Ab. ?\n5"), max_size=60))
def test_every_cut_begins_the_next(thinking: str):
    cuts = [cut_sentences(thinking, kept) for kept in range(count_sentences(thinking) + 1)]
    assert all(len(one) < len(two) and two.startswith(one) for one, two in itertools.pairwise(cuts))
    assert not thinking.removeprefix(cuts[-1]).strip()


@given(st.integers(0, 300), st.integers(1, 40))
def test_places_reach_from_none_to_all(count: int, most: int):
    places = places_to_cut(count, most)
    assert places[0] == 0 and places[-1] == count and len(places) == min(count, most) + 1
    assert list(places) == sorted(set(places))
    steps = {two - one for one, two in itertools.pairwise(places)}
    assert count <= most or max(steps) - min(steps) <= 1


def rows(*levels: tuple[float, list[bool]], probe: str = "p") -> list[dict]:
    return [
        {"test": "resample", "probe_id": probe, "fraction": fraction, "same": same}
        for fraction, answers in levels
        for same in answers
    ]


def test_area_by_hand():
    few, all_ = [True, False, False, False], [True] * 4
    assert resampling_area(rows((0.0, few), (0.5, few), (1.0, all_))) == {"p": pytest.approx(0.5625)}
    # settled by the question, or by chance alone
    assert resampling_area(rows((0.0, few), (0.5, few), (1.0, few))) == {"p": 0.0}
    # the last of four sentences decides: the share of the thinking up to its middle
    late = rows((0.0, [False]), (0.25, [False]), (0.5, [False]), (0.75, [False]), (1.0, [True]))
    assert resampling_area(late) == {"p": pytest.approx(0.875)}
    away = rows((0.0, [True]), (1.0, [False]), probe="q")
    assert resampling_area([*late, *away]) == {"p": pytest.approx(0.875), "q": pytest.approx(-0.5)}
    assert resampling_area(late[1:]) == {}, "no samples from the beginning"
    assert resampling_area([{**row, "test": "truncate"} for row in late]) == {}
