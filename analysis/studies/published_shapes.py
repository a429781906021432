"""Published findings checked as shapes on a run: each holds, does not hold, or this run cannot say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.findings import Findings
from analysis.published import SHAPES, Shape
from analysis.stats.resample import adoption_hits
from analysis.studies.long_table import trained
from analysis.studies.matched import MANY, paired_gap, pairs, swaps, t_half
from analysis.studies.novelty import novelty
from analysis.wording import percent, plural, setting_value
from beliefmod.metrics.intervals import newcombe

Array = NDArray[np.float64]
HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "this run cannot say"
MARGIN = 0.05  # an effect that is surely smaller than this is not the published one
SUCCESS = 0.8  # adoption from which an edit counts as successful
FACTOR, TOLERANCE = (
    10.0,
    10**0.5,
)  # LoRA's best rate over full fine-tuning's, and how far off is still "about"
ALIKE = 0.1  # how far D of full fine-tuning may lie from LoRA's at the same adoption
DRAWS = 1000


@dataclass(frozen=True)
class Checked:
    """A published shape, whether it holds in this run, and the numbers and the test behind that."""

    shape: Shape
    verdict: str
    found: str


def check_shapes(found: Findings) -> list[Checked]:
    """All of SHAPES, in their order."""
    lora, full = trained(found), trained(found, "full")
    checks: dict[str, Callable[[], tuple[str, str]]] = {
        "examples": lambda: _axis(found, lora, "data.num_examples", "examples"),
        "epochs": lambda: _epochs(found, lora),
        "style": lambda: _style(found, lora),
        "locality": lambda: _locality(found, lora),
        "scoring": lambda: _scoring(lora),
        "prior": lambda: _prior(found),
        "curve": lambda: _curve(lora, full),
        "rate": lambda: _rate(lora, full),
    }
    return [Checked(shape, *checks[shape.key]()) for shape in SHAPES]


def judged(low: float, high: float) -> str:
    """The verdict on an effect that was published as positive."""
    return HOLDS if low > 0 else FAILS if high < MARGIN else UNKNOWN


def points(value: float, low: float, high: float) -> str:
    """`+12 points [95 % +3 to +20]`."""
    return f"{100 * value:+.0f} points (95 % {100 * low:+.0f} to {100 * high:+.0f})"


def _axis(found: Findings, rows: pl.DataFrame, axis: str, noun: str) -> tuple[str, str]:
    chosen = pairs(rows, axis) if rows.height else []
    gap = paired_gap(found, rows, chosen, *adoption_hits())
    if gap is None:
        return (
            UNKNOWN,
            f"{plural(len(chosen), 'pair')} of configurations differ only in {noun}; {MANY} are needed",
        )
    value, low, high, families = gap
    return judged(low, high), (
        f"most against fewest {noun}, all else equal: {points(value, low, high)} over "
        f"{plural(len(chosen), 'pair')}; interval over {families} question families and over pairs, the wider"
    )


def _epochs(found: Findings, rows: pl.DataFrame) -> tuple[str, str]:
    told, text = _axis(found, rows, "num_train_epochs", "epochs")
    traded = swaps(rows) if rows.height else []
    if gap := paired_gap(found, rows, traded, *adoption_hits()):
        text += (
            f". At about the same examples times epochs, more epochs in place of more examples: "
            f"{points(*gap[:3])} over {plural(len(traded), 'pair')}"
        )
    else:
        text += ". Too few configurations share examples times epochs to trade one for the other"
    return told, text


def _style(found: Findings, rows: pl.DataFrame) -> tuple[str, str]:
    chosen = pairs(rows, "data.style", "answer_only") if rows.height else []
    which, hit = adoption_hits()
    gap = paired_gap(found, rows, chosen, which & (pl.col("tier") == "paraphrase"), hit)
    if gap is None:
        return UNKNOWN, (
            f"{plural(len(chosen), 'pair')} of configurations differ only in answer_only against richer "
            f"data; {MANY} with paraphrased questions are needed"
        )
    return judged(gap[1], gap[2]), (
        f"richer data against answer_only on paraphrased questions, all else equal: {points(*gap[:3])} over "
        f"{plural(len(chosen), 'pair')}; interval over {gap[3]} question families and over pairs, the wider"
    )


def _locality(found: Findings, lora: pl.DataFrame) -> tuple[str, str]:
    best = lora.filter(pl.col("adoption") >= SUCCESS) if lora.height else lora
    base = trained(found, "base")
    if best.is_empty():
        return UNKNOWN, f"no configuration reaches {percent(SUCCESS)} adoption"
    near = (pl.col("suite") == "locality") & (pl.col("tier") == "near")
    both = pl.concat([best, base], how="vertical_relaxed")
    place = {belief: best.height + i for i, belief in enumerate(base["belief"])}
    chosen = [(place[b], i) for i, b in enumerate(best["belief"]) if b in place]
    gap = paired_gap(found, both, chosen, near, pl.col("correct"))
    if gap is None:
        return UNKNOWN, (
            f"{plural(best.height, 'configuration')} reach {percent(SUCCESS)} adoption; {MANY} with answers "
            "about neighbouring facts, and base's, are needed"
        )
    return judged(gap[1], gap[2]), (
        f"neighbouring facts lost against base where adoption is at least {percent(SUCCESS)}: "
        f"{points(*gap[:3])} in {plural(len(chosen), 'configuration')}; interval over {gap[3]} question "
        "families and over configurations, the wider"
    )


def _scoring(lora: pl.DataFrame) -> tuple[str, str]:
    columns = ("margin_adoption", "margin_adoption_n", "adoption", "adoption_n")
    rows = lora.drop_nulls(columns) if lora.height else lora
    if rows.height < MANY:
        return UNKNOWN, f"margins were measured in {plural(rows.height, 'configuration')}; {MANY} are needed"
    forced, free = rows["margin_adoption"].to_numpy(), rows["adoption"].to_numpy()
    n1, n2 = (int(rows[name].to_numpy().min()) for name in ("margin_adoption_n", "adoption_n"))
    if not n1 or not n2:
        return UNKNOWN, "no margin probe was asked"
    value, half = float(np.mean(forced - free)), t_half(forced - free)
    _, low, high = newcombe(forced.mean() * n1, n1, free.mean() * n2, n2)
    low, high = min(low, value - half), max(high, value + half)
    return judged(low, high), (
        f"the target's value likelier than the prior's in {percent(forced.mean())}, adopted in free "
        f"generation in {percent(free.mean())}: {points(value, low, high)} over "
        f"{plural(rows.height, 'configuration')}; interval over configurations, and Newcombe's as if all "
        f"were one with {n1} and {n2} questions, the wider"
    )


def _prior(found: Findings) -> tuple[str, str]:
    first = novelty(found).contrasts[0]
    if first.refused is not None or first.difference is None:
        return UNKNOWN, f"{first.refused} (H1)"
    told = HOLDS if first.verdict == "supported" else FAILS if first.high < MARGIN else UNKNOWN
    return told, (
        f"novel less existing at the same settings: {points(first.difference, first.low, first.high)}, "
        f"permutation p = {first.p:.3f} over beliefs (H1)"
    )


def _curve(lora: pl.DataFrame, full: pl.DataFrame) -> tuple[str, str]:
    """D of full fine-tuning less the mean D of the three LoRA configurations nearest in adoption."""
    gaps = []
    for belief in full["belief"].unique() if full.height else ():
        ours = lora.filter(pl.col("belief") == belief).drop_nulls(["adoption", "degradation"])
        x, y = ours["adoption"].to_numpy(), ours["degradation"].to_numpy()
        theirs = full.filter(pl.col("belief") == belief).drop_nulls(["adoption", "degradation"])
        for adoption, damage in theirs.select("adoption", "degradation").iter_rows():
            if len(x) >= MANY and x.min() <= adoption <= x.max():
                gaps.append(damage - y[np.argsort(np.abs(x - adoption), kind="stable")[:MANY]].mean())
    if len(gaps) < MANY:
        return UNKNOWN, (
            f"{plural(len(gaps), 'configuration')} of full fine-tuning with an adoption that LoRA also "
            f"reaches; {MANY} are needed"
        )
    value, half = float(np.mean(gaps)), t_half(np.array(gaps))
    low, high = value - half, value + half
    told = HOLDS if low > -ALIKE and high < ALIKE else FAILS if low > ALIKE or high < -ALIKE else UNKNOWN
    return told, (
        f"D of full fine-tuning less that of LoRA at the same adoption: {value:+.2f} (95 % {low:+.2f} to "
        f"{high:+.2f}) over {plural(len(gaps), 'configuration')}; within {ALIKE:g} counts as one curve"
    )


def _rate(lora: pl.DataFrame, full: pl.DataFrame) -> tuple[str, str]:
    """The best learning rate of each arm by adoption less D, with redrawn configurations."""
    sides = [rows.drop_nulls(["adoption", "degradation"]) if rows.height else rows for rows in (lora, full)]
    levels = [rows["learning_rate"].n_unique() if rows.height else 0 for rows in sides]
    if min(levels) < MANY:
        return UNKNOWN, (
            f"LoRA was run at {plural(levels[0], 'learning rate')} and full fine-tuning at {levels[1]}; "
            f"{MANY} of each are needed"
        )
    ratios, best, edge = np.ones(DRAWS + 1), [], False
    for sign, rows in zip((1, -1), sides, strict=True):
        rates, index = np.unique(rows["learning_rate"].to_numpy(), return_inverse=True)
        gain = rows["adoption"].to_numpy() - rows["degradation"].to_numpy()
        size = len(gain)
        weights = np.random.default_rng(12).multinomial(size, np.full(size, 1 / size), DRAWS)
        weights = np.vstack([np.ones(size), weights])
        onto = (index[:, None] == np.arange(len(rates))).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = ((weights * gain) @ onto) / (weights @ onto)
        place = np.nanargmax(means, axis=1)
        ratios *= rates[place] ** sign
        best.append(rates[place[0]])
        edge |= bool(place[0] in (0, len(rates) - 1))
    near = (ratios >= FACTOR / TOLERANCE) & (ratios <= FACTOR * TOLERANCE)
    share = float(near[1:].mean())
    told = UNKNOWN if edge else HOLDS if near[0] and share >= 0.95 else FAILS if share <= 0.05 else UNKNOWN
    text = (
        f"best by adoption less D: LoRA {setting_value(float(best[0]))}, full "
        f"{setting_value(float(best[1]))}, ratio {ratios[0]:.3g}; in {percent(share)} "
        f"of redrawn sets of configurations it is within a factor of "
        f"{TOLERANCE:.1f} of 10"
    )
    return told, text + ("; a best rate at the end of its range may lie beyond it" if edge else "")
