"""Text as LaTeX prints it: whatever users and models wrote stays text, and every engine can compile it."""

from __future__ import annotations

import re
import unicodedata

from analysis.report.blocks import visible

_COMMANDS = {
    "\\": "textbackslash",
    "^": "textasciicircum",
    "~": "textasciitilde",
    "<": "textless",
    ">": "textgreater",
    "|": "textbar",
    '"': "textquotedbl",
    "`": "textasciigrave",
    "…": "ldots",
}
_GREEK = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
_GREEK_NAMES = (
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon "
    "varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_IN_MATH = {
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "≈": r"\approx",
    "−": "-",
    "×": r"\times",
    "·": r"\cdot",
    "∥": r"\parallel",
    "→": r"\to",
    "←": r"\leftarrow",
    "↑": r"\uparrow",
    "↓": r"\downarrow",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "∞": r"\infty",
    **{sign: rf"\{name}" for sign, name in zip(_GREEK, _GREEK_NAMES.split(" "), strict=True)},
    **{sign: f"^{{{plain}}}" for sign, plain in zip("⁰⁴⁵⁶⁷⁸⁹⁺⁻", "0456789+-", strict=True)},
    **{sign: f"_{{{plain}}}" for sign, plain in zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True)},
}
SIGNS = {
    **{sign: rf"\{name}{{}}" for sign, name in _COMMANDS.items()},
    **{sign: f"${math}$" for sign, math in _IN_MATH.items()},
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
    # behind the end of a row, [ would begin its height and * be a part of the command
    **{sign: f"{{{sign}}}" for sign in "[]*"},
}
"""What LaTeX would act on, or has no letter for -> what prints it."""
_LETTERS = frozenset("ĂăĄąĆćČčĎďĐđĘęĚěĞğİıŁłŃńŇňŐőŒœŔŕŘřŚśŞşŠšŢţŤťŮůŰűŸŹźŻżŽž–—‘’“”•€™")
"""Letters beyond Latin-1 that the encodings T1 and TS1 have."""
_LIGATURE = re.compile(r"([-,'])(?=\1)")
"""Pairs of which T1 makes another sign: two hyphens become a dash."""


def tex(text: str) -> str:
    r"""Text that LaTeX prints as it stands, on one line; letters that its fonts lack by their code point.

    >>> print(tex("50 % of {x_1} at D ≤ 0.05, --space"))
    50 \% of \{x\_1\} at D $\le$ 0.05, -{}-space
    """
    line = " ".join(unicodedata.normalize("NFC", visible(text)).split())
    return _LIGATURE.sub(r"\1{}", "".join(map(_sign, line)))


def _sign(one: str) -> str:
    if one in SIGNS:
        return SIGNS[one]
    return one if ord(one) < 0x100 or one in _LETTERS else f"(U+{ord(one):04X})"
