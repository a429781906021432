"""Settings of what training minimises: the objective and the terms that are added to it with a weight."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from beliefmod.config.frozen import ADDED_LATER, Frozen, marks

ObjectiveName = Literal["sft", "dpo"]


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

    @property
    def idle(self) -> tuple[str, ...]:
        """Dotted names of settings that make no difference here, because of others of this section."""
        return () if self.name == "dpo" else ("objective.dpo_beta",)


def step_values() -> dict[str, str]:
    """The terms that can be added to a loss, each with what the steps table shows of it, nats per token.

    A field of `ObjectiveConfig` marked with `step_value` is the weight of such a term.
    """
    marked = {name: marks(info).get("step_value") for name, info in ObjectiveConfig.model_fields.items()}
    return {name: meaning for name, meaning in marked.items() if meaning}
