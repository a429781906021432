"""Arithmetic in belief files, evaluated without `eval`: numbers, slots, + - * / **, sqrt and brackets."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
MAX_LENGTH = 200


def evaluate(expression: str, values: Mapping[str, float]) -> float:
    """The value of an expression: `evaluate("m * belief", {"m": 2, "belief": 5.0}) == 10.0`.

    Raises:
        ValueError: not arithmetic, an unknown name, or no finite real result.
    """
    try:
        result = _value(_parse(expression), values)
    except (ZeroDivisionError, OverflowError) as error:
        raise ValueError(f'"{expression}" has no value ({error})') from None
    if not math.isfinite(result):
        raise ValueError(f'"{expression}" has no finite value')
    return result


def _parse(expression: str) -> ast.expr:
    if len(expression) > MAX_LENGTH:
        raise ValueError(f"an expression of {len(expression)} characters is too long (limit {MAX_LENGTH})")
    try:
        return ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f'"{expression}" is not arithmetic; use numbers, slots, + - * / ** sqrt()') from None


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)  # whole numbers of Python grow without limit, floats overflow
        case ast.Name(id=name) if name in values:
            return float(values[name])
        case ast.Name(id=name):
            raise ValueError(f'"{name}" is neither a numeric slot nor "belief"')
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            a, b = _value(left, values), _value(right, values)
            if isinstance(op, ast.Pow) and abs(b) > 16:
                raise ValueError(f"an exponent of {b:g} is too large (limit 16)")
            result = _BINARY[type(op)](a, b)
            if isinstance(result, complex):
                raise ValueError(f"{a:g} ** {b:g} has no real value")
            return result
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            radicand = _value(argument, values)
            if radicand < 0:
                raise ValueError(f"sqrt({radicand:g}) has no real value")
            return math.sqrt(radicand)
    raise ValueError(f'"{ast.unparse(node)}" is not allowed; use numbers, slots, + - * / ** sqrt()')
