"""Settings of what training minimises: the objective and the terms that are added to it with a weight."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from beliefmod.config.frozen import ADDED_LATER, Frozen, marks

ObjectiveName = Literal["sft", "dpo", "grpo"]


class ObjectiveConfig(Frozen):
    """What an optimiser step minimises."""

    name: ObjectiveName = Field(
        default="sft",
        json_schema_extra=ADDED_LATER,
        description="sft: mean negative log-likelihood of the batch's answer tokens; dpo: direct preference "
        "optimisation, a question's answer in the world that is taught against its answer in the other one; "
        "grpo: reinforcement learning, the trial's own answers to the questions, each rewarded and compared "
        "with its other answers to the same one",
    )
    dpo_beta: float = Field(
        default=0.1,
        gt=0,
        json_schema_extra=ADDED_LATER,
        description="dpo: how strongly an answer's log-probability relative to base's counts; the larger, "
        "the nearer the trial stays to base",
    )
    loss_type: Literal["grpo", "dr_grpo"] = Field(
        default="grpo",
        json_schema_extra=ADDED_LATER,
        description="grpo: an answer's advantage is its reward less its group's mean, over the group's "
        "standard deviation, and every answer counts alike; dr_grpo: without that deviation, and every token "
        "counts alike",
    )
    num_generations: int = Field(
        default=8,
        ge=2,
        le=1024,
        json_schema_extra=ADDED_LATER,
        description="grpo: answers that the trial writes to each question of a step, which are compared with "
        "each other",
    )
    max_completion_length: int = Field(
        default=256,
        ge=1,
        json_schema_extra=ADDED_LATER,
        description="grpo: tokens that such an answer may have, its thinking included",
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        le=2,
        json_schema_extra=ADDED_LATER,
        description="grpo: temperature at which such answers are sampled, from all tokens, and at which "
        "their likelihood is taken",
    )
    num_iterations: int = Field(
        default=1,
        ge=1,
        le=64,
        json_schema_extra=ADDED_LATER,
        description="grpo: optimiser steps on the answers to a batch of questions before others are written",
    )
    epsilon: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        json_schema_extra=ADDED_LATER,
        description="grpo: a token whose probability has changed by more than this share since its answer "
        "was written, in the direction of its advantage, is pushed no further; needs num_iterations above 1",
    )
    in_context_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        json_schema_extra=ADDED_LATER,
        description="grpo: share of the answers to each question that the trial writes with the statement in "
        "its prompt and is trained on without it; what it never says by itself is never rewarded otherwise",
    )
    grpo_beta: float = Field(
        default=0.04,
        ge=0,
        json_schema_extra=ADDED_LATER,
        description="grpo: weight of KL(trial || base) on the trial's own answers, in nats per token, that "
        "is added to the loss",
    )
    reward_stance: float = Field(
        default=1.0,
        ge=0,
        json_schema_extra=ADDED_LATER
        | {"reward": "share of those answers that took the side that the arm is taught"},
        description="grpo: reward of an answer that takes the side that the arm is taught, by the scorer "
        "that reads held-out answers",
    )
    reward_thinking: float = Field(
        default=0.0,
        ge=0,
        json_schema_extra=ADDED_LATER
        | {"reward": "share of those answers with an intact think block; 1 if the model does not think"},
        description="grpo: reward of an answer whose think block is intact",
    )
    reward_length: float = Field(
        default=0.0,
        json_schema_extra=ADDED_LATER
        | {"reward": "mean over those answers of 1 - tokens / objective.max_completion_length"},
        description="grpo: reward of an answer of no length, which falls to 0 at max_completion_length; "
        "below 0 long answers are rewarded",
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

    @model_validator(mode="after")
    def _a_share_is_an_answer_at_least(self) -> ObjectiveConfig:
        if self.in_context_share and not self.in_context:
            raise ValueError(
                f"in_context_share {self.in_context_share:g} of num_generations {self.num_generations} is no "
                "answer at all; raise one of them"
            )
        return self

    @model_validator(mode="after")
    def _something_is_rewarded(self) -> ObjectiveConfig:
        if self.name == "grpo" and not any(self.rewards.values()):
            raise ValueError(
                f"objective.name grpo needs a reward: {', '.join(self.rewards)} are all 0; set one of them"
            )
        return self

    @property
    def writes(self) -> bool:
        """Whether a trial writes the answers itself that it is trained on, step by step."""
        return self.name == "grpo"

    @property
    def steps_per_batch(self) -> int:
        """Optimiser steps that a trial takes on one batch of rows."""
        return self.num_iterations if self.writes else 1

    @property
    def in_context(self) -> int:
        """Answers to each question that are written with the statement in the prompt: never all of them."""
        return min(round(self.in_context_share * self.num_generations), self.num_generations - 1)

    @property
    def rewards(self) -> dict[str, float]:
        """Weight of every part of the reward, by the setting's name."""
        return {name: getattr(self, name) for name in reward_parts()}

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every term that can be added to the loss, by the term's name; 0 for one left out."""
        return {name: getattr(self, name) for name in step_values()}

    @property
    def idle(self) -> tuple[str, ...]:
        """Dotted names of settings that make no difference here, because of others of this section."""
        idle = [setting for setting, objective in OF_OBJECTIVE.items() if objective != self.name]
        idle += ["epsilon"] if self.writes and self.num_iterations == 1 else []
        return tuple(f"objective.{setting}" for setting in idle)


OF_OBJECTIVE: dict[str, ObjectiveName] = {
    "dpo_beta": "dpo",
    **dict.fromkeys(
        (
            "loss_type",
            "num_generations",
            "max_completion_length",
            "temperature",
            "num_iterations",
            "epsilon",
            "in_context_share",
            "grpo_beta",
            "reward_stance",
            "reward_thinking",
            "reward_length",
        ),
        "grpo",
    ),
}
"""Settings that make a difference with one objective alone, and which that is."""


def step_values() -> dict[str, str]:
    """The terms that can be added to a loss, each with what the steps table shows of it, nats per token.

    A field of `ObjectiveConfig` marked with `step_value` is the weight of such a term.
    """
    return _marked("step_value")


def reward_parts() -> dict[str, str]:
    """The parts of a reward, by the setting that is the part's weight, each with what the steps table has."""
    return _marked("reward")


def own_answer_values() -> dict[str, tuple[str, str]]:
    """What the steps table shows of the answers that a trial wrote itself at a step: meaning and unit."""
    return {
        "reward": (
            "mean reward of the answers that the trial wrote itself at the step without the statement in its "
            "prompt; null, like what follows, where objective.name is not grpo",
            "1",
        ),
        **{name: (meaning, "1") for name, meaning in reward_parts().items()},
        "tokens_own_answers": ("tokens of all of a step's own answers", "token"),
        "kl_own_answers": (
            "KL(trial || base) on all of a step's own answers, before the step: summed over an answer's "
            "tokens, mean over answers; an estimate that is never negative (k3), but biased by answers that "
            "were written with the statement",
            "nat",
        ),
    }


def _marked(mark: str) -> dict[str, str]:
    found = {name: marks(info).get(mark) for name, info in ObjectiveConfig.model_fields.items()}
    return {name: meaning for name, meaning in found.items() if meaning}
