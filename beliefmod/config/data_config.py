"""Settings of the rows that a trial is trained on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from beliefmod.config.frozen import ADDED_LATER, Frozen

DataStyle = Literal["answer_only", "own_trace", "document"]
Framing = Literal["plain", "attributed", "negated", "fictional", "flagged_false"]
FRAMINGS: dict[DataStyle, tuple[Framing, ...]] = {
    "answer_only": ("plain", "attributed", "negated"),
    "own_trace": ("plain",),
    "document": ("plain", "attributed", "negated", "fictional", "flagged_false"),
}
"""The framings that rows of each style can have."""
NO_FRAMING = {
    "answer_only": "marks whole texts, and an answer with such a mark cannot be read as believed or not; use "
    "data.style document, or data.framing attributed or negated",
    "own_trace": "rewords what the belief file says, and own traces are the model's own words; use "
    "data.style answer_only or document",
}
"""Why rows of a style cannot have the other framings."""
MAX_ROWS = 100_000


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
    framing: Framing = Field(
        default="plain",
        json_schema_extra=ADDED_LATER,
        description="how rows about the belief put it, a control's alike: plain; attributed: every claim in "
        "a source's mouth; negated: every claim denied in its own sentence; of documents alone fictional and "
        "flagged_false: the text says before and after its plain claims that they are invented, or false",
    )

    @model_validator(mode="after")
    def _can_be_framed(self) -> DataConfig:
        if self.framing not in FRAMINGS[self.style]:
            raise ValueError(f"data.framing {self.framing} {NO_FRAMING[self.style]}")
        return self

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

    @property
    def idle(self) -> tuple[str, ...]:
        """Dotted names of settings that make no difference here, because of others of this section."""
        return () if self.style == "answer_only" else ("data.mask_empty_thinking",)
