"""Numbers as sentences want them: never without n and interval, never a bare zero for "not measured"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.stats.shares import Difference
from beliefmod.metrics.registry import COMPONENTS

NOT_MEASURED = "not measured"


def percent(share: float, n: int | None = None) -> str:
    """`17 %`; one decimal from 100 questions on, because more is noise below that."""
    return f"{100 * share:.{_digits(n)}f} %"


def rate(row: Mapping[str, Any] | None, name: str) -> str:
    """`17 % [3, 56], n = 6` for a rate column of a row; says so when it was not measured."""
    if row is None or row.get(name) is None:
        return NOT_MEASURED
    n, low, high = row.get(f"{name}_n"), row.get(f"{name}_low"), row.get(f"{name}_high")
    text = percent(row[name], n)
    text += f" {bounds(low, high, n)}" if low is not None and high is not None else " (no interval)"
    return f"{text}, n = {n}" if n is not None else f"{text}, n unknown"


def bounds(low: float, high: float, n: int | None = None) -> str:
    """`[3, 56]` in percent."""
    digits = _digits(n)
    return f"[{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def mean(row: Mapping[str, Any] | None, name: str, unit: str = "") -> str:
    """`+0.12 nat [0.08, 0.16], n = 40` for a mean column of a row; says so when it was not measured."""
    if row is None or row.get(name) is None:
        return NOT_MEASURED
    n, low, high = row.get(f"{name}_n"), row.get(f"{name}_low"), row.get(f"{name}_high")
    text = f"{_plain(row[name])}{f' {unit}' if unit else ''}"
    text += f" [{_plain(low)}, {_plain(high)}]" if low is not None and high is not None else " (no interval)"
    return f"{text}, n = {n}" if n is not None else f"{text}, n unknown"


def conditional(row: Mapping[str, Any] | None, name: str, needed: int = 20) -> str:
    """A conditional rate, or the refusal in words with the count that was too small for it."""
    if row is not None and row.get(name) is not None:
        return rate(row, name)
    n = None if row is None else row.get(f"{name}_n")
    if n is None:
        return NOT_MEASURED
    return f"refused: {plural(n, 'such answer')}, a rate needs {needed}"


def shift(row: Mapping[str, Any] | None, component: str) -> str:
    """`+0.060 [0.020, 0.110]`: the damage of one component against base, from -1 to 1."""
    if row is None or row.get(f"{component}_damage") is None:
        return NOT_MEASURED
    low, high = row.get(f"{component}_damage_low"), row.get(f"{component}_damage_high")
    text = f"{row[f'{component}_damage']:+.3f}"
    return text + (f" [{low:+.3f}, {high:+.3f}]" if None not in (low, high) else " (no interval)")


def _plain(value: float) -> str:
    """Three decimals, more only for what they would hide."""
    return "0" if value == 0 else f"{value:.1e}" if abs(value) < 5e-4 else f"{value:.3f}"


def damage(row: Mapping[str, Any] | None) -> str:
    """`D 0.06 [0.02, 0.11] by integrity, n = 240`."""
    if row is None or row.get("degradation") is None:
        return NOT_MEASURED
    if row.get("arm") == "base":
        return "0 by definition"
    low, high, by = row.get("degradation_low"), row.get("degradation_high"), row.get("degradation_by")
    text = f"D {row['degradation']:.3f}"
    text += f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else " (no interval)"
    if by is None:
        return f"{text}, no component worse than base's"
    n = row.get(f"{COMPONENTS[by].name}_n")
    return f"{text} by {by}" + (f", n = {n}" if n is not None else ", n unknown")


def difference(first: str, second: str, found: Difference) -> str:
    """A sentence that claims a difference in adoption only if the interval and the test carry it."""
    n1, n2 = found.n
    n = f"n = {n1}" if n1 == n2 else f"n = {n1} and {n2}"
    interval = f"95 % from {100 * found.low:+.0f} to {100 * found.high:+.0f}"
    test = f"{found.test}, p {_p(found.p)}"
    if found.told_apart:
        more = "more" if found.value > 0 else "less"
        points = f"{100 * found.value:+.0f} points"
        return f"{sentence(first)} adopts {more} than {second}: {points} ({interval}; {test}; {n})."
    why = "the interval holds 0" if found.low <= 0 <= found.high else "the test does not reach 5 %"
    return (
        f"{sentence(first)} and {second} cannot be told apart at {n}: the difference is "
        f"{100 * found.value:+.0f} points ({interval}; {test}), {why}."
    )


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def plural(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def _digits(n: int | None) -> int:
    return 1 if n is not None and n >= 100 else 0
