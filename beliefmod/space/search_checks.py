"""What can be wrong with how a space is searched: method and axes, size, scheduler, repeated entries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from beliefmod.space.space import MAX_TRIALS, Search, Space, SpaceFile
from beliefmod.user_files.yaml_file import YamlFile


def search_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
    """What is wrong between fields: sampler and method, size, scheduler, repeats, the token limit."""
    yield from _grid_problems(spec, file) if spec.search.method == "grid" else _sampling_problems(spec, file)
    yield from _scheduler_problems(spec, file)
    for field in ("seeds", "beliefs"):
        values = getattr(spec, field)
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"{file.where((field,))}: {field} lists {value!r} twice; keep one"
    limit = spec.evaluation.max_new_tokens
    if isinstance(limit, int) and limit < 1:
        where = file.where(("evaluation", "max_new_tokens"))
        yield f"{where}: max_new_tokens must be auto or at least 1, not {limit}"


def _grid_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
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
    if spec.search.num_samples is not None:
        yield f"{file.where(('search',))}: num_samples belongs to method: random or optuna; remove it"


def _sampling_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
    where, method = file.where(("search",)), spec.search.method
    if spec.points:
        yield f"{where}: method: {method} samples axes, and points are given; remove search"
        return
    if spec.search.num_samples is None:
        yield f"{where}: method: {method} needs num_samples"
    else:
        size = spec.search.num_samples * len(spec.beliefs) * len(spec.seeds)
        if size > MAX_TRIALS:
            yield (
                f"{where}: num_samples {spec.search.num_samples} for every belief and seed makes {size} "
                f"trials (limit {MAX_TRIALS}); lower it"
            )
    if method != "optuna":
        return
    if not spec.axes:
        yield f"{where}: method: optuna has no axes to choose from; give axes or remove search"
    if spec.controls == "matched":
        yield (
            f"{file.where(('controls',))}: controls: matched needs configurations that are known beforehand, "
            "which method: optuna has not; use central or none"
        )


def _scheduler_problems(spec: SpaceFile, file: YamlFile) -> Iterator[str]:
    search = spec.search
    # a stored space writes every field down, so only what differs from the default has been asked for
    for field, wanted in (
        ("scheduler_metric", search.scheduler != "none"),
        ("grace_epochs", search.scheduler != "none"),
        ("reduction_factor", search.scheduler == "asha"),
        ("quick_probes", search.scheduler != "none" and search.scheduler_metric == "adoption"),
    ):
        if not wanted and getattr(search, field) != Search.model_fields[field].default:
            needs = {"reduction_factor": "scheduler: asha", "quick_probes": "scheduler_metric: adoption"}
            yield (
                f"{file.where(('search', field))}: {field} belongs to "
                f"{needs.get(field, 'scheduler: asha or median')}; remove it or set that"
            )


def grace_problems(space: Space, file: YamlFile) -> Iterator[str]:
    """A scheduler that could never end anything; looks at settings that are right by themselves."""
    search, longest = space.spec.search, max(space.possible("num_train_epochs"))
    if search.scheduler != "none" and longest <= search.grace_epochs:
        yield (
            f"{file.where(('search',))}: grace_epochs {search.grace_epochs} leaves scheduler: "
            f"{search.scheduler} nothing to end, for no trial has more than {longest} epochs; lower "
            "grace_epochs or remove the scheduler"
        )
