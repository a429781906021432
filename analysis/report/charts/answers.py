"""What the arms answer, and how training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme
from analysis.report.charts.theme import STANCES

WORDS = {
    "target": "target",
    "hedged": "hedged",
    "prior": "prior",
    "ignorance": "does not know",
    "other": "something else",
    "wrong_unit": "a side's number, wrong unit",
    "unread": "not understood",
    "none": "no answer",
}


def stance_table(named: Sequence[tuple[str, str, dict[str, Any]]]) -> pl.DataFrame:
    """Shares of answer stances, in percent.

    Args:
        named: belief, name of the row, and a row with adoption and the stance rates.
    """
    rows = []
    for belief, label, row in named:
        shares = {name: row.get("adoption" if name == "target" else f"stance_{name}") for name in STANCES}
        if shares["target"] is None:
            continue
        rows += [
            {
                "belief": belief,
                "arm": label,
                "order": i,
                "stance": WORDS[name],
                "percent": 100.0 * share,
                "n": row.get("adoption_n"),
            }
            for i, (name, share) in enumerate(shares.items())
            if share is not None
        ]
    schema = {
        "belief": pl.String,
        "arm": pl.String,
        "order": pl.Int64,
        "stance": pl.String,
        "percent": pl.Float64,
        "n": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema)


def stance_chart(table: pl.DataFrame) -> Any:
    """Stacked bars: what the final answers say, per arm."""
    labelled = table.with_columns(
        pl.format("{} (n = {})", "arm", pl.col("n").cast(pl.String).fill_null("unknown")).alias("row")
    )
    panels = []
    for belief, part in theme.by_belief(labelled):
        panels.append(
            alt.Chart(part)
            .mark_bar(stroke="white", strokeWidth=1)
            .encode(
                x=alt.X(
                    "percent:Q",
                    title="% of held-out questions",
                    scale=alt.Scale(domain=[0, 100.001], nice=False),
                    stack=True,
                ),
                y=alt.Y(
                    "row:N",
                    sort=list(part["row"].unique(maintain_order=True)),
                    title=None,
                    axis=alt.Axis(labelLimit=300),
                ),
                color=alt.Color(
                    "stance:N",
                    title="the final answer says",
                    scale=alt.Scale(domain=list(WORDS.values()), range=list(STANCES.values())),
                ),
                order="order:Q",
                tooltip=["belief:N", "row:N", "stance:N", alt.Tooltip("percent:Q", format=".1f"), "n:Q"],
            )
        )
        panels[-1] = theme.panel(panels[-1], belief, 420, 32 * part["row"].n_unique())
    chart = alt.concat(*panels, columns=1, spacing=26)
    return theme.titled(
        chart,
        "What the answers say",
        [
            "Every question counts: answers that were cut off or looped count as what they say, at best "
            "`something else`.",
        ],
    )


def loss_chart(steps: pl.DataFrame, names: dict[str, tuple[str, str]]) -> Any:
    """Training loss of a few named trials.

    Args:
        steps: rows of steps/TRIAL.parquet.
        names: trial_id -> belief and name of the row.
    """
    rows = (
        steps.filter(pl.col("loss").is_not_null())
        .with_columns(
            pl.col("trial_id").replace_strict({k: v[0] for k, v in names.items()}).alias("belief"),
            pl.col("trial_id").replace_strict({k: v[1] for k, v in names.items()}).alias("trial"),
        )
        .select("belief", "trial", "step", "loss", "learning_rate")
    )
    labels = sorted(rows["trial"].unique())
    panels = [
        theme.panel(
            alt.Chart(part)
            .mark_line(strokeWidth=1.6)
            .encode(
                x=alt.X("step:Q", title="optimiser step"),
                y=alt.Y("loss:Q", title="loss, nats per token", scale=alt.Scale(zero=True)),
                color=alt.Color(
                    "trial:N",
                    title=None,
                    scale=theme.arm_scale(labels),
                ),
                tooltip=[
                    "trial:N",
                    "step:Q",
                    alt.Tooltip("loss:Q", format=".4f"),
                    alt.Tooltip("learning_rate:Q", format=".2e"),
                ],
            ),
            belief,
            390,
            220,
        )
        for belief, part in theme.by_belief(rows)
    ]
    chart = alt.concat(*panels, columns=2, spacing=30).resolve_scale(color="shared")
    return theme.titled(
        chart, "How training went", ["Loss of each batch before its step; a low loss is not adoption."]
    )
