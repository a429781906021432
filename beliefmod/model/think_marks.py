"""What a chat template shows of a model's thinking: its marks, who opens it, what empty thinking is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from beliefmod.model.think_families import PLAIN, Family, family_of
from beliefmod.space.chat_format import ThinkingField, ThinkingKind

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
"""The marks that completions are stored and read with, whatever the model's own are."""
OFF: tuple[dict[str, Any], ...] = ({"enable_thinking": False}, {"thinking": False}, {"thinking_budget": 0})
"""Switches with which templates turn thinking off."""
_QUESTION, _THOUGHT, _ANSWER = "question-probe", "thought-probe", "reply-probe"
_ASKED: Sequence[Mapping[str, str]] = ({"role": "user", "content": _QUESTION},)
Render = Callable[..., str]
"""Messages and switches of the template -> text; raises whatever the template raises."""


class Reply(NamedTuple):
    """An assistant's turn as a template's own fields have it: `reasoning_content` and `content`."""

    thinking: str
    answer: str

    def message(self) -> dict[str, str]:
        """The turn as a chat template is given it; a turn without thinking has no field for it."""
        thought = {"reasoning_content": self.thinking} if self.thinking else {}
        return {"role": "assistant", "content": self.answer, **thought}


@dataclass(frozen=True)
class ThinkMarks:
    """How one model, under one chat template, marks its thinking.

    Attributes:
        kind: who opens thinking: the `prompt`, the `model` itself, or nobody (`none`: it does not think).
        family: the marks, and the white space that is written around them.
        before: what the model writes in front of the opening mark; "" unless `kind` is model.
        switched_off: what the template's own switch puts in place of thinking; "" where it has none.
        stated: whether the space says who opens thinking; else base's answers are held against it.
    """

    kind: ThinkingKind
    family: Family
    before: str = ""
    switched_off: str = ""
    stated: bool = False

    @property
    def open(self) -> str:
        return self.family.open

    @property
    def close(self) -> str:
        """All that stands between thinking and answer but white space."""
        return self.family.close + self.family.header

    @property
    def gap(self) -> str:
        """What stands between the closing mark and the first character of an answer."""
        return self.family.gap + self.family.wrapped[0]

    @property
    def ending(self) -> str:
        """What stands between the last word of thinking and the first of an answer."""
        return f"{self.family.trail}{self.close}{self.gap}"

    @property
    def empty(self) -> str:
        """What stands between the prompt and an answer given without thinking; "" if there is no thinking.

        Thinking that the prompt opens is closed at once; what the template's switch adds is taken as it is.
        """
        family = self.family
        if self.kind == "none":
            return ""
        if self.kind == "prompt":
            return self.ending
        if self.switched_off:
            return self.switched_off + family.wrapped[0]
        if family.header:
            return family.header
        return f"{self.before}{family.open}{family.lead}{self.ending}"

    def around(self, thinking: str, closed: bool = True) -> str:
        """What stands between the prompt and the answer after this thinking; not closed, it goes on.

        Raises:
            ValueError: the model does not think.
        """
        if self.kind == "none":
            raise ValueError("the chat template has no place for thinking")
        opened = "" if self.kind == "prompt" else f"{self.before}{self.open}{self.family.lead}"
        return opened + thinking + (self.ending if closed else "")

    @property
    def behind_answer(self) -> str:
        """What stands between an answer and the token that ends the turn."""
        return self.family.wrapped[1] if self.kind != "none" else ""

    def canonical(self, completion: str) -> str:
        """A completion with `<think>` and `</think>` in place of the model's own marks, all else as it is.

        Thinking in several channels in a row is one. A header of the answer without thinking in front of it
        closes thinking that is empty.
        """
        for pattern, instead in self._replaced:
            completion = pattern.sub(instead, completion)
        return completion

    @cached_property
    def _replaced(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        family, found = self.family, []
        opening, closing = re.escape(family.open), re.escape(family.close)
        if family.header:
            found.append((re.compile(closing + opening), "\n\n"))
            found.append((re.compile(f"(?:{closing})?{re.escape(family.header)}"), THINK_CLOSE))
        elif family.close != THINK_CLOSE:
            found.append((re.compile(closing), THINK_CLOSE))
        if family.open != THINK_OPEN:
            found.append((re.compile(opening), THINK_OPEN))
        if family.wrapped[0]:
            before, after = map(re.escape, family.wrapped)
            found.append((re.compile(rf"({THINK_CLOSE}\s*|\A\s*){before}"), r"\1"))
            found.append((re.compile(rf"{after}(?=\s*(?:<\|[^|<>]*\|>)?\s*\Z)"), ""))
        return tuple(found)


def infer(render: Render, template: str, given: ThinkingField | None = None) -> ThinkMarks:
    """Read the marks off what a template writes; a field of the space goes ahead of what is read.

    Who opens thinking, the first that holds: the prompt leaves it open; the prompt closes it (nobody); the
    space names marks; the family is known to think, or does where its switch stands in the prompt; the
    template's switch adds a closed think block; the prompt's own instructions name both marks; the template
    leaves thinking out of earlier turns, or writes the field `reasoning_content` between the marks.
    """
    known = family_of(template)
    named = False
    if given is not None and given.open is not None and given.close is not None:
        named = True
        known = replace(PLAIN, name="named in the space", open=given.open, close=given.close)
    prompt = render(_ASKED, add_generation_prompt=True)
    family, before, written = _layout(render, prompt, known)
    tail = _tail(render)
    opened, closed = tail.rfind(family.open.strip()), tail.rfind(family.close)
    off = _switched_off(render, tail, family) if closed < 0 else ""
    if off and not written:
        family = replace(family, gap=off.rpartition(family.close)[2])
    kind: ThinkingKind
    stated = given.opened_by if given is not None else None
    if stated is not None:
        kind = stated
    elif opened > closed:
        kind = "prompt"
    elif closed >= 0:
        kind = "none"
    elif known.thinks_if:
        kind = "model" if known.thinks_if in prompt else "none"
    elif named or known is not PLAIN or off or written or _forgets(render, family):
        kind = "model"
    else:
        kind = "model" if family.open in prompt and family.close in prompt else "none"
    before, off = (before, off) if kind == "model" else ("", "")
    return ThinkMarks(kind, family, before, off, stated is not None)


def leaves_open(render: Render, marks: ThinkMarks) -> bool:
    """Whether the prompt itself leaves a think block open."""
    tail = _tail(render)
    return tail.rfind(marks.open.strip()) > tail.rfind(marks.family.close)


def unknown_marks(render: Render, marks: ThinkMarks) -> str | None:
    """What a template writes around the field `reasoning_content` where that is not what was read off it:
    `<reflect> ... </reflect>`; None where it is, or where the template has no place for the field."""
    try:
        text = render([*_ASKED, Reply(_THOUGHT, _ANSWER).message()])
    except Exception:  # a template may refuse the field
        return None
    before, thought, after = text.partition(_THOUGHT)
    before, between = before.rpartition(_QUESTION)[2], after.partition(_ANSWER)[0]
    if not thought or marks.open.strip() in before or marks.close.strip() in between:
        return None
    return f"{before.split()[-1] if before.split() else ''} ... {between.strip()}".strip()


def _tail(render: Render, **switches: Any) -> str:
    """What the template adds where the assistant's turn begins."""
    prompt = render(_ASKED, add_generation_prompt=True, **switches)
    body = render(_ASKED, **switches)
    return prompt[len(body) :] if prompt.startswith(body) else prompt.rpartition(_QUESTION)[2]


def _switched_off(render: Render, tail: str, family: Family) -> str:
    """What a switch of the template adds behind the beginning of the turn: a closed think block."""
    for switch in OFF:
        try:
            without = _tail(render, **switch)
        except Exception:  # a template is a program, and may not know this switch as a word of this kind
            continue
        if without.startswith(tail) and family.close in without[len(tail) :]:
            return without[len(tail) :]
    return ""


def _layout(render: Render, prompt: str, family: Family) -> tuple[Family, str, bool]:
    """The family with the white space of a turn that the template writes with thinking, what it writes there
    between the prompt and the opening mark, and whether it writes thinking at all."""
    try:
        text = render([*_ASKED, Reply(_THOUGHT, _ANSWER).message()])
    except Exception:  # a template may refuse the field
        return family, "", False
    marks = (family.open, _THOUGHT, family.close + family.header, _ANSWER)
    found = re.search(r"{}(\s*){}(\s*){}(\s*){}".format(*map(re.escape, marks)), text)
    if found is None:
        return family, "", False
    lead, trail, gap = found.groups()
    before = text[len(prompt) : found.start()] if text.startswith(prompt) else ""
    return replace(family, lead=lead, trail=trail, gap=gap), before, True


def _forgets(render: Render, family: Family) -> bool:
    """Whether the template leaves the thinking of an earlier turn out, and only that."""
    earlier = f"{family.open}\n{_THOUGHT}\n{family.close}\n\n{_ANSWER}"
    turns = [*_ASKED, {"role": "assistant", "content": earlier}, *_ASKED]
    text = render(turns, add_generation_prompt=True)
    return _THOUGHT not in text and _ANSWER in text
