"""JSON lines that a user wrote: one object on each line, every fault with the number of its line."""

from __future__ import annotations

import json
from typing import Any, NoReturn

Problem = tuple[int, str]
"""The number of a line, from 1, or 0 for the whole file; what is wrong with it and how to mend it."""


def json_objects(content: bytes, example: str) -> tuple[list[tuple[int, dict[str, Any]]], list[Problem]]:
    """The objects of a JSON lines file with the numbers of their lines, and what is wrong with other lines.

    Blank lines are skipped.

    Args:
        example: an object as it should be, for the sentence about a line that holds something else.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [(content[: error.start].count(b"\n") + 1, "is not UTF-8; save the file as UTF-8")]
    problems: list[Problem] = []
    objects: list[tuple[int, dict[str, Any]]] = []
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip():
            continue
        try:
            fields = json.loads(raw, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            problems.append((number, f"is not JSON ({reason}); write one object on each line"))
            continue
        if isinstance(fields, dict):
            objects.append((number, fields))
        else:
            problems.append((number, f"is no object; write {example}"))
    return objects, problems


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
