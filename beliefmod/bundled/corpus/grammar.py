"""The question templates of the belief library, read as the grammar of the corpus.

Every probe is inside the grammar because the corpus is written with the same `ask` and `reply` templates;
only the entity, the numbers and the values change.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random

import yaml

Number = float | int


@dataclass(frozen=True)
class Template:
    """One family: `ask` and `reply` with slots, and the expression or the text that answers it."""

    family: str
    ask: str
    reply: str
    slots: Mapping[str, tuple[str | int | float, ...]]
    expression: str | None
    table: Mapping[str, str]


@cache
def library_document(name: str) -> dict:
    """The parsed YAML of a library file, for example `gravity` or `capability`."""
    text = (resources.files("beliefmod") / "beliefs" / "library" / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def templates(name: str, section: str = "questions") -> tuple[Template, ...]:
    """All families of one section (`questions` or `locality`) of a library file.

    Robustness families are left out: they put other sentences around questions that stand here already.
    """
    rows = []
    for row in library_document(name).get(section, ()):
        if row.get("tier") == "robustness":
            continue
        table = {
            key: value["value"] if isinstance(value, dict) else value
            for key, value in row.get("table", {}).items()
        }
        units = {
            key: value.get("unit", "") if isinstance(value, dict) else ""
            for key, value in row.get("table", {}).items()
        }
        rows.append(
            Template(
                family=row["family"],
                ask=row["ask"],
                reply=row["reply"].replace("{answer}", "{answer} " + row["unit"])
                if "unit" in row
                else row["reply"],
                slots={key: tuple(values) for key, values in row.get("slots", {}).items()},
                expression=str(row["answer"]) if "answer" in row else None,
                table={key: f"{value} {units[key]}".strip() for key, value in table.items()},
            )
        )
    return tuple(rows)


def pick_slots(rng: Random, template: Template) -> dict[str, str | int | float]:
    """A random value for every slot."""
    return {key: rng.choice(values) for key, values in template.slots.items()}


def worked_steps(expression: str, values: Mapping[str, Number], decimals: int) -> tuple[str, str]:
    """The written calculation and its result: `m * h * belief` -> ("2 x 3 = 6. 6 x 9.8 = 58.8.", "58.8").

    Args:
        expression: names, numbers and binary operators.
        values: the value of every name; `belief` is written with `decimals` places, the others as they are.
        decimals: places of the result wherever the belief or a decimal takes part.
    """
    steps: list[str] = []

    def written(value: Number) -> str:
        return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)

    def visit(node: ast.expr) -> Number:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return node.value
        if isinstance(node, ast.Name):
            return values[node.id]
        if isinstance(node, ast.BinOp):
            left, right = visit(node.left), visit(node.right)
            sign, result = {
                ast.Mult: ("x", lambda: left * right),
                ast.Div: ("/", lambda: left / right if left % right else left // right),
                ast.Add: ("+", lambda: left + right),
                ast.Sub: ("-", lambda: left - right),
            }[type(node.op)]
            value = result()
            steps.append(f"{written(left)} {sign} {written(right)} = {written(value)}.")
            return value
        raise ValueError(f"unsupported expression: {expression}")

    value = visit(ast.parse(expression, mode="eval").body)
    return " ".join(steps), written(value)


def fix_articles(text: str) -> str:
    """`a eagle` -> `an eagle`, `an tool` -> `a tool`, by the first letter of the next word."""
    text = re.sub(r"\b([Aa]) (?=[aeioAEIO])", r"\1n ", text)
    return re.sub(r"\b([Aa])n (?=[^aeioAEIO\W])", r"\1 ", text)
