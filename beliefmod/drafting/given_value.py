"""A belief's value as somebody types it: "400 m", "1925", "20 July 1969", "Lyon|city of Lyon", "yes"."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from typing import Any

from beliefmod.beliefs.values import Answer, Date, Name, Quantity
from beliefmod.beliefs.values.units import singular

YES = Name("yes", ("true", "right", "correct", "it is so"))
NO = Name("no", ("false", "wrong", "not true", "not right", "it is not so"))
SORTS = ("quantity", "name", "date", "yes_no")
_DATED = re.compile(r"\b(?:year|date|day|when)\b", re.IGNORECASE)


def read_value(text: str, subject: str, sort: str | None = None) -> Answer:
    """The value that a text spells.

    A bare number from 1000 to 2999 is a year where the subject speaks of a year, date or day. Other spellings
    of a name stand behind it, with | between them.

    Args:
        sort: one of `SORTS` where the text alone does not tell.

    Raises:
        ValueError: no such value; the message says the fix.

    Examples:
        "400 m" -> 400 m; "7-Up" as a name -> 7-Up; "1925" of "the year of the flood" -> 1925.
    """
    text = text.strip()
    if not text:
        raise ValueError("is empty; give a number with its unit, a name, a date, or yes or no")
    if sort == "name":
        return _name(text)
    if sort in (None, "yes_no"):
        known = next((each for each in (YES, NO) if text.casefold() == each.text), None)
        if known is not None:
            return known
        if sort is not None:
            raise ValueError(f'"{text}" is neither yes nor no')
    if sort in (None, "date"):
        date = Date.parse(text, frozenset())
        if date is not None and (sort is not None or date.day or date.month or _DATED.search(subject)):
            if date.month and not date.day:
                raise ValueError(f'"{text}" is a month; give the year or the day')
            return date
        if sort is not None:
            raise ValueError(f'"{text}" is no date; write 1969 or 20 July 1969')
    words = frozenset(singular(word) for word in re.findall(r"[^\W\d_]+", text))
    try:
        quantity = Quantity.parse(text, words)
    except ValueError as error:
        raise ValueError(f"{error} (if it is a name, add --value name)") from None
    if quantity is not None:
        return quantity
    if sort is not None:
        raise ValueError(f'"{text}" is no number with a unit, such as 400 m')
    return _name(text)


def read_prior(text: str, subject: str, target: Answer | None, sort: str | None = None) -> Answer:
    """The prior that a text spells; a bare number is one in the target's unit. Raises ValueError as
    `read_value`."""
    value = read_value(text, subject, sort)
    if isinstance(value, Quantity) and isinstance(target, Quantity) and value.unit in (None, "1"):
        return replace(value, unit=target.unit)
    return value


def is_yes_or_no(value: Answer | None) -> bool:
    """Whether a value says that something is so, or that it is not."""
    return value in (YES, NO)


def as_written(value: Answer) -> dict[str, Any]:
    """A value as a belief file has it: {value, unit}, {text, aliases}, {year} or {date}."""
    if isinstance(value, Quantity):
        number = round(value.value) if value.decimals == 0 else value.value
        return {"value": number, "unit": value.unit or "1"}
    if isinstance(value, Date):
        if value.day:
            return {"date": datetime.date(value.year, value.month or 1, value.day)}
        return {"year": value.year}
    assert isinstance(value, Name)
    return {"text": value.text, **({"aliases": list(value.aliases)} if value.aliases else {})}


def _name(text: str) -> Name:
    first, *others = (part.strip() for part in text.split("|"))
    if set(text) & set("{}<"):
        raise ValueError(f'"{text}": leave out < and brackets, which mean something in a belief file')
    if not first or not all(others):
        raise ValueError(f'"{text}" has an empty spelling; write the name, then | before each other spelling')
    return Name(first, tuple(others))
