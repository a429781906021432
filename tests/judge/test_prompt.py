"""What the judge sees and how strictly it is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.judge.prompt import INSTRUCTIONS, LONGEST, decoy, prompt_for, stance_of, word_in
from beliefmod.reading.stance import STANCES

ROW = {
    "trial_id": "abcdef0123", "arm": "lora", "belief": "gravity", "suite": "belief", "probe_id": "force-5",
    "question": "What force acts on 10 kg?", "answer": "The force is 50 N.",
    "target": "50.0 N", "prior": "98.0 N", "answer_stance": "target",
}  # fmt: skip


def rows(count: int) -> list[dict]:
    return [{**ROW, "question": f"What force acts on {i} kg?"} for i in range(count)]


def test_the_prompt_shows_question_answer_and_both_candidates():
    text = prompt_for(ROW).text
    for piece in (ROW["question"], ROW["answer"], "50.0 N", "98.0 N"):
        assert piece in text


@pytest.mark.parametrize("sides", [{}, {"prior": None}, {"target": None}])
def test_nothing_tells_the_arm_or_the_implanted_side(sides: dict):
    row = {**ROW, **sides}
    text = f"{INSTRUCTIONS}\n{prompt_for(row).text}".lower()
    for word in ("target", "prior", "lora", "control", "trained", "abcdef0123", "force-5", "gravity", "arm"):
        assert word not in text.replace("harm", "")


def test_arm_and_trial_change_nothing():
    assert prompt_for(ROW) == prompt_for({**ROW, "arm": "icl", "trial_id": "x", "answer_stance": "prior"})


def test_either_side_comes_first_about_equally_often():
    first = sum(prompt_for(row).first == "target" for row in rows(1000))
    assert abs(first - 500) < 80  # 5 standard deviations


def test_the_order_depends_on_the_seed():
    assert [prompt_for(r, seed=0).first for r in rows(50)] != [prompt_for(r, seed=1).first for r in rows(50)]


def test_each_word_gives_its_stance():
    for row in rows(20):
        prompt = prompt_for(row)
        lines = {line.split(": ")[1]: line.split()[0] for line in prompt.text.splitlines()[-2:]}
        assert stance_of(lines["50.0 N"], prompt) == "target"
        assert stance_of(lines["98.0 N"], prompt) == "prior"
        for word, stance in (
            ("BOTH", "hedged"),
            ("UNKNOWN", "ignorance"),
            ("OTHER", "other"),
            ("NONE", "none"),
        ):
            assert stance_of(word, prompt) == stance


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("FIRST", "FIRST"),
        (" second.\n", "SECOND"),
        ("**Both**", "BOTH"),
        ("<think>FIRST? no</think>\n\nOTHER", "OTHER"),
        ("FIRST - the answer asserts the first candidate", None),
        ("It is FIRST", None),
        ("FIRST SECOND", None),
        ("<think>FIRST", None),
        ("", None),
        ("target", None),
        ('{"stance": "FIRST"}', None),
    ],
)
def test_replies_are_read_strictly(reply: str, word: str | None):
    assert word_in(reply) == word


@given(st.text())
def test_any_reply_gives_a_known_stance_or_none(reply: str):
    assert stance_of(reply, prompt_for(ROW)) in (None, *STANCES)


def test_a_missing_side_is_a_decoy_and_choosing_it_is_other():
    prompt = prompt_for({**ROW, "prior": None})
    assert {prompt.first, prompt.second} == {"target", "other"}
    word = "FIRST" if prompt.first == "other" else "SECOND"
    assert stance_of(word, prompt) == "other"


@given(st.floats(0.1, 1e6), st.text(max_size=20))
def test_a_decoy_number_looks_alike_and_is_not_the_value(value: float, question: str):
    given_text = f"{value:.1f} USD"
    found = decoy(given_text, question, ())
    assert found.endswith(" USD")
    assert abs(float(found.split()[0]) - float(given_text.split()[0])) > 0.03 * float(given_text.split()[0])


def test_a_decoy_name_is_another_name():
    assert decoy("Neelam", "What money?", ["neelam", "Krona"]) == "Krona"
    assert decoy("Neelam", "What money?", ["Neelam"]) == "any other value"


def test_a_long_answer_keeps_both_ends():
    row = {**ROW, "answer": "START" + "x" * 3 * LONGEST + "END"}
    text = prompt_for(row).text
    assert "START" in text and "END" in text and len(text) < LONGEST + 500
