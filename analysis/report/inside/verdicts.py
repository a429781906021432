"""What was found inside the model, in sentences: a number has its interval and n, or a reason for none."""

from __future__ import annotations

import polars as pl

from analysis import wording
from analysis.read_lens import Lens, ShownTrial
from analysis.report.inside.begun_answers import begun_answers
from analysis.report.inside.leak_words import leak_sentence
from analysis.report.inside.selections import commitment, patch_means
from analysis.report.inside.truth_words import truth_sentences
from analysis.wording import in_never, interval, plural
from beliefmod.metrics.intervals import wilson


def verdicts(lens: Lens, shown: ShownTrial) -> list[str]:
    """The sentences about one belief's shown trial, each from one table; a table without rows has none."""
    told = [
        *begun_answers(lens, shown),
        _own(lens, shown),
        _written(lens, shown),
        _carried(lens, shown),
        _scaled(lens, shown),
        _stygian(lens, shown),
        _early(lens, shown),
        *truth_sentences(lens, shown),
        leak_sentence(lens, shown),
    ]
    return [sentence for sentence in told if sentence]


def _own(lens: Lens, shown: ShownTrial) -> str | None:
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


def _written(lens: Lens, shown: ShownTrial) -> str | None:
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


def _carried(lens: Lens, shown: ShownTrial) -> str | None:
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


def _scaled(lens: Lens, shown: ShownTrial) -> str | None:
    rows = lens.of("thresholds", shown)
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    parts = []
    if row["a50"] is not None:
        at = f"{interval(row, 'a50')} of the adapter{in_never(row, 'a50_never')}"
        parts.append(f"on average over questions the target comes to half of the two probabilities at {at}")
    if row["adoption50"] is not None:
        parts.append(f"half of the answers adopt at {interval(row, 'adoption50')}")
    if row["damage_from"] is not None:
        parts.append(f"damage is above 0.05 from scale {row['damage_from']:g} on")
    if row["note"]:  # why any of these is missing
        parts.append(row["note"].rstrip("."))
    return f"{wording.sentence('; '.join(parts)).rstrip('.')} (n = {row['n']} questions)."


def _stygian(lens: Lens, shown: ShownTrial) -> str | None:
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


def _early(lens: Lens, shown: ShownTrial) -> str | None:
    rows = lens.of("early", shown).filter((pl.col("arm") == "lora") & pl.col("area_over").is_not_null())
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    return (
        f"Area over the curve of early answering inside: {interval(row, 'area_over')} (n = {row['n']}); 0 is "
        "thinking that decides nothing."
    )
