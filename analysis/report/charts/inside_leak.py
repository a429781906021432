"""What every adapter shows of its belief on unrelated text, against what it adopts and breaks."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens
from analysis.report.blocks import CaptionedChart
from analysis.report.charts import theme
from analysis.studies.leaks import REPLAY, leaks
from analysis.wording import plural

SHAPES = {"without replay": "circle", "with replay": "triangle-up", "control": "square"}
DAMAGE = alt.Scale(domain=[0, 1], scheme="viridis", reverse=True)


def leak_chart(table: pl.DataFrame) -> Any:
    """One mark per trial, one panel per belief; `table` of `analysis.studies.leaks.leaks`, adoption known."""
    marked = table.with_columns(
        pl.when(pl.col("arm") == "control")
        .then(pl.lit("control"))
        .when(pl.col(REPLAY) > 0)
        .then(pl.lit("with replay"))
        .otherwise(pl.lit("without replay"))
        .alias("kind"),
        (100 * pl.col("adoption")).alias("percent"),
        pl.col("degradation").alias("damage"),
        pl.col(REPLAY).alias("replay"),
    )
    columns = (
        "trial_id", "kind", "percent", "damage", "leak", "leak_low", "leak_high", "chance_low", "chance_high",
        "replay", "num_train_epochs", "n", "entry",
    )  # fmt: skip
    panels = [
        theme.panel(_marks(part.select(columns)), f"{belief} (n = {plural(part.height, 'trial')})", 400, 270)
        for belief, part in theme.by_belief(marked)
    ]
    return theme.titled(
        alt.concat(*panels, columns=2, spacing=34).resolve_scale(color="shared", shape="shared"),
        "Adoption against the leak on unrelated text",
        [
            "Leak: how often, at the first tokens of unrelated passages, a taught token stands above a "
            "control token in the difference from base. Dashed: chance.",
            "Bars: 95 % over passages. Grey: lowest to highest of random adapters of the same norm. Colour: "
            "damage D; grey mark: D was not measured.",
        ],
    )


def _marks(known: pl.DataFrame) -> Any:
    x = alt.X("percent:Q", title="adoption, %", scale=alt.Scale(domain=[0, 100]))
    y = alt.Y("leak:Q", title="leak", scale=alt.Scale(domain=[0, 1]))
    colour = alt.condition(
        "datum.damage !== null",
        alt.Color("damage:Q", title="damage D", scale=DAMAGE, legend=alt.Legend(gradientLength=120)),
        alt.value(theme.FAINT),
    )
    tips = [
        alt.Tooltip("trial_id:N", title="trial"),
        *theme.numbers(".1f", "percent"),
        *theme.numbers(".3f", "leak", "leak_low", "leak_high", "chance_low", "chance_high", "damage"),
        *(alt.Tooltip(f"{name}:Q", title=words) for name, words in TOLD.items()),
    ]
    base = alt.Chart(known)
    shape = alt.Shape("kind:N", title=None, scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())))
    return alt.layer(
        base.mark_rule(strokeWidth=9, color="#dddddd").encode(x, alt.Y("chance_low:Q"), y2="chance_high:Q"),
        theme.rule(alt.Y("half:Q"), 0.5, strokeDash=[4, 3]),
        base.mark_rule(color=theme.MUTED).encode(x, alt.Y("leak_low:Q"), y2="leak_high:Q"),
        base.mark_point(size=85, filled=True, opacity=1, stroke="white", strokeWidth=0.6).encode(
            x, y, color=colour, shape=shape, tooltip=tips
        ),
    )


TOLD = {"replay": "replay", "num_train_epochs": "epochs", "n": "passages n", "entry": "entry"}


def figures(lens: Lens, found: Findings) -> dict[str, CaptionedChart]:
    """inside-leak, where trials have a leak and an adoption."""
    table = leaks(lens, found).filter(pl.col("adoption").is_not_null())
    if table.is_empty():
        return {}
    caption = f"{plural(table.height, 'trial')} of {plural(table['belief'].n_unique(), 'belief')}."
    return {"inside-leak": CaptionedChart(leak_chart(table), caption)}
