"""What a mark of the frontier says when it is pointed at."""

from __future__ import annotations

import altair as alt
import polars as pl

from analysis import wording
from analysis.report.charts.theme import field

SETTINGS = (
    "data.style",
    "data.num_examples",
    "data.replay_ratio",
    "objective.kl_to_base",
    "num_train_epochs",
    "learning_rate",
    "lora.r",
    "lora.lora_alpha",
    "warmup_steps",
    "lr_scheduler_type",
    "per_device_train_batch_size",
)
SHOWN = (
    "belief",
    "arm",
    "percent",
    "percent_low",
    "percent_high",
    "adoption_n",
    "degradation",
    "degradation_low",
    "degradation_high",
    "degradation_by",
    "locality_near",
    "seeds",
    "trial_id",
)


def tooltips(rows: pl.DataFrame) -> list[alt.Tooltip]:
    """Configuration, numbers, n and intervals of a mark."""
    settings = [name for name in SETTINGS if name in rows.columns]
    return [
        alt.Tooltip("belief:N"),
        alt.Tooltip("arm:N"),
        *(alt.Tooltip(f"{field(name)}:N", title=wording.setting_name(name)) for name in settings),
        alt.Tooltip("percent:Q", title="adoption, %", format=".1f"),
        alt.Tooltip("percent_low:Q", title="95 % from", format=".1f"),
        alt.Tooltip("percent_high:Q", title="95 % to", format=".1f"),
        alt.Tooltip("adoption_n:Q", title="questions n"),
        alt.Tooltip("degradation:Q", title="degradation D", format=".3f"),
        alt.Tooltip("degradation_low:Q", title="95 % from", format=".3f"),
        alt.Tooltip("degradation_high:Q", title="95 % to", format=".3f"),
        alt.Tooltip("degradation_by:N", title="D set by"),
        alt.Tooltip("locality_near:Q", title="neighbouring facts right", format=".2f"),
        alt.Tooltip("seeds:Q"),
        alt.Tooltip("trial_id:N", title="trial"),
    ]


def columns(rows: pl.DataFrame) -> list[str]:
    """The columns that a mark needs: a trial has hundreds, and a page holds every one of them per trial."""
    return [name for name in (*SHOWN, *SETTINGS, "non_dominated") if name in rows.columns]
