"""Where to write beside a mark so that labels cover neither each other nor many marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
LETTER, BOLD_LETTER, LINE = 6.0, 6.5, 13.0  # pixels of 11.5 point text
# align, dx, dy: the nearer and the more usual first
PLACES = (
    ("left", 10, -9), ("left", 10, 10), ("left", 12, 0), ("right", -10, -9), ("right", -10, 10), ("right",
    -12, 0), ("center", 0, -19), ("center", 0, 20), ("left", 14, -26), ("left", 14, 26), ("right", -14, -26),
    ("left", 16, -42), ("left", 16, -58), ("left", 16, -74),
)  # fmt: skip


@dataclass(frozen=True)
class LabelText:
    """A text that belongs to any one of these marks, in pixels from the panel's top left."""

    text: str
    marks: tuple[Point, ...]
    bold: bool = False


@dataclass(frozen=True)
class LabelPosition:
    """Beside which of its marks, and how: text alignment and offset in pixels."""

    mark: int
    align: str
    dx: float
    dy: float


def place_labels(
    labels: Sequence[LabelText], marks: Sequence[Point], width: float, height: float
) -> list[LabelPosition]:
    """One place per label, in their order: inside the panel, off earlier labels, over the fewest marks."""
    taken: list[tuple[float, float, float, float]] = []
    placed = []
    for label in labels:
        options = [
            (_cost(_box(label, at, option), taken, marks, width, height) + 0.1 * rank, index, rank)
            for index, at in enumerate(label.marks)
            for rank, option in enumerate(PLACES)
        ]
        _, index, rank = min(options)
        align, dx, dy = PLACES[rank]
        taken.append(_box(label, label.marks[index], PLACES[rank]))
        placed.append(LabelPosition(index, align, dx, dy))
    return placed


def _box(label: LabelText, at: Point, option: tuple[str, float, float]) -> tuple[float, float, float, float]:
    align, dx, dy = option
    size = len(label.text) * (BOLD_LETTER if label.bold else LETTER)
    left = at[0] + dx - {"left": 0.0, "right": size, "center": size / 2}[align]
    return left, at[1] + dy - LINE / 2, left + size, at[1] + dy + LINE / 2


def _cost(
    box: tuple[float, float, float, float],
    taken: Sequence[tuple[float, float, float, float]],
    marks: Sequence[Point],
    width: float,
    height: float,
) -> float:
    left, top, right, bottom = box
    outside = left < 0 or top < 0 or right > width or bottom > height
    hidden = sum(left - 5 < x < right + 5 and top - 5 < y < bottom + 5 for x, y in marks)
    clashes = sum(left < r and right > x and top < b and bottom > y for x, y, r, b in taken)
    return 1000 * outside + 50 * clashes + hidden
