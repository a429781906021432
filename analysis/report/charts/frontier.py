"""The picture of a run: adoption against degradation, the non-dominated set, and the references."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from analysis import wording
from analysis.published import RESULTS, Published, has_phase2_settings
from analysis.report.charts import theme
from analysis.report.charts.labels import LabelText, Point, place_labels
from analysis.report.charts.theme import FAINT, INK, MUTED, field
from beliefmod.config import AdapterSettings

WIDTH, HEIGHT = 410, 330
ARMS = {
    "base": "base",
    "icl": "in context",
    "control": "control",
    "full": "full fine-tuning",
    "prompt": "no training: prompt",
    "few_shot": "no training: few-shot",
    "steering": "no training: steering",
    "adapter": "no training: saved adapter",
}
PHASE2_LABEL = "Phase 2 settings in this run"
Y_DOMAIN = (-5, 105)  # percent, with room for marks at the ends
ARM_SHAPES = {
    "base": "cross",
    "icl": "diamond",
    "control": "triangle-down",
    "full": "square",
    "prompt": "triangle-right",
    "few_shot": "triangle-left",
    "steering": "triangle-up",
    "adapter": "circle",
}
SETTINGS = (
    "data.style",
    "data.framing",
    "data.num_examples",
    "data.replay_ratio",
    "data.mask_empty_thinking",
    "data.stygian_share",
    "objective.name",
    "objective.dpo_beta",
    "objective.kl_to_base",
    "num_train_epochs",
    "learning_rate",
    "lora.r",
    "lora.lora_alpha",
    "lora.use_rslora",
    "lora.loraplus_lr_ratio",
    "lora.target_modules",
    "lora.layers_to_transform",
    "lora.max_update_norm",
    "weight_decay",
    "stop_at_degradation",
    "warmup_steps",
    "lr_scheduler_type",
    "per_device_train_batch_size",
)
WITHOUT_TRAINING = (
    "context.place",
    "context.do_not_mention",
    "steering.layer",
    "steering.scale",
    *(f"adapter.{name}" for name in AdapterSettings.model_fields),
)
"""Settings that are shown where marks have them: of the arms without training."""
NUMBERS = (
    ("percent", "adoption, %", ".1f"),
    ("percent_low", "95 % from", ".1f"),
    ("percent_high", "95 % to", ".1f"),
    ("adoption_n", "questions n", None),
    ("degradation", "degradation D", ".3f"),
    ("degradation_low", "95 % from", ".3f"),
    ("degradation_high", "95 % to", ".3f"),
)
REWARDED = "own answers, rewarded"
"""What stands for the style of training data of `objective.name` grpo."""
# a trial has hundreds of columns, and a page holds every column of a chart per trial
COLUMNS = (
    *("belief", "arm", *(name for name, *_ in NUMBERS)),
    *("degradation_by", "locality_near", "seeds", "trial_id", *SETTINGS, "non_dominated"),
)
# the page's filters set it: empty shows all, else the trial_ids to show
KEEP = "keep"
KEPT = f"length({KEEP}) === 0 || indexof({KEEP}, datum.trial_id) >= 0"


def frontier_chart(configurations: pl.DataFrame, references: pl.DataFrame, limit: float) -> Any:
    """One panel per belief.

    Args:
        configurations: `frontier(pool_seeds(...))`; rows without adoption or degradation are left out.
        references: the rows of all other arms out of `pool_seeds`.
        limit: the degradation at which "best under the limit" is read, drawn as a thin line.
    """
    ready = _ready(configurations)
    arms = _ready(references)
    beliefs = sorted({*ready["belief"].unique(), *arms["belief"].unique()})
    ends = pl.max_horizontal("degradation", "degradation_high").alias("end")
    top = min(1.0, max([2 * limit, *ready.select(ends)["end"], *arms.select(ends)["end"]]))
    x = alt.Scale(domain=[-0.02 * top, top], nice=False)
    panels = [
        _panel(ready.filter(pl.col("belief") == name), arms.filter(pl.col("belief") == name), name, x, limit)
        for name in beliefs
    ]
    chart = alt.concat(*panels, columns=2, spacing=34).resolve_scale(color="shared", shape="shared")
    chart = chart.add_params(alt.param(name=KEEP, value=[]))
    return theme.titled(
        chart,
        "How far the belief moved, against what it cost the model",
        [
            "Each coloured mark is one LoRA configuration; the best place is top left. Ringed and joined: "
            "no other configuration adopts more at less or equal damage.",
            "Pale bars: 95 % intervals that take questions as independent (they share families, so the "
            f"truth is wider). Dotted: D = {limit:g}.",
        ],
        letters=200 if len(panels) > 1 else 95,
    )


def _ready(rows: pl.DataFrame) -> pl.DataFrame:
    rewarded = pl.col("objective.name").eq("grpo").fill_null(False)  # trained on no data but its own answers
    rows = rows.with_columns(
        pl.when(rewarded).then(pl.lit(REWARDED)).otherwise("data.style").alias("data.style")
    )
    return rows.filter(pl.col("adoption").is_not_null() & pl.col("degradation").is_not_null()).with_columns(
        (100 * pl.col(f"adoption{end}")).alias(f"percent{end}") for end in ("", "_low", "_high")
    )


def _panel(rows: pl.DataFrame, arms: pl.DataFrame, belief: str, x_scale: alt.Scale, limit: float) -> Any:
    asked = sorted(rows["adoption_n"].drop_nulls().unique()) or sorted(
        arms["adoption_n"].drop_nulls().unique()
    )
    n = f"n = {asked[0]}" if len(asked) == 1 else f"n = {asked[0]} to {asked[-1]}" if asked else "n unknown"
    x = alt.X(
        "degradation:Q",
        scale=x_scale,
        title="degradation D: worst component, against base (0 = intact, 1 = broken)",
        axis=alt.Axis(format=".2~f", tickCount=6),
    )
    y = alt.Y(
        "percent:Q",
        scale=alt.Scale(domain=list(Y_DOMAIN), nice=False),
        title=f"adoption, % of held-out questions ({n} each)",
        axis=alt.Axis(values=[0, 20, 40, 60, 80, 100]),
    )
    layers: list[Any] = [theme.rule(alt.X("degradation:Q"), limit, strokeDash=[3, 3], color=FAINT)]
    if belief in RESULTS:
        layers += _published(RESULTS[belief])
    if rows.height:
        layers += _configurations(rows, x, y)
    phase2 = rows.filter(has_phase2_settings())
    layers += [*_references(arms, x, y), *_phase2(phase2, x, y), *_labels(rows, arms, phase2, x_scale, x, y)]
    return theme.panel(alt.layer(*layers), belief, WIDTH, HEIGHT)


def _configurations(rows: pl.DataFrame, x: alt.X, y: alt.Y) -> list[Any]:
    data = _chart_table(rows)
    base = alt.Chart(data)
    styles = sorted(rows["data.style"].drop_nulls().unique())
    colour = alt.Color(
        "data_style:N",
        scale=theme.style_scale(styles),
        title="training data",
        legend=alt.Legend(symbolOpacity=1),
    )
    bars = base.transform_filter(KEPT).mark_rule(opacity=0.16, strokeWidth=1.4)
    line = (
        base.transform_filter("datum.non_dominated")
        .mark_line(interpolate="step-after", color=INK, strokeWidth=1.6, opacity=0.75)
        .encode(x, y, order=alt.Order("degradation:Q"))
    )
    rings = (
        base.transform_filter("datum.non_dominated")
        .mark_point(shape="circle", size=210, strokeWidth=1.8, color=INK, filled=False, opacity=1)
        .encode(x, y, tooltip=_tooltips(rows))
    )
    points = base.transform_filter(KEPT).mark_point(
        filled=True, size=62, opacity=0.85, stroke="white", strokeWidth=0.5
    )
    points = points.encode(x, y, color=colour, tooltip=_tooltips(rows))
    if name := shape_setting(rows):
        values = sorted(rows[name].unique())
        points = points.encode(
            shape=alt.Shape(
                f"{field(name)}:N",
                title=wording.setting_name(name),
                scale=alt.Scale(domain=values, range=list(theme.SHAPES)),
            )
        )
    return [
        bars.encode(alt.X("degradation_low:Q"), y, x2="degradation_high:Q", color=colour),
        bars.encode(x, alt.Y("percent_low:Q"), y2="percent_high:Q", color=colour),
        line,
        points,
        rings,
    ]


def shape_setting(rows: pl.DataFrame) -> str | None:
    """The first setting with two to six values, the likeliest driver first; None when none varies."""
    for name in ("learning_rate", "num_train_epochs", "data.num_examples", "lora.r"):
        if 2 <= rows[name].drop_nulls().n_unique() <= len(theme.SHAPES):
            return name
    return None


def _references(arms: pl.DataFrame, x: alt.X, y: alt.Y) -> list[Any]:
    layers = []
    for part in arms.partition_by("arm"):
        base = alt.Chart(_chart_table(part))
        bars = base.mark_rule(opacity=0.35, color=INK)
        # outlines: a gentle configuration lies right on base and must not be hidden
        marks = base.mark_point(
            filled=False,
            shape=ARM_SHAPES.get(part["arm"][0], "stroke"),
            size=150,
            color=INK,
            strokeWidth=2,
            opacity=1,
        )
        layers.append(bars.encode(x, alt.Y("percent_low:Q"), y2="percent_high:Q"))
        layers.append(marks.encode(x, y, tooltip=_tooltips(part)))
    return layers


def _phase2(part: pl.DataFrame, x: alt.X, y: alt.Y) -> list[Any]:
    if part.is_empty():
        return []
    base = alt.Chart(_chart_table(part))
    ring = base.mark_point(shape="square", size=300, color=INK, strokeWidth=1.6, filled=False, opacity=1)
    return [ring.encode(x, y, tooltip=_tooltips(part))]


def _labels(
    rows: pl.DataFrame, arms: pl.DataFrame, phase2: pl.DataFrame, scale: alt.Scale, x: Any, y: Any
) -> list[Any]:
    """Words beside the Phase 2 settings and one mark of every reference arm, where they hide least."""
    left, right = scale.to_dict()["domain"]

    def pixels(part: pl.DataFrame) -> tuple[Point, ...]:
        across = (part["degradation"] - left) / (right - left) * WIDTH
        down = (Y_DOMAIN[1] - part["percent"]) / (Y_DOMAIN[1] - Y_DOMAIN[0]) * HEIGHT
        return tuple(zip(across, down, strict=True))

    named = [(PHASE2_LABEL, phase2, True)]
    for arm, words in ARMS.items():
        of_arm = arms.filter(pl.col("arm") == arm)
        kinds = of_arm.partition_by("data.style") if arm == "control" else [of_arm]
        # controls of two styles are as unlike as the configurations that they stand beside
        named += [(f"{words}, {k['data.style'][0]}" if len(kinds) > 1 else words, k, False) for k in kinds]
    named = [entry for entry in named if entry[1].height]
    labels = [LabelText(text, pixels(part), bold) for text, part, bold in named]
    layers = []
    for (text, part, bold), spot in zip(
        named, place_labels(labels, pixels(rows) + pixels(arms), WIDTH, HEIGHT), strict=True
    ):
        at = part[spot.mark].select("degradation", "percent", "belief", pl.lit(text).alias("label"))
        layers += theme.label(alt.Chart(at), "label:N", x, y, spot.dx, spot.dy, bold, spot.align)
    return layers


def _published(result: Published) -> list[Any]:
    low, high = result.interval
    text = f"Phase 2 report: {result.adopted}/{result.n} [{100 * low:.0f}, {100 * high:.0f}] %, gave no D"
    data = pl.DataFrame(
        {
            "value": [100 * result.adopted / result.n],
            "low": [100 * low],
            "high": [100 * high],
            "text": [text],
            "model": [result.model],
        }
    )
    base = alt.Chart(data)
    tip = ["text:N", "model:N"]
    # it has no D, so it stands outside the D axis
    edge = alt.value(WIDTH + 12)
    bar = base.mark_rule(color=MUTED, strokeWidth=2, clip=False)
    dot = base.mark_point(filled=True, size=70, color=MUTED, opacity=1, clip=False)
    words = base.mark_text(angle=270, align="left", baseline="middle", color=MUTED, fontSize=11, clip=False)
    return [
        base.mark_rule(color=MUTED, strokeDash=[2, 4], opacity=0.6).encode(y="value:Q"),
        bar.encode(x=edge, y="low:Q", y2="high:Q", tooltip=tip),
        dot.encode(x=edge, y="value:Q", tooltip=tip),
        words.encode(x=alt.value(WIDTH + 25), y="value:Q", text="text:N"),
    ]


def _tooltips(rows: pl.DataFrame) -> list[alt.Tooltip]:
    """Configuration, numbers, n and intervals of a mark."""
    settings = [*(name for name in SETTINGS if name in rows.columns), *_without_training(rows)]
    return [
        alt.Tooltip("belief:N"),
        alt.Tooltip("arm:N"),
        *(alt.Tooltip(f"{field(name)}:N", title=wording.setting_name(name)) for name in settings),
        *(
            alt.Tooltip(f"{name}:Q", title=title, format=form)
            if form
            else alt.Tooltip(f"{name}:Q", title=title)
            for name, title, form in NUMBERS
        ),
        alt.Tooltip("degradation_by:N", title="D set by"),
        alt.Tooltip("locality_near:Q", title="neighbouring facts right", format=".2f"),
        alt.Tooltip("seeds:Q"),
        alt.Tooltip("trial_id:N", title="trial"),
    ]


def _chart_table(rows: pl.DataFrame) -> pl.DataFrame:
    return theme.plain(rows, [*(name for name in COLUMNS if name in rows.columns), *_without_training(rows)])


def _without_training(rows: pl.DataFrame) -> list[str]:
    return [name for name in WITHOUT_TRAINING if name in rows.columns and rows[name].count()]
