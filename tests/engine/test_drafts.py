"""What is drafted, and when it pays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.engine.drafts import MOST_DRAFTED, Answers, Draft, Pace, Text, worthwhile


def drafts_of(*chances):
    """Drafts that have much to say, each right as often as given."""
    text = Text(tuple(range(100)))
    return [Draft([text], text, hits=100 * c, misses=100 * (1 - c)) for c in chances]


def test_an_answer_that_agrees_is_foretold_to_its_end():
    draft = Draft([Text((1, 2, 3, 4, 5))], Text((9, 8)))
    assert draft.guess(3) == (1, 2, 3)
    draft.wrote([1, 2])
    assert draft.guess(9) == (3, 4, 5)
    draft.wrote([3, 4, 5])
    assert draft.guess(9) == ()


def test_a_draft_that_went_astray_is_picked_up_where_two_tokens_agree():
    draft = Draft([Text((7, 1, 2, 3, 4))], Text((6, 5, 6, 5, 0)))
    draft.wrote([9])
    assert draft.guess(2) == ()
    draft.wrote([1, 2])
    assert draft.guess(2) == (3, 4)
    draft.wrote([6, 5])
    assert draft.guess(2) == (0,)


def test_a_row_that_repeats_itself_is_drafted_from_its_own_text():
    draft = Draft([], Text((1,)))
    draft.wrote([7, 8, 9, 7, 8])
    assert draft.guess(7) == (9, 7, 8, 9, 7, 8, 9)
    draft.wrote([9, 7, 8, 9])
    assert draft.guess(2) == (7, 8) and draft.ahead == MOST_DRAFTED


def test_the_text_that_agrees_with_most_is_followed():
    draft = Draft([Text((5, 1, 2, 3)), Text((6, 1, 2, 4))], Text((0,)))
    draft.wrote([5, 1, 2])
    assert draft.guess(1) == (3,)


def test_the_newest_answers_come_first_and_few_are_kept():
    answers = Answers()
    for number in range(9):
        answers.add((1, 2), (number,) * 3)
    answers.add((1, 2), (8, 8, 8))
    assert [text.ids[0] for text in answers.to((1, 2))] == [5, 6, 7, 8]
    assert Draft(answers.to((1, 2)), Text((1, 2))).guess(1) == (8,)
    assert answers.to((3,)) == ()


def test_the_oldest_prompts_go_when_there_are_too_many_tokens(monkeypatch):
    monkeypatch.setattr("beliefmod.engine.drafts._MOST_TOKENS", 25)
    answers = Answers()
    for number in range(4):
        answers.add((number,), (5,) * 10)
    assert [bool(answers.to((number,))) for number in range(4)] == [False, False, True, True]


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(1e-4, 10)), min_size=2, max_size=12))
def test_the_price_is_the_weighted_line_through_the_sizes(passes):
    pace, sizes = Pace(), {}
    for tokens, seconds in passes:
        if tokens.bit_length() not in sizes:  # one pass of each size: no mean over several
            sizes[tokens.bit_length()] = (tokens, seconds)
            pace.timed(tokens, seconds)
    fixed, each = pace.costs(1)
    if len(sizes) < 2:
        assert (fixed, each) == (0.0, 1.0)
        return
    n, s = map(np.array, zip(*sizes.values(), strict=True))
    slope, level = np.polyfit(n, s, 1, w=1 / s)  # its weights are of the residuals, not of their squares
    if slope >= 1e-9 and level >= 1e-9:
        assert (fixed, each) == pytest.approx((level, slope), rel=1e-5)
    assert fixed >= 0 and each >= 0


def test_a_busy_machine_drafts_nothing_and_an_idle_one_much():
    sure = drafts_of(*[0.9] * 10)
    assert worthwhile(sure, [50] * 10, fixed=0.0, each=1.0) == [0] * 10
    assert worthwhile(sure, [50] * 10, fixed=1.0, each=0.0) == [MOST_DRAFTED] * 10
    assert worthwhile(sure, [3] * 10, fixed=1.0, each=0.0) == [3] * 10
    assert worthwhile([], [], 1.0, 0.1) == []


def test_likelier_drafts_are_longer():
    counts = worthwhile(drafts_of(0.1, 0.5, 0.8, 0.97), [50] * 4, fixed=1.0, each=0.02)
    assert counts == sorted(counts) and counts[0] < counts[-1]


@given(
    st.lists(st.floats(0.05, 0.99), min_size=1, max_size=6),
    st.floats(0, 10),
    st.floats(1e-3, 1),
)
def test_what_is_drafted_never_writes_fewer_tokens_a_second_than_nothing(chances, fixed, each):
    drafts = drafts_of(*chances)
    counts = worthwhile(drafts, [50] * len(drafts), fixed, each)
    chance = [d.chance for d in drafts]
    written = sum((1 - c ** (k + 1)) / (1 - c) for c, k in zip(chance, counts, strict=True))
    rows = len(drafts)
    with_drafts = written / (fixed + each * (rows + sum(counts)))
    assert with_drafts >= 0.95 * rows / (fixed + each * rows)
