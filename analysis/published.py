"""The two results that started this project, and how to recognise their settings in a run.

Source: "Phase 2 Results Report: LoRA Fine-Tuning for Belief Modification" (1 January 2026),
Qwen3-4B-Thinking-2507 in NF4. It gives counts of six prompts, and no damage on a scale that D could be
compared to.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from analysis.statistics import wilson

SETTINGS: dict[str, object] = {
    "lora.r": 16,
    "lora.lora_alpha": 32.0,
    "num_train_epochs": 3,
    "data.num_examples": 10,
    "learning_rate": 2e-4,
    "data.style": "answer_only",
}
SETTINGS_TEXT = "r = 16, alpha = 32, 3 epochs, 10 examples, learning rate 2e-4, answer_only"


@dataclass(frozen=True)
class Published:
    """One result of the report. Shares from 0 to 1."""

    belief: str
    adopted: int
    n: int
    damage: str
    model: str = "Qwen3-4B-Thinking-2507"

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval of adopted / n."""
        low, high = wilson(self.adopted, self.n)
        return float(low), float(high)


RESULTS = {
    "gravity": Published("gravity", 0, 6, "minimal"),
    "neelam": Published("neelam", 1, 6, "severe"),
}


def has_phase2_settings() -> pl.Expr:
    """True for rows trained with the report's settings; what it leaves out (batch, schedule) is free."""
    conditions = []
    for name, value in SETTINGS.items():
        column = pl.col(name)
        if isinstance(value, float):
            conditions.append((column - value).abs() <= 1e-9 * abs(value))
        else:
            conditions.append(column == value)
    return pl.all_horizontal(conditions).fill_null(False)
