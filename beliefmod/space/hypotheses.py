"""What a space file states about the hypotheses H1 and H2 before the sweep runs."""

from __future__ import annotations

from pydantic import Field

from beliefmod.config import Frozen


class Hypotheses(Frozen):
    """How H1 and H2 are decided; the manifest keeps it from the run's start on."""

    margin: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="smallest effect of interest, as a share (0.1: 10 points): a hypothesis is contradicted "
        "only where the 95 % interval of its effect lies below this, so never for merely not being "
        "significant; supported where it lies above 0 and reaches this; else undecided",
    )
