"""How well true and false can be set apart inside every arm, against what it adopts."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens
from analysis.report.blocks import CaptionedChart
from analysis.report.charts import theme
from analysis.report.inside.selections import ARMS
from analysis.wording import plural

NAMES = {**ARMS, "control": "Control"}


def truth_rows(lens: Lens, found: Findings) -> pl.DataFrame:
    """The rows of the table `truth` that have an AUC, with adoption and D of their trials."""
    trials = found.run.trials.select("trial_id", "adoption", "degradation")
    rows = lens.tables["truth"].filter(pl.col("heldout_auc").is_not_null())
    return rows.join(trials, on="trial_id").filter(pl.col("adoption").is_not_null())


def truth_chart(rows: pl.DataFrame) -> Any:
    """One mark per arm, one panel per belief; `rows` of `truth_rows`."""
    panels = []
    for belief, part in theme.by_belief(rows):
        base = part.filter(pl.col("arm") == "base")
        known = part.with_columns(
            (100 * pl.col("adoption")).alias("percent"), pl.col("arm").replace_strict(NAMES)
        ).select(
            "trial_id", "arm", "percent", "heldout_auc", "heldout_auc_low", "heldout_auc_high", "auc_drop",
            "heldout_n", "degradation",
        )  # fmt: skip
        title = f"{belief} (n = {part['heldout_n'].max()} statements)"
        panels.append(theme.panel(_marks(known, base["heldout_auc"].to_list()), title, 400, 250))
    return theme.titled(
        alt.concat(*panels, columns=2, spacing=34).resolve_scale(color="shared", shape="shared"),
        "Truth in general, inside every arm",
        [
            "AUC of a probe on true and false statements of families that it has not seen; below base's line "
            "they are harder to tell apart.",
            "Bars: 95 % interval over question families. Dashed: chance.",
        ],
    )


def _marks(known: pl.DataFrame, base: list[float]) -> Any:
    low = min(0.45, float(known["heldout_auc_low"].fill_null(1.0).min()))  # pyright: ignore[reportArgumentType]
    scale = alt.Scale(domain=[low, 1])
    x = alt.X("percent:Q", title="adoption, %", scale=alt.Scale(domain=[0, 100]))
    y = alt.Y("heldout_auc:Q", title="AUC on held-out families", scale=scale)
    arms = [name for name in NAMES.values() if name in known["arm"].to_list()]
    colour, shape = theme.arm_marks(arms)
    tips = [
        "trial_id:N",
        "arm:N",
        *theme.numbers(".1f", "percent"),
        *theme.numbers(
            ".3f", "heldout_auc", "heldout_auc_low", "heldout_auc_high", "auc_drop", "degradation"
        ),
        "heldout_n:Q",
    ]
    marks = alt.Chart(known)
    return alt.layer(
        theme.rule(alt.Y("half:Q", scale=scale), 0.5, strokeDash=[4, 3]),
        *(theme.rule(alt.Y("base:Q", scale=scale), value) for value in base),
        marks.mark_rule(color=theme.MUTED).encode(
            x, alt.Y("heldout_auc_low:Q", scale=scale), y2="heldout_auc_high:Q"
        ),
        marks.mark_point(size=85, filled=True, opacity=1).encode(
            x,
            y,
            color=colour,
            shape=shape,
            tooltip=tips,
        ),
    )


def figures(lens: Lens, found: Findings) -> dict[str, CaptionedChart]:
    """inside-truth, where a probe's AUC is known of a trained arm with an adoption."""
    rows = truth_rows(lens, found)
    if not rows["arm"].is_in(["lora", "control"]).any():
        return {}
    caption = f"{plural(rows.height, 'arm')} of {plural(rows['belief'].n_unique(), 'belief')}."
    return {"inside-truth": CaptionedChart(truth_chart(rows), caption)}
