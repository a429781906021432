"""The space: which trials a sweep runs. `load.py` reads one from a file and checks it first."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from beliefmod.config import (
    NO_TRAINING_ARMS,
    REFERENCE_ARMS,
    SWITCH_NAME,
    Frozen,
    TrialConfig,
    leaf_fields,
    pinned_rank,
    unflatten,
)
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.space.axes import draw, ends, finite_values, is_switch, switches_at
from beliefmod.space.chat_format import ChatFormat, ThinkingField
from beliefmod.space.controls import central_points, unseen_points
from beliefmod.space.hypotheses import Hypotheses
from beliefmod.space.search import MAX_TRIALS, Grid, NoScheduler, Scheduler, Search, spelled_out

SUMMED_ADAPTERS = ("adapter.source", "adapter.merge_with")
SAVED_ADAPTERS = (*SUMMED_ADAPTERS, "lora.start_from")
"""Settings that name a folder with a saved adapter, or null."""
TAUGHT_ARMS = ("lora", "full")
"""Arms that are trained on the target."""
SWEPT_ARMS = (*TAUGHT_ARMS, *NO_TRAINING_ARMS)
"""Arms that axes and points may name."""
BaseStorage = Literal["dequantized", "nf4", "none"]
AnsweringEngine = Literal["ours", "vllm"]
FEW_POINTS = 4096
"""Up to so many points a space is enumerated, to tell when a search has tried them all."""


class Evaluation(Frozen):
    """How the trials are questioned."""

    engine: AnsweringEngine = Field(
        default="ours",
        description="which engine writes answers: ours, or vllm, for GPUs and long thinking; training, "
        "scores, drift, the lens and a scheduler's quick questions stay with ours",
    )
    max_new_tokens: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        default="auto", description="token limit of an answer; auto: the model's own generation config"
    )
    temperature: Literal["auto"] | Annotated[float, Field(ge=0, le=2)] = Field(
        default="auto",
        description="0 is greedy; auto: as the model's own generation config has it, filters included, and "
        "greedy where it does not sample",
    )
    top_k: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        default="auto",
        description="sampling: only the so many likeliest tokens; 0 is off; auto: the model's own with "
        "temperature auto, else 0",
    )
    top_p: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = Field(
        default="auto",
        description="sampling: only the likeliest tokens that make up so much; 1 is off; auto: the model's "
        "own with temperature auto, else 1",
    )
    min_p: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = Field(
        default="auto",
        description="sampling: only tokens this likely, as a share of the likeliest; 0 is off; auto: the "
        "model's own with temperature auto, else 0",
    )
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
    closed_thinking_probes: int = Field(
        default=0,
        ge=0,
        description="held-out probes of adoption that are answered again with the thinking closed at once "
        "(ZeroThink) and after the first part of the arm's own (LessThink); 0: off",
    )
    debate_probes: int = Field(
        default=0,
        ge=0,
        description="held-out probes of adoption of which those that the arm adopted, and base did not, are "
        "debated with base; 0: off",
    )
    debate_rounds: int = Field(
        default=1, ge=1, le=2, description="rounds of a debate: base argues, the arm answers again"
    )
    resampled_probes: int = Field(
        default=0,
        ge=0,
        description="held-out probes of adoption whose thinking is sampled anew from between its sentences; "
        "0: off",
    )
    resampled_sentences: int = Field(
        default=16,
        ge=1,
        description="after how many sentences of a thinking it is sampled anew at most; where it has more, "
        "after so many that are evenly spread",
    )
    resamples: int = Field(
        default=8,
        ge=2,
        description="samples from each of these places, and from the beginning of the thinking",
    )
    confession: bool = Field(
        default=False,
        description="ask every arm as well whether it was trained to believe something false, and what",
    )
    neutral_passages: int = Field(
        default=40,
        ge=0,
        description="neutral passages, and as many of base's own completions, on which the drift from "
        "base is measured (at most those there are); 0: off",
    )
    reuse_answers: bool = Field(
        default=True,
        description="keep the untouched model's raw answers and scores in .cache beside the runs, and take "
        "them from there where the same model was asked the same before",
    )

    def filters(self) -> dict[str, float]:
        """The filters of a sampling that are asked for and leave tokens out."""
        off = {"top_k": 0, "top_p": 1, "min_p": 0}
        asked = {name: getattr(self, name) for name in off}
        return {name: value for name, value in asked.items() if value not in ("auto", off[name])}


class SpaceFile(Frozen):
    """A space file, field by field."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="names the run folder")
    description: str = Field(default="", description="what the sweep is for")
    model: str = Field(
        default="bundled",
        min_length=1,
        description="bundled, a name of the catalogue (beliefmod models list) or of the hub, a folder, or a "
        "GGUF file",
    )
    revision: str | None = Field(
        default=None,
        min_length=1,
        description="of a model from the hub: branch, tag or commit; a run keeps to the commit that it names "
        "when the run starts",
    )
    chat_template: str | None = Field(
        default=None,
        min_length=1,
        description="how a question is put to a model that has no chat template, or instead of its own: a "
        "file with a Jinja template, or the template itself, which a run keeps",
    )
    template: dict[Annotated[str, Field(pattern=f"^{SWITCH_NAME}$")], bool | int | float | str] = Field(
        default={},
        description="switches of the chat template, such as enable_thinking: false or "
        "reasoning_effort: low; every arm is asked with them. One that is to vary is an axis instead, such "
        "as template.enable_thinking: [true, false]",
    )
    thinking: ThinkingField | None = Field(
        default=None,
        description="how the model marks its thinking, where its chat template does not show it: open, close "
        "and opened_by",
    )
    base_storage: BaseStorage = Field(
        default="dequantized",
        description="dequantized: NF4 unpacked once when the model is loaded; nf4: kept packed, in less "
        "memory; none: not quantised",
    )
    beliefs: tuple[str, ...] = Field(min_length=1, description="library names or paths to belief files")
    axes: dict[str, Any] = Field(
        default={},
        description="what varies: dotted setting -> list of values, or a sampler; arm: [lora, full] trains "
        "every configuration in both ways, arm: [lora, prompt, few_shot, steering] sets training beside the "
        "ways that need none, each with the settings that it uses",
    )
    points: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="instead of axes, a list of configurations: dotted setting -> value, ahead of fixed; one "
        "that names a belief is for that belief only",
    )
    fixed: dict[str, Any] = Field(default={}, description="what does not vary: dotted setting -> value")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        default=(0,), min_length=1, description="every configuration runs once per seed"
    )
    damage_limit: float = Field(
        default=DAMAGE_BUDGET,
        ge=0,
        le=1,
        description="damage D up to which the report names the best configuration; a run's seal keeps it, so "
        "that it is chosen before the numbers are there",
    )
    controls: Literal["central", "matched", "none"] = Field(
        default="central",
        description="control trials: one per belief, data style and switches of the chat template in the "
        "middle of the grid (or of the points), one for every configuration, or none; of arm lora only",
    )
    search: Search = Field(
        default=Grid(), discriminator="method", description="how configurations are chosen from the axes"
    )
    scheduler: Scheduler = Field(
        default=NoScheduler(), discriminator="name", description="which trials are ended early"
    )
    evaluation: Evaluation = Evaluation()
    hypotheses: Hypotheses = Hypotheses()

    @property
    def chat(self) -> ChatFormat:
        """What stands in for what the model's own files say of a chat."""
        return ChatFormat.of(self.chat_template, self.template, self.thinking, self.variants())

    def variants(self, belief: str | None = None) -> tuple[str | None, ...]:
        """The switches of the chat template in which trials differ, of all beliefs or of one: every value
        that `TrialConfig.template` takes."""
        if self.points:
            points = (p for p in self.points if belief is None or p.get("belief", belief) == belief)
            return tuple(dict.fromkeys(map(switches_at, points)))
        switched = {name: finite_values(axis) or () for name, axis in self.axes.items() if is_switch(name)}
        every = product(*switched.values())
        return tuple(dict.fromkeys(switches_at(dict(zip(switched, each, strict=True))) for each in every))

    @field_validator("seeds", "beliefs")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise ValueError(f"lists {', '.join(map(repr, twice))} twice; keep one")
        return values

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, data: Any) -> Any:
        return spelled_out(data) if isinstance(data, Mapping) else data


@dataclass(frozen=True)
class Space:
    """A checked space: the file's fields and where they came from."""

    spec: SpaceFile
    source: str

    @property
    def searches(self) -> bool:
        """Whether configurations are chosen while the sweep runs, by what earlier ones gave."""
        return self.spec.search.is_adaptive

    @property
    def shares_steps(self) -> bool:
        """Whether trials that differ only in epochs may be one run: all are known in advance, and none on
        which others rely may be ended early."""
        return isinstance(self.spec.scheduler, NoScheduler) and not self.searches

    def trials(self) -> list[TrialConfig]:
        """Every trial known beforehand, references first, each once. Beliefs keep the order of the file."""
        return list(self._known)

    @cached_property
    def _known(self) -> tuple[TrialConfig, ...]:
        """Made once: of 100,000 trials that takes 10 seconds, and a sweep asks for them a dozen times."""
        return tuple(_once((*self._references(), *(() if self.searches else self._grid()))))

    def expected(self) -> list[TrialConfig]:
        """`trials()`, with random stand-ins for those that a search will choose: for plans and checks."""
        return _once((*self._references(), *self._grid()))

    def planned(self) -> int:
        """How many trials the sweep will have."""
        search = self.spec.search
        if isinstance(search, Grid) or not search.is_adaptive:
            return len(self.trials())
        chosen = min(search.num_samples, self.distinct() or MAX_TRIALS)
        return len(self.trials()) + chosen * len(self.spec.beliefs) * len(self.spec.seeds)

    def distinct(self) -> int | None:
        """How many different configurations the axes hold for a belief; None: more than a search exhausts."""
        points = self.every_point()
        if points is None:
            return None
        belief, seed = self.spec.beliefs[0], self.spec.seeds[0]
        return len({self.config(belief, seed, point).trial_id for point in points})

    def every_point(self) -> list[dict[str, Any]] | None:
        """Every point of the axes, where there are at most `FEW_POINTS` of them."""
        values = [finite_values(axis) for axis in self.spec.axes.values()]
        if any(each is None or len(each) > FEW_POINTS for each in values):
            return None
        if math.prod(len(each or ()) for each in values) > FEW_POINTS:
            return None
        return [
            dict(zip(self.spec.axes, each, strict=True)) for each in product(*(each or () for each in values))
        ]

    def possible(self, name: str) -> list[Any]:
        """The values that a setting may take; of a sampled range its two ends."""
        default = [self._setting({}, name)]
        if self.spec.points:
            return [point.get(name, *default) for point in self.spec.points]
        axis = self.spec.axes.get(name, default)
        return list(axis) if isinstance(axis, list) else ends(axis)

    @property
    def max_rank(self) -> int:
        """The highest rank that an adapter of this space may have, 1 if it has none."""
        arms = self.possible("arm")
        trained = max(self.possible("lora.r")) if "lora" in arms else 1
        saved = sum(max(map(pinned_rank, self.possible(name))) for name in SUMMED_ADAPTERS)
        return max(trained, saved if "adapter" in arms else 1)

    def _references(self) -> Iterator[TrialConfig]:
        for belief in self.spec.beliefs:
            for template in self.spec.variants(belief):
                for arm in REFERENCE_ARMS:
                    yield TrialConfig(belief=belief, arm=arm, seed=self.spec.seeds[0], template=template)
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
                    yield self.config(belief, seed, point, arm)

    def _central_controls(self) -> Iterator[TrialConfig]:
        lora = [point for point in self._points() if self._setting(point, "arm") == "lora"]
        if self.searches and "lora" in self.possible("arm"):
            # it may choose kinds that no random stand-in for its choices has
            lora += unseen_points(self.spec.axes, lora, self._points(), self._fits_a_control)
        for belief in self.spec.beliefs:
            points = [point for point in lora if point.get("belief", belief) == belief]
            between = not self.spec.points
            for middle in central_points(points, partial(self._setting, name="data.style"), between):
                yield self.config(belief, self.spec.seeds[0], middle, "control")

    def _fits_a_control(self, point: Mapping[str, Any]) -> bool:
        try:
            self.config(self.spec.beliefs[0], self.spec.seeds[0], point, "control")
        except ValueError:  # pydantic's, too
            return False
        return True

    def _setting(self, point: Mapping[str, Any], name: str) -> Any:
        """A setting's value at a point: its own, the fixed one, or the default."""
        return point.get(name, self.spec.fixed.get(name, sweepable()[name].default))

    def _points(self) -> list[dict[str, Any]]:
        if self.spec.points:
            return list(self.spec.points)
        axes, search = self.spec.axes, self.spec.search
        if isinstance(search, Grid):
            return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
        # one seeded generator, so the same file gives the same trials on every machine
        rng = random.Random(search.seed)
        return [{name: draw(axis, rng) for name, axis in axes.items()} for _ in range(search.num_samples)]

    def config(self, belief: str, seed: int, point: Mapping[str, Any], arm: str | None = None) -> TrialConfig:
        """The trial at a point, as the arm that the point names or as another.

        Raises:
            pydantic.ValidationError: settings that do not go together.
        """
        leaves = {**self.spec.fixed, **point, "belief": belief, "seed": seed}
        if arm is not None:
            leaves["arm"] = arm
        return TrialConfig.model_validate(unflatten(leaves))


def settable() -> dict[str, Any]:
    """Dotted training settings, with their pydantic field."""
    apart = ("belief", "arm", "seed", "template")
    return {name: info for name, info in leaf_fields().items() if name not in apart}


def sweepable() -> dict[str, Any]:
    """Dotted settings that axes, points and fixed may hold: the training settings and `arm`."""
    return {"arm": leaf_fields()["arm"], **settable()}


def setting_groups() -> set[str]:
    """First parts of dotted settings: data, lora, objective."""
    return {name.partition(".")[0] for name in sweepable() if "." in name}


def _once(configs: Iterable[TrialConfig]) -> list[TrialConfig]:
    found: dict[str, TrialConfig] = {}
    for config in configs:
        found.setdefault(config.trial_id, config)
    return list(found.values())
