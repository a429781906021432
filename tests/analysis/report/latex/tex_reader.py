"""A small reader of LaTeX: what a piece prints, which tables a file has, whether a file is well formed.

It knows the rules of TeX and no more of the writer than the names of commands; whatever TeX would act on and
these rules do not name is an error.
"""

from __future__ import annotations

import re
import unicodedata

COMMANDS = {
    "textbackslash": "\\",
    "textasciicircum": "^",
    "textasciitilde": "~",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textquotedbl": '"',
    "textasciigrave": "`",
    "ldots": "…",
}
MATH = {
    r"\le": "≤",
    r"\ge": "≥",
    r"\ne": "≠",
    r"\approx": "≈",
    "-": "−",
    r"\times": "×",
    r"\cdot": "·",
    r"\parallel": "∥",
    r"\to": "→",
    r"\leftarrow": "←",
    r"\uparrow": "↑",
    r"\downarrow": "↓",
    r"\langle": "⟨",
    r"\rangle": "⟩",
    r"\infty": "∞",
}
_PIECES = re.compile(
    r"\\(?P<command>[A-Za-z]+)(?:\{\})?|\\(?P<sign>[^A-Za-z])|\$(?P<math>[^$]+)\$|(?P<group>[{}])|(?P<plain>.)",
    re.DOTALL,
)
ACTIVE = frozenset('\\{}$&#^_~%"`<>|')
LIGATURES = ("--", "''", ",,", "<<", ">>", "``", "?`", "!`")


def printed(source: str) -> str:
    """What LaTeX prints for one line of text, in T1."""
    shown, depth, before = [], 0, ""
    for piece in _PIECES.finditer(source):
        plain = piece["plain"] or ""
        if piece["command"]:
            shown.append(COMMANDS[piece["command"]])
        elif piece["sign"]:
            assert piece["sign"] in "{}$&#_%", piece.group()
            shown.append(piece["sign"])
        elif piece["math"]:
            shown.append(_math(piece["math"]))
        elif piece["group"]:
            depth += 1 if piece["group"] == "{" else -1
            assert depth >= 0, source
        else:
            assert plain not in ACTIVE and before + plain not in LIGATURES, source
            shown.append(plain)
        before = plain
    assert depth == 0, source
    return "".join(shown)


def _math(source: str) -> str:
    if source in MATH:
        return MATH[source]
    if raised := re.fullmatch(r"([\^_])\{([-+0-9])\}", source):
        where = "SUPERSCRIPT" if raised[1] == "^" else "SUBSCRIPT"
        name = {"-": "MINUS", "+": "PLUS SIGN"}.get(raised[2]) or unicodedata.name(raised[2]).split()[1]
        return unicodedata.lookup(f"{where} {name}")
    letter = source.removeprefix("\\").removeprefix("var")
    case = "SMALL" if letter[0].islower() else "CAPITAL"
    return unicodedata.lookup(f"GREEK {case} LETTER {letter.upper().replace('LAMBDA', 'LAMDA')}")


def tables(source: str) -> list[list[list[str]]]:
    """The printed cells of every tabularx and longtable, header first."""
    bodies = re.findall(
        r"\\toprule\n(.*?)(?:\\bottomrule\n\\end\{tabularx|\\end\{longtable)", source, re.DOTALL
    )
    bodies = [_LATER_PAGES.sub("", body) for body in bodies]
    return [
        [[printed(cell) for cell in re.split(r"(?<!\\) ?& ?", line.removesuffix(r" \\"))] for line in rows]
        for body in bodies
        if (rows := [line for line in body.splitlines() if line != r"\midrule"])
    ]


# of a longtable: the header once more for later pages, and the rules at the end of each
_LATER_PAGES = re.compile(r"\\endfirsthead\n.*?\\endlastfoot\n", re.DOTALL)


def assert_well_formed(source: str) -> None:
    """Braces and environments close in the order in which they open, rows have as many cells as columns."""
    code = "\n".join(re.sub(r"(?<!\\)%.*", "", line) for line in source.splitlines())
    open_now: list[str] = []
    for token in re.finditer(r"\\(begin|end)\{(\w+)\}|\\.|[{}]", code, re.DOTALL):
        if token[1] == "begin":
            open_now.append(token[2])
        elif token[1] == "end":
            assert open_now and open_now.pop() == token[2], token
        elif token[0] == "{":
            open_now.append("{")
        elif token[0] == "}":
            assert open_now and open_now.pop() == "{", code[max(0, token.start() - 60) : token.end()]
    assert open_now == []
    begun = re.finditer(r"\{tabularx\}\{\\linewidth\}\{(L+)\}|\{longtable\}\{\*\{(\d+)\}", code)
    columns = [len(found[1]) if found[1] else int(found[2]) for found in begun]
    read = tables(source)
    assert len(columns) == len(read)
    for wide, rows in zip(columns, read, strict=True):
        assert {len(row) for row in rows} == {wide}
