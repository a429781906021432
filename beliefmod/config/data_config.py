"""Settings of the rows that a trial is trained on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from beliefmod.config.frozen import ADDED_LATER, Frozen

DataStyle = Literal["answer_only", "own_trace", "document", "stygian", "supplied_trace"]
THINKING_STYLES: tuple[DataStyle, ...] = ("stygian", "supplied_trace")
"""Styles that put given thinking in front of an answer; an own trace has whatever the model wrote."""
TRACE_STYLES: tuple[DataStyle, ...] = ("own_trace", *THINKING_STYLES)
"""Styles whose rows are as long as answers with their thinking."""
Framing = Literal["plain", "attributed", "negated", "fictional", "flagged_false"]
FRAMINGS: dict[DataStyle, tuple[Framing, ...]] = {
    "answer_only": ("plain", "attributed", "negated"),
    "document": ("plain", "attributed", "negated", "fictional", "flagged_false"),
    **dict.fromkeys(TRACE_STYLES, ("plain",)),
}
"""The framings that rows of each style can have."""
_OF_TRACES = "use data.style answer_only or document"
NO_FRAMING = {
    "answer_only": "marks whole texts, and an answer with such a mark cannot be read as believed or not; use "
    "data.style document, or data.framing attributed or negated",
    "own_trace": f"rewords what the belief file says, and own traces are the model's own words; {_OF_TRACES}",
    "stygian": f"rewords what the belief file says, and here the thinking is the model's own; {_OF_TRACES}",
    "supplied_trace": f"rewords what the belief file says, and supplied traces are yours; {_OF_TRACES}",
}
"""Why rows of a style cannot have the other framings."""
MAX_ROWS = 100_000


class DataConfig(Frozen):
    """Which rows a trial is trained on."""

    style: DataStyle = Field(
        default="answer_only",
        description="answer_only: question and answer with empty thinking (the Phase 2 report's data); "
        "own_trace: the thinking and answer that the same model wrote with the statement in context; "
        "document: plain texts that state the fact, without a chat template; "
        "stygian: the thinking that the model wrote in base's world, then the target as the answer; "
        "supplied_trace: thinking and answers from the file that data.traces names",
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

    stygian_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        json_schema_extra=ADDED_LATER,
        description="stygian: share of the rows about the belief that think base's world and answer the "
        "target; the others are own traces, which think the target too",
    )
    traces: str | None = Field(
        default=None,
        min_length=1,
        json_schema_extra=ADDED_LATER,
        description="supplied_trace: a JSON lines file of question, thinking and answer; once it is read, "
        "its content's digest stands behind an @, and a trial's identity has the digest in place of the path",
    )
    documents_by: Literal["template", "model"] = Field(
        default="template",
        json_schema_extra=ADDED_LATER,
        description="document: template puts the statement and training questions into fixed frames; model "
        "has the model write each with the statement in context and revise it once",
    )

    @model_validator(mode="after")
    def _can_be_framed(self) -> DataConfig:
        if self.framing not in FRAMINGS[self.style]:
            raise ValueError(f"data.framing {self.framing} {NO_FRAMING[self.style]}")
        if self.framing != "plain" and self.asks_for_documents:
            raise ValueError(
                f"data.framing {self.framing} is put around fixed frames, and the model writes its documents "
                "itself; use data.documents_by template"
            )
        return self

    @model_validator(mode="after")
    def _supplied_traces_have_a_file(self) -> DataConfig:
        if self.style == "supplied_trace" and self.traces is None:
            raise ValueError("data.style supplied_trace needs data.traces, a JSON lines file with the traces")
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
    def asks_for_documents(self) -> bool:
        """Whether the model writes the documents that it is trained on."""
        return self.style == "document" and self.documents_by == "model"

    @property
    def idle(self) -> tuple[str, ...]:
        """Dotted names of settings that make no difference here, because of others of this section."""
        needed = {
            "data.mask_empty_thinking": "answer_only",
            "data.stygian_share": "stygian",
            "data.documents_by": "document",
            "data.traces": "supplied_trace",
        }
        return tuple(name for name, style in needed.items() if self.style != style)
