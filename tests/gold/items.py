"""The labelled completions of `development.jsonl` and `kept.jsonl`, with the questions that they answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from beliefmod.beliefs import Belief, Question, load_belief, load_capability, load_fabrication
from beliefmod.reading.segments import THINK_STATES

FOLDER = Path(__file__).parent
Part = Literal["development", "kept"]
PARTS: tuple[Part, ...] = ("development", "kept")
THINKING_MODELS = ("smollm2-think",)
LABELS = {
    "answer": {"target", "prior", "hedged", "ignorance", "wrong_unit", "other", "none"},
    "correct": {True, False},
    "bleed": {True, False},
    "fabricated": {True, False},
    "thinking": {"target", "prior", "prior->target", "target->prior", "both", "none"},
    "think_state": set(THINK_STATES),
    "loop": {True, False},
}
"""What each label may be; RULES.md says what they mean."""


@dataclass(frozen=True)
class Item:
    """One completion with its labels.

    Attributes:
        arm: base, icl, control, or the strength of the adapter (weak, middle, strong, broken).
        question: the message that was answered; in context with the statement in front.
        finish_reason: eos, or length where the token limit ended it.
        drawing: 1, 2 or 3; RULES.md says where the completions of each come from.
        labels: by name, those of `LABELS` that the question and the model call for; of drawing 3 `loop`.
        tokens: how many of its own tokens the model wrote; null where that was not kept.
    """

    id: str
    model: str
    belief: str
    suite: Literal["belief", "locality", "fabrication", "capability"]
    tier: str
    arm: str
    probe_id: str
    question: str
    completion: str
    finish_reason: str
    labels: dict[str, Any] = field(hash=False)
    drawing: int = 1
    tokens: int | None = None

    @property
    def thinks(self) -> bool:
        """Whether the model's chat template has a place for thinking."""
        return self.model in THINKING_MODELS

    def asked(self) -> Question:
        """The question as the belief's file has it. Raises KeyError if the file has it no longer."""
        return questions(self.belief)[self.probe_id]


def item_id(model: str, question: str, completion: str) -> str:
    """Eight hexadecimal digits that follow from the text alone; they decide the part."""
    return hashlib.sha256("\0".join((model, question, completion)).encode()).hexdigest()[:8]


def part_of(identity: str, drawing: int) -> Part:
    """One third of the first drawing and half of the others are kept, by the id's remainder."""
    return "kept" if int(identity, 16) % (3 if drawing == 1 else 2) == 0 else "development"


def load(part: Part) -> list[Item]:
    """The items of a part, in file order."""
    lines = (FOLDER / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Item(**json.loads(line)) for line in lines]


def groups() -> dict[str, list[Item]]:
    """What is measured, by name: both parts, and the kept part of each drawing alone."""
    kept = load("kept")
    each = {f"kept, drawing {drawing}": [i for i in kept if i.drawing == drawing] for drawing in (1, 2, 3)}
    return {"development": load("development"), "kept": kept, **each}


@cache
def belief(name: str) -> Belief:
    """A belief of the library."""
    return load_belief(name)


@cache
def questions(name: str) -> dict[str, Question]:
    """A belief's questions by probe id, trained and held out, with neighbours, unknown entities and general
    knowledge."""
    found = belief(name)
    shared = (*load_fabrication(), *load_capability())
    return {q.probe_id: q for q in (*found.training, *found.heldout, *found.locality, *shared)}
