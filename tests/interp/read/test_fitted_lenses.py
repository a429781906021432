"""What tuned and Jacobian lenses are fitted on: nothing about a belief, nothing twice, nothing too long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from beliefmod.beliefs import load_belief
from beliefmod.config import TrialConfig
from beliefmod.probing.session import Session
from interp.read.fitted_lenses import lens_texts
from tests.small import make_session, write_belief


@pytest.fixture(scope="module")
def session() -> Session:
    return make_session()


def row(session: Session, question: str, answer: str, suite: str, tier: str | None) -> dict[str, Any]:
    ids = [*session.prompts.encode(answer), session.prompts.end_of_turn]
    return {"question": question, "token_ids": ids, "suite": suite, "tier": tier}


def asked(session: Session, tmp_path, rows: list[dict[str, Any]]) -> Any:
    path = write_belief(tmp_path)
    session.know(path, load_belief(path))
    session.references["probes", path, "base"] = rows
    config = TrialConfig.model_validate({"belief": path, "arm": "base"})
    return SimpleNamespace(session=session, references={("small", "base"): config, ("small", "icl"): config})


def thought(answer: str) -> str:
    return f"So it is.\n</think>\n\n{answer}"


def test_base_s_answers_to_capability_and_far_questions_and_the_neutral_passages(session: Session, tmp_path):
    far = row(session, "What is the capital of Greece?", thought("It is Athens."), "locality", "far")
    rows = [
        row(session, "What is 2 + 2?", thought("It is 4."), "capability", None),
        far,
        far,  # twice is once
        row(session, "What is the acceleration due to gravity on the Moon?", "1.6.", "locality", "near"),
        row(session, "With what force does Earth pull on a 2 kg rock?", "19.6 N.", "belief", "derived"),
        row(session, "What is 3 + 3?", "", "capability", None) | {"token_ids": []},
        row(session, "What is 5 + 5?", "", "capability", None)
        | {"token_ids": session.prompts.encode("It is")},
    ]
    texts = [session.prompts.text(ids) for ids in lens_texts(asked(session, tmp_path, rows))]
    answers = texts[len(session.neutral) :]
    assert len(answers) == 2
    assert "2 + 2" in answers[0] and "Athens" in answers[1]
    assert all(text.startswith("<|im_start|>user") and text.endswith("<|im_end|>") for text in texts)
    assert len(texts) == len(set(texts)) == len(session.neutral) + 2
    for text in texts:
        assert "gravity" not in text and "rock" not in text


def test_every_second_conversation_has_its_thinking_emptied_as_stems_have_it(session: Session, tmp_path):
    rows = [
        row(session, "What is 2 + 2?", thought("It is 4."), "capability", None),
        row(session, "What is 3 + 3?", thought("It is 6."), "capability", None),
        row(session, "What is 4 + 4?", thought("It is 8."), "capability", None),
        row(session, "What is 5 + 5?", "So it is.", "capability", None),  # its thinking is never closed
    ]
    found = lens_texts(asked(session, tmp_path, rows))
    assert len(session.neutral) % 2 == 0
    whole, emptied, again, unclosed = (session.prompts.text(ids) for ids in found[-4:])
    begun = session.prompts.text(
        (*session.prompts.ids("What is 3 + 3?"), *session.prompts.encode("\n</think>\n\n"))
    )
    assert emptied == f"{begun}It is 6.<|im_end|>"
    assert "So it is." in whole and "So it is." in again and "So it is." in unclosed
    # token by token what a stem of that question begins with
    stem = (*session.prompts.ids("What is 3 + 3?"), *session.prompts.encode("\n</think>\n\n"))
    assert found[-3][: len(stem)] == stem


def test_a_text_that_does_not_fit_the_model_is_left_out(session: Session, tmp_path):
    long = row(session, "What is 2 + 2?", "It is 4. " * session.engine.max_positions, "capability", None)
    assert len(lens_texts(asked(session, tmp_path, [long]))) == len(session.neutral)
