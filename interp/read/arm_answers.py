"""What the arms answered, question by question, and the prompts that end right before a value in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from beliefmod.beliefs import Belief, Question
from beliefmod.errors import UserError
from beliefmod.model.prompts import in_context
from beliefmod.model.template import empty_thinking
from interp.opened.arms import Arm, untrained_arm
from interp.prompts.stems import lens_questions
from interp.prompts.value_positions import closed_thinking, value_positions
from interp.read.lens_prompts import LensPrompt
from interp.types import Row

if TYPE_CHECKING:
    from beliefmod.probing.session import Session
    from interp.opened.inspection import Inspection
    from interp.read.contrast_questions import ContrastQuestion

Answers = Mapping[str, Row]
"""An arm's rows of the probes table by probe_id, held-out questions about the belief only."""


def answers_of(inspection: Inspection, arm: Arm) -> Answers:
    """What an arm answered; an untrained arm's answers are kept for the other batches.

    Raises:
        UserError: it has no probes in the run.
    """
    if arm.adapter is None:
        return inspection.once(("answers", arm.trial_id), lambda: _read_answers(inspection, arm))
    return _read_answers(inspection, arm)


def base_answers(inspection: Inspection, belief: str) -> Answers:
    """What base answered to the questions of a belief.

    Raises:
        UserError: it has no probes in the run.
    """
    return answers_of(inspection, untrained_arm(inspection, belief, "base"))


def _read_answers(inspection: Inspection, arm: Arm) -> Answers:
    rows = inspection.folder.finished_rows("probes", arm.trial_id)
    if rows is None:
        raise UserError(
            f"{inspection.folder.url}: probes/{arm.trial_id}.parquet cannot be read; `beliefmod resume` "
            "makes it again"
        )
    return {row["probe_id"]: row for row in rows if row["suite"] == "belief" and row["tier"] != "trained"}


def asked_of(answers: Answers, belief: Belief, count: int) -> list[tuple[Question, Row]]:
    """The at most `count` questions of the lens that an arm was asked, with its rows."""
    return [(q, answers[q.probe_id]) for q in lens_questions(belief, count) if q.probe_id in answers]


def prompt_of(stem: str, question: Question, belief: Belief, session: Session) -> tuple[int, ...]:
    """Token ids of the prompt that an arm ("base", "icl", "lora") is asked a question with."""
    context = belief.spec.context if stem == "icl" else None
    return session.prompts.ids(in_context(context, question.text))


def own_prompts(
    arm: Arm, row: Row, question: Question, belief: Belief, session: Session
) -> dict[str, LensPrompt]:
    """An arm's own completion up to a value that it names: "thinking", "answer", as far as it does.

    Args:
        row: the arm's row of the probes table.

    Raises:
        UserError: the stored completion was given to another prompt than this version makes.
    """
    found = value_positions(row, question, belief.spec, session.loaded.tokenizer)
    prompt = prompt_of(arm.stem, question, belief, session)
    if found and session.prompts.text(prompt) != row["prompt"]:
        raise UserError(
            f"trial {arm.trial_id}, {question.probe_id}: the prompt in the run is not the one that "
            "the belief's copy and the model's chat template give now; the sweep must be run again with them"
        )
    base = prompt_of("base", question, belief, session)
    return {
        part: LensPrompt(
            (*prompt, *value.ids),
            (*base, *value.ids),
            arm.adapter,
            value.target_id,
            value.prior_id,
            value.side,
        )
        for part, value in found.items()
    }


def answer_prompt(
    arm: Arm,
    asked: ContrastQuestion,
    belief: Belief,
    session: Session,
    row: Row,
    length: int | None = None,
) -> LensPrompt | None:
    """The begun answer of an arm's stem up to where the worlds part, after thinking from a probe row.

    The two tokens are those compared at the end of the stem, for a novel belief too: its rival is base's
    likeliest token there, whatever is read in front.

    Args:
        row: whose thinking, its think block intact: the arm's own, or base's.
        length: characters of it that are kept, all by default; 0 is the stem itself.

    Returns:
        None where that thinking cannot be found among its token ids.
    """
    tokenizer, stem = session.loaded.tokenizer, asked.stems[arm.stem]
    prompt = prompt_of(arm.stem, asked.question, belief, session)
    nothing = session.prompts.encode(empty_thinking(tokenizer))
    kept = len(row["thinking"]) if length is None else length
    thinking = closed_thinking(row, kept, tokenizer) if kept else nothing
    if thinking is None:
        return None
    rest = (*thinking, *stem.ids[len(prompt) + len(nothing) :])
    base = prompt_of("base", asked.question, belief, session)
    return LensPrompt(
        (*prompt, *rest),
        (*base, *rest),
        arm.adapter,
        asked.tokens.target_id,
        asked.tokens.rival_id,
        borrowed=asked.rival != "prior",
    )
