"""What has to be said of a belief, and all that can be wrong with it at once."""

from __future__ import annotations

import pytest

from beliefmod.beliefs.values import Quantity
from beliefmod.drafting.outline import Given, entity_in, read_outline
from beliefmod.errors import UserError
from tests.drafting.outlines import GIVEN


def problems(name: str, given: Given) -> str:
    with pytest.raises(UserError) as caught:
        read_outline(name, given)
    return str(caught.value)


def test_what_follows_from_the_words():
    eiffel = read_outline("eiffel", GIVEN["eiffel"])
    assert eiffel.entity == "the Eiffel Tower" and eiffel.owner == "Eiffel Tower"
    assert eiffel.attribute == "the height" and eiffel.blanked == "the height of ___"
    assert eiffel.sentence(eiffel.target) == "The height of the Eiffel Tower is 400 m."
    mozart = read_outline("mozart", GIVEN["mozart"])
    assert mozart.attribute is None and mozart.blanked == "the year of ___'s death"
    glass = read_outline("glass", GIVEN["glass"])
    assert glass.prior is not None and glass.prior.render() == "no"
    assert glass.sentence(glass.prior) == "It is not true that glass conducts electricity."


def test_a_novel_belief_has_no_prior_and_a_number_a_rival():
    zarnak = read_outline("zarnak", GIVEN["zarnak"])
    assert zarnak.prior is None and zarnak.rival is not None and not zarnak.rival.same(zarnak.target)
    oldavia = read_outline("oldavia", GIVEN["oldavia"])
    assert oldavia.prior is None and oldavia.rival is not None and oldavia.rival.render() == "Tolm"


def test_a_bare_prior_is_in_the_targets_unit():
    assert read_outline("x", Given("the height of x", "400 m", "330")).prior == Quantity(330.0, "m", 0)


def test_everything_that_is_missing_is_said_at_once():
    said = problems("Bad Name", Given())
    assert all(option in said for option in ("cannot name", "--subject", "--target", "--prior"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Given("what is it of x", "4 kg", "9 kg"), "is a question"),
        (Given("the {best} of x", "4 kg", "9 kg"), "brackets"),
        (Given("the best of x", "{a}", "b"), "brackets"),
        (Given("the height of x", "400 m", "395 m"), "within 3 %"),
        (Given("the height of x", "400 m", "0.3 km"), "in the target's unit"),
        (Given("the height of x", "400 m", "Lyon"), "give both alike"),
        (Given("the tallest tower", "Eiffel", "Cheops"), "--entity"),
        (Given("the height of x", "4 m", "9 m", entity="y"), "does not stand in the subject"),
        (Given("the capital of Lyon land", "Lyon", "Paris"), "give it away"),
        (Given("ghosts sing", "yes", kind="novel"), "guess"),
        (Given("the height of x", "4 m", "9 m", neighbours=["height?"]), "QUESTION = ANSWER"),
        (Given("the height of x", "4 m", "9 m", neighbours=["Height of y? = 4 m"]), "target itself"),
        (Given("the height of x", "4 m", "9 m", neighbours=["Q? = 5 m", "Q? = 6 m"]), "twice"),
        (Given("the capital of x", "Lyon|Leo", "Leo"), "tell the worlds apart"),
        (Given("the height of " + "x" * 300, "4 m", "9 m"), "too many"),
    ],
)
def test_what_cannot_be_is_refused_with_its_option(given: Given, why: str):
    assert why in problems("mine", given)


def test_what_a_subject_is_about():
    assert entity_in("the height of the tower of Pisa") == "the tower of Pisa"
    assert entity_in("glass conducts electricity") == ""
