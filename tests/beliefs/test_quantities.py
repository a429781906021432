"""Quantities against pint itself, and by hand."""

from __future__ import annotations

import subprocess
import sys

import pint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs.values.quantity import Quantity, matches, parse_quantity
from beliefmod.beliefs.values.scale import parse_unit, rescale, same_dimension, scale
from beliefmod.beliefs.values.units import match_unit

REGISTRY = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("50 N", 50.0, "N"),
        ("5.0 m/s^2", 5.0, "m/s^2"),
        ("16.4 ft/s²", 16.4, "ft/s^2"),
        ("9.8 m s⁻²", 9.8, "m s^-2"),
        ("$15", 15.0, "USD"),
        ("15 USD", 15.0, "USD"),
        ("1,000 N", 1000.0, "N"),
        ("-5.0 m/s²", -5.0, "m/s^2"),
        ("1e3 N", 1000.0, "N"),
        (".5 N", 0.5, "N"),
        ("7", 7.0, None),
        ("8 legs", 8.0, "legs"),
        ("100 degrees C", 100.0, "degrees C"),
    ],
)
def test_parse(text: str, value: float, unit: str | None) -> None:
    assert parse_quantity(text) == Quantity(value, unit)


@pytest.mark.parametrize("text", ["", "N", "five N", "5 m/s^", "5..0 N", "5 N extra words here", "five"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no quantity|not understood"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("unit", "pints"),
    [
        ("m/s^2", "m/s**2"),
        ("m/s²", "m/s**2"),
        ("m/s2", "m/s**2"),
        ("m s^-2", "m/s**2"),
        ("ms^-2", "m/s**2"),
        ("m/s/s", "m/s**2"),
        ("metres per second squared", "m/s**2"),
        ("meters per second per second", "m/s**2"),
        ("N/kg", "m/s**2"),
        ("cm/s²", "cm/s**2"),
        ("ft/s²", "ft/s**2"),
        ("Gal", "cm/s**2"),
        ("N", "N"),
        ("kg·m/s²", "N"),
        ("kg m s^-2", "N"),
        ("lbf", "lbf"),
        ("J", "J"),
        ("N m", "N*m"),
        ("km/h", "km/hour"),
        ("mph", "mile/hour"),
        ("degrees C", "degC"),
        ("°F", "degF"),
        ("square metres", "m**2"),
        ("kWh", "kWh"),
    ],
)
def test_units_are_pints(unit: str, pints: str) -> None:
    expected = REGISTRY.Quantity(3.7, pints).to_base_units()
    found = scale(unit)
    assert 3.7 * found.factor + found.offset == pytest.approx(expected.magnitude)
    assert dict(found.dimension) == {str(k): v for k, v in expected.dimensionality.items()}


def convert(value: float, one: str, two: str) -> float:
    return rescale(value, scale(one), scale(two))


def test_conversions_by_hand() -> None:
    assert convert(16.4, "ft/s²", "m/s^2") == pytest.approx(4.99872)
    assert convert(500, "cm/s^2", "m/s^2") == pytest.approx(5.0)
    assert convert(212, "°F", "degrees C") == pytest.approx(100.0)
    assert convert(1500, "cents", "USD") == pytest.approx(15.0)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [("m/s^2", "ft/s²", True), ("m/s^2", "m/s", False), ("USD", "EUR", False), ("legs", "leg", True),
     ("legs", "shoes", False), 
     ("Neelam", "USD", False), ("1", None, True), ("1", "legs", False), ("degrees", "1", False),
     ("bits", "1", False)],
)  # fmt: skip
def test_same_dimension(one: str | None, two: str | None, same: bool) -> None:
    assert same_dimension(one, two) is same


@pytest.mark.parametrize("unit", ["m/s^", "N per", "m//s", "5", "m s s s?", "a b c"])
def test_what_is_no_unit_is_refused(unit: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        scale(unit)


def test_degrees_in_products_are_refused() -> None:
    with pytest.raises(ValueError, match="kelvin"):
        scale("°C/s")


@pytest.mark.parametrize(
    ("value", "expected", "near"),
    [(5.15, 5.0, True), (5.151, 5.0, False), (0.0, 0.0, True), (0.001, 0.0, False), (-5.0, 5.0, False)],
)
def test_what_is_near_at_three_percent(value: float, expected: float, near: bool) -> None:
    assert matches(value, expected, 3, 0.03) is near


def test_only_one_kind_can_be_compared() -> None:
    assert Quantity(16.4, "ft/s²").comparable(Quantity(5.0, "m/s^2"))
    assert not Quantity(5.0, "km/s").comparable(Quantity(5.0, "m/s^2"))
    assert not Quantity(5.0, None).comparable(Quantity(5.0, "m/s^2"))


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.sampled_from(["N", "m/s^2", "USD", "legs", None]))
def test_a_written_quantity_reads_back(value: float, unit: str | None) -> None:
    read = parse_quantity(Quantity(value, unit, 12).render())
    assert read.unit == unit
    assert read.value == pytest.approx(value, rel=1e-11, abs=1e-12)


@settings(deadline=None)
@given(
    st.floats(0.001, 1e6),
    st.sampled_from(["m/s^2", "ft/s²", "cm/s^2", "N/kg"]),
    st.sampled_from(["m/s^2", "ft/s²", "Gal"]),
)
def test_conversion_there_and_back(value: float, one: str, two: str) -> None:
    there = convert(value, one, two)
    assert convert(there, two, one) == pytest.approx(value, rel=1e-9)


@settings(deadline=None)
@given(st.text(max_size=30), st.integers(0, 30))
def test_matching_never_fails_and_moves_on(text: str, start: int) -> None:
    found = match_unit(text, min(start, len(text)))
    if found is not None:
        assert min(start, len(text)) < found[0] <= len(text)


def test_words_of_running_text_are_no_units() -> None:
    for word in ("in", "a", "at", "is", "on", "the", "per", "and"):
        assert match_unit(word, 0) is None
    assert match_unit("N in", 0) == (1, (("newton", 1),))
    assert match_unit("USD per Neelam", 0) == (3, (("USD", 1),))


def test_own_units_stand_alone() -> None:
    assert parse_unit("Neelams") == parse_unit("neelam") != parse_unit("tamber")


def test_pint_waits_until_it_is_needed() -> None:
    code = "import sys, beliefmod.beliefs.values.quantity; assert 'pint' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
