"""The tables behind the charts of the section "Inside the model": pure selections and means of lens tables.

Differences are logits: log p(target's token) - log p(rival's token) at the place where the two worlds part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.read_lens import Lens, ShownTrial
from analysis.report.blocks import file_name
from beliefmod.metrics.intervals import DRAWS, family_draws
from beliefmod.run.tables.lens_tables import TAU

ARMS = {"base": "Base", "icl": "In context", "lora": "LoRA"}
AT = "at:"  # prefix of positions counted from the end of the stem
LONGEST = 32  # tokens of a stem that a heat map shows, from its end
GRID = tuple(round(0.1 * i, 1) for i in range(11))  # shares of the thinking at which chains are compared
SIDES = ("target", "undecided", "prior", "other")
Through = tuple[str, str | None]
"""A lens and the arm that it was fitted on."""
LOGIT: Through = ("logit", None)
Array = NDArray[np.float64]


def arm_names(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of the three arms with their names for readers, base first."""
    order = {arm: i for i, arm in enumerate(ARMS)}
    return (
        rows.filter(pl.col("arm").is_in(list(ARMS)))
        .with_columns(pl.col("arm").replace_strict(order, return_dtype=pl.Int64).alias("order"))
        .sort("order", maintain_order=True)
        .with_columns(pl.col("arm").replace_strict(ARMS, return_dtype=pl.String))
    )


def curves(lens: Lens, shown: ShownTrial, position: str = "stem", through: Through = LOGIT) -> pl.DataFrame:
    """arm, entry, mean, low, high, n, families of the difference at a position, through one lens."""
    rows = arm_names(_read_by(lens, shown, through).filter(pl.col("position") == position))
    return banded(rows.sort("order", "entry"), ["arm", "entry"], "logit_diff")


def other_lenses(lens: Lens, shown: ShownTrial) -> list[Through]:
    """The tuned and Jacobian lenses that the end of the stem was read through, with the arm each was fitted
    on; those fitted on base, which read every arm, first."""
    rows = lens.of("readings", shown).filter(
        (pl.col("position") == "stem") & pl.col("fitted_on").is_not_null()
    )
    found = rows.select("lens", "fitted_on").unique().iter_rows()
    return sorted(found, key=lambda through: (through[0] != "tuned", through[1] != "base", through))


def contrasts(lens: Lens, shown: ShownTrial, position: str = "stem") -> pl.DataFrame:
    """arm, entry, mean, low, high, n, families of the difference less base's on the question; arms in context
    and LoRA."""
    rows = arm_names(_plain(lens, shown).filter(pl.col("position") == position))
    base = rows.filter(pl.col("arm") == ARMS["base"]).select("probe_id", "entry", base="logit_diff")
    paired = rows.filter(pl.col("arm") != ARMS["base"]).join(base, on=["probe_id", "entry"])
    paired = paired.with_columns((pl.col("logit_diff") - pl.col("base")).alias("contrast"))
    return banded(paired.sort("order", "entry"), ["arm", "entry"], "contrast")


def read_token_by_token(lens: Lens, shown: ShownTrial) -> ShownTrial:
    """The trial of a belief that was read at every token of the example question: `shown` if it was, else the
    first of those that were looked at; `shown` where none was.

    `beliefmod lens` reads so only the trials that a part was asked to look deeply into, and each of its parts
    can have been run for others.
    """
    at_tokens = lens.tables["readings"].filter(pl.col("position").str.starts_with(AT))
    read = set(at_tokens["trial_id"].drop_nulls())
    ours = [shown, *(one for one in lens.looked if one.belief == shown.belief)]
    return next((one for one in ours if one.trial_id in read), shown)


def tokens(lens: Lens, shown: ShownTrial) -> pl.DataFrame:
    """One example question: arm, from_end (0 is the stem's last token), token, entry, logit_diff, top_token
    and the two tokens that are compared. At most LONGEST tokens."""
    rows = arm_names(_plain(lens, shown).filter(pl.col("position").str.starts_with(AT)))
    if rows.is_empty():
        return rows.with_columns(pl.lit(0).alias("from_end"))
    first = rows["probe_id"].sort()[0]
    return (
        rows.filter(pl.col("probe_id") == first)
        .with_columns(pl.col("position").str.strip_prefix(AT).cast(pl.Int64).alias("from_end"))
        .filter(pl.col("from_end") < LONGEST)
        .sort("order", "entry", "from_end")
    )


def patch_map(lens: Lens, shown: ShownTrial) -> pl.DataFrame:
    """One example question, that of `tokens` where it was patched: source, entry, from_end, token,
    recovery."""
    rows = lens.of("patching", shown).filter(pl.col("from_end") < LONGEST)
    if rows.is_empty():
        return rows
    known = rows.filter(pl.col("recovery").is_not_null())
    by_source = [set(known.filter(pl.col("source") == source)["probe_id"]) for source in ("lora", "icl")]
    example = tokens(lens, shown)
    wanted = example["probe_id"][0] if example.height else None
    # first those with a recovery from LoRA, among them from in context too, then that of the heat map
    probe = min(
        rows["probe_id"].unique(),
        key=lambda name: (*(name not in there for there in by_source), name != wanted, name),
    )
    order = ["source", "entry", "from_end"]
    return rows.filter(pl.col("probe_id") == probe).sort(order, descending=[True, False, False])


def patch_means(lens: Lens, shown: ShownTrial) -> pl.DataFrame:
    """source, position, entry, mean, low, high, n, families of the recovery over all patched questions, at
    the named positions."""
    rows = lens.of("patching", shown).filter(pl.col("position").is_not_null())
    return banded(rows.sort("source", "position", "entry", descending=[True, False, False]),
                  ["source", "position", "entry"], "recovery")  # fmt: skip


def early(lens: Lens, shown: ShownTrial) -> pl.DataFrame:
    """arm, kept (share of the arm's own thinking), mean, low, high, n, families of p(target) against rival.

    Thinking of different lengths is compared at eleven shares: at each, a question counts with its last cut
    that keeps no more than that.
    """
    rows = arm_names(lens.of("chain", shown)).filter(pl.col("prob_target").is_not_null())
    if rows.is_empty():
        return banded(rows, ["arm", "kept"], "prob_target")
    cuts = rows.select("arm", "order", "probe_id", "family", "prob_target", at="kept").sort("at")
    asked = cuts.select("arm", "order", "probe_id").unique().join(pl.DataFrame({"kept": GRID}), how="cross")
    stepped = asked.sort("kept").join_asof(
        cuts.with_columns(pl.col("at") - 1e-9),
        left_on="kept",
        right_on="at",
        by=["arm", "probe_id"],
        strategy="backward",
        check_sortedness=False,  # polars cannot check it within groups and would warn
    )
    return banded(stepped.sort("order", "kept", "probe_id"), ["arm", "kept"], "prob_target")


def crossed(lens: Lens, shown: ShownTrial) -> pl.DataFrame:
    """channel, arm, thinking, answer, count, share: how often either side has which value.

    channel: "in the text" by the parsed stances, "inside" by the sign of the difference before the value,
    undecided within TAU of 0. other: another value or none, and inside what is likelier than the target where
    base knows no value (rival base_top1). Every question of an arm is in one cell of each channel.
    """
    rows = arm_names(lens.of("channels", shown))
    parts = []
    for channel, left, right in (
        ("in the text", _said("thinking_stance"), _said("answer_stance")),
        ("inside", _leans("thinking"), _leans("answer")),
    ):
        part = rows.with_columns(
            left.alias("thinking"), right.alias("answer"), pl.lit(channel).alias("channel")
        )
        keys = ["channel", "arm", "order", "thinking", "answer"]
        counted = part.group_by(keys).agg(pl.len().cast(pl.Int64).alias("count"))
        parts.append(
            counted.with_columns((pl.col("count") / pl.col("count").sum().over("arm")).alias("share"))
        )
    return pl.concat(parts).sort("channel", "order", "thinking", "answer")


def _plain(lens: Lens, shown: ShownTrial) -> pl.DataFrame:
    return _read_by(lens, shown, LOGIT)


def _read_by(lens: Lens, shown: ShownTrial, through: Through) -> pl.DataFrame:
    name, fitted_on = through
    rows = lens.of("readings", shown)
    if name == "logit":
        return rows.filter((pl.col("lens") == name) | pl.col("lens").is_null())
    return rows.filter((pl.col("lens") == name) & (pl.col("fitted_on") == fitted_on))


def _said(column: str) -> pl.Expr:
    """The side of a parsed stance: of the last value used, where thinking changes its mind."""
    sides = {
        "target": "target",
        "prior->target": "target",
        "prior": "prior",
        "target->prior": "prior",
        "both": "undecided",
        "hedged": "undecided",
    }
    return pl.col(column).replace_strict(sides, default="other", return_dtype=pl.String).fill_null("other")


def _leans(channel: str) -> pl.Expr:
    value, known = pl.col(f"{channel}_diff"), pl.col(f"{channel}_rival").fill_null("prior") == "prior"
    return (
        pl.when(value.is_null())
        .then(pl.lit("other"))
        .when(value >= TAU)
        .then(pl.lit("target"))
        .when(value > -TAU)
        .then(pl.lit("undecided"))
        .when(known)
        .then(pl.lit("prior"))
        .otherwise(pl.lit("other"))
    )


def finite_extent(values: pl.Series, least: float) -> float:
    """The largest distance from 0, at least `least`: one domain for charts that are to be compared."""
    known = values.drop_nulls().to_numpy()
    return max(least, float(np.abs(known).max())) if len(known) else least


def commitment(lens: Lens, shown: ShownTrial, arm: str, position: str = "stem") -> Mapping[str, Any] | None:
    """The commitment of an arm by the logit lens, or None where it was not read."""
    rows = lens.of("commitments", shown).filter(
        (pl.col("arm") == arm) & (pl.col("position") == position) & (pl.col("lens") == "logit")
    )
    return rows.row(0, named=True) if rows.height else None


def banded(rows: pl.DataFrame, by: Sequence[str], value: str, draws: int = DRAWS) -> pl.DataFrame:
    """The mean of `value` per group, with the 95 % interval over redrawn families.

    Args:
        rows: the columns of `by`, `family` and `value`; a null value is left out of its mean, a null family
            is a family of its own name.

    Returns:
        the columns of `by` in order of appearance, mean, low, high, n (values behind it), families. mean is
        null without a value; low and high are null with fewer than two families, because redrawing one
        family says nothing.
    """
    schema = {name: rows.schema[name] for name in by}
    schema |= {"mean": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64, "families": pl.Int64}
    groups = rows.partition_by(by, maintain_order=True, include_key=True) if rows.height else []
    weights: dict[tuple[str, ...], Array] = {}
    found = []
    for group in groups:
        sums = (
            group.filter(pl.col(value).is_not_null())
            .group_by(pl.col("family").fill_null(""))
            .agg(pl.col(value).cast(pl.Float64).sum().alias("total"), pl.len().alias("size"))
            .sort("family")
        )
        key = tuple(sums["family"])
        if key not in weights:
            weights[key] = family_draws([f"question/{name}" for name in key], draws)
        found.append(group.row(0, named=True) | _interval(sums, weights[key]))
    return pl.DataFrame([{name: row[name] for name in schema} for row in found], schema=schema)


def _interval(sums: pl.DataFrame, weights: Array) -> dict[str, float | int | None]:
    """Mean, low, high, n, families from the families' totals and sizes; weights [draws, families]."""
    totals, sizes = sums["total"].to_numpy(), sums["size"].to_numpy().astype(float)
    n = int(sizes.sum())
    low = high = None
    if len(totals) > 1:
        low, high = (float(end) for end in np.percentile(weights @ totals / (weights @ sizes), [2.5, 97.5]))
    mean = float(totals.sum() / n) if n else None
    return {"mean": mean, "low": low, "high": high, "n": n, "families": len(totals)}


def figure_name(kind: str, shown: ShownTrial) -> str:
    """The name of a chart that there is one of per belief."""
    return file_name(f"inside-{kind}-{shown.belief}")
