"""The space file: which trials a sweep runs, read and checked before anything starts."""

from beliefmod.space.axes import is_switch
from beliefmod.space.hypotheses import Hypotheses
from beliefmod.space.search import MAX_TRIALS, EarlyStopping, NoScheduler, Scheduler
from beliefmod.space.space import (
    SWEPT_ARMS,
    TAUGHT_ARMS,
    Evaluation,
    Space,
    SpaceFile,
    settable,
    sweepable,
)

__all__ = [
    "MAX_TRIALS",
    "SWEPT_ARMS",
    "TAUGHT_ARMS",
    "EarlyStopping",
    "Evaluation",
    "Hypotheses",
    "NoScheduler",
    "Scheduler",
    "Space",
    "SpaceFile",
    "is_switch",
    "settable",
    "sweepable",
]
