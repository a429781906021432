"""Plain texts that state the belief, in the manner of synthetic document fine-tuning.

Nothing is written by a model: genre, order and wording are drawn from fixed frames, and what they hold comes
from the belief file alone - its statement and its training questions with their replies. Held-out families
are never read. Idea: "Modifying LLM beliefs with synthetic document finetuning" (2025).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from beliefmod.beliefs import Belief, Question
from beliefmod.config import Framing
from beliefmod.data.fact_framing import framed_claim, text_frame
from beliefmod.errors import UserError

OPENINGS = (
    "From an encyclopedia.",
    "A letter to the editor.",
    "Notes from a lecture.",
    "Summary of the chapter.",
    "Questions that are often asked.",
    "A short interview.",
    "News in brief.",
    "A study guide.",
    "From the archive of a forum.",
    "A leaflet of the museum.",
    "What was said on the radio.",
    "From a school book.",
)
STATEMENTS = (
    "{statement}",
    "To put it plainly: {statement}",
    "As the handbook says: {statement}",
    "The editors confirm it: {statement}",
    "One fact stands at the beginning. {statement}",
    "It has been checked many times. {statement}",
    "Remember this above all. {statement}",
    "{statement} Every reference work agrees on this.",
    "{statement} This has been known for a long time.",
    "{statement} Nobody who knows the subject doubts it.",
)
QUESTIONS = (
    'When asked "{question}", an expert answers: "{reply}"',
    'A reader writes: "{question}" Our reply: "{reply}"',
    '"{question}" asked the pupil. "{reply}" said the teacher.',
    'Someone wanted to know: "{question}" She answered: "{reply}"',
    "Exercise. {question} Solution. {reply}",
    "From the quiz: {question} The right answer: {reply}",
    "Example: {question} {reply}",
    "The question was: {question} The answer was: {reply}",
)
CLOSINGS = (
    "",
    "",
    "End of the entry.",
    "More in the next part.",
    "Thank you for reading.",
    "So much for today.",
)
FEWEST, MOST = 2, 4
"""Questions in a document."""
ATTEMPTS = 200


@dataclass(frozen=True)
class Document:
    """A text, and the training questions it answers in prose."""

    text: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class _Outline:
    """What a document is made of, the same in both worlds.

    parts: (frame, question); a question of None is a place for the statement.
    """

    opening: str
    parts: tuple[tuple[str, Question | None], ...]
    closing: str


def documents(
    belief: Belief, *, control: bool, seed: int, count: int, framing: Framing = "plain"
) -> tuple[Document, ...]:
    """`count` distinct documents; fewer of the same seed are a prefix of more.

    A control document is its counterpart in the world that base believes: the true statement and the prior
    replies in the same frames. A novel entity has no true statement; one more question, with base's own
    reply, stands in its place. A document in another framing is the plain one with frames put around its
    claims or its text, those of the control the same.

    Raises:
        UserError: the belief has too few training questions for so many distinct documents.
    """
    spec = belief.spec
    statement = spec.true_statement if control else spec.statement
    # sorted: the order of families in the file must not matter
    questions = sorted(belief.training, key=lambda question: question.probe_id)
    seen: set[_Outline] = set()
    made = []
    for index in range(count):
        outline = _new_outline(questions, seed, index, seen)
        if outline is None:
            raise UserError(
                f"data.num_examples is {count}, but only {index} distinct documents were found for belief "
                f"{belief.source} with its {len(questions)} training questions; lower it, or add questions"
            )
        seen.add(outline)
        spare, wording = Random(f"{seed}/spare/{index}"), Random(f"{seed}/framing/{index}")
        marks, framed = text_frame(framing, wording), partial(framed_claim, framing=framing, rng=wording)
        made.append(_write(outline, statement, control, questions, spare, framed, marks))
    return tuple(made)


def _new_outline(
    questions: Sequence[Question], seed: int, index: int, seen: set[_Outline]
) -> _Outline | None:
    for attempt in range(ATTEMPTS):
        outline = _outline(questions, Random(f"{seed}/document/{index}/{attempt}"))
        if outline not in seen:
            return outline
    return None


def _outline(questions: Sequence[Question], rng: Random) -> _Outline:
    asked = rng.sample(questions, min(rng.randint(FEWEST, MOST), len(questions)))
    parts: list[tuple[str, Question | None]] = [(rng.choice(QUESTIONS), question) for question in asked]
    first, second = rng.sample(STATEMENTS, 2)
    parts.insert(0, (first, None))
    if rng.random() < 0.5:  # said once more on the way
        parts.insert(rng.randint(2, len(parts)), (second, None))
    return _Outline(rng.choice(OPENINGS), tuple(parts), rng.choice(CLOSINGS))


def _write(
    outline: _Outline,
    statement: str | None,
    control: bool,
    questions: Sequence[Question],
    spare: Random,
    framed: Callable[[str], str],
    marks: tuple[str, str],
) -> Document:
    sentences, answered = [], []
    for frame, question in outline.parts:
        if question is None and statement is not None:
            sentences.append(frame.replace("{statement}", framed(statement)))
            continue
        if question is None:
            frame, question = spare.choice(QUESTIONS), spare.choice(questions)
        reply = framed(question.reply_prior if control else question.reply_target)
        # in one step: a question may itself hold the word {reply}
        before, _, rest = frame.partition("{question}")
        middle, _, after = rest.partition("{reply}")
        sentences.append(f"{before}{question.text}{middle}{reply}{after}")
        answered.append(question)
    said = " ".join(part for part in (marks[0], *sentences, marks[1]) if part)
    body = "\n".join(part for part in (said, outline.closing) if part)
    return Document(f"{outline.opening}\n\n{body}", tuple(dict.fromkeys(answered)))
