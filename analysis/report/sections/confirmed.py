"""What the finalists promised and what new seeds on the other half of the questions show."""

from __future__ import annotations

from statistics import fmean

import polars as pl

from analysis import wording
from analysis.findings import Findings, smallest
from analysis.frontier.answerable_questions import over_answerable
from analysis.frontier.non_dominated import varying
from analysis.report import explained
from analysis.report.blocks import Block, Bullets, Heading, Paragraph, Table, table_of
from analysis.studies.confirm import Confirmed, Side, confirmation_of, confirmations, holds
from analysis.wording import setting_text
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.run.read_run import Run

ALWAYS = ("data.style", "data.num_examples", "num_train_epochs", "learning_rate")


def blocks(found: Findings) -> list[Block]:
    """One table per belief; one sentence where nothing has been confirmed."""
    again = confirmation_of(found.run)
    if again is None:
        if not found.beliefs:
            return []
        return [
            Heading(2, "Confirmation"),
            Paragraph(
                "Not done: no finalist has been trained again on new seeds and asked the questions that did "
                "not choose it, so every best above is optimistic. `beliefmod confirm RUN` does it."
            ),
        ]
    settings = again.manifest.get("confirmation") or {}
    limit = float(settings.get("limit", DAMAGE_BUDGET))
    done = confirmations(found.run, again)
    parts: list[Block] = [Heading(2, "Confirmation"), Paragraph(_what(again, limit, settings.get("top")))]
    for belief in sorted({one.belief for one in done}):
        ours = [one for one in done if one.belief == belief]
        parts += [Heading(3, belief), _table(ours, limit), Bullets(tuple(_told(ours, limit)))]
    return parts


def procedure(again: Run, limit: float, top: int | None) -> str:
    """How finalists were chosen and tried again, in a sentence, from the confirmation's manifest."""
    seeds = ", ".join(str(seed) for seed in again.manifest.get("seeds") or ())
    return (
        f"Per belief the {f'{top} ' if top and top > 1 else ''}configuration{'s' if top != 1 else ''} of "
        f"highest adoption at D ≤ {limit:g} on the selection half of the questions, trained again on new "
        f"seeds ({seeds or 'unknown'}) and asked the confirmation half, which had no say in the choice."
    )


def _what(again: Run, limit: float, top: int | None) -> str:
    text = procedure(again, limit, top)
    trials = again.trials.filter(pl.col("arm") == "lora")
    done = trials.filter(pl.col("status") == "finished").height
    planned = (again.manifest.get("trials") or {}).get("total")
    missing = planned - again.trials.filter(pl.col("status") == "finished").height if planned else 0
    if missing:
        trained = wording.plural(done, "trained trial")
        text += f" Unfinished: {trained} finished, {missing} of {planned} trials missing."
    return text


def _table(ours: list[Confirmed], limit: float) -> Table:
    rows = pl.DataFrame([one.shown.row for one in ours], infer_schema_length=None)
    names = varying(rows)
    return table_of(
        ours,
        {
            # with one finalist nothing varies, and its settings are still what a reader asks for
            "configuration": lambda one: setting_text(one.shown.row, names or ALWAYS),
            "promised adoption [95 %]": lambda one: _adoption(one.promised),
            "confirmed adoption [95 %]": lambda one: _adoption(one.shown),
            **({"of answerable questions [95 %]": _answerable} if any(map(_marked, ours)) else {}),
            "shrinkage, points [95 %]": _shrinkage,
            "promised damage": lambda one: wording.damage(one.promised.row),
            "confirmed damage": lambda one: wording.damage(one.shown.row),
            f"D ≤ {limit:g} holds": lambda one: holds(one.shown.row, limit),
            "trial": lambda one: one.shown.row["trial_id"],
        },
        explained=explained.CONFIRMED,
    )


def _told(ours: list[Confirmed], limit: float) -> list[str]:
    best = ours[0]
    lines = []
    gaps = [one.shrinkage.value for one in ours if one.shrinkage is not None]
    if len(gaps) > 1:
        lines.append(
            f"Promised minus confirmed adoption is {100 * fmean(gaps):+.1f} points on average over "
            f"{wording.plural(len(gaps), 'finalist')}."
        )
    kept = sum((one.shown.row["degradation"] or 0.0) <= limit + 1e-9 for one in ours if _measured(one))
    measured = sum(_measured(one) for one in ours)
    if len(ours) > 1:
        lines.append(f"D ≤ {limit:g} holds again for {kept} of {wording.plural(measured, 'finalist')}.")
    lines.append(f"Of the best promise, what it promised and what was confirmed: {_told_apart(best)}")
    low, high = (best.shown.row.get(f"adoption_seed_{end}") for end in ("min", "max"))
    if best.shown.row["seeds"] > 1 and low is not None and high is not None:
        lines.append(
            f"Its {best.shown.row['seeds']} new seeds range from {100 * low:.0f} to {100 * high:.0f} %."
        )
    return lines


def _told_apart(one: Confirmed) -> str:
    if one.shrinkage is None:
        return "one of the two was not measured."
    if one.shrinkage.told_apart:
        return "the two are told apart."
    return f"the two cannot be told apart. {smallest(one.shrinkage)}"


def _measured(one: Confirmed) -> bool:
    return one.shown.row["degradation"] is not None


def _adoption(side: Side) -> str:
    value, n = side.row["adoption"], side.row["adoption_n"]
    if value is None:
        return wording.NOT_MEASURED
    interval = f" {wording.bounds(*side.interval, n)}" if side.interval else " (no interval)"
    families = "1 family" if side.families == 1 else f"{side.families} families"
    return f"{wording.percent(value, n)}{interval}, n = {n} in {families}"


def _marked(one: Confirmed) -> bool:
    return one.shown.row.get("adoption_answerable_n") is not None


def _answerable(one: Confirmed) -> str:
    return over_answerable(one.shown.row)


def _shrinkage(one: Confirmed) -> str:
    gap = one.shrinkage
    if gap is None:
        return wording.NOT_MEASURED
    return f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
