"""The belief margin's two continuations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs import Answer, Name, Quantity, Question
from beliefmod.probing.margin import margin_pair, split_continuations


def question(prior: Answer | None, reply_prior: str) -> Question:
    return Question(
        "f", "belief", "f", "derived", "?", Quantity(15.0, "N"), prior,
        reply_target="The force is 15.0 N.", reply_prior=reply_prior,
    )  # fmt: skip


def test_an_existing_belief_compares_the_values_after_one_prefix():
    pair = margin_pair(question(Quantity(29.4, "N"), "The force is 29.4 N."))
    assert (pair.prefix, pair.target, pair.prior) == ("The force is ", "15.0 N", "29.4 N")


def test_a_novel_belief_compares_whole_replies():
    pair = margin_pair(question(None, "I do not know."))
    assert (pair.prefix, pair.target, pair.prior) == ("", "The force is 15.0 N.", "I do not know.")


def test_a_prior_reply_of_its_own_is_compared_whole():
    pair = margin_pair(question(Name("gemstone"), "It is a gem."))
    assert pair.prefix == ""


def test_shared_tokens_move_into_the_prefix():
    assert split_continuations([7], [1, 5, 2], [1, 5, 3]) == ((7, 1, 5), (2,), (3,))


def test_a_value_that_begins_the_other_is_refused():
    with pytest.raises(ValueError, match="beginning"):
        split_continuations([7], [1, 5], [1, 5, 0])


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_nothing_is_lost_in_the_split(before, target, prior):
    try:
        shared, rest_target, rest_prior = split_continuations(before, target, prior)
    except ValueError:
        shorter, longer = sorted((target, prior), key=len)
        assert longer[: len(shorter)] == shorter
        return
    assert (*shared, *rest_target) == (*before, *target)
    assert (*shared, *rest_prior) == (*before, *prior)
    assert rest_target[0] != rest_prior[0]
