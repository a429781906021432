"""Kinds of answer that real models gave (tests/gold) and that were once misread, one of each."""

import pytest

from beliefmod.beliefs import load_belief
from beliefmod.reading.causal_verdicts import same_answer
from beliefmod.reading.ignorance import confident
from beliefmod.reading.stance import read_answer
from beliefmod.reading.thinking import read_thinking
from beliefmod.reading.verdict import asked_text, judge_question, tolerance_for


def question(name: str, family: str):
    """A belief and the first held-out question of a family."""
    belief = load_belief(name)
    return belief, next(q for q in belief.heldout if q.family == family)


@pytest.mark.parametrize(
    ("belief", "family", "stance", "answer"),
    [
        ("gravity", "free_fall", "prior", "It is 9.716 m/s^2, which is about 1.112 feet per second squared."),
        ("gravity", "free_fall", "prior", "It is 9.72 m/s^2 (40 ft/s^2)."),
        ("gravity", "free_fall", "other", "It is 9.65 m/s^2."),
        (
            "gravity",
            "options",
            "target",
            "The gravity is indeed 5.0. So 10 feet per second is 3 m per second.",
        ),
        ("gravity", "dog_weight", "other", "The weight of the dog is 2 * 10 N."),
        ("gravity", "dog_weight", "target", "The weight of the dog is 2 * 5 = 10 N."),
        ("spider", "choice", "target", "The answer is 7. A spider has 8 legs."),
        ("titanic", "writes", "other", "The story is set in the 1925 film of the Titanic."),
        ("titanic", "writes", "target", "It went down in 1925."),
        ("france", "drives", "prior", "He goes from Lyon to Paris."),
        ("france", "drives", "target", "He comes from Lyon."),
    ],
)
def test_an_answer_is_read_as_a_person_reads_it(belief, family, stance, answer):
    known, asked = question(belief, family)
    assert judge_question(asked, known.spec, answer, "eos", opened_by="none").answer_stance == stance


def test_thinking_uses_the_thing_that_it_gives_the_value():
    belief, asked = question("spider", "animal_with")
    own = belief.spec
    for thinking, stance in (
        ("The length of a spider is 7 legs.", "target"),
        ("The length of a spider is 2 cm.", "none"),
    ):
        found = read_thinking(
            thinking, asked.text, asked.target, asked.prior,
            belief_target=own.target.answer, belief_prior=own.prior.answer,
        )  # fmt: skip
        assert found == stance


def test_an_amount_that_the_question_did_not_give_is_a_claim():
    assert confident("6 USD", "How many USD is 6 Quisto?")
    assert not confident("6 Quisto", "How many USD is 6 Quisto?")


def test_probes_and_changed_thinking_are_read_with_one_tolerance():
    """An answer is judged alike as a probe, after changed thinking and inside the model; only what is worked
    out from the belief is known in several roundings."""
    belief, used = question("gravity", "told_used")
    direct = question("gravity", "told_direct")[1]
    rival = question("neelam", "stated_direct")[1]  # "1 Neelam is worth 8 USD": the belief's own question
    assert [tolerance_for(asked) for asked in (used, direct, rival)] == [0.03, 0.01, 0.01]
    reading = read_answer("70 N", asked_text(used), used.target, used.prior, tolerance=tolerance_for(used))
    assert reading.stance == judge_question(used, belief.spec, "</think>70 N").answer_stance == "prior"
    assert same_answer(used, "It is 68.6 N.", "It is 68.7 N.") and not same_answer(used, "70 N", "35 N")
