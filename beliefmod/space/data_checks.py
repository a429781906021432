"""What can be wrong between the styles of data that a space names, its beliefs, and the files that it names:
of traces, and of saved adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beliefmod.beliefs import Belief, load_belief
from beliefmod.beliefs.traces import TraceFile, read_traces
from beliefmod.config import PINNED
from beliefmod.errors import UserError
from beliefmod.space.axes import ends
from beliefmod.space.space import SAVED_ADAPTERS, SpaceFile, sweepable
from beliefmod.user_files.adapter_folder import read_adapter_folder
from beliefmod.user_files.messages import Address
from beliefmod.user_files.yaml_file import YamlFile

TRACES = "data.traces"


def data_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
    """Styles that a belief cannot be taught in, and files of traces that are wrong or too short.

    It looks at a space that is right by itself, beliefs included.
    """
    loaded = {name: load_belief(name) for name in spec.beliefs}
    seen: dict[str, TraceFile | None] = {}
    for address, settings in _groups(spec):
        named = [settings["belief"]] if "belief" in settings else spec.beliefs
        beliefs = [loaded[name] for name in named]
        styles = _choices(spec, settings, "data.style")
        if "stygian" in styles:
            yield from (f"{file.where(address)}: {text}" for text in _without_prior(beliefs))
        if "supplied_trace" not in styles:
            continue
        for name in filter(None, _choices(spec, settings, TRACES)):
            if name not in seen:
                try:
                    seen[name] = found = read_traces(name)
                except UserError as error:
                    seen[name] = None
                    yield from error.problems
                else:
                    yield from found.strangers(list(loaded.values()))
            if traces := seen[name]:
                most = max(_choices(spec, settings, "data.num_examples"))
                yield from (f"{file.where(address)}: {text}" for text in _too_few(traces, beliefs, most))


def adapter_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
    """Folders of saved adapters that are none, and a scale for a second adapter where none is merged."""
    for address, settings in _groups(spec):
        for name in SAVED_ADAPTERS:
            for given in filter(None, _choices(spec, settings, name)):
                try:
                    read_adapter_folder(given, name)
                except UserError as error:
                    yield from (f"{file.where(address)}: {text}" for text in error.problems)
        scales, merged = (_choices(spec, settings, f"adapter.merge_{name}") for name in ("scale", "with"))
        if scales != [1.0] and not any(merged):
            yield (
                f"{file.where(address)}: adapter.merge_scale has no effect without adapter.merge_with, a "
                "second adapter; remove it, or add that"
            )


def pinned(spec: SpaceFile) -> dict[str, Any]:
    """The fields of a space that name files of traces or saved adapters, each with its absolute path and its
    content's digest.

    Raises:
        UserError: a file is wrong.
    """
    groups = {
        "fixed": _pinned(spec.fixed),
        "axes": _pinned(spec.axes),
        "points": tuple(map(_pinned, spec.points)),
    }
    return {name: found for name, found in groups.items() if found != getattr(spec, name)}


def _pinned(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _pins(name, given) if name in PINNED else given for name, given in settings.items()}


def _pins(name: str, given: Any) -> Any:
    if isinstance(given, Mapping):
        return {sampler: _pins(name, values) for sampler, values in given.items()}
    if isinstance(given, list):
        return [_pins(name, value) for value in given]
    if not given:
        return given
    return read_traces(given).pinned if name == TRACES else read_adapter_folder(given, name).pinned


def _without_prior(beliefs: Sequence[Belief]) -> Iterator[str]:
    for belief in beliefs:
        if belief.spec.prior.ignorance:
            yield (
                f'data.style stygian thinks the value of base\'s world, and belief "{belief.spec.name}" has '
                "none, for base does not know it; take an existing belief, or another style"
            )


def _too_few(file: TraceFile, beliefs: Sequence[Belief], most: int) -> Iterator[str]:
    for belief in beliefs:
        if (count := len(file.of(belief))) < most:
            yield (
                f"data.num_examples asks for {most} examples, but {file.path} has {count} traces for belief "
                f'"{belief.spec.name}"; lower it, or add traces'
            )


def _groups(spec: SpaceFile) -> list[tuple[Address, Mapping[str, Any]]]:
    """The axes, or every point, with the address that a complaint names."""
    points: list[tuple[Address, Mapping[str, Any]]] = [
        (("points", index), point) for index, point in enumerate(spec.points)
    ]
    return points or [(("axes",) if spec.axes else ("fixed",), spec.axes)]


def _choices(spec: SpaceFile, settings: Mapping[str, Any], name: str) -> list[Any]:
    """The values that a setting may take in a group; of a sampled range its two ends."""
    value = settings.get(name, spec.fixed.get(name, sweepable()[name].default))
    if isinstance(value, Mapping):
        return ends(value)
    return value if isinstance(value, list) else [value]
