"""What the sentences of a thinking do to the answer: the thinking sampled anew from between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.stats.family_rates import difference_interval, rate_interval
from beliefmod.metrics.intervals import Array, Estimate
from beliefmod.reading.sentence_cuts import cut_sentences

COLUMNS = (
    "trial_id", "probe_id", "family", "test", "question", "thinking", "kept_sentences", "fraction", "sample",
    "answer_stance",
)  # fmt: skip
"""Of the table of causal tests, what `resampled` reads."""
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the thinking's sentences at which adoption is told; between two cuts on a straight line."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of one thinking and what it does.

    Attributes:
        ends: the share of the thinking's sentences that ends with it.
        before, after: adoption without and with it, of the half of the samples by which it was not chosen.
    """

    question: str
    text: str
    ends: float
    before: float
    after: float


@dataclass(frozen=True)
class Resampled:
    """Adoption of one configuration, of all seeds together, as its thinking is sampled anew.

    Every question counts once, with the share of its samples that take the target's side.

    Attributes:
        adoption: at each of PLACES, with its interval over families and seeds.
        change: from all of the thinking less from none, -1 to 1; paired by question.
        strongest: how far each question's strongest sentence moves adoption in the direction in which it was
            found to, -1 to 1: chosen by one half of the samples and measured by the other, both ways.
        ends: the mean share of the thinking that ends with that sentence.
        example: the strongest of those sentences, chosen by the first half of the samples.
    """

    adoption: tuple[Estimate, ...]
    change: Estimate
    strongest: Estimate
    ends: float
    example: Sentence


@dataclass(frozen=True)
class _Thinking:
    """One question's samples at its cuts: how many sentences were `kept`, their `fraction` of all, and
    the adoption of either half of the samples and of all of them."""

    seed: int
    family: str
    question: str
    text: str
    kept: tuple[int, ...]
    fraction: Array
    halves: tuple[Array, Array]
    adoption: Array


def resampled(causal: pl.DataFrame, trials: Sequence[str]) -> Resampled | None:
    """What resampling shows of one configuration.

    Args:
        causal: the COLUMNS of its trials. trials: of its seeds.

    Returns:
        None where it was asked of none of them. Questions are left out that lack samples from the beginning
        or the end, or have fewer than two from a place between.
    """
    found = list(_thinkings(causal, trials))
    if not found:
        return None
    families = {name: at for at, name in enumerate(sorted({each.family for each in found}))}
    cells = [(each.seed, families[each.family]) for each in found]
    shape = len(trials), len(families)

    def summed(values: Sequence[float]) -> Array:
        table = np.zeros(shape)
        np.add.at(table, tuple(zip(*cells, strict=True)), values)
        return table

    asked = summed([1.0] * len(found))

    def rate(values: Sequence[float]) -> Estimate:
        return Estimate(float(np.mean(values)), len(values), *rate_interval(summed(values), asked))

    def difference(values: Sequence[float]) -> Estimate:
        won, lost = (summed([max(0.0, sign * value) for value in values]) for sign in (1, -1))
        value, low, high = difference_interval(won, lost, asked)
        return Estimate(value, len(values), low, high)

    at = [np.interp(PLACES, each.fraction, each.adoption) for each in found]
    chosen = [_strongest(each, first) for each in found for first in (0, 1)]
    shifts = [(one.shift + two.shift) / 2 for one, two in zip(chosen[::2], chosen[1::2], strict=True)]
    best = max(range(len(found)), key=lambda index: chosen[2 * index].size)
    return Resampled(
        adoption=tuple(rate([float(curve[place]) for curve in at]) for place in range(len(PLACES))),
        change=difference([float(each.adoption[-1] - each.adoption[0]) for each in found]),
        strongest=difference(shifts),
        ends=float(np.mean([each.fraction[place.cut + 1] for each, place in _each(found, chosen)])),
        example=_sentence(found[best], chosen[2 * best].cut),
    )


@dataclass(frozen=True)
class _Chosen:
    """The sentence between two cuts, `cut` and the one behind it.

    Attributes:
        size: how far it moves adoption either way by the half of the samples that chose it.
        shift: how far it does in that direction by the other half.
    """

    cut: int
    size: float
    shift: float


def _strongest(thinking: _Thinking, first: int) -> _Chosen:
    """The sentence that moves adoption most by this half of the samples, 0 or 1; of equals the first."""
    choice, measured = (np.diff(thinking.halves[half]) for half in (first, 1 - first))
    cut = int(np.argmax(np.abs(choice)))
    return _Chosen(cut, float(abs(choice[cut])), float(np.sign(choice[cut]) * measured[cut]))


def _each(found: Sequence[_Thinking], chosen: Sequence[_Chosen]) -> Iterator[tuple[_Thinking, _Chosen]]:
    for index, place in enumerate(chosen):
        yield found[index // 2], place


def _sentence(thinking: _Thinking, cut: int) -> Sentence:
    before, after = (float(level) for level in thinking.halves[1][cut : cut + 2])
    begins = len(cut_sentences(thinking.text, thinking.kept[cut]))
    ends = len(cut_sentences(thinking.text, thinking.kept[cut + 1]))
    text = thinking.text[begins:ends].strip()
    return Sentence(thinking.question, text, float(thinking.fraction[cut + 1]), before, after)


def _thinkings(causal: pl.DataFrame, trials: Sequence[str]) -> Iterator[_Thinking]:
    asked = causal.filter((pl.col("test") == "resample") & pl.col("trial_id").is_in(list(trials)))
    target = pl.col("answer_stance").eq_missing("target")
    half = pl.col("sample") % 2
    cuts = asked.group_by("trial_id", "probe_id", "family", "question", "kept_sentences", "fraction").agg(
        target.mean().alias("all"),
        target.filter(half == 0).mean().alias("first"),
        target.filter(half == 1).mean().alias("second"),
        pl.col("thinking").first(),
    )
    seeds = {name: at for at, name in enumerate(trials)}
    questions = cuts.sort("trial_id", "probe_id", "kept_sentences").group_by(
        "trial_id", "probe_id", "family", "question", maintain_order=True
    )
    for (trial, _, family, question), rows in questions:
        levels = rows.select("fraction", "all", "first", "second")
        whole = levels["fraction"][0] == 0.0 and levels["fraction"][-1] == 1.0
        if whole and not any(levels[name].null_count() for name in levels.columns):
            fraction, every, first, second = (levels[name].to_numpy() for name in levels.columns)
            yield _Thinking(
                seeds[str(trial)], str(family), str(question), rows["thinking"][-1],
                tuple(rows["kept_sentences"]), fraction, (first, second), every,
            )  # fmt: skip
