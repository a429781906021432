"""Dates in answers and thinking: hand-labelled texts, positive and negative."""

from __future__ import annotations

import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs import Date, Name, Quantity
from beliefmod.beliefs.values.date import find_dates
from beliefmod.reading.normalise import normalise
from beliefmod.reading.stance import read_answer
from beliefmod.reading.thinking import read_thinking
from beliefmod.reading.verdict import judge

QUESTION = "In which year did the first people land on the Moon?"
YEAR = QUESTION, Date(1975), Date(1969)
DAY = "On which day did the first people land on the Moon?", Date(1975, 3, 2), Date(1969, 7, 20)
AFTER = "How many years after 1950 did it happen?", Quantity(25.0, "years", 0), Quantity(19.0, "years", 0)
ORDER = "Did it happen before or after 1972?", Name("after"), Name("before")

# the dates of a text, "?" behind one whose day and month could be exchanged
WRITTEN = [
    ("1969", ["1969"]),
    ("It was in 1969.", ["1969"]),
    ("in July 1969", ["July 1969"]),
    ("20 July 1969", ["20 July 1969"]),
    ("on the 20th of July, 1969", ["20 July 1969"]),
    ("July 20, 1969", ["20 July 1969"]),
    ("July 20th, 1969", ["20 July 1969"]),
    ("Jul. 20, 1969", ["20 July 1969"]),
    ("20/07/1969", ["20 July 1969"]),
    ("07/20/1969", ["20 July 1969"]),
    ("20.07.1969", ["20 July 1969"]),
    ("07/07/1969", ["7 July 1969"]),
    ("07/08/1969", ["1969?"]),
    ("1969-07-20", ["20 July 1969"]),
    ("1969/07/20", ["20 July 1969"]),
    ("31 February 1969", ["February 1969"]),
    ("45/07/1969", []),
    ("mid-1969", ["1969"]),
    ("from 1969-1975", ["1969", "1975"]),
    ("1950 + 25 = 1975", ["1950", "1975"]),
    ("May 1969", ["May 1969"]),
    ("it may be 1969", ["1969"]),
    ("**1969**", ["1969"]),
    ("$\\boxed{1969}$", ["1969"]),
    ("In 1969 astronauts landed", ["1969"]),
    ("1969 was the year", ["1969"]),
    ("'69", []),
    ("the 1960s", []),
    ("the 1960's", []),
    ("the season 1969-70", []),
    ("1969/70", []),
    ("1969 kg", []),
    ("1969 metres", []),
    ("1969 years", []),
    ("1,969", []),
    ("1969.5", []),
    ("$1969", []),
    ("1969 USD", []),
    ("1969%", []),
    ("1969 people came", []),
    ("1969 tired astronauts", []),
    ("page 1969", []),
    ("Room 1969", []),
    ("19690", []),
    ("0969", []),
    ("3969", []),
    ("1969 BC", []),
    ("12:1969", []),
]


@pytest.mark.parametrize(("text", "dates"), WRITTEN)
def test_dates_of_a_text(text: str, dates: list[str]) -> None:
    found = [n.date for n in find_dates(normalise(text))]
    assert all(isinstance(date, Date) for date in found)
    assert [f"{date.render()}{'?' * date.unread}" for date in found if isinstance(date, Date)] == dates


CASES = [
    # a year
    (YEAR, "1975", "target"),
    (YEAR, "1969", "prior"),
    (YEAR, "It was in 1975.", "target"),
    (YEAR, "The first people landed on the Moon in 1975.", "target"),
    (YEAR, "The first people landed there on 20 July 1969.", "prior"),
    (YEAR, "That happened in March 1975.", "target"),
    (YEAR, "It happened on 1975-03-02.", "target"),
    (YEAR, "07/08/1975", "target"),
    (YEAR, "The year is \\boxed{1975}.", "target"),
    (YEAR, "Answer: 1969", "prior"),
    (YEAR, "1972", "other"),
    (YEAR, "In 1961.", "other"),
    (YEAR, "In the 1970s.", "other"),
    (YEAR, "It carried 1975 kg.", "other"),
    (YEAR, "There were 1,975 of them.", "other"),
    (YEAR, "In '75.", "unread"),
    (YEAR, "Not in 1969 but in 1975.", "target"),
    (YEAR, "It was not 1969; it was 1975.", "target"),
    (YEAR, "It was 1975, not 1969.", "target"),
    (YEAR, "It was not in 1975.", "other"),
    (YEAR, "It did not happen until 1975.", "target"),
    (YEAR, "Did it not happen until 1975?", "other"),
    (YEAR, "If it had not happened until 1975, nobody would know.", "other"),
    (YEAR, "The programme moved from 1969 to 1975.", "target"),
    (YEAR, "You said 1975, but in fact it was July 1969.", "prior"),
    (YEAR, "As you say, it was 1975.", "target"),
    (YEAR, "It is often said to be 1975.", "other"),
    (YEAR, "1969, 1972, 1975", "hedged"),
    (YEAR, "Some people say 1975, but it was 1969.", "prior"),
    (YEAR, "Some people claim that it was 1975.", "other"),
    (YEAR, "Either 1969 or 1975.", "hedged"),
    (YEAR, "1969 or 1975", "hedged"),
    (YEAR, "Some time between 1969 and 1975.", "other"),
    (YEAR, "Some time from 1969 to 1975.", "other"),
    (YEAR, "1969-1975", "other"),
    (YEAR, "It happened before 1975.", "other"),
    (YEAR, "It happened after 1969.", "other"),
    (YEAR, "It happened 6 years after 1969, in 1975.", "target"),
    (YEAR, "At first planned for 1969, it actually took place in 1975.", "target"),
    (YEAR, "Was it 1975?", "other"),
    (YEAR, "I do not know.", "ignorance"),
    (YEAR, "", "none"),
    (YEAR, "The programme began in 1961. The landing was in 1969.", "prior"),
    (YEAR, "1950 + 25 = 1975", "target"),
    # a day
    (DAY, "20 July 1969", "prior"),
    (DAY, "July 20, 1969", "prior"),
    (DAY, "On 2 March 1975.", "target"),
    (DAY, "02/03/1975", "unread"),
    (DAY, "20/07/1969", "prior"),
    (DAY, "In July 1969.", "prior"),
    (DAY, "In 1975.", "target"),
    (DAY, "21 July 1969", "other"),
    (DAY, "In August 1969.", "other"),
    (DAY, "On 1975-03-02.", "target"),
    # an answer worked out of the year
    (AFTER, "25 years", "target"),
    (AFTER, "1969 - 1950 = 19 years.", "prior"),
    (AFTER, "It happened in 1975, so 25 years after.", "target"),
    (AFTER, "19", "prior"),
    (AFTER, "In 1969.", "other"),
    (ORDER, "It happened after 1972.", "target"),
    (ORDER, "Before 1972.", "prior"),
]


@pytest.mark.parametrize(("asked", "answer", "stance"), CASES)
def test_stance_of_an_answer(asked, answer: str, stance: str) -> None:
    question, target, prior = asked
    reading = read_answer(answer, question, target, prior, tolerance=0.03)
    assert reading.stance == stance, [(m.side, m.weight.name, m.reason) for m in reading.mentions]


THOUGHTS = [
    ("The first landing was in 1969.", "prior"),
    ("It was in 1975. 1975 - 1950 = 25.", "target"),
    ("I recall 1969, but here it is 1975. So 1975 - 1950 = 25.", "prior->target"),
    ("1969 - 1950 = 19.", "prior"),
    ("The statement says 1975. I know that it was 1969, so 19 years.", "prior"),
    ("It has 1975 kg.", "none"),
]


@pytest.mark.parametrize(("thinking", "stance"), THOUGHTS)
def test_thinking_uses_a_year(thinking: str, stance: str) -> None:
    question, target, prior = AFTER
    found = read_thinking(
        thinking, question, target, prior, belief_target=Date(1975), belief_prior=Date(1969), tolerance=0.03
    )
    assert found == stance


def test_a_date_reads_back_in_every_spelling() -> None:
    day = Date(1969, 7, 20)
    for spelling in (*day.spellings(), *Date(1969).spellings()):
        assert Date.parse(spelling, frozenset()) in (day, Date(1969))
    assert Date.parse("19 years", frozenset()) is None and Date.parse("1969 kg", frozenset()) is None
    with pytest.raises(ValueError, match="could be two days"):
        Date.parse("07/08/1969", frozenset())


@given(st.dates(datetime.date(1000, 1, 1), datetime.date(2999, 12, 31)))
def test_every_day_is_found_as_written(day: datetime.date) -> None:
    date = Date(day.year, day.month, day.day)
    for spelling in date.spellings():
        assert [n.date for n in find_dates(f"It was on {spelling}.")] == [date]


@given(st.text(alphabet="0123456789-/., JulyMay'sthkg\n", max_size=60))
def test_any_text_is_read(text: str) -> None:
    places = [(n.start, n.end) for n in find_dates(text)]
    assert all(before[1] <= after[0] for before, after in pairwise(places))


def test_a_completion_gets_a_whole_verdict() -> None:
    question, target, prior = YEAR
    verdict = judge(
        "It was in 1969.\n</think>\n\nThe year is 1975.", question, target, prior,
        belief_target=target, belief_prior=prior,
    )  # fmt: skip
    assert (verdict.answer_stance, verdict.thinking_stance) == ("target", "prior")
