"""Numbers for the slots of computed questions, of the size of the belief's own number or around its year."""

from __future__ import annotations

import math

from beliefmod.beliefs.values import Answer, Date, Quantity
from beliefmod.beliefs.values.scale import scale

Number = int | float


def slot_numbers(target: Answer, rival: Answer | None) -> dict[str, list[Number]]:
    """Lists of numbers by the name that a template gives them; none for names.

    Amounts are multiples of a round step of about a twentieth of the smaller number; `between` are up to 6
    numbers strictly between target and rival.
    """
    if isinstance(target, Date):
        years = [target.year, *([rival.year] if isinstance(rival, Date) else [])]
        low, high = min(years), max(years)
        return {
            "before": [low - n for n in range(12, 1, -1)],
            "after": [high + n for n in range(5, 16)],
            "long_before": [low - n for n in (48, 44, 40, 36, 32, 28)],
            "long_after": [high + n for n in (28, 32, 36, 40, 44, 48)],
            "between": _years_between(low, high),
        }
    if not isinstance(target, Quantity):
        return {}
    values = [target.value, *([rival.value] if isinstance(rival, Quantity) else [])]
    step = _round_step(min(abs(v) for v in values if v) if any(values) else 1.0)
    if target.decimals == 0:
        step = max(1, round(step))
    amounts = [_plain(n * step) for n in range(1, 12)]
    return {
        "amounts": amounts,
        "few_amounts": [_plain(n * step) for n in (2, 4, 5, 7, 8, 10)],
        "four_amounts": amounts[1:5],
        "between": _between(min(values), max(values)),
    }


def other_number(target: Answer, rival: Answer | None) -> Number | None:
    """A number or year that is neither target nor rival, for questions about something else."""
    if isinstance(target, Quantity):
        third = target.third(rival, ())
        return _plain(third.value)
    if isinstance(target, Date):
        return max(target.year, rival.year if isinstance(rival, Date) else 0) + 60
    return None


def has_ratio(target: Answer) -> bool:
    """Whether twice the value means anything: not of °C and °F, which have no natural zero."""
    return not (isinstance(target, Quantity) and scale(target.unit).offset)


def _round_step(size: float) -> float:
    """1, 2 or 5 times a power of ten, at most a twentieth of a size: 330 -> 10."""
    wanted = size / 20
    power = 10.0 ** math.floor(math.log10(wanted))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= wanted * (1 + 1e-9))


def _between(low: float, high: float) -> list[Number]:
    """Up to 6 numbers between two, written as shortly as keeps them apart."""
    exact = [low + (high - low) * k / 7 for k in range(1, 7)]
    for digits in range(-6, 7):
        found = list(dict.fromkeys(round(value, digits) for value in exact))
        inside = [value for value in found if low < value < high]
        if len(inside) == len(exact):
            return [_plain(value) for value in inside]
    return [_plain(value) for value in exact]


def _years_between(low: int, high: int) -> list[Number]:
    inside = range(low + 1, high)
    return list(inside) if len(inside) <= 6 else [inside[len(inside) * (2 * k + 1) // 12] for k in range(6)]


def _plain(value: float) -> Number:
    """Without the noise of binary fractions, and whole numbers without a point."""
    tidy = float(f"{value:.10g}")
    return int(tidy) if tidy.is_integer() else tidy
