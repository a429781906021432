"""The space file: which trials a sweep runs, read and checked before anything starts."""

from beliefmod.space.space import (
    MAX_TRIALS,
    SWEPT_ARMS,
    Evaluation,
    Search,
    Space,
    SpaceFile,
    settable,
    sweepable,
)

__all__ = [
    "MAX_TRIALS",
    "SWEPT_ARMS",
    "Evaluation",
    "Search",
    "Space",
    "SpaceFile",
    "settable",
    "sweepable",
]
