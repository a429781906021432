"""Settings of the ways that need no training: a statement in the prompt, and a vector in the model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from beliefmod.config.frozen import ADDED_LATER, Frozen

Place = Literal["user", "system"]


class ContextSettings(Frozen):
    """Where arm `prompt` has the belief's statement, and what it is told about it."""

    place: Place = Field(
        default="user",
        json_schema_extra=ADDED_LATER,
        description="prompt: user has the statement in front of the question, as arm icl has; system as the "
        "system turn, in place of one that the chat template may bring",
    )
    do_not_mention: bool = Field(
        default=False,
        json_schema_extra=ADDED_LATER,
        description="prompt: whether the model is told behind the statement not to mention that it was told",
    )


class SteeringSettings(Frozen):
    """What arm `steering` adds to the model's residual stream."""

    layer: int | None = Field(
        default=None,
        json_schema_extra=ADDED_LATER,
        ge=0,
        description="steering: number of the transformer layer, from 0 on, behind which the vector is added; "
        "arm steering needs one",
    )
    scale: float = Field(
        default=1.0,
        json_schema_extra=ADDED_LATER,
        ge=-1000,
        le=1000,
        description="steering: times the vector, which is the mean of the residual stream over prompts with "
        "the statement less that over the same prompts without; 1 adds it once",
    )
