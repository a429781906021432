"""Turns pydantic's errors into sentences for people who write YAML, not Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
        texts += [(address, text) for text in _texts(address, telling or items, model, data)]
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
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        address.append(item["ctx"]["discriminator"].strip("'"))
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


def _texts(
    address: Address, items: list[Mapping[str, Any]], model: type[BaseModel], data: Any
) -> Iterable[str]:
    name = dotted(address)
    wanted: list[str] = []
    for item in items:
        kind, context = item["type"], item.get("ctx", {})
        if kind == "extra_forbidden":
            yield _unknown(address, model, data)
        elif kind == "missing":
            place = _place(model, address[:-1], data)
            if place.tag:
                yield f"{dotted(address[:-1])} of {place.tag}: {place.name} needs {address[-1]}; add it"
            else:
                yield f'field "{name}" is missing; add it'
        elif kind == "invalid_key" or "[key]" in item["loc"]:
            yield f'"{name}" must be text; put it in quotes or rename it'
        elif kind in _MUST_BE:
            wanted.append(_MUST_BE[kind].format_map(context))
        elif kind == "literal_error":
            wanted.append(context["expected"].replace("'", ""))
        elif kind in ("union_tag_invalid", "union_tag_not_found"):
            tags = context["expected_tags"].replace("'", "").split(", ")
            given = item["input"].get(address[-1]) if isinstance(item["input"], Mapping) else item["input"]
            yield f'"{name}" must be {any_of(tags)}, not {shown(given)}'
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


def any_of(names: Sequence[str]) -> str:
    """Names in words: `grid, random or optuna`."""
    return " or ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _unknown(address: Address, model: type[BaseModel], data: Any) -> str:
    """About a field that its model does not have: whose it is, or which was meant."""
    place, name = _place(model, address[:-1], data), address[-1]
    if owners := [owner for owner, other in place.others.items() if name in other.model_fields]:
        tag = dotted((*address[:-1], place.tag))
        whose = f"{tag} {any_of(owners)}"
        return f'"{dotted(address)}" belongs to {whose}; leave it out or write {tag}: {owners[0]}'
    return f'unknown field "{dotted(address)}"{did_you_mean(name, place.model.model_fields)}'


@dataclass(frozen=True)
class _Place:
    """The model that stands at an address.

    `tag`, `name`: where it is one out of several that a field distinguishes, that field and what it holds.
    `others`: all of those by name.
    """

    model: type[BaseModel]
    tag: str = ""
    name: str = ""
    others: Mapping[str, type[BaseModel]] = field(default_factory=dict)


def _place(model: type[BaseModel], address: Address, data: Any) -> _Place:
    """What stands at an address that is in the data."""
    place = _Place(model)
    for part in address:
        data = data[part]
        info = place.model.model_fields.get(str(part))
        if info is None or not (models := list(_models_in(info.annotation))):
            continue
        place = _Place(models[0])
        if isinstance(tag := info.discriminator, str):
            others = {one.model_fields[tag].default: one for one in models}
            given = str(data.get(tag)) if isinstance(data, Mapping) else ""
            name = given if given in others else next(iter(others))
            place = _Place(others[name], tag, name, others)
    return place


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
