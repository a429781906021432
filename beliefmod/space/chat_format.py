"""How a model is talked to, as a space says it: a chat template, its switches, and marks of thinking."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from beliefmod.config import Frozen
from beliefmod.errors import UserError

ThinkingKind = Literal["prompt", "model", "none"]
"""Who opens thinking: the prompt, the model itself, or nobody (a model that does not think)."""


class ThinkingField(Frozen):
    """What a space says of a model's thinking, ahead of what its chat template shows."""

    open: str | None = Field(
        default=None, min_length=1, description="mark that begins thinking, such as <think>; with close"
    )
    close: str | None = Field(
        default=None, min_length=1, description="mark that ends thinking, such as </think>; with open"
    )
    opened_by: ThinkingKind | None = Field(
        default=None,
        description="prompt: the chat template's prompt ends inside thinking; model: the model writes the "
        "opening mark; none: it does not think, and all that it writes is the answer",
    )

    @model_validator(mode="after")
    def _marks_are_two(self) -> ThinkingField:
        if (self.open is None) != (self.close is None):
            raise ValueError("open and close are given together, or neither is")
        if self.open is not None and self.open == self.close:
            raise ValueError("open and close must differ")
        return self


@dataclass(frozen=True)
class ChatFormat:
    """What stands in for what a model's own files say of a chat.

    Attributes:
        template: a Jinja template instead of the tokenizer's own.
        switches: variables that the template is rendered with.
        thinking: marks of thinking, and who opens it.
        variants: the further switches that trials differ in, each as `TrialConfig.template` has it; None for
            trials without.
    """

    template: str | None = None
    switches: tuple[tuple[str, Any], ...] = ()
    thinking: ThinkingField | None = None
    variants: tuple[str | None, ...] = (None,)

    @classmethod
    def of(
        cls,
        template: str | None = None,
        switches: Mapping[str, Any] | None = None,
        thinking: ThinkingField | None = None,
        variants: tuple[str | None, ...] = (None,),
    ) -> ChatFormat:
        """The format that the fields of a space file give."""
        return cls(template, tuple((switches or {}).items()), thinking, variants)

    def switched(self, template: str) -> str:
        """A template in which the switches are set as constants.

        Being part of it they count wherever the template does: when answers are kept, and when a run is gone
        on with.
        """
        return with_constants(template, self.switches)

    def switch_problems(self, template: str) -> list[str]:
        """The switches that a template does not know, one sentence each."""
        known = {name for name in SWITCHES if re.search(rf"\b{name}\b", template)}
        there = f"it has {', '.join(sorted(known))}" if known else "it has none that is known"
        return [
            f"template.{name} has no effect: the chat template has no such switch ({there}); remove it"
            for name in dict.fromkeys(
                (*dict(self.switches), *(n for v in self.variants for n in json.loads(v or "{}")))
            )
            if not re.search(rf"\b{name}\b", template)
        ]


def with_constants(template: str, switches: Iterable[tuple[str, Any]]) -> str:
    """A chat template with lines in front that set variables: bool, number or text."""
    lines = "".join(f"{{%- set {name} = {json.dumps(value)} %}}" for name, value in switches)
    # a line end right behind a block belongs to the block
    return f"{lines}\n{template}" if lines and template.startswith("\n") else f"{lines}{template}"


OWN = ChatFormat()
"""As the model's own files have it."""
SWITCHES = (
    "enable_thinking",
    "thinking",
    "reasoning_effort",
    "thinking_budget",
    "preserve_thinking",
    "keep_past_thinking",
    "truncate_history_thinking",
    "low_effort",
    "medium_effort",
)
"""Switches that templates of thinking models are known to have; a template may have others."""


def template_text(given: str) -> str:
    """A chat template: what was given itself, if that is one, or the content of the file that it names.

    Raises:
        UserError: there is no such file, it is no text, or holds no template, or one with a mistake.
    """
    if _is_template(given):
        _check_syntax(given, "chat_template")
        return given
    try:
        text = Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is no text" if isinstance(error, ValueError) else f"cannot be read ({error.strerror})"
        raise UserError(f"chat template {given} {reason}; give a file with a Jinja template") from None
    if not _is_template(text):
        raise UserError(f"chat template {given} holds no Jinja template: neither {{{{ nor {{% is in it")
    _check_syntax(text, f"chat template {given}")
    return text


def _check_syntax(text: str, what: str) -> None:
    """Raises UserError, with the line, where a template is none that Jinja can read."""
    from jinja2 import Environment, TemplateSyntaxError

    # a block of transformers' own, which marks what an assistant says
    plain = re.sub(r"\{%-?\s*(?:end)?generation\s*-?%\}", "", text)
    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain)
    except TemplateSyntaxError as error:
        reason = str(error.message).rstrip(".")
        raise UserError(f"{what}, line {error.lineno}: {reason}; correct this line") from None


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text
