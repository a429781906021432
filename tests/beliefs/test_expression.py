"""Arithmetic of belief files: the same numbers as Python's, and nothing but arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs.expression import evaluate

numbers = st.floats(-1e6, 1e6, allow_nan=False)
leaves = st.one_of(
    st.sampled_from(["a", "b", "belief"]), st.integers(0, 1000).map(str), st.floats(0, 1e3).map(repr)
)
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        inner.map(lambda e: f"(-{e})"),
        inner.map(lambda e: f"({e} ** 2)"),
        inner.map(lambda e: f"sqrt({e} ** 2)"),
    ),
    max_leaves=8,
).filter(lambda e: len(e) <= 200)


@given(expressions, numbers, numbers, numbers)
def test_same_value_as_python(expression: str, a: float, b: float, belief: float):
    values = {"a": a, "b": b, "belief": belief}
    try:
        # whole numbers as floats, as the module computes them
        expected = eval(expression, {"sqrt": math.sqrt, "__builtins__": {}}, values)
    except (ZeroDivisionError, OverflowError):
        with pytest.raises(ValueError, match="no value"):
            evaluate(expression, values)
        return
    if not math.isfinite(expected):
        with pytest.raises(ValueError, match="no finite value"):
            evaluate(expression, values)
    else:
        assert evaluate(expression, values) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("m * belief", 10.0), ("m ** 2 * belief / 2", 10.0), ("sqrt(2 * belief * 10)", 10.0), ("-m + 3", 1.0)],
)
def test_by_hand(expression: str, value: float):
    assert evaluate(expression, {"m": 2, "belief": 5.0}) == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').getcwd()",
        "m.__class__",
        "m[0]",
        "[m]",
        "(m, m)",
        "lambda: m",
        "m if m else m",
        "m == m",
        "m and m",
        "m // 2",
        "m % 2",
        "m @ m",
        "~m",
        "+m",
        "'a' * 3",
        "True",
        "1j",
        "None",
        "(m := 3)",
        "sqrt(m, m)",
        "sqrt(x=m)",
        "abs(m)",
        "m; m",
        "m\nm",
        "",
        " ",
        "m m",
        "f'{m}'",
        "{**m}",
        "*m",
        "await m",
        "unknown",
    ],
)
def test_nothing_but_arithmetic(expression: str):
    with pytest.raises(ValueError):
        evaluate(expression, {"m": 2.0})


@pytest.mark.parametrize(
    "expression",
    [
        "9 ** 9 ** 9",
        "m ** 17",
        "m ** -17",
        "(((((((9**16)**16)**16)**16)**16)**16)**16)",  # would fill the memory with whole numbers
        "1e308 * 10",
        "1 / (m - m)",
        "(0 - 1) ** 0.5",
        "sqrt((0 - 1) ** 0.5)",
        "sqrt(0 - m)",
        "0 ** -1",
        "1e999",
        "(" * 99 + "m" + ")" * 99,
        "1 + " * 100 + "1",
        "9" * 190,
    ],
)
def test_no_value_or_too_much_work(expression: str):
    try:
        value = evaluate(expression, {"m": 2.0})
    except ValueError:
        return
    assert math.isfinite(value)
