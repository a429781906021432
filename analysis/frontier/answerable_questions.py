"""How many of a belief's questions its model can answer, tier by tier, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from analysis.wording import NOT_MEASURED, rate
from beliefmod.metrics.conditions import ADOPTION, LEAST_ANSWERABLE, LEAST_FAMILIES, TIERS
from beliefmod.metrics.metric import all_expression

OLDER = "Which questions this model can answer is not marked in this run, which is older than the marks."


@dataclass(frozen=True)
class Gates:
    """Questions of a tier: all, those that pass each gate and either, and the families of the last."""

    asked: int
    in_context: int
    prior: int
    either: int
    families: int

    @property
    def enough(self) -> bool:
        """Whether a rate is given over them."""
        return self.either >= LEAST_ANSWERABLE and self.families >= LEAST_FAMILIES

    def words(self) -> str:
        """`31 of 36 in 6 families`; says so where they are too few for a rate."""
        return f"{self.either} of {self.asked}{self._where()}" + ("" if self.enough else ": too few")

    def sentence(self) -> str:
        """`31 of 36 questions are answerable for this model, in 6 families`, without a full stop."""
        text = f"{self.either} of {self.asked} questions are answerable for this model"
        text += self._where().replace(" in", ", in", 1)
        return text + ("" if self.enough else ": too few for a rate")

    def _where(self) -> str:
        if not self.either:
            return ""
        return " in 1 family" if self.families == 1 else f" in {self.families} families"


def gates_by_tier(probes: pl.DataFrame) -> dict[str | None, Gates]:
    """The gates of every tier, and under None of the questions that adoption counts; empty without marks.

    Args:
        probes: suite, tier, family, answerable of one trial of a belief, whichever: all have the same marks.
    """
    marks = probes.filter(pl.col("answerable").is_not_null())
    parts = {None: marks.filter(all_expression(ADOPTION))}
    parts |= {tier: marks.filter(pl.col("tier") == tier) for tier in TIERS}
    return {tier: _gates(part) for tier, part in parts.items() if part.height}


def _gates(part: pl.DataFrame) -> Gates:
    context, prior = (pl.col("answerable").is_in([gate, "both"]) for gate in ("in_context", "prior"))
    either = part.filter(context | prior)
    return Gates(
        part.height,
        part.filter(context).height,
        part.filter(prior).height,
        either.height,
        either["family"].n_unique(),
    )


def over_answerable(row: Mapping[str, Any] | None, name: str = "adoption_answerable") -> str:
    """`63 % [48, 76], n = 40`, or how many answerable questions were too few for a rate."""
    if row is None or row.get(name) is not None:
        return rate(row, name)
    n = row.get(f"{name}_n")
    return NOT_MEASURED if n is None else f"too few, n = {n}"
