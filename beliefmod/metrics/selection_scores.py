"""What a search is told about a finished trial: adoption and D on the questions that may choose."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from beliefmod.config import TrialConfig
from beliefmod.metrics.summarise import summarise
from beliefmod.run.folder import RunFolder

Values = tuple[float, float]
"""Adoption, to be raised, and D, to be lowered."""
Rows = list[dict[str, Any]]


class Objectives:
    """Reads a trial's answers in the run folder, as `beliefmod confirm` does: the selection half only.

    The other half stays unseen by whatever chooses configurations, so that it can confirm them.
    """

    def __init__(self, folder: RunFolder, reference_seed: int) -> None:
        self._folder, self._seed = folder, reference_seed
        self._base: dict[tuple[str, str | None], Rows] = {}

    def of(self, config: TrialConfig) -> Values | None:
        """A trial's values; None if it has not finished, or one of them could not be measured."""
        rows = self._half(config)
        base = self._base_rows(config.belief, config.template)
        if not rows or not base:
            return None
        drift = self._folder.finished_rows("drift", config.trial_id) or []
        metrics = summarise(rows, base, drift=drift)
        adoption, damage = metrics["adoption"], metrics["degradation"]
        if not isinstance(adoption, float) or not isinstance(damage, float):
            return None
        return (adoption, damage) if math.isfinite(adoption) and math.isfinite(damage) else None

    def _base_rows(self, belief: str, template: str | None) -> Rows:
        if (belief, template) not in self._base:
            rows = self._half(TrialConfig(belief=belief, arm="base", seed=self._seed, template=template))
            if not rows:
                return []  # not there yet: looked for again next time
            self._base[belief, template] = rows
        return self._base[belief, template]

    def _half(self, config: TrialConfig) -> Rows:
        rows = self._folder.finished_rows("probes", config.trial_id) or []
        return [
            row
            for row in rows
            if row["suite"] != "belief" or row["tier"] == "trained" or row["split"] == "selection"
        ]


ObjectivesOf = Callable[[TrialConfig], Values | None]
