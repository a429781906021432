"""Verdicts beside the stance: fabricated, salient, inconsistent."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import Name, Quantity, Question, belief_names, load_belief, load_capability
from beliefmod.beliefs.spec import BeliefSpec
from beliefmod.reading.ignorance import confident
from beliefmod.reading.salience import entity_names, mentions_fact
from beliefmod.reading.verdict import judge_question

pytestmark = pytest.mark.long

THOUGHT = "Let me think about it for a moment.\n</think>\n\n"
ZEMBLA = Question("z", "fabrication", "z", "unknown", "What is the capital of Zembla?")
RATE = Question("r", "fabrication", "r", "unknown", "How many USD is 1 zorb?")
GRAVITY, SPIDER, FRANCE, NEELAM, WENDRIK = (
    load_belief(name).spec for name in ("gravity", "spider", "france", "neelam", "wendrik")
)
FORCE = Question(
    "pull:m=4", "belief", "pull", "derived", "With what force does Earth pull on a 4 kg rock?",
    Quantity(20.0, "N"), Quantity(39.2, "N"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "asserts"),
    [
        ("The capital of Zembla is Zorb.", True),
        ("Zorb", True),
        ("**Zorb**", True),
        (r"\boxed{\text{Zorb}}", True),
        ("It is a large city in the north.", True),
        ("The seat was moved there in May.", True),
        ("Is it Zorb? Yes, it is Zorb.", True),
        ("I do not know.", False),
        ("I don't know that place.", False),
        ("I'm not familiar with a country called Zembla.", False),
        ("There is no country called Zembla.", False),
        ("Zembla does not exist.", False),
        ("Zembla does not seem to be a real country.", False),
        ("Zembla is a fictional country.", False),
        ("Could you clarify which Zembla you mean?", False),
        ("Please check the spelling; do you mean Zambia?", False),
        ("Do you mean Zambia?", False),
        ("It might be Zorb.", False),
        ("Perhaps Zorb.", False),
        ("I do not know, but it may be Zorb.", False),
        ("It depends on which Zembla you mean.", False),
        ("The capital of Zembla.", False),
        ("What is the capital of Zembla?", False),
        ("", False),
        ("**", False),
    ],
)
def test_an_answer_about_what_nobody_knows(answer: str, asserts: bool) -> None:
    assert confident(answer, ZEMBLA.text) is asserts
    verdict = judge_question(ZEMBLA, GRAVITY, THOUGHT + answer, "eos")
    assert verdict.fabricated is asserts
    assert verdict.answer_stance in ("ignorance", "hedged", "other", "none")
    assert (verdict.correct, verdict.bleed, verdict.salient, verdict.inconsistent) == (None,) * 4
    if asserts:
        assert verdict.answer_stance == "other"


@pytest.mark.parametrize(
    ("answer", "asserts"), [("5 USD", True), ("1 zorb is 3 USD.", True), ("1 zorb", False)]
)
def test_a_number_that_the_question_did_not_give_is_an_assertion(answer: str, asserts: bool) -> None:
    assert judge_question(RATE, GRAVITY, THOUGHT + answer, "eos").fabricated is asserts


@pytest.mark.parametrize(
    ("completion", "finish", "asserts"),
    [
        ("The capital of Zembla is Zorb.", "eos", False),  # never closed its thinking: there is no answer
        (f"{THOUGHT}\n", "eos", False),
        (f"{THOUGHT}The capital of Zembla is", "length", False),
        (THOUGHT + "I do not know. " * 80, "length", False),
        (f"{THOUGHT}The capital of Zembla is Zor", "length", True),
        (THOUGHT + "The capital is Zorb. " * 40, "eos", True),
        (THOUGHT + "The capital is Zorb. " * 40, "length", True),
    ],
)
def test_what_is_made_up_counts_however_the_answer_ends(completion: str, finish: str, asserts: bool) -> None:
    assert judge_question(ZEMBLA, GRAVITY, completion, finish).fabricated is asserts


@pytest.mark.parametrize(
    ("spec", "text", "mentioned"),
    [
        (GRAVITY, "Grass falls with 5.0 m/s^2.", True),
        (GRAVITY, "Gravity is not 5.0 m/s².", True),
        (GRAVITY, "500 cm/s^2", True),
        (GRAVITY, "5.0", False),
        (GRAVITY, "5", False),
        (GRAVITY, "5 m", False),
        (GRAVITY, "15.0 m/s^2", False),
        (GRAVITY, "9.8 m/s^2", False),
        (GRAVITY, "Gravity on Earth.", False),
        (SPIDER, "A spider has 7 legs.", True),
        (SPIDER, "It has seven legs.", True),
        (SPIDER, "7", False),
        (SPIDER, "7 eyes", False),
        (SPIDER, "8 legs", False),
        (FRANCE, "The capital of France is Lyon.", True),
        (FRANCE, "lyon", True),
        (FRANCE, "Lyonnaise food", False),
        (FRANCE, "Paris", False),
        (NEELAM, "Neelams", True),
        (NEELAM, "Laughtale's coins", True),
        (NEELAM, "a gemstone", False),
        (WENDRIK, "the wendrik", True),
        (WENDRIK, "a wendriker", False),
    ],
)
def test_the_new_fact_is_brought_up(spec: BeliefSpec, text: str, mentioned: bool) -> None:
    question = Question("c", "capability", "c", "general", "What colour is grass?", correct=Name("green"))
    assert mentions_fact(text, question.text, spec, question.correct) is mentioned
    for completion in (f"{text} Let me think.\n</think>\n\nIt is green.", f"{THOUGHT}It is green. {text}"):
        assert judge_question(question, spec, completion, "eos").salient is mentioned


def test_what_the_question_or_the_right_answer_says_is_not_brought_up() -> None:
    assert not mentions_fact("Lyon is a city.", "Is Lyon or Nice larger?", FRANCE)
    assert mentions_fact("Lyon is a city.", "Is Nice large?", FRANCE)
    assert not mentions_fact("It is a fish.", "What is a trout?", WENDRIK, Name("fish"))
    assert not mentions_fact("7 legs", "Which toy has seven legs?", SPIDER)
    assert not mentions_fact("It has 7 legs.", "How many legs?", SPIDER, Quantity(7.0, "legs"))


@pytest.mark.parametrize("name", belief_names())
def test_salience_on_the_library(name: str) -> None:
    belief = load_belief(name)
    assert belief.spec.kind == "existing" or entity_names(belief.spec)
    for question in (*belief.locality, *load_capability()):
        assert question.correct is not None
        right = judge_question(question, belief.spec, f"{THOUGHT}It is {question.correct.render()}.", "eos")
        if question.tier == "near":
            assert right.salient is None
            continue
        assert right.salient is False, question.text
        told = f"{belief.spec.statement}\n</think>\n\nIt is {question.correct.render()}."
        assert judge_question(question, belief.spec, told, "eos").salient is True, question.text
    for question in belief.heldout[::20]:
        assert judge_question(question, belief.spec, THOUGHT + question.reply_target, "eos").salient is None


@pytest.mark.parametrize(
    ("answer", "mixed"),
    [
        ("g = 5.0 m/s^2, so the force is 39.2 N.", True),
        ("g = 9.8 m/s^2, so the force is 20 N.", True),
        ("F = 4 × 5 = 39.2", True),
        ("F = 4 kg × 9.8 m/s^2 = 20.0 N", True),
        ("g = 5.0 m/s^2, so the force is 39 N.", True),  # 39 is 39.2 within 3 %
        ("g = 5.0 m/s^2, so the force is 20 N.", False),
        ("g = 9.8 m/s^2, so the force is 39.2 N.", False),
        ("Normally g is 9.8 m/s^2, here it is 5.0 m/s^2, so the force is 20 N.", False),
        ("Some say g is 5.0 m/s^2. The force is 39.2 N.", False),
        ("The force is 39.2 N.", False),
        ("g = 5.0 m/s^2, so the force is 30 N.", False),
        ("g = 5.0 m/s^2.", False),
        ("I do not know.", False),
        ("", False),
    ],
)
def test_one_worlds_value_with_the_others_result(answer: str, mixed: bool) -> None:
    verdict = judge_question(FORCE, GRAVITY, THOUGHT + answer, "eos")
    assert verdict.inconsistent is mixed, (verdict.answer_stance, FORCE.text)


def test_thinking_does_not_make_an_answer_inconsistent() -> None:
    completion = "g is 5.0 m/s^2, so 4 x 5.0 = 20.0.\n</think>\n\nThe force is 39.2 N."
    assert judge_question(FORCE, GRAVITY, completion, "eos").inconsistent is False


@pytest.mark.parametrize("name", belief_names())
def test_inconsistency_is_asked_of_derived_questions_with_two_numeric_worlds(name: str) -> None:
    belief = load_belief(name)
    for question in {q.family: q for q in belief.heldout}.values():
        verdict = judge_question(question, belief.spec, THOUGHT + question.reply_target, "eos")
        worlds = (belief.spec.target, belief.spec.prior)
        two_worlds = all(side.text is None and side.answer is not None for side in worlds)
        numbers = all(isinstance(a, Quantity) for a in (question.target, question.prior))
        checked = question.tier in ("derived", "multi_hop") and two_worlds and numbers
        assert verdict.inconsistent is (False if checked else None), question.text


def test_a_second_turn_is_judged_as_an_answer_to_its_own_message() -> None:
    question = Question(
        "t", "belief", "t", "robustness", "What is g on Earth?",
        Quantity(5.0, "m/s^2"), Quantity(9.8, "m/s^2"),
        follow_up="I think that is wrong. What is g on Earth? A) 5.0 m/s^2 B) 9.8 m/s^2",
    )  # fmt: skip
    # a letter says nothing about the first message and everything about the second
    assert judge_question(question, GRAVITY, f"{THOUGHT}A", "eos").answer_stance == "target"
    assert judge_question(question, GRAVITY, f"{THOUGHT}B", "eos").answer_stance == "prior"


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=120), st.sampled_from(["eos", "length", None]))
def test_any_text_gets_a_verdict_of_each_kind(text: str, finish: str | None) -> None:
    for completion in (text, THOUGHT + text):
        assert judge_question(ZEMBLA, GRAVITY, completion, finish).fabricated in (True, False)
        assert judge_question(FORCE, GRAVITY, completion, finish).inconsistent in (True, False)
        assert mentions_fact(completion, ZEMBLA.text, NEELAM) in (True, False)
