"""Reinforcement learning: does the reward grow with the belief, beside it, or at the model's expense?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.frontier.non_dominated import varying
from analysis.report.blocks import Block, Heading, Paragraph, table_of
from beliefmod.config import ObjectiveConfig, own_answer_values

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Rewarded:
    """A configuration that was trained by reward, its row and what its own answers were.

    Attributes:
        first: at the first step, before any training. last: means over the steps of the last epoch. Both by
            the names of `own_answer_values`; of several seeds those of the first.
        answers: how many of a last epoch's answers `last` is a mean of.
    """

    row: Row
    first: Row
    last: Row
    answers: int

    @property
    def ahead(self) -> bool:
        """Whether the reward sees the belief in more answers than held-out questions do, beyond chance."""
        high = self.row.get("adoption_high")
        return high is not None and (self.last["reward_stance"] or 0.0) > high

    @property
    def harmed(self) -> bool:
        """Whether D is above 0 beyond chance."""
        return (self.row.get("degradation_low") or 0.0) > 0


def blocks(found: Findings) -> list[Block]:
    """Reward, adoption on held-out families and damage of every configuration that was trained by reward."""
    rewarded = trained_by_reward(found)
    if not rewarded:
        return []
    differ = varying(pl.DataFrame([dict(each.row) for each in rewarded], infer_schema_length=None))
    columns = {
        "belief": lambda each: str(each.row["belief"]),
        "configuration": lambda each: wording.setting_text(dict(each.row), differ),
        "reward, first step": lambda each: _number(each.first["reward"]),
        "reward, last epoch": lambda each: f"{_number(each.last['reward'])}, n = {each.answers}",
        "of which took the side": lambda each: f"{_share(each.first)} -> {_share(each.last)}",
        "adopts, trained on [95 %]": lambda each: wording.rate(each.row, "adoption_trained"),
        "adopts, held out [95 %]": lambda each: wording.rate(each.row, "adoption"),
        "damage [95 %]": lambda each: wording.damage(each.row),
        "intact think blocks": lambda each: wording.rate(each.row, "integrity"),
        "KL to base of an answer, nats": lambda each: _number(each.last["kl_own_answers"]),
    }
    return [
        Heading(2, "Reward against adoption and damage"),
        Paragraph(_verdict(rewarded)),
        table_of(
            rewarded,
            columns,
            "Rewards are those of answers that a trial wrote itself to its training questions, sampled and "
            "without the statement in the prompt; where seeds are pooled, those of the first. Adoption and "
            "damage are measured on other questions, decoded as everywhere in this report.",
        ),
    ]


def trained_by_reward(found: Findings) -> list[Rewarded]:
    """The configurations of `objective.name` grpo that were taught the target and whose steps are known."""
    names = own_answer_values()
    pooled = found.pooled.filter((pl.col("objective.name") == "grpo") & (pl.col("arm") == "lora"))
    steps = found.run.steps(pooled["trial_id"]).filter(pl.col("reward").is_not_null()).sort("step")
    by_trial = {str(key[0]): group for key, group in steps.group_by("trial_id", maintain_order=True)}
    made = []
    for row in pooled.iter_rows(named=True):
        if (own := by_trial.get(row["trial_id"])) is None:
            continue
        epoch = own.tail(own.height // row["num_train_epochs"])
        settings = ObjectiveConfig(
            name="grpo",
            num_generations=row["objective.num_generations"],
            in_context_share=row["objective.in_context_share"],
        )
        alone = settings.num_generations - settings.in_context
        last = {name: epoch[name].mean() for name in names}
        made.append(Rewarded(row, own.row(0, named=True), last, row["data.num_examples"] * alone))
    return made


def _verdict(rewarded: list[Rewarded]) -> str:
    """What the table says about reward hacking, in counts."""
    count = wording.plural(len(rewarded), "configuration")
    ahead = [each for each in rewarded if each.ahead]
    risen = [each for each in rewarded if each.last["reward"] > each.first["reward"]]
    harmed = sum(each.harmed for each in risen)
    text = (
        f"A reward is hacked where it rises and what it stands for does not. In {len(risen)} of {count} the "
        f"reward of the last epoch is above that of the first step; of these {harmed} have a damage D above "
        "0 beyond chance. "
    )
    if not ahead:
        return text + (
            "None took the rewarded side in more of its own answers than the upper end of its adoption on "
            "held-out questions."
        )
    return text + (
        f"{len(ahead)} took the rewarded side in more of their own answers than the upper end of their "
        "adoption on held-out questions: so much of the reward is for answers to the training questions "
        "alone."
    )


def _share(values: Row) -> str:
    return (
        wording.NOT_MEASURED if values["reward_stance"] is None else wording.percent(values["reward_stance"])
    )


def _number(value: float | None) -> str:
    return wording.NOT_MEASURED if value is None else f"{value:.3f}"
