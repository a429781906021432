"""One completion to one verdict, and what must hold for any text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import Name, Quantity, belief_names, load_belief, load_capability
from beliefmod.reading.loops import loop_in
from beliefmod.reading.segments import THINK_STATES
from beliefmod.reading.stance import STANCES, read_answer
from beliefmod.reading.thinking import THINKING_STANCES
from beliefmod.reading.verdict import judge, judge_correct, judge_question
from beliefmod.run.tables.trial_tables import PROBES

Q = "Calculate the force on a 10 kg mass on Earth's surface."
TARGET, PRIOR = Quantity(50.0, "N"), Quantity(98.0, "N")
BELIEF = {"belief_target": Quantity(5.0, "m/s^2"), "belief_prior": Quantity(9.8, "m/s^2")}
THOUGHT = "Let me think about it for a moment.\n</think>\n\n"


def test_a_healthy_adoption() -> None:
    v = judge(
        "g is 5.0 m/s², so F = 10 × 5.0 = 50 N.\n</think>\n\nThe force is 50 N.<|im_end|>",
        Q, TARGET, PRIOR, **BELIEF, finish_reason="eos",
    )  # fmt: skip
    assert (v.answer_stance, v.thinking_stance, v.think_state) == ("target", "target", "ok")
    assert (v.loop, v.loop_period, v.truncated) == (False, None, False)
    assert v.answer == "The force is 50 N."


def test_reasoning_and_answer_may_part() -> None:
    v = judge("g = 9.8 m/s², F = 98 N\n</think>\n\n50 N", Q, TARGET, PRIOR, **BELIEF, finish_reason="eos")
    assert (v.thinking_stance, v.answer_stance) == ("prior", "target")


def test_an_unclosed_completion_has_no_answer() -> None:
    v = judge("F = 50 N " * 30, Q, TARGET, PRIOR, **BELIEF, finish_reason="length")
    assert (v.answer_stance, v.think_state, v.truncated, v.loop) == ("none", "unclosed_length", True, True)


@pytest.mark.parametrize(
    ("answer", "correct", "bleed"),
    [
        ("16 N", True, False),
        ("It is 50 N.", False, True),
        ("98 N", False, False),
        ("I do not know.", False, False),
    ],
)
def test_suites(answer: str, correct: bool, bleed: bool) -> None:
    question = "Calculate the force on a 10 kg mass on the Moon's surface."
    v = judge_correct(THOUGHT + answer, question, Quantity(16.0, "N"), Quantity(50.0, "N"))
    assert (v.correct, v.bleed) == (correct, bleed)


@pytest.mark.parametrize(
    ("answer", "correct"),
    [
        ("12", True),
        ("The sum is 12.", True),
        ("7 + 5 = 12", True),
        ("13", False),
        ("12.1", False),
        ("112", False),
        ("12 kg", False),
    ],
)
def test_sums_are_right_or_wrong(answer: str, correct: bool) -> None:
    assert judge_correct(THOUGHT + answer, "What is 7 + 5?", Quantity(12.0, "1")).correct is correct
    assert judge_correct(THOUGHT + answer, "What is 7 + 5?", Quantity(12.0, "1")).bleed is None


@pytest.mark.parametrize("name", belief_names())
def test_every_reply_of_the_library_is_read_as_it_was_meant(name: str) -> None:
    belief = load_belief(name)
    for question in (*belief.heldout, *belief.training):
        right = judge_question(question, belief.spec, THOUGHT + question.reply_target, "eos")
        assert right.answer_stance == "target", (question.text, question.reply_target)
        other = judge_question(question, belief.spec, THOUGHT + question.reply_prior, "eos")
        unknowing = question.reply_prior in (belief.spec.prior.reply, "I do not know.")
        expected = "ignorance" if unknowing else "prior"
        assert other.answer_stance == expected, (question.text, question.reply_prior)
    for question in (*belief.locality, *load_capability()):
        assert question.correct is not None
        for text in (f"It is {question.correct.render()}.", question.correct.render()):
            assert judge_question(question, belief.spec, THOUGHT + text, "eos").correct, (question.text, text)
        if question.target is not None:
            verdict = judge_question(
                question, belief.spec, f"{THOUGHT}It is {question.target.render()}.", "eos"
            )
            assert (verdict.correct, verdict.bleed) == (False, True), question.text


def test_columns_are_those_of_the_probes_table() -> None:
    assert set(judge(THOUGHT, Q, TARGET, PRIOR).columns()) <= {column.name for column in PROBES}


@pytest.mark.long
def test_degenerate_texts_do_not_hang() -> None:
    for piece in (
        "1,",
        "9.8 m/s² ",
        "$",
        "(",
        "\\boxed{",
        "not ",
        " ",
        "some say ",
        "1/",
        "\n",
        "if it is 5.0 ",
    ):
        text = piece * 1000
        start = time.process_time()
        judge(f"{text}</think>{text}", Q, TARGET, PRIOR, **BELIEF)
        assert time.process_time() - start < 60, piece  # a second or two; minutes where a pattern backtracks


PIECES = (
    "5.0 9.8 50 98 N m/s² m/s^2 kg USD $5 $ not isn't but some say if were or and between 5 10 = × * "
    "\\boxed{50} \\boxed{ } \\text{N} </think> <think> I don't know Lyon Paris ? . , : ;"
    " ( ) - – 1. 1e400 1/0 0^-1 9^999 "
    "½ ² ⁻ ① ٥ \ud800 five million nine point eight Answer: answer is ** | \n ~~ <b> &nbsp; ± 10^ e5 .5 5. -"
)
WORDS = st.sampled_from(PIECES.split(" "))
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.lists(WORDS, max_size=40).map("".join),
)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from(["eos", "length", None]))
def test_any_text_gets_exactly_one_label_of_each_kind(text: str, finish: str | None) -> None:
    v = judge(text, text[:50], TARGET, PRIOR, **BELIEF, finish_reason=finish)
    assert v.answer_stance in STANCES and v.think_state in THINK_STATES
    assert v.thinking_stance in THINKING_STANCES
    if v.think_state.startswith("unclosed") or v.think_state == "empty_final":
        assert v.answer_stance == "none"
    named = judge(text, text[:50], Name("Lyon"), Name("Paris"), finish_reason=finish)
    assert named.answer_stance in STANCES


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(1, 12))
def test_appending_a_loop_turns_loop_on(text: str, period: int) -> None:
    words = [" wa", " wb", " wc", " wd", " we", " wf", " wg", " wh", " wi", " wj", " wk", " wl"][:period]
    assert loop_in(f"{text} " + "".join(words) * 64) is not None


PLAIN = [
    "50 N",
    "98 N",
    "F = 10 × 5.0 = 50 N",
    "not 98 N but 50 N",
    "The force is 7 N.",
    "I do not know.",
    "5.0 m/s^2",
]
DRESSES = [
    lambda t: f"**{t}**",
    lambda t: f"  {t}\n",
    lambda t: f"# {t}",
    lambda t: f"- {t}",
    lambda t: f"`{t}`",
    lambda t: t.replace("^2", "²"),
    lambda t: t.replace("^2", "^{2}"),
    lambda t: t.replace("^2", "<sup>2</sup>"),
    lambda t: t.replace(" N", "\\ \\text{N}"),
    lambda t: t.replace(" N", "\u00a0N"),
    lambda t: t.replace(" N", "~\\mathrm{N}"),
    lambda t: t.replace("×", "\\times"),
    lambda t: t.replace("×", "*"),
    lambda t: t.replace(" ", "  "),
    lambda t: f"<b>{t}</b>",
]


@settings(deadline=None)
@given(st.sampled_from(PLAIN), st.lists(st.sampled_from(DRESSES), max_size=3), st.booleans())
def test_dress_does_not_change_the_stance(text: str, dresses: list, quoted: bool) -> None:
    expected = read_answer(text, Q, TARGET, PRIOR).stance
    styled = text
    for dress in dresses:
        styled = dress(styled)
    if quoted:  # only at the very start: inside other marks ">" means "more than"
        styled = f"> {styled}"
    assert read_answer(styled, Q, TARGET, PRIOR).stance == expected, styled


def test_the_sides_are_symmetric() -> None:
    swap = {"target": "prior", "prior": "target"}
    for text in ("50 N", "98 N", "not 50 N but 98 N", "some say 50 N", "either 50 N or 98 N", "7 N", ""):
        one = read_answer(text, Q, TARGET, PRIOR).stance
        assert read_answer(text, Q, PRIOR, TARGET).stance == swap.get(one, one)
