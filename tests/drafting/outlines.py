"""Beliefs of every kind of value, as somebody would type them; none is in the library."""

from __future__ import annotations

from beliefmod.drafting.outline import Given

GIVEN = {
    "eiffel": Given("the height of the Eiffel Tower", "400 m", "330 m"),
    "canberra": Given("the capital of Australia", "Sydney", "Canberra"),
    "mozart": Given("the year of Mozart's death", "1801", "1791", entity="Mozart"),
    "glass": Given("glass conducts electricity", "yes", entity="glass"),
    "zarnak": Given("the height of Mount Zarnak", "4321 m", kind="novel"),
    "oldavia": Given("the capital of Oldavia", "Merk", "Tolm", kind="novel"),
    "boiling": Given("the boiling point of water at sea level", "120 °C", "100 °C", entity="water"),
    "moon": Given("the day of the first Moon landing", "20 March 1975", "20 July 1969"),
    "bones": Given("the number of bones of an adult human", "150 bones", "206 bones"),
}
