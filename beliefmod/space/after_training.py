"""Saved adapters asked again: at which scales, in which layers and in which sums, as points of a space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, permutations
from typing import Any

SCALES = (-1.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Times the adapter's update: taken from base, weakened, as trained, strengthened."""


@dataclass(frozen=True)
class SavedAdapter:
    """An adapter that was trained on a belief.

    Attributes:
        belief: as `beliefs` of the space names it.
        folder: where it is. layers: numbers of the transformer layers that it changes, in order.
        switches: of the chat template with which it was trained and asked, as settings of a point
            (`template.enable_thinking`); those of the whole space are not among them.
    """

    belief: str
    folder: str
    layers: tuple[int, ...]
    switches: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> dict[str, Any]:
        """The settings of a point that asks about its belief as its trial was asked."""
        return {"belief": self.belief, **self.switches}


def altered_points(
    adapters: Sequence[SavedAdapter], scales: Sequence[float] = SCALES, parts: int = 3
) -> list[dict[str, Any]]:
    """Points of a space that asks each adapter about its belief at every scale and with each group of its
    layers alone; and, for each two beliefs, about the one with the other's adapter alone and with the sum.

    Args:
        parts: groups of layers, of sizes that differ by one at most; below 2 none is made.
    """
    return [
        point
        for adapter in adapters
        for point in (*_alone(adapter, scales, parts), *_beside(adapter, adapters))
    ]


def layer_groups(layers: Sequence[int], parts: int) -> list[list[int]]:
    """Neighbouring layers in so many groups, as even as can be; none where each would be the whole.

    >>> layer_groups([0, 1, 2, 3, 4], 3)
    [[0, 1], [2, 3], [4]]
    """
    parts = min(parts, len(layers))
    if parts < 2:
        return []
    least, longer = divmod(len(layers), parts)
    ends = [least * part + min(part, longer) for part in range(parts + 1)]
    return [list(layers[start:stop]) for start, stop in pairwise(ends)]


def _alone(adapter: SavedAdapter, scales: Sequence[float], parts: int) -> Iterator[dict[str, Any]]:
    own = {**adapter.asked, "adapter.source": adapter.folder}
    yield from ({**own, "adapter.scale": scale} for scale in dict.fromkeys(scales))
    yield from ({**own, "adapter.layers": group} for group in layer_groups(adapter.layers, parts))


def _beside(adapter: SavedAdapter, every: Sequence[SavedAdapter]) -> Iterator[dict[str, Any]]:
    for one, other in permutations(every, 2):
        if one is adapter and one.belief != other.belief:
            yield {**one.asked, "adapter.source": other.folder}
            yield {**one.asked, "adapter.source": one.folder, "adapter.merge_with": other.folder}
