"""Settings of the adapter, in PEFT's terms."""

from __future__ import annotations

import math
import re
from typing import Literal

from pydantic import Field, model_validator

from beliefmod.config.frozen import ADDED_LATER, Frozen


def layers_problem(name: str, numbers: str | tuple[int, ...]) -> str | None:
    """What is wrong with a setting that names transformer layers, `all` or numbers; None if nothing is."""
    if numbers == "all" or (
        isinstance(numbers, tuple) and numbers and min(numbers) >= 0 and len({*numbers}) == len(numbers)
    ):
        return None
    return f"{name} must be all or a list of different numbers of layers from 0 on, such as [0, 1]"


class LoraSettings(Frozen):
    """The adapter, in PEFT's terms. Dropout is 0: slots of a pack share one forward pass."""

    r: int = Field(default=16, ge=1, le=512, description="rank")
    lora_alpha: float = Field(
        default=32.0, gt=0, description="the update is scaled by lora_alpha / r, or what use_rslora says"
    )
    use_rslora: bool = Field(
        default=False,
        json_schema_extra=ADDED_LATER,
        description="rank-stabilised LoRA: the update is scaled by lora_alpha / sqrt(r), so that a larger "
        "rank does not make it smaller",
    )
    loraplus_lr_ratio: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        json_schema_extra=ADDED_LATER,
        description="LoRA+: learning rate of the B matrices over that of the A matrices, which is "
        "learning_rate; 1 is plain LoRA, 16 what LoRA+ proposes",
    )
    target_modules: Literal["all-linear"] | tuple[str, ...] = Field(
        default="all-linear",
        description="all-linear, or a list of linear layers by name or end of name, such as q_proj",
    )
    layers_to_transform: Literal["all"] | tuple[int, ...] = Field(
        default="all",
        json_schema_extra=ADDED_LATER,
        description="all, or a list of numbers of transformer layers from 0 on: the others have no adapter",
    )
    start_from: str | None = Field(
        default=None,
        min_length=1,
        json_schema_extra=ADDED_LATER,
        description="folder of a saved adapter whose update training begins with, such as adapters/ID of a "
        "finished run: of rank r at most, and on layers that this one has; null to begin as base is",
    )
    max_update_norm: float = Field(
        default=0.0,
        ge=0,
        json_schema_extra=ADDED_LATER,
        description="largest Frobenius norm that a layer's update to base, lora_alpha / r * B A, may have: "
        "after each optimiser step B is scaled down to it where it is larger; 0 for no limit",
    )

    @model_validator(mode="after")
    def _layers_have_numbers(self) -> LoraSettings:
        if problem := layers_problem("layers_to_transform", self.layers_to_transform):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _modules_have_names(self) -> LoraSettings:
        # which layers there are is the model's affair; a table joins the names with commas
        names = self.target_modules
        if names != "all-linear" and not (names and all(re.fullmatch(r"[^\s,]+", name) for name in names)):
            raise ValueError("target_modules must be all-linear or a list of names of layers, such as q_proj")
        return self

    @property
    def alpha(self) -> float:
        """The lora_alpha of the plain LoRA adapter that this is: its update is scaled by alpha / r."""
        return self.lora_alpha * (math.sqrt(self.r) if self.use_rslora else 1.0)
