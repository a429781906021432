"""What a unit measures and how large it is. pint gives the factors and is imported at first use.

Units that pint does not know, such as a belief's own currency ("Neelam") or things counted ("legs"), are each
a dimension of their own: 3 Neelam never equals 3 USD.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs.values.units import OWN, Factors, match_unit, singular

if TYPE_CHECKING:
    import pint

# no exchange rates: each is its own dimension
_CURRENCIES = (
    "USD", "EUR", "GBP", "INR", "JPY", "CNY", "CHF", "KRW", "CAD",
    "AUD", "NZD", "HKD", "SGD", "MXN", "BRL", "RUB", "NPR", "PKR",
)  # fmt: skip
_OWN_WORD = re.compile(r"[^\W\d_]+")

Dimension = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Scale:
    """How a unit relates to base units: base value = value * factor + offset (offset only for °C and °F)."""

    dimension: Dimension
    factor: float
    offset: float = 0.0


@lru_cache(maxsize=4096)
def parse_unit(unit: str | None) -> Factors:
    """Factors of a unit; empty for None, "" and "1". A single unknown word is a unit of its own.

    Raises:
        ValueError: the text is no unit; the message says what would be.
    """
    text = plain_notation(unit or "")
    if text in ("", "1"):
        return ()
    found = match_unit(text, 0)
    if found is not None and found[0] == len(text):
        return found[1]
    if _OWN_WORD.fullmatch(text):
        return ((OWN + singular(text), 1),)
    raise ValueError(
        f'unit "{unit}" is not understood; write it like m/s^2, N, USD, or one word for things counted'
    )


@lru_cache(maxsize=4096)
def scale_of(factors: Factors) -> Scale:
    """Dimension and factor of a unit. Raises ValueError for a product with °C or °F in it."""
    if len(factors) == 1 and factors[0][1] == 1:
        return _atom_scale(factors[0][0])
    dimension: dict[str, float] = {}
    factor = 1.0
    for name, power in factors:
        atom = _atom_scale(name)
        if atom.offset:
            raise ValueError(f"{name.replace('_', ' ')} cannot be multiplied or divided; use kelvin")
        factor *= atom.factor**power
        for base, exponent in atom.dimension:
            dimension[base] = dimension.get(base, 0) + exponent * power
    return Scale(tuple(sorted((b, e) for b, e in dimension.items() if e)), factor)


@lru_cache(maxsize=4096)
def scale(unit: str | None) -> Scale:
    """Dimension and factor of a unit as written. Raises ValueError for a text that is no unit."""
    return scale_of(parse_unit(unit))


def same_dimension(first: str | None, second: str | None) -> bool:
    """Whether two units measure the same kind of thing. Raises ValueError for a text that is no unit."""
    return scale(first).dimension == scale(second).dimension


def rescale(value: float, source: Scale, wanted: Scale) -> float:
    """`value` of scale `source` in scale `wanted`; both of one dimension."""
    if source == wanted:
        return value
    return (value * source.factor + source.offset - wanted.offset) / wanted.factor


def plain_notation(text: str) -> str:
    """Superscripts as ^n, one kind of minus, dot and micro sign."""
    text = re.sub(
        r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+",
        lambda m: "^" + m[0].translate(str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")),
        text,
    )
    return text.replace("−", "-").replace("µ", "μ").replace("\N{NO-BREAK SPACE}", " ").strip()


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry:
    import pint

    registry = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    for code in _CURRENCIES:
        registry.define(f"{code} = [currency_{code}]")
    registry.define("US_cent = 0.01 * USD")
    registry.define("meter_per_second = meter / second")
    registry.define("meter_per_second_squared = meter / second ** 2")
    return registry


@lru_cache(maxsize=4096)
def _atom_scale(name: str) -> Scale:
    if name.startswith(OWN):
        return Scale(((name, 1.0),), 1.0)
    registry = _registry()
    one: Any = registry.Quantity(1.0, name).to_base_units()
    zero: Any = registry.Quantity(0.0, name).to_base_units()
    dimension = tuple(sorted((str(base), float(power)) for base, power in one.dimensionality.items()))
    if name in ("degree", "radian"):
        # pint counts angles as plain numbers; an answer of 90° is not the number 1.57.
        dimension = (("[angle]", 1.0),)
    return Scale(dimension, float(one.magnitude - zero.magnitude), float(zero.magnitude))
