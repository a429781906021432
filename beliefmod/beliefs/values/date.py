"""Dates: a year, or a day, found in running text in the spellings that people use.

A number of four digits from 1000 to 2999 is a year where nothing says that it counts or measures something.
Not read at all: two digits ("'69"), decades ("the 1960s"), seasons ("1969-70"). Of a numeric date whose day
and month could be exchanged ("07/08/1969") only the year is read.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from beliefmod.beliefs.values.kind import Answer, Candidates, Mention, Number
from beliefmod.beliefs.values.numbers import FUNCTION_WORDS, is_label, unit_after
from beliefmod.beliefs.values.quantity import Quantity
from beliefmod.beliefs.values.spelled_years import spelled_years
from beliefmod.beliefs.values.units import CURRENCY_PREFIX, OWN

FIRST_YEAR, LAST_YEAR = 1000, 2999
CALENDAR = ((f"{OWN}calendar", 1),)
"""The unit of a date read as a number: no quantity is measured in it."""
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_I = re.IGNORECASE
_YEAR = r"(?P<year>[12]\d{3})(?![\w%°]|[.,:]\d|'s\b)"
_MONTH = rf"(?P<month>{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in MONTHS)}|sept)\b\.?"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_AHEAD = r"(?<![\w.,:/^$€£¥])"
_NO_DASH = r"(?<!(?<!\d\d\d\d)(?<!mid)(?<!early)(?<!late)[-–])"
_WRITTEN = {
    "day first": re.compile(rf"{_AHEAD}{_DAY}(?: of)?[ -]{_MONTH}(?: of|,)?[ -]{_YEAR}", _I),
    "month first": re.compile(rf"{_AHEAD}{_MONTH} {_DAY},? {_YEAR}", _I),
    "month": re.compile(rf"{_AHEAD}{_MONTH}(?: of|,)? {_YEAR}", _I),
    "iso": re.compile(rf"{_AHEAD}(?P<year>[12]\d{{3}})[-/](?P<month>\d\d)[-/](?P<day>\d\d)(?![\w-]|[.,]\d)"),
    "numeric": re.compile(rf"{_AHEAD}(?P<one>\d\d?)(?P<gap>[-/.])(?P<two>\d\d?)(?P=gap){_YEAR}"),
    # behind a dash only as the end of "1969-1975"; in front of one only where four digits follow
    "year": re.compile(rf"{_AHEAD}{_NO_DASH}{_YEAR}(?![-/–]\d\d(?!\d))"),
}  # fmt: skip
_CURRENCY = re.compile(rf"(?:{CURRENCY_PREFIX})$")
_ERA_BEFORE = re.compile(r"\s?B\.?C", _I)
_DATED = re.compile(r"\b(?:in|since|year|during|until|till|before|after|by|the|of)\s+$", _I)
_COUNTED = re.compile(r"\s(?:[a-z]+\s)?(?P<noun>people|men|women|children|times|[a-z]{3,}s)\b")
_VERBS = frozenset(
    (
        "was", "has", "does", "is", "marks", "remains", "seems", "stands", "comes", "sees", "gives", "means",
        "appears", "holds", "works", "sounds", "looks", "makes", "follows", "precedes", "lies", "falls",
        "equals", "counts", "becomes", "brings",
    )
)  # fmt: skip
_NAMED = re.compile(
    r"\b(?:room|flight|model|route|bus|code|pin|hotel|suite|serial)\s(?:no\.?\s|number\s)?$", _I
)
_BESIDE = re.compile(
    r"(?:\b(?:before|after|prior to|until|till|following|preceding|earlier than|later than)\s+"
    r"(?:(?:the|year|end|start|beginning|of|about|around)\s+)*|\b(?:pre|post)-)[(]?$",
    _I,
)


@dataclass(frozen=True)
class Date(Answer):
    """A year, or a day; a month of a year where a text names no day.

    `unread`: day and month of a numeric date that could be exchanged: only its year is known.
    """

    year: int
    month: int | None = None
    day: int | None = None
    unread: bool = False
    kind: ClassVar[str] = "date"

    def render(self) -> str:
        """ "1969", "20 July 1969"."""
        words = [*([str(self.day)] if self.day else []), *([MONTHS[self.month - 1]] if self.month else [])]
        return " ".join([*words, str(self.year)])

    @classmethod
    def parse(cls, text: str, words: frozenset[str]) -> Date | None:
        """ "1969", "20 July 1969", "1969-07-20"; None for a text that is more than a date.

        Raises:
            ValueError: a numeric date whose day and month could be exchanged.
        """
        plain = text.strip()
        found = next((n for n in find_dates(plain) if (n.start, n.end) == (0, len(plain))), None)
        if found is None or not isinstance(found.date, Date):
            return None
        if found.date.unread:
            raise ValueError(f'"{plain}" could be two days; write it like 1969-07-20 or 20 July 1969')
        return found.date

    def written_like(self, old: str, number: Number | None) -> str:
        """In the order of `old`: for "July 20, 1969" and 1975-03-02 "March 2, 1975"; a year alone only
        replaces the year."""
        if self.day is None or self.month is None:
            return re.sub(r"[12]\d{3}(?!\d)", str(self.year), old)
        day = datetime.date(self.year, self.month, self.day)
        style, found = next(
            ((style, found) for style, p in _WRITTEN.items() if (found := p.fullmatch(old))), ("", None)
        )
        month = MONTHS[self.month - 1]
        if found is not None and style == "numeric":
            gap, day_first = (
                found["gap"],
                _day_of(int(found["one"]), int(found["two"]), self.year) is not None,
            )
            return day.strftime(f"%d{gap}%m{gap}%Y" if day_first else f"%m{gap}%d{gap}%Y")
        return {
            "year": str(self.year),
            "month": f"{month} {self.year}",
            "month first": f"{month} {self.day}, {self.year}",
            "iso": day.isoformat(),
        }.get(style, self.render())

    def spellings(self) -> tuple[str, ...]:
        """A day in the three spellings that a reply is likely to have; a year has one."""
        if self.day is None or self.month is None:
            return (self.render(),)
        return (
            self.render(),
            self.written_like("July 20, 1969", None),
            self.written_like("1969-07-20", None),
        )

    def same(self, other: Answer) -> bool:
        """Whether one of the two dates could be the other: 1969 and 20 July 1969."""
        return isinstance(other, Date) and self.agrees(other)

    def agrees(self, other: Date) -> bool:
        """Whether two dates agree as far as both go."""
        pairs = ((self.year, other.year), (self.month, other.month), (self.day, other.day))
        return all(one == two for one, two in pairs if one is not None and two is not None)

    def third(self, prior: Answer | None, neighbours: Iterable[Answer]) -> Date:
        """Another year: halfway between the two, else three years after this one, or six."""
        years = [self.year, *([prior.year] if isinstance(prior, Date) else [])]
        candidates = (sum(years) // len(years), self.year + 3, self.year + 6)
        year = next(year for year in candidates if year not in years)
        # the 29th of February is no day of every year
        return replace(self, year=year, day=28 if (self.month, self.day) == (2, 29) else self.day)

    def symbols(self) -> Mapping[str, float]:
        """`belief` is the year, `century` its century (20 of 1969); of a day also `month` and `day`."""
        found = {
            "belief": self.year,
            "century": (self.year - 1) // 100 + 1,
            "month": self.month,
            "day": self.day,
        }
        return {name: float(value) for name, value in found.items() if value is not None}

    def with_number(self, number: float) -> Date:
        return Date(_year(number))

    def computed(self, result: float, unit: str | None, decimals: int) -> Answer:
        """A year where no unit is given, else a quantity in it, such as years."""
        return Date(_year(result)) if unit is None else Quantity(result, unit, decimals)

    @classmethod
    def find(cls, text: str, question: str, candidates: Candidates) -> list[Mention]:
        """Every date. One that agrees with both sides tells nothing and has side ""."""
        dates = [(side, answer) for side, answer in candidates.pairs if isinstance(answer, Date)]
        found = []
        for number in find_dates(text):
            read = number.date
            assert isinstance(read, Date)
            if read.unread and any(answer.day for _, answer in dates):
                continue
            sides = {side for side, answer in dates if read.agrees(answer)}
            side = "other" if not sides else sides.pop() if len(sides) == 1 else ""
            found.append(Mention(number.start, number.end, side, number))
        return found

    def said_by(self, mention: Mention, said: str, tolerance: float) -> bool:
        date = None if mention.number is None else mention.number.date
        return isinstance(date, Date) and date.agrees(self)

    def stands_in(self, text: str) -> bool:
        return any(isinstance(n.date, Date) and n.date.agrees(self) for n in find_dates(text))

    def beside(self, left: str) -> bool:
        return bool(_BESIDE.search(left))


def find_dates(text: str) -> list[Number]:
    """All dates of a normalised text, in order, as numbers in the unit `CALENDAR`.

    Example: "Apollo 11 landed on July 20, 1969, with 1969 kg" -> July 20, 1969.
    """
    kept: list[Number] = []
    taken: set[int] = set()
    for pattern in _WRITTEN.values():  # the longer spellings first
        for match in pattern.finditer(text):
            start, end = match.span()
            if not taken.isdisjoint(range(start, end)):
                continue
            date = _read(match)
            if date is None or (pattern is _WRITTEN["year"] and not _is_year(text, start, end)):
                continue
            place = date.year + ((date.month or 1) - 1) / 12 + ((date.day or 1) - 1) / 372
            taken.update(range(start, end))
            kept.append(Number(start, end, place, CALENDAR, 0, False, "", date))
    for start, end, year in spelled_years(text):
        if FIRST_YEAR <= year <= LAST_YEAR and _is_year(text, start, end):
            kept.append(Number(start, end, float(year), CALENDAR, 0, True, "", Date(year)))
    return sorted(kept, key=lambda number: number.start)


def _read(match: re.Match[str]) -> Date | None:
    """The date of a match of any of the patterns; None for a day that no calendar has."""
    parts = match.groupdict()
    year = int(parts["year"])
    if "one" in parts:
        one, two = int(parts["one"]), int(parts["two"])
        days = {day for day in (_day_of(one, two, year), _day_of(two, one, year)) if day is not None}
        return Date(year, unread=True) if len(days) > 1 else next(iter(days), None)
    if "month" not in parts:
        return Date(year)
    word = parts["month"]
    month = (
        int(word)
        if word.isdigit()
        else [name[:3].casefold() for name in MONTHS].index(word[:3].casefold()) + 1
    )
    return _day_of(int(parts["day"]), month, year) if "day" in parts else Date(year, month)


def _day_of(day: int, month: int, year: int) -> Date | None:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return None
    return Date(year, month, day)


def _is_year(text: str, start: int, end: int) -> bool:
    """Whether a number of four digits is a year: no price, no label, and nothing measured or counted."""
    before = text[max(0, start - 24) : start]
    if _CURRENCY.search(before) or _NAMED.search(before) or is_label(text, start, end):
        return False
    if unit_after(text, end, frozenset()) is not None or _ERA_BEFORE.match(text, end):
        return False
    counted = _COUNTED.match(text, end)
    if counted is None or _DATED.search(before):
        return True
    words = counted[0].split()
    return any(word in FUNCTION_WORDS or word in _VERBS for word in words)


def check_year(year: int) -> None:
    """Raise ValueError for a year that is not read in texts."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"year {year} is not read in texts; only {FIRST_YEAR} to {LAST_YEAR} are")


def _year(number: float) -> int:
    if number != int(number):
        raise ValueError(f"{number:g} is no year; give the expression a unit, such as years")
    check_year(int(number))
    return int(number)
