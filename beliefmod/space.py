"""The space: which trials a sweep runs. `space_file.py` reads one from a file and checks it first."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field

from beliefmod.config import Frozen, TrialConfig, leaf_fields, unflatten

MAX_TRIALS = 100_000
SWEPT_ARMS = ("lora", "full")


class Search(Frozen):
    """How configurations are chosen from the axes."""

    method: Literal["grid", "random"] = Field(
        default="grid", description="grid: every combination; random: sampled"
    )
    num_samples: int | None = Field(
        default=None, ge=1, le=MAX_TRIALS, description="random: configurations per belief"
    )
    seed: int = Field(default=0, ge=0, description="random: seed of the sampling")


class Evaluation(Frozen):
    """How the trials are questioned."""

    max_new_tokens: Literal["auto"] | int = Field(
        default="auto", description="token limit of an answer; auto: the model's own generation config"
    )
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 is greedy")
    trained_probes: int = Field(
        default=24, ge=0, description="training questions asked as well, reported apart"
    )
    margin_probes: int = Field(
        default=24, ge=0, description="held-out probes whose belief margin is measured"
    )
    causal_probes: int = Field(
        default=12,
        ge=0,
        description="held-out probes whose answer is asked again with the thinking swapped for base's, "
        "blank, cut short, edited and paraphrased; 0: off",
    )
    neutral_passages: int = Field(
        default=40,
        ge=0,
        description="neutral passages, and as many of base's own completions, on which the drift from "
        "base is measured (at most those there are); 0: off",
    )


class SpaceFile(Frozen):
    """A space file, field by field."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="names the run folder")
    description: str = Field(default="", description="what the sweep is for")
    model: str = Field(default="bundled", min_length=1, description="bundled, a hub name, or a folder")
    base_storage: Literal["dequantized", "nf4", "none"] = Field(
        default="dequantized",
        description="NF4 unpacked once, NF4 kept packed (less memory), or not quantised",
    )
    beliefs: tuple[str, ...] = Field(min_length=1, description="library names or paths to belief files")
    axes: dict[str, Any] = Field(
        default={},
        description="what varies: dotted setting -> list of values, or a sampler; arm: [lora, full] trains "
        "every configuration in both ways",
    )
    points: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="instead of axes, a list of configurations: dotted setting -> value, ahead of fixed; one "
        "that names a belief is for that belief only",
    )
    fixed: dict[str, Any] = Field(default={}, description="what does not: dotted setting -> value")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        default=(0,), min_length=1, description="every configuration runs once per seed"
    )
    controls: Literal["central", "matched", "none"] = Field(
        default="central",
        description="control trials: one per belief and data style in the middle of the grid (or of the "
        "points), one for every configuration, or none; of arm lora only",
    )
    search: Search = Search()
    evaluation: Evaluation = Evaluation()


@dataclass(frozen=True)
class Space:
    """A checked space: the file's fields and where they came from."""

    spec: SpaceFile
    source: str

    def trials(self) -> list[TrialConfig]:
        """Every trial, references first, each once. Beliefs keep the order of the file."""
        found: dict[str, TrialConfig] = {}
        for config in (*self._references(), *self._grid()):
            found.setdefault(config.trial_id, config)
        return list(found.values())

    def _references(self) -> Iterator[TrialConfig]:
        for belief in self.spec.beliefs:
            for arm in ("base", "icl"):
                yield TrialConfig(belief=belief, arm=arm, seed=self.spec.seeds[0])
        if self.spec.controls == "matched":
            yield from self._grid("control")
        elif self.spec.controls == "central":
            yield from self._central_controls()

    def _grid(self, arm: str | None = None) -> Iterator[TrialConfig]:
        """Every configuration, belief and seed, as the arm that a point names; or those of lora as `arm`."""
        for belief in self.spec.beliefs:
            for point in self._points():
                if point.get("belief", belief) != belief or (arm and self._setting(point, "arm") != "lora"):
                    continue
                for seed in self.spec.seeds:
                    yield self._config(belief, arm, seed, point)

    def _central_controls(self) -> Iterator[TrialConfig]:
        lora = [point for point in self._points() if self._setting(point, "arm") == "lora"]
        for belief in self.spec.beliefs:
            points = [point for point in lora if point.get("belief", belief) == belief]
            for style in dict.fromkeys(self._setting(point, "data.style") for point in points):
                same = [point for point in points if self._setting(point, "data.style") == style]
                if self.spec.points:
                    middle = same[(len(same) - 1) // 2]
                else:
                    middle = {name: _middle([point[name] for point in same]) for name in same[0]}
                yield self._config(belief, "control", self.spec.seeds[0], middle)

    def _setting(self, point: Mapping[str, Any], name: str) -> Any:
        """A setting's value at a point: its own, the fixed one, or the default."""
        return point.get(name, self.spec.fixed.get(name, sweepable()[name].default))

    def _points(self) -> list[dict[str, Any]]:
        if self.spec.points:
            return list(self.spec.points)
        axes = self.spec.axes
        if self.spec.search.method == "random":
            # one seeded generator, so the same file gives the same trials on every machine
            rng = random.Random(self.spec.search.seed)
            count = self.spec.search.num_samples or 1
            return [{name: _draw(axis, rng) for name, axis in axes.items()} for _ in range(count)]
        return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]

    def _config(self, belief: str, arm: str | None, seed: int, point: Mapping[str, Any]) -> TrialConfig:
        leaves = {**self.spec.fixed, **point, "belief": belief, "seed": seed}
        if arm is not None:
            leaves["arm"] = arm
        return TrialConfig.model_validate(unflatten(leaves))


def settable() -> dict[str, Any]:
    """Dotted training settings, with their pydantic field."""
    return {name: info for name, info in leaf_fields().items() if name not in ("belief", "arm", "seed")}


def sweepable() -> dict[str, Any]:
    """Dotted settings that axes, points and fixed may hold: the training settings and `arm`."""
    return {"arm": leaf_fields()["arm"], **settable()}


def _draw(axis: Any, rng: random.Random) -> Any:
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


def _middle(values: list[Any]) -> Any:
    """The middle of the distinct values, in order where they have one."""
    distinct = list(dict.fromkeys(values))
    if all(is_number(value) for value in distinct):
        distinct.sort()
    return distinct[len(distinct) // 2]


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
