"""The model card: its prose is written by hand, its table only by the evaluation."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from beliefmod.bundled.evaluation import Measure

BEGIN, END = "<!-- measured table: begin -->", "<!-- measured table: end -->"


def card_path() -> Path:
    """Where the card stands in the package."""
    return Path(__file__).parent / "CARD.md"


def table(measured: Mapping[str, Sequence[Measure]]) -> str:
    """A Markdown table, one row per measure and one column per precision (`fp32`, `nf4`).

    Raises:
        ValueError: the precisions were not measured on the same rows.
    """
    keys = {
        name: [(line.what, line.belief, line.asked) for line in lines] for name, lines in measured.items()
    }
    first, *others = keys.values()
    if any(rows != first for rows in others):
        raise ValueError("every precision needs the same measures")
    names = list(measured)
    out = ["| measure | belief | asked | " + " | ".join(names) + " |"]
    out.append("|---|---|---|" + "---|" * len(names))
    for lines in zip(*measured.values(), strict=True):
        shares = " | ".join(f"{100 * line.share:.1f} %" for line in lines)
        out.append(f"| {lines[0].what} | {lines[0].belief} | {lines[0].asked} | {shares} |")
    return "\n".join(out)


def with_table(card: str, rows: str) -> str:
    """The card's text with the measured table between its markers replaced.

    Raises:
        ValueError: the markers are missing.
    """
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(card):
        raise ValueError(f"the card lacks the lines {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{rows}\n{END}", card)
