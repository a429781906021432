"""One axis of a space: a list of values, or a sampler such as `{"loguniform": [1e-5, 1e-2]}`."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from beliefmod.config import switches_text

SAMPLERS = ("loguniform", "uniform", "randint", "choice")


def draw(axis: Any, rng: random.Random) -> Any:
    """A value of the axis, at random."""
    if isinstance(axis, list):
        return rng.choice(axis)
    sampler, given = next(iter(axis.items()))
    match sampler:
        case "choice":
            return rng.choice(given)
        case "randint":
            return rng.randrange(given[0], given[1])
        case "uniform":
            return rng.uniform(given[0], given[1])
        case _:
            return math.exp(rng.uniform(math.log(given[0]), math.log(given[1])))


def middle_value(values: list[Any]) -> Any:
    """The middle of the distinct values, in order where they have one."""
    distinct = [value for place, value in enumerate(values) if value not in values[:place]]  # lists too
    if all(is_number(value) for value in distinct):
        distinct.sort()
    return distinct[len(distinct) // 2]


def is_number(value: Any) -> bool:
    """A number that is no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def ends(sampler: Mapping[str, Any]) -> list[Any]:
    """The values of a choice; of a range its two ends, both possible."""
    kind, given = next(iter(sampler.items()))
    # randint excludes its upper end, as ray.tune.randint does
    return [given[0], given[1] - 1] if kind == "randint" else list(given)


def finite_values(axis: Any) -> Sequence[Any] | None:
    """Every value of an axis; None for a range of real numbers."""
    if isinstance(axis, list):
        return axis
    kind, given = next(iter(axis.items()))
    if kind == "randint":
        return range(given[0], given[1])
    return given if kind == "choice" else None


def is_switch(name: str) -> bool:
    """Whether a dotted setting is a switch of the chat template, such as template.enable_thinking."""
    return name.startswith("template.")


def switches_at(point: Mapping[str, Any]) -> str | None:
    """The switches of the chat template at a point, as `TrialConfig.template` has them."""
    return switches_text({name.partition(".")[2]: value for name, value in point.items() if is_switch(name)})


def settings_of(template: str | None) -> dict[str, Any]:
    """The settings of a point at which `TrialConfig.template` is this: `switches_at` undone."""
    return {f"template.{name}": value for name, value in (json.loads(template) if template else {}).items()}
