"""Whether base thinks as its chat template says: its first answers, looked at before any trial starts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from beliefmod.model.think_families import FAMILIES, PLAIN, UNKNOWN_MARKS
from beliefmod.model.think_marks import THINK_CLOSE, THINK_OPEN, ThinkMarks

LEAST, FEW, MOST = 5, 0.1, 0.9
"""Answers that must have ended by themselves; up to so large a share of other answers is an accident; beyond
so large a share they are the rule."""
OTHER_MARKS = (THINK_OPEN, *(family.open for family in FAMILIES), *UNKNOWN_MARKS)
_CLOSES = {family.open: None if family.header else family.close for family in (*FAMILIES, PLAIN)}
_MARKUP = re.compile(r"\s*(<\|?[a-z][\w:.-]*\|?>|\[[a-z][\w-]*\]|◁\w+▷)", re.IGNORECASE)
"""What a mark that opens thinking looks like: `<reflect>`, `<|begin_of_thought|>`, `[THINK]`, `◁think▷`."""
_CLOSING = re.compile(r"</([a-z][\w-]*)>", re.IGNORECASE)
_WORDLIKE = re.compile(r"[^\W_]")

Answers = Sequence[tuple[str, str]]
"""Completions in `<think>` tags, and what ended them (eos | length)."""


def contradiction(answers: Answers, marks: ThinkMarks, prompts_differ: bool = False) -> str | None:
    """In what base's answers contradict what was read off the chat template, and what to do; else None.

    Answers that were cut off are looked at only where they begin and for what they close: what they would
    have closed is not known. Where the space itself says who opens thinking, its word stands.

    Args:
        answers: base's first ones.
        prompts_differ: whether a switch of the template is an axis, and the prompt opens thinking with one of
            its values and not with another. No one word of the space on who opens it then fits both.
    """
    if marks.stated:
        return None
    if marks.kind == "none":
        return _thinks_all_the_same(answers, marks, prompts_differ)
    ended = [text for text, finish in answers if finish == "eos"]
    if len(ended) < LEAST:
        return None
    if other := _mark_of(ended, tuple(mark for mark in OTHER_MARKS if mark not in (marks.open, THINK_OPEN))):
        mark, count = other
        return (
            f"base writes {mark} in {count} of {len(ended)} first answers, but thinking was taken to stand "
            f"in {marks.open}; say so in the space file, {_named(mark)}"
        )
    if marks.kind == "prompt":
        unclosed = sum(THINK_CLOSE not in text for text in ended)
        if unclosed > MOST * len(ended):
            who = "" if prompts_differ else ", opened_by: prompt"
            return (
                f"the prompt opens {marks.open}, but base never writes {marks.close} in {unclosed} of "
                f"{len(ended)} first answers that it ended, so all that it says would be read as thinking; "
                f"name the marks in the space file, thinking: {{open: ..., close: ...{who}}}, or "
                "switch thinking off with template: {...}"
            )
        return None
    if strange := _strange_mark(answers):
        return strange
    at_once = sum(not text.lstrip().startswith(THINK_OPEN) and THINK_CLOSE not in text for text in ended)
    if at_once > MOST * len(ended):
        return (
            f"the chat template lets the model open {marks.open}, but base answers at once in {at_once} of "
            f"{len(ended)} first answers; if it does not think, say so in the space file, thinking: "
            "{opened_by: none}; if it only thinks when told to, switch that on with template: {...}"
        )
    return None


def _thinks_all_the_same(answers: Answers, marks: ThinkMarks, prompts_differ: bool) -> str | None:
    """Thinking of a model that was taken for one without; empty blocks are harmless, for they are read."""
    texts = [text for text, _ in answers]
    if len(texts) < LEAST:
        return None
    alone = "leave this value out of the axis, or sweep it by itself with"
    if found := _mark_of(texts, OTHER_MARKS):
        mark, count = found
        own = mark in (THINK_OPEN, marks.open)
        how = "thinking: {opened_by: model}" if own else _named(mark)
        return (
            f"base writes {marks.open if own else mark} in {count} of {len(texts)} first answers, but its "
            "prompt was read as one without thinking, so its thinking would count as its answer; "
            f"{alone if prompts_differ else 'say so in the space file,'} {how}"
        )
    for mark in (*OTHER_MARKS, *_never_opened(texts)):
        close = THINK_CLOSE if mark in (THINK_OPEN, marks.open) else _closing(mark)
        count = sum(_closes_thinking(text.lstrip().removeprefix(mark), close) for text in texts)
        if count <= FEW * len(texts):
            continue
        seen = (
            f"base writes {marks.close if close == THINK_CLOSE else close} behind text in {count} of "
            f"{len(texts)} first answers, but its prompt was read as one without thinking, so it thinks "
            "though thinking is off or its chat template has none; "
        )
        if prompts_differ:
            return f"{seen}{alone} thinking: {{opened_by: none}}"
        how = "thinking: {opened_by: model}" if close == THINK_CLOSE else _named(mark)
        return (
            f"{seen}say in the space file {how} to measure it as a model that thinks, or thinking: "
            "{opened_by: none} as one that does not, or take out the switch that turns thinking off"
        )
    return _strange_mark(answers)


def _never_opened(texts: Sequence[str]) -> list[str]:
    """The opening marks, in no table, of those that texts close without having opened them: of `</reason>`
    `<reason>`."""
    found: Counter[str] = Counter()
    for text in texts:
        if (mark := _CLOSING.search(text)) and f"<{mark[1]}>" not in text[: mark.start()]:
            found[f"<{mark[1]}>"] += 1
    return [mark for mark, _ in found.most_common() if mark not in OTHER_MARKS]


def _strange_mark(answers: Answers) -> str | None:
    """A mark in no table that answers begin with and close, with something behind it; or that most of them
    begin with and none ends."""
    begun = [(found[1], text, finish) for text, finish in answers if (found := _MARKUP.match(text))]
    for mark, count in Counter(mark for mark, *_ in begun).most_common(1):
        mine = [(text.partition(mark)[2], finish) for each, text, finish in begun if each == mark]
        closed = sum(_closes_thinking(text, _closing(mark), answered=True) for text, _ in mine)
        cut = all(finish == "length" for _, finish in mine)
        if mark == THINK_OPEN or not (closed > FEW * len(answers) or (cut and count > MOST * len(answers))):
            return None
        return (
            f"base begins {count} of {len(answers)} first answers with {mark}, which is in no table of marks "
            f"of thinking; if thinking stands in it, say so in the space file, {_named(mark)}; if "
            "not, thinking: {opened_by: none}"
        )
    return None


def _mark_of(texts: Sequence[str], marks: Sequence[str]) -> tuple[str, int] | None:
    """The mark that so many texts begin with, with something behind it, that it is no accident."""
    for mark in marks:
        said = [text.lstrip().removeprefix(mark) for text in texts if text.lstrip().startswith(mark)]
        full = [rest for rest in said if not rest.lstrip().startswith(THINK_CLOSE)]
        if len(full) > FEW * len(texts):
            return mark, len(full)
    return None


def _closes_thinking(text: str, close: str | None, answered: bool = False) -> bool:
    """Whether words stand in front of a closing mark; if `answered`, behind it too."""
    before, mark, after = text.partition(close) if close else ("", "", "")
    return bool(mark and _WORDLIKE.search(before) and (_WORDLIKE.search(after) or not answered))


def _closing(mark: str) -> str | None:
    """The mark that closes what this one opens; None where an answer has a header of its own.

    >>> _closing("<reflect>"), _closing("[THINK]"), _closing("<|begin_of_thought|>")
    ('</reflect>', '[/THINK]', '<|end_of_thought|>')
    """
    if mark in _CLOSES:
        return _CLOSES[mark]
    ends = re.sub(r"(?i)\b(?:begin|start)(?=_)", lambda found: "END" if found[0].isupper() else "end", mark)
    return ends if ends != mark else re.sub(r"^(<\|?|\[|◁)", r"\1/", mark)


def _named(mark: str) -> str:
    """The field of the space that names a pair of marks which the model opens itself."""
    close = f'"{closing}"' if (closing := _closing(mark)) else "..."
    return f'thinking: {{open: "{mark}", close: {close}, opened_by: model}}'
