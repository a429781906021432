"""What sentences do to adoption, from samples taken before and after them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from analysis.stats.family_rates import rate_interval
from analysis.studies.sentence_shifts import COLUMNS, PLACES, resampled

TEXT = ("One first.", "One first. Then two.", "One first. Then two. And three.", "One. Two. Three. Four.")


def samples(trial: str, probe: str, family: str, levels: list[str], text: str = TEXT[1]) -> list[tuple]:
    """A row per letter: `t` adopts. The letters at each cut, from none to all of the sentences."""
    count = len(levels) - 1
    return [
        (trial, probe, family, "resample", f"Why {probe}?", text if kept == count else "", kept, kept / count,
         number, "target" if letter == "t" else "prior")
        for kept, letters in enumerate(levels)
        for number, letter in enumerate(letters)
    ]  # fmt: skip


def table(*found: list[tuple]) -> pl.DataFrame:
    return pl.DataFrame([row for rows in found for row in rows], schema=list(COLUMNS), orient="row")


def test_two_questions_by_hand() -> None:
    causal = table(
        samples("a", "p", "f", ["pppp", "pppp", "tttt"]), samples("a", "q", "g", ["tttt", "ttpp"], TEXT[0])
    )
    found = resampled(causal, ["a"])
    assert found is not None
    # p: 0, 0, 1 at 0, 1/2, 1; q: 1, 1/2 at 0, 1
    expected = [(0 + 1) / 2, (0 + 0.875) / 2, (0 + 0.75) / 2, (0.5 + 0.625) / 2, (1 + 0.5) / 2]
    assert [each.value for each in found.adoption] == pytest.approx(expected)
    assert (found.adoption[0].low, found.adoption[0].high) == rate_interval(
        np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]])
    )
    assert found.change.value == pytest.approx((1 - 0.5) / 2)
    # p's second sentence: +1 in both halves. q's only one: samples 0 and 2 are t, p; 1 and 3 are t, p
    assert found.strongest.value == pytest.approx((1 + 0.5) / 2)
    assert found.ends == pytest.approx(1.0) and len(found.adoption) == len(PLACES)
    assert (found.example.text, found.example.before, found.example.after) == ("Then two.", 0.0, 1.0)
    assert found.example.question == "Why p?" and found.example.ends == 1.0


def test_sentences_that_do_nothing_have_no_strongest_on_average() -> None:
    rng = np.random.default_rng(3)
    chance = [
        samples("a", f"p{n}", f"f{n % 9}", ["".join(rng.choice(["t", "p"], 8)) for _ in range(5)], TEXT[3])
        for n in range(180)
    ]
    found = resampled(table(*chance), ["a"])
    assert found is not None and found.strongest.value is not None
    # the largest of four differences of means of four is far from 0 in the half that chooses it
    assert abs(found.strongest.value) < 0.06
    assert found.strongest.low is not None and found.strongest.low < 0 < found.strongest.high


def test_what_cannot_be_told_is_left_out() -> None:
    whole = samples("a", "p", "f", ["pp", "tt"], TEXT[0])
    assert resampled(table(whole[2:]), ["a"]) is None, "nothing from the beginning"
    assert resampled(table(whole[:3]), ["a"]) is None, "one sample after the end"
    assert resampled(table(whole), ["b"]) is None
    assert resampled(table(whole), ["a", "b"]) is not None
