"""Which settings control trials have that stand for many: the middle ones of each kind of LoRA trial.

A kind is a style of data together with values of the chat template's switches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from beliefmod.space.axes import finite_values, is_switch, middle_value, switches_at

Point = Mapping[str, Any]
"""Settings by their dotted names."""


def central_points(
    points: Sequence[Point], style: Callable[[Point], Any], between: bool = True
) -> Iterator[Point]:
    """The middle settings of each kind of these points.

    Args:
        style: a point's style of data.
        between: whether settings are taken one by one, each its middle value, and not a point as it is.
    """
    kinds: dict[tuple[Any, str | None], list[Point]] = {}
    for point in points:
        kinds.setdefault((style(point), switches_at(point)), []).append(point)
    for same in kinds.values():
        yield _middle(same) if between else same[(len(same) - 1) // 2]


def unseen_points(
    axes: Mapping[str, Any], seen: Sequence[Point], drawn: Sequence[Point], fits: Callable[[Point], bool]
) -> list[Point]:
    """A point for each kind on the axes that none of the points among `seen` has.

    Args:
        drawn: points of which the other settings are the middle ones, as far as they go with the kind.
        fits: whether the settings of a point go together.
    """
    names = [name for name in axes if name == "data.style" or is_switch(name)]
    found = []
    for values in product(*(finite_values(axes[name]) or () for name in names)):
        kind = dict(zip(names, values, strict=True))
        if any(kind == {name: point[name] for name in names} for point in seen):
            continue
        if fitting := [each for point in drawn if fits(each := {**point, **kind})]:
            found.append(_middle(fitting))
    return found


def _middle(points: Sequence[Point]) -> Point:
    return {name: middle_value([point[name] for point in points]) for name in points[0]}
