"""Settings of the ways that need no training: a statement in the prompt, a vector, a saved adapter."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from beliefmod.config.frozen import ADDED_LATER, Frozen
from beliefmod.config.lora_settings import layers_problem

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


class AdapterSettings(Frozen):
    """What arm `adapter` is asked with: saved adapters, changed and added up without an optimiser step.

    The update to base is scale * source, in the layers of `layers` alone, + merge_scale * merge_with.
    """

    source: str | None = Field(
        default=None,
        json_schema_extra=ADDED_LATER,
        description="adapter: folder of a LoRA adapter in PEFT's format, such as adapters/ID of a finished "
        "run; arm adapter needs one",
    )
    scale: float = Field(
        default=1.0,
        json_schema_extra=ADDED_LATER,
        ge=-100,
        le=100,
        description="adapter: times the update of adapter.source; 1 is as trained, 0 base, -1 takes from "
        "base what training has added",
    )
    layers: Literal["all"] | tuple[int, ...] = Field(
        default="all",
        json_schema_extra=ADDED_LATER,
        description="adapter: all, or a list of numbers of transformer layers from 0 on: adapter.source "
        "changes nothing in the others",
    )
    merge_with: str | None = Field(
        default=None,
        json_schema_extra=ADDED_LATER,
        description="adapter: folder of a second adapter, whose whole update is added; null for none",
    )
    merge_scale: float = Field(
        default=1.0,
        json_schema_extra=ADDED_LATER,
        ge=-100,
        le=100,
        description="adapter: times the update of adapter.merge_with",
    )

    @model_validator(mode="after")
    def _layers_have_numbers(self) -> AdapterSettings:
        if problem := layers_problem("layers", self.layers):
            raise ValueError(problem)
        return self
