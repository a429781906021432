"""Whether base thinks as its chat template says: its first answers, looked at before any trial starts."""

from __future__ import annotations

from collections.abc import Sequence

from beliefmod.model.think_families import FAMILIES, UNKNOWN_MARKS
from beliefmod.model.think_marks import THINK_CLOSE, THINK_OPEN, ThinkMarks

LEAST, FEW, MOST = 5, 0.1, 0.9
"""Answers that must have ended by themselves; up to so large a share of other answers is an accident; beyond
so large a share they are the rule."""
OTHER_MARKS = (THINK_OPEN, *(family.open for family in FAMILIES), *UNKNOWN_MARKS)


def contradiction(answers: Sequence[tuple[str, str]], marks: ThinkMarks) -> str | None:
    """In what base's answers contradict what was read off the chat template, and what to do; else None.

    Answers that were cut off are looked at only where they begin: what they would have closed is not known.
    Where the space itself says who opens thinking, its word stands.

    Args:
        answers: completions in `<think>` tags, and what ended them (eos | length).
    """
    if marks.stated:
        return None
    ended = [text for text, finish in answers if finish == "eos"]
    if marks.kind == "none":
        return _thinks_all_the_same([text for text, _ in answers], marks)
    if len(ended) < LEAST:
        return None
    if other := _mark_of(ended, tuple(mark for mark in OTHER_MARKS if mark not in (marks.open, THINK_OPEN))):
        mark, count = other
        return (
            f"base writes {mark} in {count} of {len(ended)} first answers, but thinking was taken to stand "
            f'in {marks.open}; say so in the space file, thinking: {{open: "{mark}", close: ..., opened_by: '
            "model}"
        )
    if marks.kind == "prompt":
        unclosed = sum(THINK_CLOSE not in text for text in ended)
        if unclosed > MOST * len(ended):
            return (
                f"the prompt opens {marks.open}, but base never writes {marks.close} in {unclosed} of "
                f"{len(ended)} first answers that it ended, so all that it says would be read as thinking; "
                "name the marks in the space file, thinking: {open: ..., close: ..., opened_by: prompt}, or "
                "switch thinking off with template: {...}"
            )
        return None
    at_once = sum(not text.lstrip().startswith((THINK_OPEN, THINK_CLOSE)) for text in ended)
    if at_once > MOST * len(ended):
        return (
            f"the chat template lets the model open {marks.open}, but base answers at once in {at_once} of "
            f"{len(ended)} first answers; if it does not think, say so in the space file, thinking: "
            "{opened_by: none}; if it only thinks when told to, switch that on with template: {...}"
        )
    return None


def _thinks_all_the_same(texts: Sequence[str], marks: ThinkMarks) -> str | None:
    """Thinking of a model that was taken for one without; empty blocks are harmless, for they are read."""
    if len(texts) < LEAST or not (found := _mark_of(texts, OTHER_MARKS)):
        return None
    mark, count = found
    named = mark in (THINK_OPEN, marks.open)
    how = "{opened_by: model}" if named else f'{{open: "{mark}", close: ..., opened_by: model}}'
    return (
        f"base writes {marks.open if named else mark} in {count} of {len(texts)} first answers, but its chat "
        f"template was read as one without thinking, so its thinking would count as its answer; say so in "
        f"the space file, thinking: {how}, or switch thinking off with template: {{...}}"
    )


def _mark_of(texts: Sequence[str], marks: Sequence[str]) -> tuple[str, int] | None:
    """The mark that so many texts begin with, with something behind it, that it is no accident."""
    for mark in marks:
        said = [text.lstrip().removeprefix(mark) for text in texts if text.lstrip().startswith(mark)]
        full = [rest for rest in said if not rest.lstrip().startswith(THINK_CLOSE)]
        if len(full) > FEW * len(texts):
            return mark, len(full)
    return None
