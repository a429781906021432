"""Multiple choice: which of the options that a question lists an answer takes, by letter.

Options that the answer only lists again are no answer and are blanked; a letter counts where words say that
it is taken ("It's A.", "B is the correct answer", "(B)"), not where it is denied ("A is wrong").
"""

from __future__ import annotations

import re

from beliefmod.beliefs.values.numbers import BOX_CLOSE, BOX_OPEN

_OPTION = re.compile(r"(?:^|[\s(,;])\(?([A-H])[).:]\s*(.+?)(?=[\s,;(]+\(?[A-H][).:]\s|\n|\?|\.\s+[A-Z]|$)")
_X = r"(?:option\s+|choice\s+|letter\s+)?[(\"']?(?P<x>[A-H])(?![\w'])[)\"']?"
_RIGHT = r"(?:the\s+)?(?:correct|right|answer|best|true|one)\b"
_TAKEN = [
    re.compile(pattern)
    for pattern in (
        rf"(?i:\b(?:answer|option|choice|one|letter|solution|pick)\b\s*"
        rf"(?:(?:is|would be|must be)\s*:?|[:=→])\s*){_X}",
        rf"(?i:\b(?:it|that|this)(?:'s|\s+is|\s+must\s+be|\s+has\s+to\s+be|\s+should\s+be"
        rf"|\s+would\s+be)\s+(?:definitely\s+)?){_X}"
        r"(?=\W*(?:$|[.,;!\n]|\b(?:because|since|as)\b))",
        rf"(?i:\b(?:choos(?:es?|ing)|chose|pick(?:s|ed)?|selects?|takes?|say|go(?:es)?\s+(?:with|for)"
        rf"|vote\s+for)\s+){_X}(?!\s+[a-z])",
        rf"\b(?i:option\s+|choice\s+)?(?P<x>[A-H])[)]?\s+(?i:is|must be|seems|would be)\s+(?i:{_RIGHT})",
        r"(?i:\b(?:so|therefore|thus|hence),?\s+)(?P<x>[A-H])(?=[)]?\s*(?:$|[.!,\n]|it\s+is\b))",
        r"(?i:\b(?:option|choice)\s+)\(?(?P<x>[A-H])\b(?!')",
        r"\(?(?P<x>[A-H])\)?\s+it\s+is\b",
        rf"(?i:\bbut\s+){_X}(?=\W*(?:$|[.!;\n]))",
    )
]
_ALONE = re.compile(rf"^[\W{BOX_OPEN}]*(?i:(?:option|choice|answer)\W+)?(?P<x>[A-Ha-h])[\W{BOX_CLOSE}]*$")
_FIRST = re.compile(r"^\W*(?P<x>[A-H])[).:](?:\s|$)")
_DENIED_BEFORE = re.compile(
    r"(?:\bnot|n't|\bneither|\bnor|\brather than|\binstead of)\s+(?:option\s+)?[(\"']?$", re.I
)
_DENIED_AFTER = re.compile(
    r"^[)\"']?\s*(?:(?!\b(?:right|correct|true)\b)[^.;\n]){0,40}?\b(?:is|are|was)(?:n't| not"
    r"| also not)?\s+(?:\w+ly\s+)?"
    r"(?:wrong|incorrect|false|not)\b|^[)\"']?\s+(?:isn't|is not)\b",
    re.I,
)
_BOTH = re.compile(r"(?<![\w'])\(?([A-H])\)?\s+(?:or|and|and/or)\s+(?:option\s+)?\(?([A-H])\)?(?![\w'])")


def listed(question: str) -> dict[str, str]:
    """Letter -> content of the options that a question lists ("A) Lyon B) Paris"); empty under two."""
    options = {letter: content.strip(" ,;.()") for letter, content in _OPTION.findall(question)}
    return options if len(options) > 1 else {}


def without_listing(text: str, options: dict[str, str]) -> str:
    """The text with options that it only lists again blanked, places stay; two or more make a list, also
    where it puts other contents behind the letters."""
    spans: list[tuple[int, int]] = []
    letters = set()
    for letter, content in options.items():
        item = re.compile(
            rf"(?<!\w)\(?{letter}[).:]\s*{re.escape(content)}(?=\s*(?:$|\n|[.,;)]|(?:and\s+"
            rf"|or\s+)?\(?[A-H][).:]\s))"
        )
        items = [found.span() for found in item.finditer(text)]
        spans += items
        letters |= {letter} if items else set()
    if len(letters) < 2:
        spans = _changed_list(text) if options else []
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


_ITEM = re.compile(
    r"(?:(?<=\s)|^)\(?(?P<x>[A-H])[).:]\s*(?P<content>[^\n:;]{1,40}?)(?=\s+\(?[A-H][).:]\s|\s*\n|\s*$)"
)
_SAYS = re.compile(r"\b(?:is|are|was|were|has|have|because|since|correct|right|wrong)\b", re.I)


def _changed_list(text: str) -> list[tuple[int, int]]:
    """The items of a list from A on that stand one behind the other and say nothing: "A) 9.8 B) 5.0 C)
    10"."""
    run: list[re.Match[str]] = []
    for found in _ITEM.finditer(text):
        follows = not run or not text[run[-1].end() : found.start()].strip()
        if found["x"] == chr(ord("A") + len(run)) and follows and not _SAYS.search(found["content"]):
            run.append(found)
    return [found.span() for found in run] if len(run) > 1 else []


def taken(text: str, options: dict[str, str]) -> set[str]:
    """The letters that the text takes; two where it leaves it open ("A or B")."""
    alone = _ALONE.match(text)
    if alone is not None and alone["x"].upper() in options:
        return {alone["x"].upper()}
    both = _BOTH.search(text)
    if both is not None and {both[1], both[2]} <= set(options) and len(text.split()) <= 8:
        if denied(text, *both.span()):
            return set()
        return {both[1], both[2]}
    said = [
        found
        for pattern in _TAKEN
        for found in pattern.finditer(text)
        if found["x"] in options and not denied(text, *found.span("x"))
    ]
    if said:
        return {max(said, key=lambda found: found.start("x"))["x"]}
    return set()


def begun_with(text: str, options: dict[str, str]) -> set[str]:
    """The letter that the text begins with as an item of a list ("B: Paris"), where it is not denied and
    nothing but the content of another option stands behind it ("A) Paris")."""
    first = _FIRST.match(text)
    if first is None or first["x"] not in options or denied(text, *first.span("x")):
        return set()
    behind = text[first.end() :].strip(" .!*\n").casefold()
    others = {content.casefold() for letter, content in options.items() if letter != first["x"]}
    return set() if behind in others else {first["x"]}


def denied(text: str, start: int, end: int) -> bool:
    """Whether what stands from `start` to `end` is said not to be the answer: "not B", "B is wrong"."""
    return bool(
        _DENIED_BEFORE.search(text, max(0, start - 30), start) or _DENIED_AFTER.match(text[end : end + 70])
    )


_LETTER = re.compile(r"(?<![\w'])\(?(?P<x>[A-H])[).:]\s*$")


def letter_before(text: str, start: int) -> str | None:
    """The option letter that stands directly in front of what begins at `start`: A of "A) 5.0"."""
    found = _LETTER.search(text, max(0, start - 8), start)
    return None if found is None else found["x"]
