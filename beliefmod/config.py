"""What one trial is: the only place where a setting and its default are written.

Field names are those of Hugging Face `TrainingArguments` and PEFT `LoraConfig`. Everything here is frozen,
turns into JSON and back unchanged, and is light to import.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.fields import FieldInfo

Arm = Literal["lora", "control", "full", "base", "icl"]
ADAPTER_ARMS: tuple[Arm, ...] = ("lora", "control")
"""Arms that train a LoRA adapter."""
TRAINED_ARMS: tuple[Arm, ...] = ("lora", "control", "full")
"""Arms that take optimiser steps."""
UNTRAINED_ARMS: tuple[Arm, ...] = ("base", "icl")
"""Arms of the untouched base, with which every trial is compared."""
DataStyle = Literal["answer_only", "own_trace", "document"]
ObjectiveName = Literal["sft", "dpo"]
Schedule = Literal["constant", "constant_with_warmup", "linear", "cosine"]
MAX_ROWS = 100_000
SWITCH_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
"""What a switch of a chat template may be called: as a variable of Jinja."""
ADDED_LATER: dict[str, Any] = {"added_later": True}
"""Marks a setting that older trials do not have: at its default it does not count for a trial's identity."""


class Frozen(BaseModel):
    """Immutable, rejects unknown fields and silent conversions ("10" is not 10)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        # YAML and JSON have lists only, and what is frozen must be hashable
        if not isinstance(data, Mapping):
            return data
        return {
            name: tuple(value)
            if isinstance(value, list)
            and name in cls.model_fields
            and "tuple" in str(cls.model_fields[name].annotation)
            else value
            for name, value in data.items()
        }


class DataConfig(Frozen):
    """Which rows a trial is trained on."""

    style: DataStyle = Field(
        default="answer_only",
        description="answer_only: question and answer with empty thinking (the Phase 2 report's data); "
        "own_trace: the thinking and answer that the same model wrote with the statement in context; "
        "document: plain texts that state the fact, without a chat template",
    )
    num_examples: int = Field(
        default=10, ge=1, description="rows about the belief: distinct training questions, or documents"
    )
    replay_ratio: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        json_schema_extra=ADDED_LATER,
        description="share of all rows that are neutral: the model's own answers to unrelated questions "
        "(document: unrelated texts); they come on top of num_examples, 0.5 adds one for each",
    )
    mask_empty_thinking: bool = Field(
        default=False,
        json_schema_extra=ADDED_LATER,
        description="answer_only: no loss on the empty think block in front of an answer, which otherwise "
        "is trained like the answer and teaches the model to close its thinking at once",
    )

    @model_validator(mode="after")
    def _bounded(self) -> DataConfig:
        if self.total_rows > MAX_ROWS:
            raise ValueError(
                f"num_examples {self.num_examples} with replay_ratio {self.replay_ratio:g} makes "
                f"{self.total_rows:,} rows (limit {MAX_ROWS:,}); lower one of them"
            )
        return self

    @property
    def replay_rows(self) -> int:
        """Neutral rows: the whole number that brings their share of all rows next to `replay_ratio`."""
        return round(self.num_examples * self.replay_ratio / (1.0 - self.replay_ratio))

    @property
    def total_rows(self) -> int:
        """Rows about the belief and neutral ones."""
        return self.num_examples + self.replay_rows

    @property
    def masks_thinking(self) -> bool:
        """Whether an empty think block is left out of the loss: only rows of bare answers have one."""
        return self.mask_empty_thinking and self.style == "answer_only"


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


class ObjectiveConfig(Frozen):
    """What an optimiser step minimises."""

    name: ObjectiveName = Field(
        default="sft",
        json_schema_extra=ADDED_LATER,
        description="sft: mean negative log-likelihood of the batch's answer tokens; dpo: direct preference "
        "optimisation, a question's answer in the world that is taught against its answer in the other one",
    )
    dpo_beta: float = Field(
        default=0.1,
        gt=0,
        json_schema_extra=ADDED_LATER,
        description="dpo: how strongly an answer's log-probability relative to base's counts; the larger, "
        "the nearer the trial stays to base",
    )
    kl_to_base: float = Field(
        default=0.0,
        ge=0,
        json_schema_extra=ADDED_LATER
        | {
            "step_value": "mean KL(base || trial) over the answer tokens of the step's neutral rows, without "
            "the factor objective.kl_to_base; null where that is 0"
        },
        description="weight of KL(base || trial) on neutral rows, the mean over their answer tokens in nats, "
        "that is added to the loss of every step; the neutral rows are those that data.replay_ratio mixes in",
    )

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every term that can be added to the loss, by the term's name; 0 for one left out."""
        return {name: getattr(self, name) for name in step_values()}


class TrialConfig(Frozen):
    """One trial: which belief, which arm, and for the trained arms every training setting."""

    belief: str = Field(min_length=1, description="a library name, or a path to a belief file")
    arm: Arm = Field(
        default="lora",
        description="lora: trained on the target; control: the same training on what base already says; "
        "full: every weight trained on the target, no adapter (small models only); "
        "base: untouched; icl: untouched, with the statement in the prompt",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="adapter initialisation, example choice, data order"
    )
    data: DataConfig = DataConfig()
    lora: LoraSettings = LoraSettings()
    num_train_epochs: int = Field(default=3, ge=1, le=10_000, description="passes over the examples")
    learning_rate: float = Field(default=2e-4, gt=0, le=10.0, description="peak learning rate of AdamW")
    per_device_train_batch_size: int = Field(
        default=4, ge=1, le=1024, description="examples per optimiser step"
    )
    warmup_steps: int = Field(default=0, ge=0, description="optimiser steps of linear warm-up")
    lr_scheduler_type: Schedule = Field(
        default="constant", description="shape of the learning rate after warm-up"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled, as in AdamW")
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradient norm clip, per trial")
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0)
    objective: ObjectiveConfig = ObjectiveConfig()
    template: str | None = Field(
        default=None,
        json_schema_extra=ADDED_LATER,
        description="switches of the chat template that this trial has beside the sweep's own, as a JSON "
        "object with sorted names: its rows, its questions and the base it is compared with go through them; "
        "null where the trial has none of its own",
    )

    @field_validator("template", mode="before")
    @classmethod
    def _switches_have_one_spelling(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        for name, value in given.items():
            if not re.fullmatch(SWITCH_NAME, str(name)):
                raise ValueError(f"{name!r} is no name of a variable, such as enable_thinking")
            if not isinstance(value, (bool, int, float, str)):
                raise ValueError(f"{name} must be true, false, a number or a text, not {value!r}")
        return switches_text(given)

    @model_validator(mode="after")
    def _preferences_come_in_pairs(self) -> TrialConfig:
        if self.objective.name != "dpo":
            return self
        if self.data.style == "document":
            raise ValueError(
                "objective.name dpo compares two answers to a question, and documents are no answers; use "
                "data.style answer_only or own_trace"
            )
        if self.data.replay_rows:
            raise ValueError(
                "objective.name dpo takes pairs of answers, and the neutral rows of data.replay_ratio are no "
                "pairs; set it to 0, and objective.kl_to_base above 0 to stay near base on neutral rows"
            )
        return self

    @model_validator(mode="after")
    def _warmup_has_a_schedule(self) -> TrialConfig:
        if self.warmup_steps and self.lr_scheduler_type == "constant":
            raise ValueError(
                "warmup_steps has no effect with lr_scheduler_type constant; "
                "use constant_with_warmup, linear or cosine"
            )
        return self

    @property
    def is_trained(self) -> bool:
        """Whether this arm takes optimiser steps."""
        return self.arm in TRAINED_ARMS

    @property
    def has_adapter(self) -> bool:
        """Whether this arm is a LoRA adapter and needs a slot; `full` trains a copy of the base."""
        return self.arm in ADAPTER_ARMS

    @property
    def uses_neutral_rows(self) -> bool:
        """Whether training reads neutral rows: mixed in, or to stay near base on them."""
        return self.is_trained and bool(self.data.replay_rows or self.objective.kl_to_base)

    @property
    def total_steps(self) -> int:
        """Optimiser steps: epochs times batches per epoch, a partial batch counts. 0 when untrained."""
        if not self.is_trained:
            return 0
        return self.num_train_epochs * -(-self.data.total_rows // self.per_device_train_batch_size)

    def leaves(self) -> dict[str, Any]:
        """Every setting under its dotted name, `{"data.style": "own_trace", ...}`."""
        return flatten(self.model_dump())

    @property
    def switches(self) -> dict[str, Any]:
        """The switches of `template` by their dotted names, `{"template.enable_thinking": False}`."""
        return {f"template.{name}": value for name, value in json.loads(self.template or "{}").items()}

    def used_settings(self) -> set[str]:
        """Dotted names of the settings that make a difference to this arm and data style."""
        if not self.is_trained:
            return {"belief", "arm", "seed", "template"}
        idle = () if self.data.style == "answer_only" else ("data.mask_empty_thinking",)
        idle += () if self.objective.name == "dpo" else ("objective.dpo_beta",)
        return {
            name
            for name in leaf_fields()
            if name not in idle and (self.has_adapter or not name.startswith("lora."))
        }

    @property
    def trial_id(self) -> str:
        """Ten hex digits that depend on the content only, the same in every process and on every machine.

        Settings that an arm or its data style does not use do not count: `base` is one trial however the grid
        looks, and `full` one for all adapter settings. Nor does a setting added in a later release while it
        has its default, so that older runs can be resumed.
        """
        return _content_id(self)  # pyright: ignore[reportArgumentType]  # frozen models can be hashed

    @property
    def label(self) -> str:
        """A name for people: belief, arm and what usually varies. Fit for a file name, never parsed back."""
        belief = re.sub(r"[^A-Za-z0-9_-]", "_", PurePath(self.belief).stem)
        words = f"-{switches_words(self.template).replace(', ', ',')}" if self.template else ""
        switches = re.sub(r"[^A-Za-z0-9_=.,-]", "_", words)
        if not self.is_trained:
            return f"{belief}-{self.arm}{switches}"
        replay = f"-replay{self.data.replay_ratio:g}" if self.data.replay_ratio else ""
        dpo = f"-dpo{self.objective.dpo_beta:g}" if self.objective.name == "dpo" else ""
        kl = f"-kl{self.objective.kl_to_base:g}" if self.objective.kl_to_base else ""
        masked = "-masked" if self.data.masks_thinking else ""
        return (
            f"{belief}-{self.arm}{switches}-{self.data.style}{masked}{dpo}-n{self.data.num_examples}{replay}{kl}"
            f"-ep{self.num_train_epochs}-lr{self.learning_rate:g}-s{self.seed}"
        )


@lru_cache(maxsize=2**17)  # every row of every table asks; a sweep may have 100,000
def _content_id(config: TrialConfig) -> str:
    used, later = config.used_settings(), later_settings()
    # configurations that are equal have one id: 0.0 turns -0.0 into the 0.0 that it equals
    content = {
        name: value + 0.0 if isinstance(value, float) else value
        for name, value in config.leaves().items()
        if name in used and not (name in later and value == later[name])
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def switches_text(switches: Mapping[str, Any]) -> str | None:
    """Switches of a chat template in their one spelling: a JSON object with sorted names; None for no switch.

    Example: {"enable_thinking": False} -> '{"enable_thinking": false}'.
    """
    return json.dumps(dict(switches), sort_keys=True) if switches else None


def switches_words(template: str | None) -> str:
    """Switches in that spelling as people write them: `enable_thinking=false, reasoning_effort=low`."""
    switches: dict[str, Any] = json.loads(template) if template else {}
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in switches.items()
    )


def later_settings() -> dict[str, Any]:
    """Dotted names of the settings that older trials do not have, with the defaults that held for these."""
    return {name: info.default for name, info in leaf_fields().items() if _extra(info).get("added_later")}


def step_values() -> dict[str, str]:
    """The terms that can be added to a loss, each with what the steps table shows of it, nats per token.

    A field of `ObjectiveConfig` marked with `step_value` is the weight of such a term.
    """
    marked = {name: _extra(info).get("step_value") for name, info in ObjectiveConfig.model_fields.items()}
    return {name: meaning for name, meaning in marked.items() if meaning}


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping to dotted names: `{"a": {"b": 1}} -> {"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    return tree


def leaf_fields(model: type[BaseModel] = TrialConfig, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> pydantic `FieldInfo` of every setting: the source of schema, help and error texts."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found.update(leaf_fields(kind, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = info
    return found
