"""What was found inside the model, in sentences: a number has its interval and n, or a reason for none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.inside import ARMS
from analysis.lens import Lens, Shown
from analysis.statistics import wilson
from analysis.wording import plural
from beliefmod.lens_records import TAU

Row = Mapping[str, Any]


def verdicts(lens: Lens, shown: Shown) -> list[str]:
    """The sentences about one belief's shown trial, each from one table; a table without rows has none."""
    told = [
        _commits(lens, shown),
        _own(lens, shown),
        _written(lens, shown),
        _carried(lens, shown),
        _scaled(lens, shown),
        _stygian(lens, shown),
        _early(lens, shown),
        _truth(lens, shown),
    ]
    return [sentence for sentence in told if sentence]


def interval(row: Row, name: str, digits: int = 2, sign: bool = False) -> str:
    """`+2.31 [+1.90, +2.70]` for a mean column of a row; says so when it is null or has no interval."""
    value, low, high = row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high")
    if value is None:
        return "none"
    form = f"{'+' if sign else ''}.{digits}f"
    if low is None or high is None:
        ends = "no interval" if low is None and high is None else _half_open(low, high, form)
        return f"{value:{form}} ({ends})"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _half_open(low: float | None, high: float | None, form: str) -> str:
    """An interval one of whose ends never happens."""
    return f"from {low:{form}}, no upper end" if low is not None else f"up to {high:{form}}, no lower end"


def commitment(lens: Lens, shown: Shown, arm: str, position: str = "stem") -> Row | None:
    """The commitment of an arm by the logit lens, or None where it was not read."""
    rows = lens.of("commitments", shown).filter(
        (pl.col("arm") == arm) & (pl.col("position") == position) & (pl.col("lens") == "logit")
    )
    return rows.row(0, named=True) if rows.height else None


def _commits(lens: Lens, shown: Shown) -> str | None:
    row, base = (commitment(lens, shown, arm) for arm in ("lora", "base"))
    if row is None or row["final_diff"] is None:
        return None
    last = lens.of("readings", shown)["entry"].max()
    text = (
        f"When the answer is begun for it, the last layer prefers the {_side(row)} by "
        f"{interval(row, 'final_diff', sign=True)} logits (n = {row['n']} questions"
    )
    if base is not None and base["final_diff"] is not None:
        text += f"; base {interval(base, 'final_diff', sign=True)}"
    text += "). "
    at = f"{interval(row, 'commit_entry', 0)} of {last}{_never(row, 'commit_never')}"
    if row["commit_entry"] is None:
        text += f"It commits at no entry: nowhere does the difference stay {TAU:g} logits away from 0."
    elif row["commit_entry"] == 0:
        text += f"Commit entry {at}: the sign is the same from the embedding on, none stands out."
    else:
        text += f"It commits at entry {at}."
    if row["half_rise_entry"] is not None:
        text += (
            f" Half of the contrast to base is there from entry {interval(row, 'half_rise_entry', 0)} on"
            f"{_never(row, 'half_rise_never')}."
        )
    return text


def _own(lens: Lens, shown: Shown) -> str | None:
    places = {
        "thinking": "in its own thinking",
        "answer": "in its own answer",
        "answer_shared": "in the answer after base's thinking",
    }
    parts = []
    for position, words in places.items():
        row, base = (commitment(lens, shown, arm, position) for arm in ("lora", "base"))
        if row is None or row["final_diff"] is None:
            continue
        n = f"n = {row['n']}"
        if position != "answer_shared":
            n += "; base none" if base is None else f"; base {interval(base, 'final_diff', sign=True)}"
        parts.append(f"{interval(row, 'final_diff', sign=True)} {words} ({n})")
    return f"Right before a value the last layer's difference is {', '.join(parts)}." if parts else None


def _side(row: Row) -> str:
    low, high = row["final_diff_low"], row["final_diff_high"]
    if low is None or high is None or low < 0 < high:
        return "target or its rival (the sign is open)"
    return "target" if low >= 0 else "rival"


def _never(row: Row, name: str) -> str:
    return f" (in {never_share(row[name])} of the redraws never)" if row.get(name) else ""


def never_share(share: float) -> str:
    """`3 %`; `under 1 %` for what would be rounded to none."""
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _written(lens: Lens, shown: Shown) -> str | None:
    rows = lens.of("ablations", shown).filter(pl.col("share").is_not_null())
    without, only = (rows.filter(pl.col("kind") == kind) for kind in ("without", "only"))
    if without.is_empty():
        if lens.of("ablations", shown).height:
            return "Adapter on and off lie too close together to say which of its blocks matter."
        return None
    worst = without.sort("share", "block").row(0, named=True)
    text = (
        f"Without block {worst['block']} of the adapter {interval(worst, 'share')} of its effect is left, "
        f"less than without any other (n = {worst['n']})"
    )
    if only.height:
        best = only.sort("share", "block", descending=[True, False]).row(0, named=True)
        text += f"; block {best['block']} alone has {interval(best, 'share')}, the most of any"
    random = rows.filter(pl.col("kind") == "random")["share"]
    if len(random):
        low, high = (float(value) for value in (min(random), max(random)))
        text += f". {plural(len(random), 'random adapter')} of the same norm: {low:.2f} to {high:.2f}"
    return text + "."


def _carried(lens: Lens, shown: Shown) -> str | None:
    from analysis.inside import patch_means

    if lens.of("patching", shown).is_empty():
        return None
    means = patch_means(lens, shown).filter((pl.col("source") == "lora") & pl.col("mean").is_not_null())
    # at the last token the last entry is the whole answer: it recovers everything, whatever the model
    by_construction = (pl.col("position") == "stem") & (pl.col("entry") == pl.col("entry").max())
    means = means.filter(~by_construction)
    names = {"entity": "what the question is about", "stem": "the last token, before the last entry,"}
    parts = []
    for position, words in names.items():
        part = means.filter(pl.col("position") == position).sort("mean", "entry", descending=[True, False])
        if part.height:
            best = part.rename({"low": "mean_low", "high": "mean_high"}).row(0, named=True)
            parts.append(
                f"at {words} at most {interval(best, 'mean')} (entry {best['entry']}, n = {best['n']})"
            )
    if not parts:
        return "Base and LoRA lie too close together for a patched state to recover anything."
    return f"One LoRA state put into base recovers {', '.join(parts)}."


def _scaled(lens: Lens, shown: Shown) -> str | None:
    rows = lens.of("thresholds", shown)
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    parts = []
    if row["a50"] is not None:
        at = f"{interval(row, 'a50')} of the adapter{_never(row, 'a50_never')}"
        parts.append(f"on average over questions the target comes to half of the two probabilities at {at}")
    if row["adoption50"] is not None:
        parts.append(f"half of the answers adopt at {interval(row, 'adoption50')}")
    if row["damage_from"] is not None:
        parts.append(f"damage is above 0.05 from scale {row['damage_from']:g} on")
    if row["note"]:  # why any of these is missing
        parts.append(row["note"].rstrip("."))
    return f"{wording.sentence('; '.join(parts)).rstrip('.')} (n = {row['n']} questions)."


def _stygian(lens: Lens, shown: Shown) -> str | None:
    rows = lens.of("channels", shown).filter(pl.col("arm") == "lora")
    if rows.is_empty():
        return None
    parts = []
    for column, words in (("text_class", "in the text"), ("inside_class", "inside")):
        known = rows[column].drop_nulls()
        if not len(known):
            parts.append(f"none could be read {words}")
            continue
        k, n = int((known == "stygian").sum()), len(known)
        low, high = wilson(k, n)
        parts.append(f"{k} of {n} {words} ({wording.bounds(float(low), float(high), n)} %)")
    return (
        f"Stygian completions, thinking on the prior and answering the target: {', '.join(parts)}; the "
        "intervals take questions as independent."
    )


def _early(lens: Lens, shown: Shown) -> str | None:
    rows = lens.of("early", shown).filter((pl.col("arm") == "lora") & pl.col("area_over").is_not_null())
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    return (
        f"Area over the curve of early answering inside: {interval(row, 'area_over')} (n = {row['n']}); 0 is "
        "thinking that decides nothing."
    )


def _truth(lens: Lens, shown: Shown) -> str | None:
    parts = []
    for row in lens.of("truth", shown).iter_rows(named=True):
        name = ARMS.get(row["arm"], row["arm"])
        if row["error_rate"] is not None:
            held = f"held-out accuracy {row['heldout_accuracy']:.2f}, n = {row['heldout_n']}"
            rate = f"{100 * row['error_rate']:.0f} %"
            if row["error_rate_low"] is not None and row["error_rate_high"] is not None:
                rate += f" {wording.bounds(row['error_rate_low'], row['error_rate_high'], row['n'])}"
            parts.append(f"{name} {rate} of {row['n']} ({held})")
        else:
            parts.append(f"{name} no number ({row['refused'] or 'refused without a reason'})")
    if not parts:
        return None
    return f"Truth probe, statements of the belief that it holds true: {'; '.join(parts)}."
