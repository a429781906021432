"""Thinking against answer: counts of every pair of stances, and H2, how often the two disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.findings import Findings
from analysis.frontier.non_dominated import finished
from analysis.stats.resample import Counts, adoption_hits, family_interval
from analysis.stats.shares import ratio_gap
from analysis.studies.hypotheses import MARGIN, MIN_ADOPTED, prompts_needed, stated_margin, verdict
from analysis.told_apart import by_belief
from analysis.wording import plural
from beliefmod.metrics.conditions import MIN_ANSWERS
from beliefmod.metrics.intervals import Estimate, rate
from beliefmod.reading.stance import STANCES

Array = NDArray[np.float64]
THINKING = ("empty", "target", "prior", "prior->target", "target->prior", "both", "none")
NO_THINKING = "the model's chat template has no place for thinking"
BELIEFS_AS_CLUSTERS = 5  # fewer beliefs than this cannot stand for beliefs in general
LAST_PRIOR, LAST_TARGET = ("prior", "target->prior"), ("target", "prior->target")
COLUMNS = ("trial_id", "suite", "family", "tier", "answer_stance", "thinking_stance", "think_state")


@dataclass(frozen=True)
class Side:
    """Answers on one side and how many of them came with thinking on the other. Shares from 0 to 1.

    cells: belief, family, hits, asked, empty (answers with an empty think block). low, high: over families;
    None under 20 answers that came with thinking.
    """

    name: str
    cells: pl.DataFrame
    low: float | None = None
    high: float | None = None

    @property
    def answers(self) -> int:
        return int(self.cells["asked"].sum())

    @property
    def hits(self) -> int:
        return int(self.cells["hits"].sum())

    @property
    def empty(self) -> int:
        return int(self.cells["empty"].sum())

    @property
    def rate(self) -> float | None:
        """None under 20 answers that came with thinking: the others could not mismatch."""
        return self.hits / self.answers if _thought(self.cells) >= MIN_ADOPTED else None


@dataclass(frozen=True)
class Gap:
    """Mismatch of `side` minus that of `reference`, or why there is none. Shares from -1 to 1.

    prompts: answers per side that would have shown this gap with 80 % power, `prompts_smallest` one of the
    smallest effect of interest; were answers independent.
    """

    side: str
    reference: str
    value: float | None = None
    low: float = -1.0
    high: float = 1.0
    families: int = 0
    beliefs: int = 0
    verdict: str = "undecided"
    prompts: int | None = None
    prompts_smallest: int | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Mismatch:
    """All sides; gaps of all LoRA answers first, then by style. verdict: None when every test was refused."""

    sides: tuple[Side, ...]
    gaps: tuple[Gap, ...]
    verdict: str | None
    refused: str | None = None


IN_CONTEXT, CONTROL, LORA = "in context", "control, mirrored", "LoRA"


def mismatch(found: Findings) -> Mismatch:
    """Test H2 on the probes of the finished trials."""
    found = by_belief(found)
    trials = finished(found.run.trials)
    probes = found.probes
    if not thinks(probes):
        return Mismatch((), (), None, NO_THINKING)
    if probes.is_empty() or probes["thinking_stance"].null_count() == probes.height:
        return Mismatch((), (), None, "the run has no probe files that say what the thinking used")
    lora = trials.filter(pl.col("arm") == "lora")
    sides = [_side(LORA, probes, lora)]
    styles = sorted(lora["data.style"].drop_nulls().unique())
    sides += [_side(f"{LORA}, {s}", probes, lora.filter(pl.col("data.style") == s)) for s in styles]
    gentle = lora.filter(pl.col("degradation") <= found.limit + 1e-9)
    sides.append(_side(f"{LORA}, D ≤ {found.limit:g}", probes, gentle))
    references = [
        _side(IN_CONTEXT, probes, trials.filter(pl.col("arm") == "icl")),
        _side(CONTROL, probes, trials.filter(pl.col("arm") == "control"), mirrored=True),
    ]
    margin = stated_margin(found.run)
    gaps = tuple(gap(side, reference, margin) for side in sides for reference in references)
    decided = [g.verdict for g in gaps if g.side == LORA and g.refused is None]
    if not decided:
        reasons = dict.fromkeys(g.refused for g in gaps if g.side == LORA and g.refused)
        return Mismatch((*sides, *references), gaps, None, "; ".join(reasons))
    told = (
        "contradicted"
        if "contradicted" in decided
        else "supported"
        if set(decided) == {"supported"}
        else "undecided"
    )
    return Mismatch((*sides, *references), gaps, told)


def _side(name: str, probes: pl.DataFrame, trials: pl.DataFrame, mirrored: bool = False) -> Side:
    answer, thinking = ("prior", LAST_TARGET) if mirrored else ("target", LAST_PRIOR)
    return side_of(name, answers_after(probes, answer, thinking), trials)


def answers_after(probes: pl.DataFrame, answer: str, thinking: Sequence[str]) -> pl.DataFrame:
    """The probes of adoption answered on one side: trial_id, family, hit (whether the thinking has one of
    these stances), empty (whether the think block is)."""
    which, _ = adoption_hits()
    return probes.filter(which & (pl.col("answer_stance") == answer)).select(
        "trial_id",
        "family",
        hit=pl.col("thinking_stance").is_in(thinking).fill_null(False),
        empty=(pl.col("think_state") == "empty").fill_null(False),
    )


def side_of(name: str, answers: pl.DataFrame, trials: pl.DataFrame) -> Side:
    """How many of these trials' answers are hits, with an interval over question families.

    Args:
        answers: trial_id, family, hit and empty, a row for each.
    """
    cells = (
        answers.join(trials.select("trial_id", pl.col("belief").alias("of")), on="trial_id")
        .group_by(pl.col("of").alias("belief"), pl.col("family").fill_null(""))
        .agg(
            pl.col("hit").sum().alias("hits"),
            pl.len().alias("asked"),
            pl.col("empty").sum().alias("empty"),
        )
        .sort("belief", "family")
    )
    if _thought(cells) < MIN_ADOPTED:
        return Side(name, cells)
    names = tuple(f"belief/{b}/{f}" for b, f in cells.select("belief", "family").iter_rows())
    hits, asked = (cells[x].cast(pl.Float64).to_numpy()[None, None] for x in ("hits", "asked"))
    interval = family_interval(Counts(names, hits, asked), 0)
    return Side(name, cells, *(interval or (None, None)))


def _thought(cells: pl.DataFrame) -> int:
    """Answers that came with thinking, the only ones that can mismatch."""
    return int((cells["asked"].cast(pl.Int64) - cells["empty"].cast(pl.Int64)).sum())


def gap(side: Side, reference: Side, margin: float = MARGIN) -> Gap:
    """Mismatch of one side minus the other's, over the beliefs that both have.

    Interval: `ratio_gap` over question families, and over beliefs where there are five; the wider.
    """
    beliefs = sorted({*side.cells["belief"]} & {*reference.cells["belief"]})
    one, two = (s.cells.filter(pl.col("belief").is_in(beliefs)) for s in (side, reference))
    few = [
        f"{s.name}: {plural(_thought(cells), 'answer')} with thinking on the side in question"
        for s, cells in ((side, one), (reference, two))
        if _thought(cells) < MIN_ADOPTED
    ]
    if few:
        return Gap(side.name, reference.name, refused=f"{', '.join(few)}; {MIN_ADOPTED} are needed")
    both = one.join(two, on=["belief", "family"], how="full", coalesce=True, suffix="_2").fill_null(0)
    h1, n1, h2, n2 = (both[x].cast(pl.Float64).to_numpy() for x in ("hits", "asked", "hits_2", "asked_2"))
    families = min(int((n1 > 0).sum()), int((n2 > 0).sum()))
    if families < 2:
        return Gap(side.name, reference.name, refused="its answers come from a single question family")
    clusters = [np.arange(len(h1))]
    if len(beliefs) >= BELIEFS_AS_CLUSTERS:
        clusters.append(np.unique(both["belief"].to_numpy().astype(str), return_inverse=True)[1])
    value, low, high = ratio_gap(h1, n1, h2, n2, clusters)
    rate1, rate2 = h1.sum() / n1.sum(), h2.sum() / n2.sum()
    return Gap(
        side=side.name,
        reference=reference.name,
        value=value,
        low=low,
        high=high,
        families=families,
        beliefs=len(beliefs),
        verdict=verdict(low, high, margin=margin),
        prompts=prompts_needed(rate1, rate2),
        prompts_smallest=prompts_needed(rate2, min(1.0, rate2 + margin)),
    )


def thinks(probes: pl.DataFrame) -> bool:
    """Whether probe rows are of a model that thinks; so without rows."""
    return probes.is_empty() or probes["think_state"].null_count() < probes.height


def stance_counts(probes: pl.DataFrame, trial_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """thinking stance -> answer stance -> completions, over the adoption probes of these trials.

    Every completion is in exactly one cell. Empty thinking (the think block's state, not its stance) is a
    class of its own; a missing stance counts as none.
    """
    which, _ = adoption_hits()
    table = (
        probes.filter(which & pl.col("trial_id").is_in(list(trial_ids)))
        .select(
            pl.when(pl.col("think_state") == "empty")
            .then(pl.lit("empty"))
            .otherwise(pl.col("thinking_stance").fill_null("none"))
            .alias("thinking"),
            pl.col("answer_stance").fill_null("none").alias("answer"),
        )
        .group_by("thinking", "answer")
        .len()
    )
    # an unknown stance would vanish from the table and from its total
    extra = sorted(set(table["thinking"]) - set(THINKING))
    more = sorted(set(table["answer"]) - set(STANCES))
    cells: dict[str, dict[str, int]] = {
        thinking: dict.fromkeys((*STANCES, *more), 0) for thinking in (*THINKING, *extra)
    }
    for thinking, answer, count in table.iter_rows():
        cells[thinking][answer] = count
    return cells


def mismatch_columns(cells: Mapping[str, Mapping[str, int]]) -> dict[str, float | int | None]:
    """`stygian` and `stygian_reverse` with n and Wilson's interval, counted over the table of all seeds.

    The share of answers on one side whose thinking last used the other; refused (None) under MIN_ANSWERS.
    """
    columns: dict[str, float | int | None] = {}
    for name, side, other in (("stygian", "target", "prior"), ("stygian_reverse", "prior", "target")):
        n = sum(counts.get(side, 0) for counts in cells.values())
        k = sum(
            counts.get(side, 0) for thinking, counts in cells.items() if thinking.rpartition("->")[2] == other
        )
        found = rate(k, n) if n >= MIN_ANSWERS else Estimate(None, n, None, None)
        columns |= found.columns(name)
    return columns
