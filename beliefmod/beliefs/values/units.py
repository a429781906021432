"""Units as people and models write them, matched in running text and turned into pint's names.

A unit is a tuple of factors `(name, power)`: "m/s^2" is `(("meter", 1), ("second", -2))`. Only spellings
listed here are physical units, because pint alone reads "in", "a" and "at" as inch, year and technical
atmosphere.
"""

from __future__ import annotations

import re
from functools import lru_cache

Factors = tuple[tuple[str, int], ...]
OWN = "own:"  # marks a unit that is a dimension of its own: a belief's currency, things counted

_SYMBOLS = {
    "m": "meter", "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "dm": "decimeter",
    "μm": "micrometer", "nm": "nanometer", "ft": "foot", "yd": "yard", "mi": "mile",
    "s": "second", "sec": "second", "secs": "second", "ms": "millisecond", "μs": "microsecond",
    "ns": "nanosecond", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour",
    "kg": "kilogram", "kgs": "kilogram", "g": "gram", "mg": "milligram", "lb": "pound", "lbs": "pound",
    "lbm": "pound", "oz": "ounce", "N": "newton", "kN": "kilonewton", "mN": "millinewton",
    "lbf": "force_pound",
    "kgf": "force_kilogram", "dyn": "dyne", "dyne": "dyne", "dynes": "dyne", "J": "joule", "kJ": "kilojoule",
    "MJ": "megajoule", "mJ": "millijoule", "eV": "electron_volt", "kWh": "kilowatt_hour", "cal": "calorie",
    "kcal": "kilocalorie", "W": "watt", "kW": "kilowatt", "MW": "megawatt", "Pa": "pascal",
    "kPa": "kilopascal",
    "MPa": "megapascal", "hPa": "hectopascal", "bar": "bar", "atm": "standard_atmosphere", "psi": "psi",
    "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "K": "kelvin", "mol": "mole",
    "A": "ampere", "mA": "milliampere", "V": "volt", "mV": "millivolt", "kV": "kilovolt", "C": "coulomb",
    "Ω": "ohm", "L": "liter", "l": "liter", "mL": "milliliter", "ml": "milliliter",
    "mph": "mile_per_hour", "mps": "meter_per_second",
    "kph": "kilometer_per_hour", "kmh": "kilometer_per_hour", "Gal": "galileo", "°C": "degree_Celsius",
    "° C": "degree_Celsius", "° F": "degree_Fahrenheit",
    "ºC": "degree_Celsius", "°F": "degree_Fahrenheit", "°": "degree", "rad": "radian", "%": "percent",
    "USD": "USD", "$": "USD", "US$": "USD", "EUR": "EUR", "€": "EUR", "GBP": "GBP", "£": "GBP", "INR": "INR",
    "₹": "INR", "Rs": "INR", "JPY": "JPY", "¥": "JPY", "CNY": "CNY", "RMB": "CNY", "CHF": "CHF", "KRW": "KRW",
    "CAD": "CAD", "AUD": "AUD", "NZD": "NZD", "HKD": "HKD", "SGD": "SGD", "MXN": "MXN", "BRL": "BRL",
    "RUB": "RUB", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "HK$": "HKD",
    "S$": "SGD",
    "₽": "RUB", "₩": "KRW", "NPR": "NPR", "PKR": "PKR",
}  # fmt: skip
_WORDS = {
    "metre": "meter", "meter": "meter", "kilometre": "kilometer", "kilometer": "kilometer",
    "centimetre": "centimeter", "centimeter": "centimeter", "millimetre": "millimeter",
    "millimeter": "millimeter", "foot": "foot", "feet": "foot", "inch": "inch", "inches": "inch",
    "yard": "yard", "mile": "mile", "second": "second", "millisecond": "millisecond", "minute": "minute",
    "hour": "hour", "day": "day", "week": "week", "year": "year", "kilogram": "kilogram",
    "kilogramme": "kilogram", "kilo": "kilogram", "gram": "gram", "gramme": "gram", "tonne": "metric_ton",
    "pound": "pound", "ounce": "ounce", "newton": "newton", "kilonewton": "kilonewton",
    "pound-force": "force_pound", "pounds-force": "force_pound", "joule": "joule", "kilojoule": "kilojoule",
    "calorie": "calorie", "watt": "watt", "kilowatt": "kilowatt", "pascal": "pascal", "kelvin": "kelvin",
    "hertz": "hertz", "volt": "volt", "ampere": "ampere", "amp": "ampere", "ohm": "ohm", "litre": "liter",
    "liter": "liter", "coulomb": "coulomb", "mole": "mole", "percent": "percent", "per cent": "percent",
    "degree": "degree", "celsius": "degree_Celsius", "centigrade": "degree_Celsius",
    "degree c": "degree_Celsius", "degrees c": "degree_Celsius", "deg c": "degree_Celsius",
    "degree celsius": "degree_Celsius", "degrees celsius": "degree_Celsius",
    "degree centigrade": "degree_Celsius", "degrees centigrade": "degree_Celsius",
    "deg. c": "degree_Celsius", "deg. celsius": "degree_Celsius", "deg celsius": "degree_Celsius",
    "deg f": "degree_Fahrenheit", "deg": "degree", "degree f": "degree_Fahrenheit",
    "degrees f": "degree_Fahrenheit",
    "fahrenheit": "degree_Fahrenheit", "degree fahrenheit": "degree_Fahrenheit",
    "degrees fahrenheit": "degree_Fahrenheit", "radian": "radian",
    "dollar": "USD", "us dollar": "USD", "u.s. dollar": "USD", "american dollar": "USD", "buck": "USD",
    "united states dollar": "USD", "usd": "USD", "usds": "USD", "cent": "US_cent", "us cent": "US_cent",
    "penny": "US_cent", "pennies": "US_cent", "euro": "EUR", "pound sterling": "GBP",
    "pounds sterling": "GBP", "british pound": "GBP", "rupee": "INR", "indian rupee": "INR", "yen": "JPY",
    "japanese yen": "JPY", "yuan": "CNY", "canadian dollar": "CAD", "australian dollar": "AUD",
    "swiss franc": "CHF",
}  # fmt: skip
_SPACED = frozenset({"m", "s", "kg", "K", "mol", "N", "J", "W", "sec"})
CURRENCY_PREFIX = (
    r"(?:(?:US\s?\$|CA\$|C\$|AU\$|A\$|NZ\$|HK\$|S\$|\$|€|£|₹|¥|₽|₩|\bRs\.?|"
    r"\b(?:USD|EUR|GBP|INR|JPY|CNY|RMB|CHF|CAD|AUD))\s?)"
)


def _alternatives(words: list[str]) -> str:
    return "|".join(re.escape(word).replace(r"\ ", r"[ -]+") for word in sorted(words, key=len, reverse=True))


_PLURAL = [w for w in _WORDS if not w.endswith(("s", "feet", "foot", "inch"))]
_FIXED = [w for w in _WORDS if w not in _PLURAL]
_WORD = re.compile(
    rf"(?:(?:{_alternatives(_FIXED)})|(?:{_alternatives(_PLURAL)})(?:es|s)?)(?![^\W\d_])", re.IGNORECASE
)
_SYMBOL = re.compile(rf"(?:{_alternatives(list(_SYMBOLS))})(?![^\W\d_])")
_GLUED = {"Nm": (("newton", 1), ("meter", 1)), "kgm": (("kilogram", 1), ("meter", 1))}
_GLUE = re.compile(r"(?:Nm|kgm)(?![^\W\d_])")
_POWER = re.compile(r"\s?(?:\^|\*\*)\s?\(?\s?([+-]?\d)(?!\d|\.\d)\s?\)?|([+-]?[1-4])(?![\d.,]?\d|[A-Za-z])")
_POWER_WORD = re.compile(r"[ -](squared|cubed)(?![^\W\d_])", re.IGNORECASE)
_POWER_FIRST = re.compile(r"(square|cubic)[ -](?=[^\W\d_])", re.IGNORECASE)
_DIVIDE = re.compile(r"\s?/\s?|(?:,\s|[ -])per[ -](?:(?:1|one|each|a|every)\s)?|\s?÷\s?", re.IGNORECASE)
_TIMES = re.compile(r"\s?[·⋅∙×]\s?|\s?\*\s?(?!\*)|-(?=[A-Za-z])")
_SECOND_WORD = re.compile(r"[ -]a[ -](?=second\b)", re.IGNORECASE)


def match_unit(text: str, start: int, extra: frozenset[str] = frozenset()) -> tuple[int, Factors] | None:
    """The unit that begins exactly at `start`, as `(end, factors)`; None when no unit begins there.

    `extra` holds units of the belief itself, casefolded singulars ("neelam", "leg"). A "per" that leads to
    something that is no unit ("5 USD per Neelam" with Neelam unknown) ends the unit before it.
    """
    first = _atom(text, start, extra)
    if first is None:
        return None
    end, name, power = first
    factors: list[tuple[str, int]] = [*name_factors(name, power)]
    while True:
        step = _DIVIDE.match(text, end) or _SECOND_WORD.match(text, end)
        if step is not None:
            group = text[step.end() : step.end() + 1] == "("
            next_start = step.end() + (1 if group else 0)
            following = _atom(text, next_start, frozenset())
            if following is None:
                break
            end, name, power = following
            factors += name_factors(name, -power)
            if group:
                while (more := _TIMES.match(text, end)) and (nxt := _atom(text, more.end(), frozenset())):
                    end, name, power = nxt
                    factors += name_factors(name, -power)
                if text[end : end + 1] != ")":
                    break
                end += 1
            continue
        step = _TIMES.match(text, end)
        if step is not None:
            following = _atom(text, step.end(), frozenset())
            if following is None:
                break
            end, name, power = following
            factors += name_factors(name, power)
            continue
        spaced = _spaced_factor(text, end)
        if spaced is None:
            break
        end, name, power = spaced
        factors += name_factors(name, power)
    return end, _merge(factors)


def name_factors(name: str, power: int) -> Factors:
    """Factors of one spelled unit raised to a power; "Nm" and "kgm" are two."""
    return tuple((part, p * power) for part, p in _GLUED.get(name, ((name, 1),)))


def singular(word: str) -> str:
    """A custom unit's key: casefolded, without a plural ending ("Legs" -> "leg", "Neelam" -> "neelam")."""
    word = word.strip().casefold()
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


@lru_cache(maxsize=4096)
def _named(spelled: str) -> str:
    if spelled in _SYMBOLS:
        return _SYMBOLS[spelled]
    word = re.sub(r"[ -]+", " ", spelled.casefold())
    for form in (word, word.replace(" ", "-"), word[:-1], word[:-2]):
        if form in _WORDS:
            return _WORDS[form]
    raise KeyError(spelled)


def _atom(text: str, start: int, extra: frozenset[str]) -> tuple[int, str, int] | None:
    """One unit with its power."""
    power = 1
    first = _POWER_FIRST.match(text, start)
    if first is not None:
        power = 2 if first[1].casefold() == "square" else 3
        start = first.end()
    if extra:
        custom = _CUSTOM.match(text, start)
        if custom is not None and singular(custom[0]) in extra:
            return custom.end(), OWN + singular(custom[0]), 1
    found = _WORD.match(text, start) or _SYMBOL.match(text, start)
    if found is None:
        glued = _GLUE.match(text, start)
        if glued is None:
            return None
        name, end = glued[0], glued.end()
    else:
        name, end = _named(found[0]), found.end()
    raised = _POWER.match(text, end)
    if raised is not None:
        power *= int(raised[1] or raised[2])
        end = raised.end()
        if found is not None and found[0] == "ms" and power in (-1, -2):
            # "ms^-2" is the school notation for m s^-2; per square millisecond is never meant.
            return end, "meter_per_second" if power == -1 else "meter_per_second_squared", 1
    else:
        raised = _POWER_WORD.match(text, end)
        if raised is not None:
            power *= 2 if raised[1].casefold() == "squared" else 3
            end = raised.end()
    return end, name, power


_CUSTOM = re.compile(r"[^\W\d_]+")
_SPACE = re.compile(r" (?=[A-Za-z])")


def _spaced_factor(text: str, end: int) -> tuple[int, str, int] | None:
    """A factor after a plain space, "m s^-2" or "kg m/s^2"; only where a power or a slash shows it is one."""
    gap = _SPACE.match(text, end)
    if gap is None:
        return None
    following = _atom(text, gap.end(), frozenset())
    if following is None:
        return None
    word = re.match(r"[A-Za-z]+", text[gap.end() :])
    if word is None or word[0] not in _SPACED:
        return None
    slash = re.match(r"\s?/\s?[A-Za-z]", text[following[0] :])
    newton_metre = text[end - 1] == "N" and word[0] == "m"
    if following[2] != 1 or slash or newton_metre or _spaced_factor(text, following[0]):
        return following
    return None


def _merge(factors: list[tuple[str, int]]) -> Factors:
    total: dict[str, int] = {}
    for name, power in factors:
        total[name] = total.get(name, 0) + power
    return tuple((name, power) for name, power in total.items() if power)
