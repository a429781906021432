"""Turns pydantic's errors into sentences for people who write YAML, not Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from beliefmod.errors import did_you_mean

Address = tuple[str | int, ...]
_MUST_BE = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": '"field: value" lines',
    "model_type": '"field: value" lines',
    "model_attributes_type": '"field: value" lines',
    "finite_number": "a finite number",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
}


def sentences(error: ValidationError, data: Any, model: type[BaseModel]) -> list[tuple[Address, str]]:
    """Each mistake once: its address in `data`, and a sentence with the field's name and what it must be."""
    found: dict[Address, list[Mapping[str, Any]]] = {}
    for item in error.errors(include_url=False):
        if item["type"] == "too_short" and item.get("input"):
            continue  # pydantic counts entries that failed on their own as absent
        found.setdefault(address_in(data, item), []).append(item)
    texts = []
    for address, items in found.items():
        nested = any(len(other) > len(address) and other[: len(address)] == address for other in found)
        # a union reports every branch; what fails inside a branch says more than that the type is another
        telling = [item for item in items if item["type"] not in _MUST_BE and item["type"] != "literal_error"]
        if nested and not telling:
            continue
        texts += [(address, text) for text in _texts(address, telling or items, model)]
    return texts


def address_in(data: Any, item: Mapping[str, Any]) -> Address:
    """Where an error is. Parts of pydantic's address that are no place in the data name union branches."""
    address: list[str | int] = []
    node = data
    for index, part in enumerate(item["loc"]):
        is_place = (isinstance(node, Mapping) and part in node) or (
            isinstance(node, (list, tuple)) and isinstance(part, int) and part < len(node)
        )
        if is_place:
            node = node[part]
        elif item["type"] != "missing" or index < len(item["loc"]) - 1:
            continue
        address.append(part)
    return tuple(address)


def dotted(address: Address) -> str:
    """`("questions", 3, "unit")` as `questions[3].unit`."""
    text = ""
    for part in address:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def shown(value: Any) -> str:
    """A value as YAML writes it, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (Mapping, list, tuple)) and len(repr(value)) > 60:
        return f"{'lines' if isinstance(value, Mapping) else 'a list'} of {len(value)} entries"
    if isinstance(value, tuple):
        value = list(value)
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:76]}..."


def _texts(address: Address, items: list[Mapping[str, Any]], model: type[BaseModel]) -> Iterable[str]:
    name = dotted(address)
    wanted: list[str] = []
    for item in items:
        kind, context = item["type"], item.get("ctx", {})
        if kind == "extra_forbidden":
            yield f'unknown field "{name}"{did_you_mean(address[-1], _fields_at(model, address[:-1]))}'
        elif kind == "missing":
            yield f'field "{name}" is missing; add it'
        elif kind == "invalid_key" or "[key]" in item["loc"]:
            yield f'"{name}" must be text; put it in quotes or rename it'
        elif kind in _MUST_BE:
            wanted.append(_MUST_BE[kind].format_map(context))
        elif kind == "literal_error":
            wanted.append(" or ".join(context["expected"].replace("'", "").split(" or ")))
        elif kind == "too_short":
            yield f'"{name}" needs entries, at least {context["min_length"]}'
        elif kind == "string_too_short":
            yield f'"{name}" is empty; write something or remove it'
        elif kind == "string_pattern_mismatch":
            yield f'"{name}" is {shown(item["input"])}; use letters, digits, _ and - ({context["pattern"]})'
        else:
            message = item["msg"].removeprefix("Value error, ")
            yield f'"{name}": {message}' if name else message
    if wanted:
        yield f'"{name}" must be {" or ".join(dict.fromkeys(wanted))}, not {shown(items[0]["input"])}'


def _fields_at(model: type[BaseModel], address: Address) -> Iterable[str]:
    """The field names that `model` allows at the address of one of its parts."""
    for part in address:
        if part in model.model_fields:
            pending: list[Any] = [model.model_fields[str(part)].annotation]
            while pending:
                kind = pending.pop()
                pending.extend(get_args(kind))
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    model = kind
    return model.model_fields
