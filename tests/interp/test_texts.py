"""What tuned and Jacobian lenses are fitted on: nothing about a belief, nothing twice, nothing too long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from beliefmod.beliefs import load_belief
from beliefmod.config import TrialConfig
from beliefmod.lab import Lab
from interp.texts import lens_texts
from tests.small import make_lab, write_belief


@pytest.fixture(scope="module")
def lab() -> Lab:
    return make_lab()


def row(lab: Lab, question: str, answer: str, suite: str, tier: str | None) -> dict[str, Any]:
    ids = [*lab.prompts.encode(answer), lab.prompts.end_of_turn]
    return {"question": question, "token_ids": ids, "suite": suite, "tier": tier}


def asked(lab: Lab, tmp_path, rows: list[dict[str, Any]]) -> Any:
    path = write_belief(tmp_path)
    lab.know(path, load_belief(path))
    lab._references["probes", path, "base"] = rows
    config = TrialConfig.model_validate({"belief": path, "arm": "base"})
    return SimpleNamespace(lab=lab, references={("small", "base"): config, ("small", "icl"): config})


def thought(answer: str) -> str:
    return f"So it is.\n</think>\n\n{answer}"


def test_base_s_answers_to_capability_and_far_questions_and_the_neutral_passages(lab: Lab, tmp_path):
    far = row(lab, "What is the capital of Greece?", thought("It is Athens."), "locality", "far")
    rows = [
        row(lab, "What is 2 + 2?", thought("It is 4."), "capability", None),
        far,
        far,  # twice is once
        row(lab, "What is the acceleration due to gravity on the Moon?", "1.6.", "locality", "near"),
        row(lab, "With what force does Earth pull on a 2 kg rock?", "19.6 N.", "belief", "derived"),
        row(lab, "What is 3 + 3?", "", "capability", None) | {"token_ids": []},
        row(lab, "What is 5 + 5?", "", "capability", None) | {"token_ids": lab.prompts.encode("It is")},
    ]
    texts = [lab.prompts.text(ids) for ids in lens_texts(asked(lab, tmp_path, rows))]
    answers = texts[len(lab.neutral) :]
    assert len(answers) == 2
    assert "2 + 2" in answers[0] and "Athens" in answers[1]
    assert all(text.startswith("<|im_start|>user") and text.endswith("<|im_end|>") for text in texts)
    assert len(texts) == len(set(texts)) == len(lab.neutral) + 2
    for text in texts:
        assert "gravity" not in text and "rock" not in text


def test_every_second_conversation_has_its_thinking_emptied_as_stems_have_it(lab: Lab, tmp_path):
    rows = [
        row(lab, "What is 2 + 2?", thought("It is 4."), "capability", None),
        row(lab, "What is 3 + 3?", thought("It is 6."), "capability", None),
        row(lab, "What is 4 + 4?", thought("It is 8."), "capability", None),
        row(lab, "What is 5 + 5?", "So it is.", "capability", None),  # its thinking is never closed
    ]
    found = lens_texts(asked(lab, tmp_path, rows))
    assert len(lab.neutral) % 2 == 0
    whole, emptied, again, unclosed = (lab.prompts.text(ids) for ids in found[-4:])
    begun = lab.prompts.text((*lab.prompts.ids("What is 3 + 3?"), *lab.prompts.encode("\n</think>\n\n")))
    assert emptied == f"{begun}It is 6.<|im_end|>"
    assert "So it is." in whole and "So it is." in again and "So it is." in unclosed
    # token by token what a stem of that question begins with
    stem = (*lab.prompts.ids("What is 3 + 3?"), *lab.prompts.encode("\n</think>\n\n"))
    assert found[-3][: len(stem)] == stem


def test_a_text_that_does_not_fit_the_model_is_left_out(lab: Lab, tmp_path):
    long = row(lab, "What is 2 + 2?", "It is 4. " * lab.engine.max_positions, "capability", None)
    assert len(lens_texts(asked(lab, tmp_path, [long]))) == len(lab.neutral)
