"""The configurations of a run as a served page asks for them: filtered, some at a time, or by a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.frontier.non_dominated import frontier, pool_seeds
from analysis.frontier.thinned import thinned
from analysis.report.failure_classes import failure_classes
from analysis.report.points import axes_of, point_of, varying_settings
from analysis.wording import setting_value
from beliefmod.config import REFERENCE_ARMS

AT_ONCE = 200
"""Configurations in one reply."""
DRAWN = 1000
"""Configurations in a picture."""


class ConfigurationList:
    """The configurations of a trial table; untrained arms first, then what no other one beats, then the rest,
    each by adoption.

    Attributes:
        drawn: those for a picture of adoption against damage (`thinned`), LoRA; `drawn_beside`: of the other
            arms. could_be_drawn: LoRA configurations that have both numbers.
    """

    def __init__(self, trials: pl.DataFrame) -> None:
        pooled = pool_seeds(trials)
        lora = frontier(pooled)
        unbeaten = lora.filter("non_dominated")["trial_id"]
        others = pooled.filter(pl.col("arm") != "lora").with_columns(pl.lit(False).alias("non_dominated"))
        self.drawn, self.drawn_beside = thinned(lora, DRAWN), thinned(others, DRAWN)
        self.could_be_drawn = lora.drop_nulls(["adoption", "degradation"]).height
        self._drawn = set(self.drawn["trial_id"]) | set(self.drawn_beside["trial_id"])
        untrained = pl.col("arm").is_in(REFERENCE_ARMS)
        self._rows = pooled.with_columns(
            pl.col("trial_id").is_in(unbeaten.to_list()).alias("unbeaten"), untrained.alias("untrained")
        ).sort("untrained", "unbeaten", "adoption", descending=True, nulls_last=True, maintain_order=True)
        self._names = varying_settings(pooled)
        self._axes = {axis["name"]: axis for axis in axes_of(pooled)}
        self._at = {
            trial: at for at, ids in enumerate(self._rows["trial_ids"].to_list()) for trial in ids or []
        }

    def __len__(self) -> int:
        return self._rows.height

    def page_data(self) -> dict[str, Any]:
        """What the page holds from the start: filters, how many configurations there are, the untrained arms,
        which every other one is read beside."""
        best = self._rows.filter("unbeaten").sort("adoption", descending=True, nulls_last=True)
        return {
            "axes": list(self._axes.values()),
            "points": self._points(self._rows.filter("untrained")),
            "total": len(self),
            "interval": "95 % over questions",
            "first": best["trial_id"].first() if best.height else None,
            "classes": [kind.name for kind in failure_classes()],
        }

    def select(self, filters: Mapping[str, Mapping[str, Any]], start: int) -> dict[str, Any]:
        """How many configurations pass, AT_ONCE of them from `start` (0 is the first), and which of those in
        the picture pass; without filters none are named.

        Args:
            filters: by the name of an axis of `page_data`, `values` (texts of which a configuration has one)
                or `low` and `high` (numbers, either may lack). A configuration without the setting passes.

        Raises:
            ValueError: an axis that there is not, or an end that is no number.
        """
        kept = self._rows
        for name, wanted in filters.items():
            if name not in self._axes:
                raise ValueError(f"there is no filter {name}")
            kept = kept.filter(self._passes(name, wanted))
        shown = [trial for trial in kept["trial_id"] if trial in self._drawn] if filters else []
        points = self._points(kept.slice(max(0, start), AT_ONCE))
        return {"count": kept.height, "points": points, "drawn": shown}

    def of_trial(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration that a trial belongs to; None where it has none."""
        at = self._at.get(trial_id)
        return None if at is None else self._points(self._rows.slice(at, 1))[0]

    def _passes(self, name: str, wanted: Mapping[str, Any]) -> pl.Expr:
        value = pl.col(name)
        if "values" in wanted:
            known = self._rows[name].drop_nulls().unique()
            texts = set(map(str, wanted["values"]))
            test = value.is_in([one for one in known.to_list() if setting_value(one) in texts])
        elif self._rows[name].dtype.is_numeric():
            low, high = (wanted.get(end) for end in ("low", "high"))
            test = pl.lit(True)
            if low is not None:
                test &= value >= float(low)
            if high is not None:
                test &= value <= float(high)
        else:
            raise ValueError(f"{name} is filtered by values")
        if name in ("belief", "arm"):
            return test
        without = value.is_null() | pl.col("untrained")
        if name.startswith("lora."):
            without |= pl.col("arm") == "full"
        return without | test

    def _points(self, rows: pl.DataFrame) -> list[dict[str, Any]]:
        return [point_of(row, self._names, row["unbeaten"], "") for row in rows.iter_rows(named=True)]
