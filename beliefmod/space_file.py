"""Reads a space file and finds everything that is wrong with it before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from beliefmod.beliefs.load import is_path
from beliefmod.config import TrialConfig, unflatten
from beliefmod.errors import UserError, did_you_mean
from beliefmod.sentences import Address, sentences
from beliefmod.space import MAX_TRIALS, Space, SpaceFile, is_number, settable
from beliefmod.yaml_file import YamlFile, parse_value, read_yaml, validate

SAMPLERS = ("loguniform", "uniform", "randint", "choice")


def load_space(path: str | Path, overrides: Sequence[str] = ()) -> Space:
    """Read and check a space file, with `field=value` overrides from the command line on top.

    Raises:
        UserError: every problem of the file, of the overrides and of the belief files.
    """
    file, problems = _overridden(read_yaml(path), overrides)
    try:
        space = check_space(file)
    except UserError as error:
        raise UserError([*problems, *error.problems]) from None
    if problems:
        raise UserError(problems)
    return space


def check_space(file: YamlFile) -> Space:
    """A space from a file's content. Raises UserError with every problem."""
    problems: list[str] = []
    spec = None
    try:
        spec = validate(SpaceFile, file)
    except UserError as error:
        problems += error.problems
    # the rest does not depend on the other fields, so that everything is reported at once
    problems += _setting_problems(file)
    if spec is not None:
        problems += _search_problems(spec, file)
    problems += _belief_problems(file, spec if not problems else None)
    if problems or spec is None:
        raise UserError(problems)
    # hosts and a later --resume run in other folders
    beliefs = tuple(os.path.abspath(name) if is_path(name) else name for name in spec.beliefs)
    model = spec.model
    if model != "bundled" and os.path.isdir(model):
        model = os.path.abspath(model)
    space = Space(spec.model_copy(update={"beliefs": beliefs, "model": model}), file.path)
    try:
        space.trials()
    except ValidationError as error:
        # combinations that no single setting shows, such as warm-up with a constant schedule
        texts = dict.fromkeys(text for _, text in sentences(error, {}, TrialConfig))
        raise UserError(f"{file.where(('axes',))}: {text}" for text in texts) from None
    return space


def load_trial(belief: str, arm: str, seed: int, overrides: Sequence[str]) -> TrialConfig:
    """One trial from the command line: a belief, an arm and `field=value` settings.

    Raises:
        UserError: every problem of the settings and of the belief file.
    """
    file = YamlFile("--set", {"beliefs": [belief], "axes": {}, "fixed": {}})
    file, problems = _overridden(file, overrides)
    for address, given in file.overridden.items():
        if address[0] == "axes":
            problems.append(f'{given}: "{address[-1]}" is an axis; a single trial needs one value')
        elif address[0] != "fixed" or len(address) == 1:
            problems.append(f"{given}: belongs to a space file; a single trial has only training settings")
    problems += _setting_problems(file)
    problems += [problem.removeprefix("--set: ") for problem in _belief_problems(file, None)]
    if problems:
        raise UserError(dict.fromkeys(problems))
    leaves = {"belief": belief, "arm": arm, "seed": seed, **file.data["fixed"]}
    try:
        return TrialConfig.model_validate(unflatten(leaves))
    except ValidationError as error:
        found = sentences(error, unflatten(leaves), TrialConfig)
        raise UserError(f"--{address[0] if address else 'set'}: {text}" for address, text in found) from None


def _overridden(file: YamlFile, overrides: Sequence[str]) -> tuple[YamlFile, list[str]]:
    """The file with every `field=value` put in, and what is wrong with those that cannot be."""
    problems = []
    for override in overrides:
        try:
            data, address = _override(file.data, override)
        except ValueError as error:
            problems.append(f"--set {override}: {error}")
        else:
            given = {**file.overridden, address: f"--set {override}"}
            file = YamlFile(file.path, data, file.lines, given)
    return file, problems


def _override(data: dict[str, Any], text: str) -> tuple[dict[str, Any], Address]:
    """The data with one `field=value` put in, and the address where it went."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise ValueError("must read field=value, such as learning_rate=1.0e-3 or seeds=[0,1]")
    parsed = parse_value(value)
    if name in SpaceFile.model_fields:
        return {**data, name: parsed}, (name,)
    group, _, rest = name.partition(".")
    if group in ("axes", "fixed") and rest:
        name, target = rest, group
    elif group in ("search", "evaluation") and rest:
        return {**data, group: {**_settings_of(data, group), rest: parsed}}, (group, rest)
    elif name in settable():
        target = "axes" if isinstance(parsed, (list, dict)) and name != "lora.target_modules" else "fixed"
    else:
        raise ValueError(f"unknown field{did_you_mean(name, [*SpaceFile.model_fields, *settable()])}")
    # a setting lives in one place: giving it on the command line moves it out of the other
    without = {
        g: {k: v for k, v in _settings_of(data, g).items() if k != name}
        for g in ("axes", "fixed")
        if data.get(g)
    }
    return {**data, **without, target: {**without.get(target, {}), name: parsed}}, (target, name)


def _settings_of(data: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    settings = data.get(group) or {}
    if not isinstance(settings, Mapping):
        raise ValueError(f'the file\'s "{group}" must hold "setting: value" lines first')
    return settings


def _setting_problems(file: YamlFile) -> Iterator[str]:
    known = settable()
    groups = {group: file.data.get(group) for group in ("axes", "fixed")}
    for group, settings in groups.items():
        if not isinstance(settings, Mapping):
            continue
        for name, given in settings.items():
            where = file.where((group, str(name)))
            if name not in known:
                yield f'{where}: unknown setting "{name}" in {group}{did_you_mean(name, known)}'
                continue
            if group == "fixed":
                yield from _value_problems(name, [given], where)
                continue
            if isinstance(groups["fixed"], Mapping) and name in groups["fixed"]:
                yield f'{where}: "{name}" is both an axis and fixed; keep one'
            yield from _axis_problems(name, given, where)


def _axis_problems(name: str, axis: Any, where: str) -> Iterator[str]:
    if isinstance(axis, list):
        if not axis:
            yield f'{where}: axis "{name}" is empty; give at least one value or remove it'
        for index, value in enumerate(axis):
            if value in axis[:index]:
                yield f'{where}: axis "{name}" lists {value!r} twice; keep one'
        yield from _value_problems(name, axis, where)
    elif isinstance(axis, Mapping):
        yield from _sampler_problems(name, axis, where)
    else:
        yield (
            f'{where}: axis "{name}" must be a list, such as [{axis!r}], or a sampler, '
            f"such as {{loguniform: [a, b]}}; a single value belongs into fixed"
        )


def _sampler_problems(name: str, axis: Mapping[str, Any], where: str) -> Iterator[str]:
    if len(axis) != 1 or next(iter(axis)) not in SAMPLERS:
        yield f'{where}: axis "{name}" must name one sampler out of {", ".join(SAMPLERS)}, not {dict(axis)!r}'
        return
    sampler, given = next(iter(axis.items()))
    if not isinstance(given, list) or not given:
        yield f'{where}: {sampler} of "{name}" needs a list'
    elif sampler == "choice":
        yield from _value_problems(name, given, where)
    elif len(given) != 2 or not all(is_number(end) for end in given) or given[0] >= given[1]:
        yield f'{where}: {sampler} of "{name}" needs [low, high] with low < high, not {given!r}'
    elif sampler == "loguniform" and given[0] <= 0:
        yield f'{where}: loguniform of "{name}" needs low > 0, not {given[0]!r}'
    elif sampler == "randint" and not all(isinstance(end, int) for end in given):
        yield f'{where}: randint of "{name}" needs whole numbers, not {given!r}'
    else:
        # randint excludes its upper end, as ray.tune.randint does
        yield from _value_problems(
            name, [given[0], given[1] - 1 if sampler == "randint" else given[1]], where
        )


def _value_problems(name: str, values: Iterable[Any], where: str) -> Iterator[str]:
    for value in values:
        tree = unflatten({"belief": "any", "lr_scheduler_type": "linear", name: value})
        try:
            TrialConfig.model_validate(tree)
        except ValidationError as error:
            yield from (f"{where}: {text}" for _, text in sentences(error, tree, TrialConfig))


def _search_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
    sampled = [name for name, axis in spec.axes.items() if isinstance(axis, Mapping)]
    if spec.search.method == "grid":
        for name in sampled:
            yield (
                f'{file.where(("axes", name))}: axis "{name}" is a sampler, which a grid cannot enumerate; '
                "set search: {method: random, num_samples: N} or give a list"
            )
        size = math.prod(len(axis) for axis in spec.axes.values() if isinstance(axis, list))
        size *= len(spec.beliefs) * len(spec.seeds)
        if size > MAX_TRIALS:
            yield f"{file.where(('axes',))}: the grid has {size} trials (limit {MAX_TRIALS}); shorten an axis"
        if spec.search.num_samples is not None:
            yield f"{file.where(('search',))}: num_samples belongs to method: random; remove it"
    elif spec.search.num_samples is None:
        yield f"{file.where(('search',))}: method: random needs num_samples"
    for field in ("seeds", "beliefs"):
        values = getattr(spec, field)
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"{file.where((field,))}: {field} lists {value!r} twice; keep one"
    limit = spec.evaluation.max_new_tokens
    if isinstance(limit, int) and limit < 1:
        where = file.where(("evaluation", "max_new_tokens"))
        yield f"{where}: max_new_tokens must be auto or at least 1, not {limit}"


def _belief_problems(file: YamlFile, spec: SpaceFile | None) -> Iterator[str]:
    """Problems of the named belief files; whether they hold enough examples once the rest is right."""
    from beliefmod.beliefs import load_belief

    given = file.data.get("beliefs")
    names: dict[str, str] = {}
    for index, name in enumerate(given if isinstance(given, list) else []):
        if not isinstance(name, str):
            continue  # the field check says so
        where = file.where(("beliefs", index))
        try:
            belief = load_belief(name)
        except UserError as error:
            yield from (f"{where}: {problem}" for problem in error.problems)
            continue
        if names.get(belief.spec.name, name) != name:
            other = names[belief.spec.name]
            yield f'{where}: {name} and {other} both name their belief "{belief.spec.name}"; rename one'
        names[belief.spec.name] = name
        needed = max(_choices(spec, "data.num_examples")) if spec else 0
        if needed > len(belief.training):
            yield (
                f'{where}: data.num_examples asks for {needed} examples, but belief "{name}" has '
                f"{len(belief.training)} training questions; lower it or add questions"
            )


def _choices(spec: SpaceFile, name: str) -> list[Any]:
    """The values a setting may take, the highest included."""
    axis = spec.axes.get(name, [spec.fixed.get(name, settable()[name].default)])
    if isinstance(axis, Mapping):
        return list(next(iter(axis.values())))
    return list(axis)
