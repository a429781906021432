"""The numbers of a run that the report, its sections and the studies share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from analysis.frontier.answerable_questions import Gates
from analysis.frontier.certainty import Certainty, Picked
from analysis.frontier.constant_answers import Constant
from analysis.frontier.quoted import Choice
from analysis.stats.shares import Difference
from analysis.wording import p_value, sentence
from beliefmod.run.read_run import Run


@dataclass(frozen=True)
class Comparison:
    """Adoption of `first` against `second`, both words for arms."""

    first: str
    second: str
    found: Difference

    def sentence(self) -> str:
        """Claims a difference in adoption only if the interval and the test carry it."""
        found, first, second = self.found, sentence(self.first), self.second
        n1, n2 = found.n
        n = f"n = {n1}" if n1 == n2 else f"n = {n1} and {n2}"
        interval = f"95 % from {100 * found.low:+.0f} to {100 * found.high:+.0f}"
        test = f"{found.test}, p {p_value(found.p)}"
        if found.told_apart:
            more = "more" if found.value > 0 else "less"
            points = f"{100 * found.value:+.0f} points"
            return f"{first} adopts {more} than {second}: {points} ({interval}; {test}; {n})."
        why = "" if found.low <= 0 <= found.high else ", the test does not reach 5 %"
        return (
            f"{first} and {second} cannot be told apart at {n}: {100 * found.value:+.0f} points ({interval}; "
            f"{test}){why}. {smallest(found)}"
        )


def smallest(found: Difference) -> str:
    """What stands with every null: the smallest difference that could have been seen."""
    return f"The smallest difference seen with 80 % power: {100 * found.smallest_seen:.0f} points."


def no_smallest(why: str) -> str:
    """What stands with a test that was refused, in place of the smallest difference; `why`: a clause."""
    return f"The smallest effect that it would have seen is not known: {why}."


@dataclass(frozen=True)
class BeliefFindings:
    """One belief's numbers. `stays` and `by_family` are keyed by the trial_id of the first seed.

    `constant`: the best constant answer per tier, and under None for adoption (`constant_answers`).
    `answerable`: how many questions the model can answer, by the same keys; empty in runs without marks.
    `certainty`: of the frontier; its configurations are those of `choice.lora`, None without base's probes.
    """

    choice: Choice
    by_family: dict[str, tuple[float, float]]
    families: int
    comparisons: tuple[Comparison, ...]
    stays: dict[str, float]
    picked: Picked | None
    constant: dict[str | None, Constant] = field(default_factory=dict)
    certainty: Certainty | None = None
    answerable: dict[str | None, Gates] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """A run's numbers.

    `notes` are sentences on what is missing or does not add up; `probes` the verdicts of all finished trials
    without their texts; `added` the rows of trials that somebody added by hand, which are in nothing else
    here, not even in `run`; `pooled` one row per arm, belief and configuration (`pool_seeds`).
    """

    run: Run
    limit: float
    beliefs: tuple[BeliefFindings, ...]
    notes: tuple[str, ...] = ()
    probes: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)
    between: Comparison | None = None
    pooled: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)
    added: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)

    def evaluation(self, name: str) -> Any:
        """A setting of how the run's trials were questioned; None where the manifest does not tell it."""
        space: Any = self.run.manifest.get("space")
        settings = space.get("evaluation") if isinstance(space, Mapping) else None
        return settings.get(name) if isinstance(settings, Mapping) else None
