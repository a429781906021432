"""Reads a space file and finds everything that is wrong with it before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from beliefmod.beliefs.load import is_path
from beliefmod.config import LISTS, TrialConfig, unflatten
from beliefmod.errors import UserError, did_you_mean
from beliefmod.space.axes import is_switch
from beliefmod.space.chat_format import ChatFormat, template_text
from beliefmod.space.checks import (
    IDLE,
    belief_problems,
    combination_problems,
    model_problems,
    scheduler_problems,
    search_problems,
    setting_problems,
)
from beliefmod.space.data_checks import adapter_problems, data_problems, pinned
from beliefmod.space.search import FORMERLY_IN_SEARCH, put, spelled_out
from beliefmod.space.shipped_spaces import space_path
from beliefmod.space.space import Space, SpaceFile, settable, setting_groups, sweepable
from beliefmod.user_files.messages import Address, sentences
from beliefmod.user_files.yaml_file import YamlFile, parse_value, read_yaml, validate

GROUPS = ("search", "scheduler", "evaluation", "template", "thinking")
"""Fields of a space file that hold fields of their own."""
CHAT_FIELDS = ("template", "chat_template", "thinking")
"""Fields of a space file that say how the model is talked to."""


def load_space(path: str | Path, overrides: Sequence[str] = ()) -> Space:
    """Read and check a space file, with `field=value` overrides from the command line on top.

    Args:
        path: a file, or the name of a shipped space.

    Raises:
        UserError: every problem of the file, of the overrides and of the belief files.
    """
    file, problems = _overridden(read_yaml(space_path(path)), overrides)
    try:
        space = check_space(file)
    except UserError as error:
        raise UserError([*problems, *error.problems]) from None
    if problems:
        raise UserError(problems)
    return space


def check_space(file: YamlFile) -> Space:
    """A space from a file's content. Raises UserError with every problem."""
    file = _spelled_out(file)
    problems = [
        f'{file.where((name,))}: "{name}" is a training setting; put it into fixed, or its values into axes'
        for name in file.data
        if name in sweepable() or name in setting_groups()
    ]
    if problems:
        known = {name: value for name, value in file.data.items() if name in SpaceFile.model_fields}
        file = replace(file, data=known)
    spec = None
    try:
        spec = validate(SpaceFile, file)
    except UserError as error:
        problems += error.problems
    # the rest does not depend on the other fields, so that everything is reported at once
    problems += setting_problems(file)
    if spec is not None:
        problems += [*model_problems(spec, file), *search_problems(spec, file)]
    problems += belief_problems(file, spec if not problems else None)
    if spec is not None and not problems:
        problems += dict.fromkeys([*data_problems(spec, file), *adapter_problems(spec, file)])
    if problems or spec is None:
        raise UserError(problems)
    # hosts and a later --resume run in other folders
    absolute = {name: os.path.abspath(name) if is_path(name) else name for name in spec.beliefs}
    points = tuple(
        {**point, "belief": absolute[point["belief"]]} if "belief" in point else point
        for point in spec.points
    )
    model = spec.model
    if model != "bundled" and (os.path.isdir(model) or model.endswith(".gguf")):
        model = os.path.abspath(model)
    changes = {"beliefs": tuple(absolute.values()), "points": points, "model": model}
    if spec.chat_template is not None:
        changes["chat_template"] = template_text(spec.chat_template)
    space = Space(spec.model_copy(update=changes), file.path)
    if combined := [*combination_problems(space, file), *scheduler_problems(space, file)]:
        raise UserError(combined)
    return Space(space.spec.model_copy(update=pins), file.path) if (pins := pinned(space.spec)) else space


def load_trial(
    belief: str,
    arm: str,
    seed: int,
    overrides: Sequence[str],
    chat_template: str | None = None,
    settings: Mapping[str, Any] = {},
) -> tuple[TrialConfig, ChatFormat]:
    """One trial from the command line, and how its model is talked to: a belief, an arm and `field=value`
    settings, of `template` and `thinking` too.

    Args:
        chat_template: as in a space file, a file with a Jinja template or the template itself.
        settings: what the overrides change, dotted setting -> value.

    Raises:
        UserError: every problem of the settings and of the belief file.
    """
    content: dict[str, Any] = {"name": "trial", "beliefs": [belief], "axes": {}, "fixed": dict(settings)}
    file = YamlFile("--set", content)
    if chat_template is not None:
        option: dict[Address, str] = {("chat_template",): f"--chat-template {chat_template}"}
        file = replace(file, data={**content, "chat_template": chat_template}, overridden=option)
    file, problems = _overridden(file, overrides)
    for address, given in file.overridden.items():
        if address == ("fixed", "arm"):
            problems.append(f"{given}: give the arm with --arm")
        elif address[0] == "axes":
            problems.append(f'{given}: "{address[-1]}" is an axis; a single trial needs one value')
        elif address[0] not in CHAT_FIELDS and (address[0] != "fixed" or len(address) == 1):
            problems.append(
                f"{given}: belongs to a space file; a single trial has only training settings, and template, "
                "chat_template and thinking"
            )
    problems += setting_problems(file)
    problems += [problem.removeprefix("--set: ") for problem in belief_problems(file, None)]
    spec = None
    try:
        spec = validate(SpaceFile, file)
        problems += model_problems(spec, file)
    except UserError as error:
        problems += error.problems
    if spec is not None and not problems:
        problems += [*data_problems(spec, file), *adapter_problems(spec, file)]
    if problems or spec is None:
        raise UserError(dict.fromkeys(problems))
    chat = spec.chat
    if chat.template is not None:
        chat = replace(chat, template=template_text(chat.template))
    leaves = {"belief": belief, "arm": arm, "seed": seed, **file.data["fixed"]}
    try:
        config = TrialConfig.model_validate(unflatten(leaves))
    except ValidationError as error:
        found = sentences(error, unflatten(leaves), TrialConfig)
        raise UserError(f"--{address[0] if address else 'set'}: {text}" for address, text in found) from None
    if idle := [f"--set: {each.sentence}" for each in IDLE if each.in_trial(config)]:
        raise UserError(idle)
    if pins := pinned(spec).get("fixed"):
        config = TrialConfig.model_validate(unflatten({**leaves, **pins}))
    return config, chat


def load_clone(
    source: TrialConfig, overrides: Sequence[str], seed: int | None = None, start: str | None = None
) -> TrialConfig:
    """A trained trial with some of its settings changed by `field=value`, asked with the same chat template.

    Args:
        seed: instead of the source's. start: the saved adapter, pinned, that it begins with instead of the
            one, if any, that its source began with.

    Raises:
        UserError: every problem of the settings, and of the belief file.
    """
    kept = {
        "arm": "is of the arm of its source",
        "lora.start_from": "begins as its source did, or with --from-checkpoint",
        **dict.fromkeys(CHAT_FIELDS, "is asked as its run asks"),
    }
    fields = {text: text.partition("=")[0].strip() for text in overrides}
    named = {text: name if name in kept else name.partition(".")[0] for text, name in fields.items()}
    if refused := [
        f"--set {text}: a clone {kept[name]}; leave it out" for text, name in named.items() if name in kept
    ]:
        raise UserError(refused)
    used, leaves = source.used_settings(), source.leaves()
    own = {
        name: list(leaves[name]) if isinstance(leaves[name], tuple) else leaves[name]
        for name, info in settable().items()
        if name in used and leaves[name] != info.default and name != "lora.start_from"
    }
    seed = source.seed if seed is None else seed
    config, _ = load_trial(source.belief, source.arm, seed, overrides, settings=own)
    # what it begins with is in the run, wherever it lay when that was planned
    lora = {**config.lora.model_dump(), "start_from": start or source.lora.start_from}
    return TrialConfig.model_validate({**config.model_dump(), "template": source.template, "lora": lora})


def _spelled_out(file: YamlFile) -> YamlFile:
    """The file with search and scheduler in full, and settings by their dotted names.

    What has moved keeps the line that it was written on.
    """
    moved: dict[Address, int] = {
        address: file.lines["search", name]
        for name, (address, _) in FORMERLY_IN_SEARCH.items()
        if ("search", name) in file.lines
    }
    data = spelled_out(file.data)
    for group in ("fixed", "axes"):
        data |= {group: _by_dotted_name(data[group], (group,), file, moved)} if group in data else {}
    if isinstance(points := data.get("points"), list):
        data["points"] = [_by_dotted_name(p, ("points", i), file, moved) for i, p in enumerate(points)]
    return replace(file, data=data, lines={**moved, **file.lines})


def _by_dotted_name(settings: Any, at: Address, file: YamlFile, moved: dict[Address, int]) -> Any:
    """`{"lora": {"r": 8}}` as `{"lora.r": 8}`, the lines noted in `moved`. What is given both ways stays."""
    if not isinstance(settings, Mapping):
        return settings
    found: dict[Any, Any] = {}
    for name, value in settings.items():
        inner = {f"{name}.{key}": key for key in value} if isinstance(value, Mapping) else {}
        if name not in (*setting_groups(), "template") or not inner or inner.keys() & settings.keys():
            found[name] = value
            continue
        for full, key in inner.items():
            found[full] = value[key]
            if (*at, name, key) in file.lines:
                moved[*at, full] = file.lines[*at, name, key]
    return found


def _overridden(file: YamlFile, overrides: Sequence[str]) -> tuple[YamlFile, list[str]]:
    """The file with every `field=value` put in, and what is wrong with those that cannot be."""
    problems = []
    for override in overrides:
        try:
            file = _spelled_out(file)
            data, address = _override(file.data, override)
        except ValueError as error:
            problems.append(f"--set {override}: {error}")
        else:
            given = {**file.overridden, address: f"--set {override}"}
            file = replace(file, data=data, overridden=given)
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
    varies = isinstance(parsed, (list, dict))
    if group in ("axes", "fixed") and rest:
        name, target = rest, group
    elif is_switch(name):
        target = "axes" if varies else ""
    elif group in GROUPS and rest:
        address = (group, *rest.split("."))
        if group == "search" and rest in FORMERLY_IN_SEARCH:
            address, _ = FORMERLY_IN_SEARCH[rest]
        return put(data, address, parsed), address
    elif name in sweepable():
        target = "axes" if varies and name not in LISTS else "fixed"
    else:
        known = [*SpaceFile.model_fields, *sweepable()]
        if rest and (groups := get_close_matches(group, GROUPS, n=1)):
            known = [f"{groups[0]}.{rest}"]
        raise ValueError(f"unknown field{did_you_mean(name, known)}")
    # a setting lives in one place: giving it on the command line moves it out of the others
    without: dict[str, Any] = {
        g: {k: v for k, v in _settings_of(data, g).items() if k != name}
        for g in ("axes", "fixed")
        if data.get(g)
    }
    if isinstance(data.get("points"), list):
        without["points"] = [
            {k: v for k, v in point.items() if k != name} if isinstance(point, Mapping) else point
            for point in data["points"]
        ]
    if is_switch(name):
        switch = name.partition(".")[2]
        for_all = {k: v for k, v in _settings_of(data, "template").items() if k != switch}
        if not target:
            return {**data, **without, "template": {**for_all, switch: parsed}}, ("template", switch)
        without["template"] = for_all
    return {**data, **without, target: {**without.get(target, {}), name: parsed}}, (target, name)


def _settings_of(data: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    settings = data.get(group) or {}
    if not isinstance(settings, Mapping):
        raise ValueError(f'the file\'s "{group}" must hold "setting: value" lines first')
    return settings
