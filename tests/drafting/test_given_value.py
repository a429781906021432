"""Values as they are typed, and as a belief file then has them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs.spec import Value
from beliefmod.beliefs.values import Date, Name, Quantity
from beliefmod.drafting.given_value import NO, YES, as_written, read_value


@pytest.mark.parametrize(
    ("text", "subject", "value"),
    [
        ("400 m", "the height of a tower", Quantity(400.0, "m", 0)),
        ("9.80 m/s^2", "the gravity of Earth", Quantity(9.8, "m/s^2", 2)),
        ("7 legs", "the number of legs of a spider", Quantity(7.0, "legs", 0)),
        ("$5", "the price of a Neelam", Quantity(5.0, "USD", 0)),
        ("1925", "the number of islands", Quantity(1925.0, "1", 0)),
        ("1925", "the year of the flood", Date(1925)),
        ("20 July 1969", "the first landing", Date(1969, 7, 20)),
        ("Lyon | city of Lyon", "the capital of France", Name("Lyon", ("city of Lyon",))),
        ("Yes", "glass conducts electricity", YES),
        ("no", "glass conducts electricity", NO),
    ],
)
def test_what_is_typed_is_read(text: str, subject: str, value: object):
    found = read_value(text, subject)
    assert found == value and found.render() == value.render()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "sort", "value"),
    [("7-Up", "name", Name("7-Up")), ("1925", "date", Date(1925)), ("yes", "name", Name("yes"))],
)
def test_the_sort_decides_where_it_is_given(text: str, sort: str, value: object):
    assert read_value(text, "the drink", sort) == value


@pytest.mark.parametrize(
    ("text", "sort", "why"),
    [
        ("", None, "is empty"),
        ("5 blarg wuff", None, "unit"),
        ("July 1969", None, "is a month"),
        ("Lyon||x", None, "empty spelling"),
        ("Lyon", "quantity", "no number"),
        ("Lyon", "date", "no date"),
        ("maybe", "yes_no", "neither yes nor no"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, sort: str | None, why: str):
    with pytest.raises(ValueError, match=why):
        read_value(text, "the thing", sort)


@settings(max_examples=30)
@given(
    st.one_of(
        st.decimals(min_value=0, max_value=10**6, places=2).map(lambda n: f"{n} m"),
        st.integers(min_value=0, max_value=10**9).map(lambda n: f"{n} legs"),
        st.dates(min_value=datetime.date(1000, 1, 1), max_value=datetime.date(2999, 12, 31)).map(
            lambda day: day.isoformat()
        ),
        st.text(alphabet="abcdefghij ", min_size=1).map(str.strip).filter(bool),
    )
)
def test_a_file_gives_back_what_was_typed(text: str):
    value = read_value(text, "the thing")
    assert Value.model_validate(as_written(value)).answer == value
