"""Token ids as tuples."""

from collections.abc import Sequence

Ids = tuple[int, ...]


def agreeing(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginning.

    >>> agreeing((5, 6, 7), (5, 6, 8, 9))
    2
    """
    pairs = enumerate(zip(left, right, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(left), len(right)))
