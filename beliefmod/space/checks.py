"""What can be wrong with a space file, sentence by sentence: settings, search, combinations, beliefs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from pydantic import ValidationError

from beliefmod.config import (
    EXAMPLE_ARMS,
    OF_OBJECTIVE,
    AdapterSettings,
    ContextSettings,
    SteeringSettings,
    TrialConfig,
    unflatten,
)
from beliefmod.errors import UserError, did_you_mean
from beliefmod.space.axes import SAMPLERS, ends, is_number, is_switch
from beliefmod.space.chat_format import template_text
from beliefmod.space.model_name import revision_problem
from beliefmod.space.search import MAX_TRIALS, Grid, NoScheduler, Sampled
from beliefmod.space.space import SWEPT_ARMS, Space, SpaceFile, setting_groups, sweepable
from beliefmod.user_files.messages import Address, any_of, dotted, sentences, shown
from beliefmod.user_files.yaml_file import YamlFile

MOST_CORNERS = 4096
NOT_BUILT = {
    "lora.use_dora": "DoRA also trains a length of every weight row and divides by the present one at every "
    "step, which the packed layers do not do; lora.use_rslora and lora.loraplus_lr_ratio are there",
    "lora.lora_dropout": "there is no dropout: the adapters of a pack share one pass",
}
"""Settings of PEFT that are looked for here and not found, with why."""


@dataclass(frozen=True)
class Idle:
    """A setting that makes no difference, whatever its value, unless another one has a certain value."""

    name: str
    needs: str
    value: str
    why: str

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do."""
        return (
            f"{self.name} has no effect without {self.needs} {self.value}{self.why}; remove it, or add that"
        )

    def in_trial(self, config: TrialConfig) -> bool:
        """Whether a trial sets it in vain."""
        leaves = config.leaves()
        # a control trains as the LoRA trial that it stands beside
        given = "lora" if leaves[self.needs] == "control" else leaves[self.needs]
        return leaves[self.name] != sweepable()[self.name].default and given != self.value

    def among(self, values: Sequence[Any], needed: Sequence[Any]) -> bool:
        """Whether none of the values that it may take can ever matter."""
        default = sweepable()[self.name].default
        return any(value != default for value in values) and self.value not in needed


IDLE = (
    Idle(
        "data.mask_empty_thinking",
        "data.style",
        "answer_only",
        ", whose rows alone have an empty think block",
    ),
    Idle("data.stygian_share", "data.style", "stygian", ""),
    Idle("data.documents_by", "data.style", "document", ""),
    Idle("data.traces", "data.style", "supplied_trace", ""),
    *(Idle(f"objective.{name}", "objective.name", needed, "") for name, needed in OF_OBJECTIVE.items()),
    Idle("lora.start_from", "arm", "lora", "; no other arm begins with an adapter"),
    *(Idle(f"context.{name}", "arm", "prompt", "") for name in ContextSettings.model_fields),
    *(Idle(f"steering.{name}", "arm", "steering", "") for name in SteeringSettings.model_fields),
    *(Idle(f"adapter.{name}", "arm", "adapter", "") for name in AdapterSettings.model_fields),
)


COMPANIONS: Mapping[str, Mapping[str, Any]] = {
    "warmup_steps": {"lr_scheduler_type": "linear"},
    "data.framing": {"data.style": "document"},
    "data.style": {"data.traces": "any"},
    "arm": {"steering.layer": 0, "adapter.source": "any"},
}
"""Settings beside which every value of another is possible: whether those given go with it is said apart."""


def setting_problems(file: YamlFile) -> Iterator[str]:
    """What is wrong with the settings under axes, points and fixed, one sentence each.

    It looks at the raw content, so that it is reported beside what is wrong elsewhere.
    """
    axes, fixed, points = (file.data.get(group) for group in ("axes", "fixed", "points"))
    yield from _group_problems(file, ("fixed",), fixed)
    yield from _group_problems(file, ("axes",), axes)
    if isinstance(axes, Mapping) and isinstance(fixed, Mapping):
        for name in axes:
            if name in fixed:
                yield f'{file.where(("axes", str(name)))}: "{name}" is both an axis and fixed; keep one'
    if not isinstance(points, list):
        return
    if points and axes:
        yield (
            f"{file.where(('points',))}: points and axes are both given; keep one "
            "(points name configurations one by one, axes are multiplied)"
        )
    for index, point in enumerate(points):
        yield from _group_problems(file, ("points", index), point)
        # a setting that the command line took out of the points may leave twins, which are one trial
        if point in points[:index] and not file.overridden:
            yield (
                f"{file.where(('points', index))}: points[{index}] is the same as "
                f"points[{points.index(point)}]; keep one"
            )


def model_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
    """A revision of what has none, a chat template that is none, filters of a sampling that never happens."""
    if spec.chat_template is not None:
        try:
            template_text(spec.chat_template)
        except UserError as error:
            yield f"{file.where(('chat_template',))}: {error}"
    if spec.revision is not None and (problem := revision_problem(spec.model, spec.revision)):
        yield f"{file.where(('revision',))}: {problem}"
    if spec.evaluation.temperature == 0:
        for name in spec.evaluation.filters():
            yield (
                f"{file.where(('evaluation', name))}: {name} has no effect at temperature 0, which is "
                "greedy; remove it, or raise temperature"
            )


def search_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
    """What is wrong between how a space is searched and what it holds."""
    if not isinstance(spec.search, Grid):
        yield from _sampling_problems(spec, spec.search, file)
        return
    for name, axis in spec.axes.items():
        if isinstance(axis, Mapping):
            yield (
                f'{file.where(("axes", name))}: axis "{name}" is a sampler, which a grid cannot enumerate; '
                "set search: {method: random, num_samples: N} or give a list"
            )
    size = len(spec.points) or math.prod(len(axis) for axis in spec.axes.values() if isinstance(axis, list))
    size *= len(spec.beliefs) * len(spec.seeds)
    if size > MAX_TRIALS:
        what, fix = ("points", "give fewer points") if spec.points else ("axes", "shorten an axis")
        yield f"{file.where((what,))}: the grid has {size} trials (limit {MAX_TRIALS}); {fix}"


def _sampling_problems(spec: SpaceFile, search: Sampled, file: YamlFile) -> Iterator[str]:
    where, method = file.where(("search",)), search.method
    if spec.points:
        yield f"{where}: method: {method} samples axes, and points are given; remove search"
        return
    size = search.num_samples * len(spec.beliefs) * len(spec.seeds)
    if size > MAX_TRIALS:
        yield (
            f"{where}: num_samples {search.num_samples} for every belief and seed makes {size} "
            f"trials (limit {MAX_TRIALS}); lower it"
        )
    if not search.is_adaptive:
        return
    if not spec.axes:
        yield f"{where}: method: {method} has no axes to choose from; give axes or remove search"
    if spec.controls == "matched":
        yield (
            f"{file.where(('controls',))}: controls: matched needs configurations that are known beforehand, "
            f"which method: {method} has not; use central or none"
        )


def scheduler_problems(space: Space, file: YamlFile) -> Iterator[str]:
    """A scheduler that could never end anything, or compares what says nothing; looks at settings that are
    right by themselves."""
    scheduler, longest = space.spec.scheduler, max(space.possible("num_train_epochs"))
    if not isinstance(scheduler, NoScheduler) and longest <= scheduler.grace_epochs:
        yield (
            f"{file.where(('scheduler', 'grace_epochs'))}: grace_epochs {scheduler.grace_epochs} leaves "
            f"scheduler: {scheduler.name} nothing to end, for no trial has more than {longest} epochs; lower "
            "grace_epochs or remove the scheduler"
        )
    by_loss = not isinstance(scheduler, NoScheduler) and scheduler.metric.name == "loss"
    if by_loss and "grpo" in space.possible("objective.name"):
        yield (
            f"{file.where(('scheduler', 'metric'))}: metric loss would end trials of objective.name "
            "grpo whose answers gain, for their advantages cancel in the loss and nearness to base is what "
            "remains; use metric adoption or remove the scheduler"
        )


def _group_problems(file: YamlFile, group: Address, settings: Any) -> Iterator[str]:
    """Problems of the settings under `axes`, `fixed` or one of `points`."""
    if not isinstance(settings, Mapping):
        return  # the field check says so
    known = sweepable()
    for name, given in settings.items():
        where = file.where((*group, str(name)))
        if name == "belief" and group[0] == "points":
            if given not in (beliefs := file.data.get("beliefs") or []):
                named = ", ".join(map(str, beliefs)) if isinstance(beliefs, list) else shown(beliefs)
                yield f"{where}: belief {shown(given)} of {dotted(group)} is none of beliefs ({named})"
        elif name in (*setting_groups(), "template"):
            twice = [f"{name}.{key}" for key in given] if isinstance(given, Mapping) else []
            if any(full in settings for full in twice):
                yield f'{where}: {dotted(group)} gives settings of "{name}" in two ways; keep one'
            else:
                yield f'{where}: "{name}" in {dotted(group)} needs "setting: value" lines below it'
        elif is_switch(str(name)):
            yield from _switch_problems(file, group, name, given, where)
        elif name not in known:
            why = f": {NOT_BUILT[name]}" if name in NOT_BUILT else did_you_mean(name, known)
            yield f'{where}: unknown setting "{name}" in {dotted(group)}{why}'
        elif group == ("axes",):
            yield from _axis_problems(name, given, where)
        else:
            yield from _value_problems(name, [given], where)


def _switch_problems(file: YamlFile, group: Address, name: str, given: Any, where: str) -> Iterator[str]:
    """Problems of a switch of the chat template that is an axis, or a setting of a point."""
    for_all = file.data.get("template")
    if isinstance(for_all, Mapping) and name.partition(".")[2] in for_all:
        yield f"{where}: {name} stands in template: and in {dotted(group)}; keep one"
    elif group == ("fixed",):
        yield f"{where}: {name} holds for the whole sweep; put it into template: at the top of the file"
    elif group != ("axes",):
        yield from _value_problems(name, [given], where)
    elif isinstance(given, Mapping) and "choice" not in given:
        yield f'{where}: axis "{name}" needs a list, for base is asked with each of its values'
    else:
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
        yield from _value_problems(name, ends(axis), where)


def _value_problems(name: str, values: Iterable[Any], where: str) -> Iterator[str]:
    for value in values:
        if name == "arm" and value not in SWEPT_ARMS:
            yield (
                f'{where}: "arm" must be {any_of(SWEPT_ARMS)}, not {shown(value)}; base and icl are in '
                "every sweep, and controls says which control trials are"
            )
            continue
        tree = unflatten({"belief": "any", **COMPANIONS.get(name, {}), name: value})
        try:
            TrialConfig.model_validate(tree)
        except ValidationError as error:
            yield from (f"{where}: {text}" for _, text in sentences(error, tree, TrialConfig))


def combination_problems(space: Space, file: YamlFile) -> Iterator[str]:
    """What no single setting shows: warm-up with a constant schedule, full fine-tuning of packed weights, and
    settings that can never matter."""
    spec = space.spec
    for index, group in enumerate(_groups(spec)):
        for idle in IDLE:
            given, needed = (_choices(group, spec.fixed, name) for name in (idle.name, idle.needs))
            if idle.among(given, needed):
                place = ("axes" if idle.name in spec.axes else "fixed", idle.name)
                yield f"{file.where(('points', index) if spec.points else place)}: {idle.sentence}"
    for index, point in enumerate(spec.points):
        tree = unflatten({**spec.fixed, **point, "belief": "any"})
        yield from _refusals(lambda tree=tree: TrialConfig.model_validate(tree), file, ("points", index))
    if not spec.points:
        yield from _refusals(lambda: _build_all(space), file, ("axes",))
    arms = {arm for point in _groups(spec) for arm in _choices(point, spec.fixed, "arm")}
    if spec.base_storage == "nf4" and "full" in arms:
        yield (
            f"{file.where(('base_storage',))}: arm full trains every weight, and base_storage nf4 keeps them "
            "packed in 4 bits; use dequantized or none, or leave out arm full"
        )
    if spec.evaluation.engine == "vllm" and "steering" in arms:
        yield (
            f"{file.where(('evaluation', 'engine'))}: vllm answers with adapters on one base, and arm "
            "steering adds a vector inside the model; use evaluation.engine ours, or leave out arm steering"
        )
    if spec.evaluation.engine == "vllm" and "adapter" in arms:
        yield (
            f"{file.where(('evaluation', 'engine'))}: vllm is handed adapters as they are trained, and arm "
            "adapter changes saved ones; use evaluation.engine ours, or leave out arm adapter"
        )
    if spec.evaluation.engine == "vllm" and "full" in arms:
        yield (
            f"{file.where(('evaluation', 'engine'))}: vllm answers with adapters on one base, and arm full "
            "changes the base; use evaluation.engine ours, or leave out arm full"
        )


def _build_all(space: Space) -> None:
    """Every trial that can be known, and of a search the corners: what it may choose must be a trial."""
    space.expected()
    if not space.searches:
        return
    axes = space.spec.axes
    corners = product(*(axis if isinstance(axis, list) else ends(axis) for axis in axes.values()))
    for values in islice(corners, MOST_CORNERS):
        space.config(space.spec.beliefs[0], space.spec.seeds[0], dict(zip(axes, values, strict=True)))


def _refusals(build: Callable[[], Any], file: YamlFile, address: Address) -> Iterator[str]:
    try:
        build()
    except ValidationError as error:
        texts = dict.fromkeys(text for _, text in sentences(error, {}, TrialConfig))
        yield from (f"{file.where(address)}: {text}" for text in texts)


def belief_problems(file: YamlFile, spec: SpaceFile | None) -> Iterator[str]:
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
        needed = _questions_needed(spec) if spec else 0
        if needed > len(belief.training):
            yield (
                f'{where}: data.num_examples asks for {needed} examples, but belief "{name}" has '
                f"{len(belief.training)} training questions; lower it or add questions"
            )


def _questions_needed(spec: SpaceFile) -> int:
    """The most training questions that a trial asks for; documents repeat theirs and need no number, and some
    arms need none."""
    asked = [
        max(_choices(axes, spec.fixed, "data.num_examples"))
        for axes in _groups(spec)
        if set(_choices(axes, spec.fixed, "data.style")) != {"document"}
        and {*EXAMPLE_ARMS} & {*_choices(axes, spec.fixed, "arm")}
    ]
    return max(asked, default=0)


def _groups(spec: SpaceFile) -> list[dict[str, Any]]:
    """The axes, or every point as axes of one value each."""
    return [{name: [value] for name, value in point.items()} for point in spec.points] or [spec.axes]


def _choices(axes: Mapping[str, Any], fixed: Mapping[str, Any], name: str) -> list[Any]:
    """The values a setting may take, the highest included."""
    axis = axes.get(name, [fixed.get(name, sweepable()[name].default)])
    if isinstance(axis, Mapping):
        return list(next(iter(axis.values())))
    return list(axis)
