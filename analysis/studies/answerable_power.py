"""What a run's answerable questions can show: for `beliefmod power --run` and before a confirmation."""

from __future__ import annotations

import math
from dataclasses import replace

import polars as pl

from analysis.frontier.answerable_questions import Gates, gates_by_tier
from analysis.frontier.non_dominated import finished
from analysis.stats.power import Design, detectable, power, prompts
from analysis.told_apart import told_apart
from analysis.wording import percent
from beliefmod.errors import UserError
from beliefmod.metrics.selection_split import Half
from beliefmod.run.read_run import Run

COLUMNS = ("suite", "tier", "family", "split", "answerable")


def answerable_counts(run: Run, half: Half | None = None) -> dict[str, Gates]:
    """Belief -> its questions that adoption counts and the model's gates; of one half of the families if
    `half` is given. Beliefs whose questions are not marked are left out; one that trials ask with several
    switches of the chat template has an entry for each.
    """
    found, run = {}, told_apart(run)
    for row in finished(run.trials).unique("belief", keep="first").sort("belief").iter_rows(named=True):
        probes = run.probes([row["trial_id"]], COLUMNS)
        if half is not None:
            probes = probes.filter(pl.col("split") == half)
        if (gates := gates_by_tier(probes).get(None)) is not None:
            found[row["belief"]] = gates
    return found


def answerable_lines(run: Run, design: Design, both_rates: bool) -> list[str]:
    """Per belief: how many questions are answerable, and what they can show of rates over them.

    Args:
        both_rates: the design's second rate is asked for; else the nearest that can be told from the first.

    Raises:
        UserError: no question of the run is marked.
    """
    counts = answerable_counts(run)
    if not counts:
        raise UserError(
            f"{run.location}: its questions are not marked as answerable (no finished trial, or an older "
            "version made it); run its base and icl arms with this version, or give --answerable SHARE"
        )
    return [f"{belief}: {_line(gates, design, both_rates)}" for belief, gates in counts.items()]


def share_line(share: float, design: Design) -> str:
    """How many prompts to ask, if rates are over the answerable ones and this share of them is."""
    return (
        f"If the rates are over answerable questions and {percent(share)} of those asked are, "
        f"{math.ceil(prompts(design) / share - 1e-9):,} are to be asked."
    )


def _line(gates: Gates, design: Design, both_rates: bool) -> str:
    words = gates.sentence()
    if not gates.enough:
        return f"{words}."
    if both_rates:
        needed = prompts(design)
        shown = f"these show the difference with power {percent(power(design, gates.either))}"
        if gates.either >= needed:
            return f"{words}; {shown}."
        asked = math.ceil(needed * gates.asked / gates.either - 1e-9)
        return f"{words}; {shown}; {needed:,} answerable ones take about {asked:,} questions like these."
    low, high = detectable(replace(design, discordant=None), gates.either)
    ends = [f"{percent(end)} or {word}" for end, word in ((low, "less"), (high, "more")) if end is not None]
    told = f"can be told from {' and from '.join(ends)}" if ends else "can be told from no other rate"
    return f"{words}; over these {percent(design.first)} {told}."
