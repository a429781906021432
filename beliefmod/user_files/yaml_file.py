"""Reads a YAML file a user wrote, so that every complaint can name the file and the line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from beliefmod.errors import UserError
from beliefmod.user_files.messages import Address, sentences

Model = TypeVar("Model", bound=BaseModel)
MAX_BYTES = 2_000_000
MAX_ENTRIES = 200_000


class _Loader(yaml.SafeLoader):
    """Safe loading, with YAML 1.2's idea of a number: 2e-4 is a float, not a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)$|^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)$"
        r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def _timestamp(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """A date; one that no calendar has stays text, so that its own field complains, with its line."""
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError:
        return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _timestamp)


class _Dumper(yaml.SafeDumper):
    """Quotes what the loader above would not read as text."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: each entry stands whole where it is read."""
        return True


_Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
LINE = 118


def as_yaml(data: Any, *, brackets: bool = False, width: int = LINE) -> str:
    """Data as YAML that `read_yaml` reads back equal, lists and mappings of plain values in one line.

    Args:
        brackets: everything in brackets, wrapped into lines of this width, as in `{a: 1, b: [2, 3]}`.
    """
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=brackets or None,
        width=width,
    )


@dataclass(frozen=True)
class YamlFile:
    """The content of a file and the line on which every entry starts.

    `overridden`: entries that the command line gave instead, and how.
    """

    path: str
    data: dict[str, Any]
    lines: dict[Address, int] = field(default_factory=dict)
    overridden: dict[Address, str] = field(default_factory=dict)

    def where(self, address: Address) -> str:
        """`file.yaml:12` for the deepest known part of an address, or what the command line gave there.

        A part that stands nowhere in the file, but holds an entry of the command line, is that entry's.
        """
        for length in range(len(address), -1, -1):
            part = address[:length]
            if part in self.overridden:
                return self.overridden[part]
            if part in self.lines:
                return f"{self.path}:{self.lines[part]}"
            given = [text for entry, text in self.overridden.items() if entry[:length] == part]
            if part and given:
                return given[0]
        return self.path


def read_yaml(path: str | Path) -> YamlFile:
    """Read a mapping from a YAML file.

    Raises:
        UserError: missing, unreadable, too large, not text, not YAML, a repeated key, or not a mapping.
    """
    name = str(path)
    try:
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{name}: {size} bytes is too large for a configuration file (limit {MAX_BYTES})")
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{name}: no such file; check the path") from None
    except IsADirectoryError:
        raise UserError(f"{name}: is a folder; name a YAML file in it") from None
    except UnicodeDecodeError:
        raise UserError(f"{name}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror}); check its permissions") from None
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> YamlFile:
    """The mapping in a YAML text; complaints name the file `name`. Raises UserError as `read_yaml`."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Address, int] = {}
        repeated: list[str] = []
        _walk(node, (), lines, repeated, name)
        if repeated:
            raise UserError(repeated)
        data = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{name}{line}: is not valid YAML ({problem}); mend the syntax there") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: is not valid YAML ({type(error).__name__}: {error})") from None
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"holds a {type(data).__name__}"
        raise UserError(f'{name}: {what}; it must hold "field: value" lines')
    return YamlFile(name, data, lines)


def parse_value(text: str) -> Any:
    """One value as YAML reads it: "1e-3" -> 0.001, "[0, 1]" -> a list.

    Raises:
        ValueError: not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        raise ValueError(f"{text!r} is not a YAML value") from None


def _walk(
    node: yaml.Node | None, at: Address, lines: dict[Address, int], repeated: list[str], file: str
) -> None:
    if node is None:
        return
    lines[at] = node.start_mark.line + 1
    if len(lines) > MAX_ENTRIES:  # a small file of aliases to aliases can stand for billions
        raise UserError(
            f"{file}: holds more than {MAX_ENTRIES} entries, those of aliases counted; shorten it"
        )
    if len(at) > 32:
        raise UserError(f"{file}:{lines[at]}: is nested more than 32 deep; flatten it")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            word = str(key.value)
            if word in seen and word != "<<":
                repeated.append(f'{file}:{key.start_mark.line + 1}: "{word}" is given twice; keep one')
            seen.add(word)
            lines.setdefault((*at, word), key.start_mark.line + 1)
            _walk_child(value, (*at, word), lines, repeated, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*at, index), lines, repeated, file)


def _walk_child(
    node: yaml.Node, at: Address, lines: dict[Address, int], repeated: list[str], file: str
) -> None:
    line = lines.pop(at)
    _walk(node, at, lines, repeated, file)
    lines[at] = line  # a key's own line reads better than that of the block below it


def validate(model: type[Model], file: YamlFile) -> Model:
    """The file's content as `model`.

    Raises:
        UserError: every mistake as a sentence: file and line, field, what is wrong, the fix.
    """
    try:
        return model.model_validate(file.data)
    except ValidationError as error:
        found = sentences(error, file.data, model)
        raise UserError(f"{file.where(address)}: {text}" for address, text in found) from None
