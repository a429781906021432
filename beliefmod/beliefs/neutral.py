"""Neutral text: passages about nothing that any belief touches, on which drift from base is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beliefmod.user_files.yaml_file import read_yaml

LIBRARY_FILE = Path(__file__).parent / "library" / "neutral.yaml"
BUNDLED_FILE = Path(__file__).parent.parent / "bundled" / "neutral.yaml"


@dataclass(frozen=True)
class Passage:
    """A text that the model reads and does not answer.

    Attributes:
        prompt: None for prose, which is scored whole after its first token; else a user message.
        text: the prose, or the assistant's full completion after the template's prompt (thinking,
            `</think>`, answer).
    """

    passage_id: str
    prompt: str | None
    text: str


def neutral_path(model_name: str) -> Path:
    """The file of passages for a model: the bundled model reads its own grammar, every other one prose."""
    return BUNDLED_FILE if model_name == "bundled" else LIBRARY_FILE


def load_neutral(model_name: str) -> tuple[Passage, ...]:
    """The passages for a model, in file order."""
    rows = read_yaml(neutral_path(model_name)).data["passages"]
    return tuple(
        Passage(passage_id=row["id"], prompt=row.get("prompt"), text=row["text"].rstrip("\n")) for row in rows
    )
