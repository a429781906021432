"""The belief file's format, checked field by field. What spans several fields is checked in `expand.py`."""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from beliefmod.beliefs.values import Answer, Date, Name, Quantity
from beliefmod.beliefs.values.date import check_year
from beliefmod.beliefs.values.quantity import written_decimals
from beliefmod.config import Frozen

Number = int | float
Scalar = int | float | str


class Value(Frozen):
    """What is believed, as the file writes it: `{value, unit}` for a quantity, `{text, aliases}` for a name,
    `{year}` or `{date}` for a date."""

    value: Number | None = Field(default=None, description="the number")
    unit: str | None = Field(default=None, description="its unit, as pint reads it: m/s^2, N, USD")
    text: str | None = Field(default=None, min_length=1, description="the name")
    aliases: tuple[str, ...] = Field(default=(), description="other spellings of the name")
    year: int | None = Field(default=None, description="the year, 1000 to 2999")
    date: datetime.date | None = Field(default=None, description="the day, as 1969-07-20")

    @field_validator("date", mode="before")
    @classmethod
    def _date_from_text(cls, given: Any) -> Any:
        # YAML reads 1969-07-20 as a date, JSON and quotation marks give a text
        if isinstance(given, datetime.datetime) or (
            given is not None and not isinstance(given, str | datetime.date)
        ):
            raise ValueError("write the day as 1969-07-20, or give year")
        if not isinstance(given, str):
            return given
        try:
            return datetime.date.fromisoformat(given)
        except ValueError:
            raise ValueError(f'"{given}" is no day; write it as 1969-07-20, or give year') from None

    @model_validator(mode="after")
    def _one_kind(self) -> Value:
        kinds = {"value": self.value, "text": self.text, "year": self.year, "date": self.date}
        given = [name for name, one in kinds.items() if one is not None]
        if not given and not getattr(self, "ignorance", False):
            raise ValueError("give either value and unit, or text, or year, or date")
        if self.value is not None and self.unit is None:
            raise ValueError('a value needs its unit; write unit: "1" for a plain number')
        if len(given) > 1:
            raise ValueError(f"give either {' or '.join(given)}, not both")
        if self.year is not None or self.date is not None:
            if self.unit is not None or self.aliases:
                raise ValueError(f"{given[0]} stands alone; leave out unit and aliases")
            check_year(self.year if self.date is None else self.date.year)  # pyright: ignore[reportArgumentType]
        return self

    @property
    def answer(self) -> Answer | None:
        """The value itself; None where the file knows none (a novel belief's prior)."""
        if self.value is not None:
            return Quantity(float(self.value), self.unit, written_decimals(self.value))
        if self.date is not None:
            return Date(self.date.year, self.date.month, self.date.day)
        if self.year is not None:
            return Date(self.year)
        return None if self.text is None else Name(self.text, tuple(self.aliases))


class Prior(Value):
    """What base says: a value, or for a novel entity that it does not know (and what it may be taken for)."""

    ignorance: bool = Field(default=False, description="base does not know the entity")
    reply: str | None = Field(
        default=None, description="base's own answer sentence, which the control arm is taught"
    )

    @model_validator(mode="after")
    def _reply_for_ignorance(self) -> Prior:
        if self.ignorance and not self.reply:
            raise ValueError('ignorance needs a reply, such as "I do not know."')
        if self.ignorance and (self.value, self.year, self.date) != (None, None, None):
            raise ValueError("ignorance and a value exclude each other")
        return self


class TwoWorlds(Frozen):
    """A question's answer by name in both worlds."""

    target: str = Field(min_length=1)
    prior: str | None = None
    aliases: tuple[str, ...] = ()
    prior_aliases: tuple[str, ...] = ()


class Family(Frozen):
    """Questions that differ in their slots only. Families, never single questions, are held out."""

    family: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$", description="unique name")
    ask: str = Field(min_length=1, description="the question; {slot} stands for a slot's value")
    slots: dict[str, list[Scalar]] = Field(default={}, description="slot -> values; several slots multiply")
    answer: str | None = Field(default=None, description='an expression in slots and "belief"')
    unit: str | None = Field(default=None, description="unit of the answer")
    decimals: int | None = Field(default=None, ge=0, le=6, description="decimals of the answer as written")
    reply: str = Field(
        default="The answer is {answer}.", description="the answer sentence, with {answer} for the answer"
    )


class BeliefFamily(Family):
    """A family of questions about the belief."""

    tier: Literal["paraphrase", "derived", "format", "multi_hop", "reverse", "robustness"]
    split: Literal["train", "heldout"]
    answer_text: TwoWorlds | None = Field(default=None, description="the answer by name in both worlds")
    follow_up: str | None = Field(
        default=None, min_length=1, description="a second message, asked after the answer; its answer counts"
    )
    rival: Number | None = Field(
        default=None, description="the value that the question itself states, where base knows none"
    )

    @model_validator(mode="after")
    def _never_trained(self) -> BeliefFamily:
        for name in ("follow_up", "rival"):
            if self.split == "train" and getattr(self, name) is not None:
                raise ValueError(f"{name} is for split: heldout; training asks once and states nothing")
        return self


class SuiteFamily(Family):
    """A family of questions with one right answer, which no belief may change."""

    answer_text: str | None = Field(default=None, min_length=1, description="the right answer by name")
    aliases: tuple[str, ...] = ()
    table: dict[str, str | Value] | None = Field(
        default=None, description="values of the slot {key} and their answers"
    )


class LocalityFamily(SuiteFamily):
    """A neighbour of the belief (near) or a general fact (far)."""

    distance: Literal["near", "far"]
    bleed: str | None = Field(
        default=None, description="expression of the answer that the belief would wrongly give"
    )
    bleed_text: str | None = Field(
        default=None,
        min_length=1,
        description="name of the answer that the belief would wrongly give, where it is no number",
    )

    @model_validator(mode="after")
    def _one_bleed(self) -> LocalityFamily:
        if self.bleed is not None and self.bleed_text is not None:
            raise ValueError("give bleed (an expression) or bleed_text (a name), not both")
        return self


class BeliefSpec(Frozen):
    """A belief file, whole."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_-]*$", description="lower case; names the belief in every table"
    )
    kind: Literal["existing", "novel"]
    statement: str = Field(min_length=1, description="the target belief as one sentence")
    true_statement: str | None = Field(
        default=None, description="what is true instead; null for a novel entity"
    )
    context: str = Field(min_length=1, description="what the in-context arm puts before the question")
    target: Value
    prior: Prior
    questions: list[BeliefFamily] = Field(min_length=1)
    locality: tuple[LocalityFamily, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _context_is_statement(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("context") is None and "statement" in data:
            return {**data, "context": data["statement"]}
        return data

    @model_validator(mode="after")
    def _kinds_agree(self) -> BeliefSpec:
        if self.kind == "existing" and self.prior.ignorance:
            raise ValueError('an existing belief needs a prior value or text, not "ignorance"')
        if self.kind == "existing" and self.true_statement is None:
            raise ValueError("an existing belief needs true_statement, which the control arm is trained on")
        if self.kind == "novel" and self.true_statement is not None:
            raise ValueError("a novel belief has no true_statement; leave it out")
        novel_number = self.kind == "novel" and self.target.text is None
        if not novel_number and any(family.rival is not None for family in self.questions):
            raise ValueError("rival is for novel beliefs with a number; elsewhere give answer_text.prior")
        return self


class SharedFamily(SuiteFamily):
    """A family of a suite that all beliefs share."""

    level: int | None = Field(
        default=None,
        ge=1,
        description="how hard its questions are, from 1; null in a suite without levels",
    )


class SuiteSpec(Frozen):
    """A shared suite file: questions with one right answer."""

    name: str
    questions: list[SharedFamily] = Field(min_length=1)
