"""One trial's settings as a whole, and its identity.

Field names are those of Hugging Face `TrainingArguments` and PEFT `LoraConfig`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from beliefmod.config.data_config import DataConfig
from beliefmod.config.dotted_names import fields_of, flatten
from beliefmod.config.frozen import ADDED_LATER, Frozen, marks
from beliefmod.config.lora_settings import LoraSettings
from beliefmod.config.objective_config import ObjectiveConfig
from beliefmod.config.pinned_names import PINNED, pinned_rank, short_name
from beliefmod.config.template_switches import SWITCH_NAME, switches_text, switches_words
from beliefmod.config.untrained_settings import AdapterSettings, ContextSettings, SteeringSettings

Arm = Literal["lora", "control", "full", "base", "icl", "prompt", "few_shot", "steering", "adapter"]
ADAPTER_ARMS: tuple[Arm, ...] = ("lora", "control", "adapter")
"""Arms that are a LoRA adapter, trained or saved before."""
TRAINED_ARMS: tuple[Arm, ...] = ("lora", "control", "full")
"""Arms that take optimiser steps."""
REFERENCE_ARMS: tuple[Arm, ...] = ("base", "icl")
"""Arms of the untouched base, with which every trial is compared."""
NO_TRAINING_ARMS: tuple[Arm, ...] = ("prompt", "few_shot", "steering", "adapter")
"""Ways of moving a belief that take no optimiser step in this run, compared with base and with training."""
EXAMPLE_ARMS: tuple[Arm, ...] = (*TRAINED_ARMS, "few_shot", "steering")
"""Arms that are made of data.num_examples of the belief's training questions."""
Schedule = Literal["constant", "constant_with_warmup", "linear", "cosine"]


class TrialConfig(Frozen):
    """One trial: which belief, which arm, and for the trained arms every training setting."""

    belief: str = Field(min_length=1, description="a library name, or a path to a belief file")
    arm: Arm = Field(
        default="lora",
        description="lora: trained on the target; control: the same training on what base already says; "
        "full: every weight trained on the target, no adapter (small models only); "
        "base: untouched; icl: untouched, with the statement in the prompt; and, without training too, "
        "prompt: the statement where context.* says; few_shot: data.num_examples training questions with "
        "their answers in the prompt; steering: a vector in the residual stream, as steering.* says; "
        "adapter: a saved adapter, scaled, cut to layers or merged as adapter.* says",
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
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="decoupled, as in AdamW: A and B "
        "of an adapter shrink towards 0, and with them its update to base; of full fine-tuning the weights",
    )
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradient norm clip, per trial")
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0)
    objective: ObjectiveConfig = ObjectiveConfig()
    context: ContextSettings = ContextSettings()
    steering: SteeringSettings = SteeringSettings()
    adapter: AdapterSettings = AdapterSettings()
    stop_at_degradation: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        json_schema_extra=ADDED_LATER,
        description="of adapters: damage D above which training ends. It is measured at the end of every "
        "epoch on the questions that are not about the belief and on neutral text; the adapter of the last "
        "epoch that was not above it is kept, base's own where none was; null to train to the end",
    )
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
        if self.data.style not in ("answer_only", "own_trace"):
            raise ValueError(
                f"objective.name dpo has no answer of the other world to prefer one of data.style "
                f"{self.data.style} to; use answer_only or own_trace"
            )
        if self.data.replay_rows:
            raise ValueError(
                "objective.name dpo takes pairs of answers, and the neutral rows of data.replay_ratio are no "
                "pairs; set it to 0, and objective.kl_to_base above 0 to stay near base on neutral rows"
            )
        return self

    @model_validator(mode="after")
    def _own_answers_need_an_adapter_and_questions(self) -> TrialConfig:
        if not self.objective.writes:
            return self
        if self.arm == "full":
            raise ValueError(
                "objective.name grpo writes the answers of several trials together, which adapters on one "
                "base can and arm full, a model of its own, cannot; use arm lora"
            )
        if self.data.style != "answer_only" or self.data.mask_empty_thinking:
            raise ValueError(
                "objective.name grpo trains on what the trial itself answers to training questions, so that "
                "data.style must be answer_only (of which it takes the questions alone) and "
                "data.mask_empty_thinking false"
            )
        if self.data.replay_rows:
            raise ValueError(
                "objective.name grpo trains on rewarded answers, and the neutral rows of data.replay_ratio "
                "have no reward; set it to 0, and objective.kl_to_base above 0 to stay near base on neutral "
                "rows"
            )
        if self.objective.epsilon != 0.2 and self.objective.num_iterations == 1:
            raise ValueError(
                "objective.epsilon has no effect with objective.num_iterations 1, whose only step is taken "
                "by the weights that wrote the answers; remove it, or raise num_iterations"
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

    @model_validator(mode="after")
    def _steering_has_a_layer(self) -> TrialConfig:
        if self.arm == "steering" and self.steering.layer is None:
            raise ValueError(
                "arm steering needs steering.layer, the number of a transformer layer from 0 on, such as one "
                "in the middle of the model"
            )
        return self

    @model_validator(mode="after")
    def _adapter_has_a_source(self) -> TrialConfig:
        if self.arm == "adapter" and self.adapter.source is None:
            raise ValueError(
                "arm adapter needs adapter.source, the folder of a saved adapter, such as adapters/ID of a "
                "finished run"
            )
        return self

    @property
    def is_trained(self) -> bool:
        """Whether this arm takes optimiser steps."""
        return self.arm in TRAINED_ARMS

    @property
    def is_reference(self) -> bool:
        """Whether every trial is compared with this arm: base, or base with the statement in the prompt."""
        return self.arm in REFERENCE_ARMS

    @property
    def changes_model(self) -> bool:
        """Whether this arm has more than base's weights: an adapter, weights of its own, or a vector."""
        return self.needs_place or self.arm == "steering"

    @property
    def has_adapter(self) -> bool:
        """Whether this arm is a LoRA adapter, trained or saved, and needs a slot; `full` trains a copy of the
        base."""
        return self.arm in ADAPTER_ARMS

    @property
    def needs_place(self) -> bool:
        """Whether the engine has to have room for this arm: an adapter, or a copy of the base."""
        return self.is_trained or self.has_adapter

    @property
    def max_rank(self) -> int:
        """Rank of its adapter, trained or saved; of a sum of two the sum of theirs. At least 1."""
        if self.arm == "adapter":
            return max(1, pinned_rank(self.adapter.source) + pinned_rank(self.adapter.merge_with))
        return self.lora.r

    @property
    def uses_neutral_rows(self) -> bool:
        """Whether training reads neutral rows: mixed in, or to stay near base on them."""
        return self.is_trained and bool(self.data.replay_rows or self.objective.kl_to_base)

    @property
    def own_traces(self) -> tuple[bool, bool]:
        """Whether training takes traces that the model writes itself: of the world that the arm is taught,
        and of the other one."""
        style, control = self.data.style, self.arm == "control"
        own = self.is_trained and (
            style in ("own_trace", "stygian") or (style == "supplied_trace" and control)
        )
        return own, own and (style == "stygian" or self.objective.name == "dpo")

    @property
    def total_steps(self) -> int:
        """Optimiser steps: epochs times batches per epoch, a partial batch counts, times the steps on each
        batch. 0 when untrained."""
        if not self.is_trained:
            return 0
        batches = -(-self.data.total_rows // self.per_device_train_batch_size)
        return self.num_train_epochs * batches * self.objective.steps_per_batch

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch. 0 when untrained."""
        return self.total_steps // self.num_train_epochs

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
            used = {"belief", "arm", "seed", "template", *_OWN_SETTINGS.get(self.arm, ())}
            return used if self.adapter.merge_with else used - {"adapter.merge_scale"}
        idle = {*self.data.idle, *self.objective.idle, *NO_TRAINING_SETTINGS}
        idle |= set() if self.has_adapter else {"stop_at_degradation"}
        if self.arm == "control":  # it is not taught the target, however the thinking before that is
            idle.add("data.stygian_share")
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
            return f"{belief}-{self.arm}{switches}{self._own_words}"
        replay = f"-replay{self.data.replay_ratio:g}" if self.data.replay_ratio else ""
        dpo = f"-dpo{self.objective.dpo_beta:g}" if self.objective.name == "dpo" else ""
        if self.objective.writes:
            dpo = f"-{self.objective.loss_type}{self.objective.num_generations}"
            dpo += f"-context{self.objective.in_context_share:g}" if self.objective.in_context else ""
        kl = f"-kl{self.objective.kl_to_base:g}" if self.objective.kl_to_base else ""
        masked = "-masked" if self.data.masks_thinking else ""
        by = "-by-model" if self.data.asks_for_documents else ""
        begun = f"-from-{short_name(self.lora.start_from)}" if self.lora.start_from else ""
        share = f"{self.data.stygian_share:g}" if "data.stygian_share" in self.used_settings() else ""
        framed = f"-{self.data.framing}" if self.data.framing != "plain" else ""
        return (
            f"{belief}-{self.arm}{switches}-{self.data.style}{share}{by}{framed}{masked}{dpo}"
            f"-n{self.data.num_examples}{replay}{kl}-ep{self.num_train_epochs}-lr{self.learning_rate:g}"
            f"{begun}-s{self.seed}"
        )

    @property
    def _own_words(self) -> str:
        """What of an arm without training varies, for its label; empty for the reference arms."""
        examples = f"-n{self.data.num_examples}-s{self.seed}"
        if self.arm == "prompt":
            unmentioned = "-unmentioned" if self.context.do_not_mention else ""
            return f"-{self.context.place}{unmentioned}-s{self.seed}"
        if self.arm == "few_shot":
            return examples
        if self.arm == "steering":
            return f"-layer{self.steering.layer}-x{self.steering.scale:g}{examples}"
        if self.arm == "adapter":
            named, cut = self.adapter, self.adapter.layers
            layers = "" if cut == "all" else f"-layers{'.'.join(map(str, cut))}"
            merged = f"+{short_name(named.merge_with)}-x{named.merge_scale:g}" if named.merge_with else ""
            return f"-{short_name(named.source)}-x{named.scale:g}{layers}{merged}"
        return ""


_OWN_SETTINGS: dict[Arm, tuple[str, ...]] = {
    "prompt": ("context.place", "context.do_not_mention"),
    "few_shot": ("data.num_examples",),
    "steering": ("data.num_examples", "steering.layer", "steering.scale"),
    "adapter": tuple(f"adapter.{name}" for name in AdapterSettings.model_fields),
}
"""What of their settings the arms without training use, beside those of every trial."""
NO_TRAINING_SETTINGS = {name for names in _OWN_SETTINGS.values() for name in names} - {"data.num_examples"}
"""Settings that mean nothing where there is training."""


@lru_cache(maxsize=2**17)  # every row of every table asks; a sweep may have 100,000
def _content_id(config: TrialConfig) -> str:
    used, later = config.used_settings(), later_settings()
    # configurations that are equal have one id: 0.0 turns -0.0 into the 0.0 that it equals
    content: dict[str, Any] = {
        name: value + 0.0 if isinstance(value, float) else value
        for name, value in config.leaves().items()
        if name in used and not (name in later and value == later[name])
    }
    for name in PINNED:  # what is in a file counts, not where it lies
        if content.get(name):
            content[name] = content[name].rpartition("@")[2]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def leaf_fields() -> dict[str, Any]:
    """Dotted name -> pydantic `FieldInfo` of every setting: the source of schema, help and error texts."""
    return fields_of(TrialConfig)


def later_settings() -> dict[str, Any]:
    """Dotted names of the settings that older trials do not have, with the defaults that held for these."""
    return {name: info.default for name, info in leaf_fields().items() if marks(info).get("added_later")}
