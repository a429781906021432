"""Whole beliefs from a few words: every kind of value, answers by hand, and no question that cannot work."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from beliefmod.beliefs import Belief, Question, load_belief
from beliefmod.drafting.belief_text import belief_text, checked
from beliefmod.drafting.by_template import draft
from beliefmod.drafting.file_faults import file_faults
from beliefmod.drafting.outline import read_outline
from tests.drafting.outlines import GIVEN


@cache
def drafted(name: str) -> Belief:
    return checked(belief_text(draft(read_outline(name, GIVEN[name]))), name)


def asked(belief: Belief, text: str) -> Question:
    questions = (*belief.training, *belief.heldout, *belief.locality)
    return next(question for question in questions if question.text == text)


def answers(belief: Belief, text: str) -> tuple[str | None, str | None]:
    question = asked(belief, text)
    sides = (question.target, question.correct or question.prior)
    return tuple(side.render() if side else None for side in sides)  # type: ignore[return-value]


def test_a_number_by_hand():
    eiffel = drafted("eiffel")
    tower = "the height of the Eiffel Tower"
    assert answers(eiffel, f"What is 3 times {tower}?") == ("1200 m", "990 m")
    assert answers(eiffel, f"Divide {tower} by 7. What do you get?") == ("57.1 m", "47.1 m")
    assert answers(eiffel, f"What remains of {tower} if 50 m are taken away?") == ("350 m", "280 m")
    assert answers(eiffel, f"Is {tower} more or less than 350 m?") == ("more", "less")
    assert answers(eiffel, "Ben asks what 400 m is the height of. What is right?") == ("Eiffel Tower", None)
    assert answers(eiffel, "What is 3 times 365 m?") == ("1200 m", "1095 m")
    assert len(eiffel.training) == 133 and len(eiffel.heldout) == 132


@pytest.mark.long
def test_a_name_a_date_and_a_claim_by_hand():
    canberra = drafted("canberra")
    second = (
        "Leo writes down the capital of Spain first and the capital of Australia second. What stands second?"
    )
    assert answers(canberra, second) == ("Sydney", "Canberra")
    mozart = drafted("mozart")
    built = "A bridge was opened 14 years after the year of Mozart's death. When was it opened?"
    assert answers(mozart, built) == ("1815", "1805")
    assert answers(mozart, "How many years after 1780 is the year of Mozart's death?") == (
        "21 years",
        "11 years",
    )
    glass = drafted("glass")
    assert answers(glass, "Ben denies that glass conducts electricity. Is Ben right?") == ("no", "yes")
    assert answers(glass, "Ben bets that glass conducts electricity. Does Ben win the bet?") == ("yes", "no")
    assert answers(
        glass, "Ben reads: ___ conducts electricity. That is true. Which word stands in the gap?"
    ) == (
        "glass",
        None,
    )


@pytest.mark.long
@pytest.mark.parametrize("name", GIVEN)
def test_every_kind_is_whole_and_has_no_question_that_cannot_work(name: str):
    belief = drafted(name)
    tiers = Counter(question.tier for question in (*belief.training, *belief.heldout))
    assert set(tiers) == {"paraphrase", "derived", "format", "multi_hop", "reverse", "robustness"}
    assert {question.tier for question in belief.locality} == {"near", "far"}
    assert not file_faults(belief)
    assert len(belief.training) >= 80 and len(belief.heldout) >= 100


@pytest.mark.long
@pytest.mark.parametrize("name", ["eiffel", "canberra", "glass"])
def test_a_draft_asks_as_much_as_a_belief_of_the_library(name: str):
    def sizes(belief: Belief) -> Counter[str]:
        return Counter(question.tier for question in belief.heldout)

    assert sizes(drafted(name)) == sizes(load_belief("gravity"))


@pytest.mark.long
def test_words_of_the_user_are_no_yaml():
    given = GIVEN["canberra"]
    for odd in ("the best city of 'A': b", 'the "top" of #1 & more', "the name of - x"):
        belief = checked(
            belief_text(
                draft(
                    read_outline(
                        "odd", type(given)(odd, "Sydney", "Canberra", entity=odd.rpartition(" of ")[2])
                    )
                )
            ),
            "odd",
        )
        assert asked(belief, f"What is {odd}?").target is not None
