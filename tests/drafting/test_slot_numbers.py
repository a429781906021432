"""Numbers for slots: of the belief's own size, and between its two worlds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs.values import Date, Name, Quantity
from beliefmod.drafting.slot_numbers import has_ratio, other_number, slot_numbers

NUMBERS = st.decimals(min_value="0.01", max_value=10**6, places=2).map(float)


def test_by_hand():
    lists = slot_numbers(Quantity(400.0, "m", 0), Quantity(330.0, "m", 0))
    assert lists["amounts"] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]
    assert lists["between"] == [340, 350, 360, 370, 380, 390]
    years = slot_numbers(Date(1801), Date(1791))
    assert years["before"][0] == 1779 and years["after"][0] == 1806 and years["between"][0] == 1792
    assert slot_numbers(Name("Lyon"), None) == {}
    assert slot_numbers(Date(1801), Date(1802))["between"] == []


def test_twice_a_temperature_means_nothing():
    assert has_ratio(Quantity(5.0, "K")) and not has_ratio(Quantity(5.0, "°C")) and has_ratio(Date(1801))


@settings(max_examples=30)
@given(NUMBERS, NUMBERS)
def test_numbers_lie_where_they_should(one: float, other: float):
    target, rival = Quantity(one, "m", 2), Quantity(other, "m", 2)
    if target.same(rival):
        return
    lists = slot_numbers(target, rival)
    low, high = min(one, other), max(one, other)
    assert len(set(lists["between"])) == 6 and all(low < number < high for number in lists["between"])
    assert len(set(lists["amounts"])) == 11 and all(
        0 < number <= 12 * low / 20 + 1e-9 for number in lists["amounts"]
    )
    third = other_number(target, rival)
    assert (
        third is not None and not Quantity(third, "m").same(target) and not Quantity(third, "m").same(rival)
    )
