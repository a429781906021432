"""Winner's curse: finalists are chosen on one half of the questions and quoted from the other, on new seeds.

`chosen` looks at the selection half of a run only. `confirmations` puts what that half promised beside what
trials of new seeds show on the confirmation half.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from analysis.frontier.damage_interval import damage_interval
from analysis.frontier.non_dominated import finished, pool_seeds, same_settings
from analysis.recompute import metric_columns
from analysis.stats.resample import adoption_hits, apart, counts, family_interval
from analysis.stats.shares import Difference
from analysis.told_apart import told_apart
from beliefmod.errors import UserError
from beliefmod.metrics.selection_split import Half
from beliefmod.metrics.summarise import summarise
from beliefmod.run.folder import MANIFEST
from beliefmod.run.read_run import Run, read_run
from beliefmod.run.tables.trial_tables import PROBES, TRIALS, frame

FOLDER = "confirmation"
Row = dict[str, Any]
Interval = tuple[float, float]
# verdicts are enough for metrics; the texts of a thousand trials are not
_COLUMNS = tuple(
    column.name for column in PROBES if column.name not in ("prompt", "completion", "token_ids", "first_turn")
)


@dataclass(frozen=True)
class Side:
    """One configuration on one half. `row`: its metrics, seeds pooled, D's interval over families and seeds;
    `interval`: adoption's over both."""

    row: Row
    interval: Interval | None
    families: int


@dataclass(frozen=True)
class Confirmed:
    """A finalist.

    Attributes:
        promised: on the selection half, with the seeds of the run.
        shown: on the confirmation half, with new seeds.
        shrinkage: promised minus shown adoption; None where one of them was not measured.
    """

    belief: str
    promised: Side
    shown: Side
    shrinkage: Difference | None


def half_of(run: Run, half: Half, only: Collection[str] | None = None) -> pl.DataFrame:
    """The finished trials (those in `only`) with every metric taken from one half of the held-out questions.

    The suites have no halves: locality, capability, fabrication and the neutral passages count in both, so D
    differs between the halves by what the belief questions add to it.

    Raises:
        UserError: the run's questions are not split (made by an older version).
    """
    trials = finished(run.trials)
    base = trials.filter(pl.col("arm") == "base").sort("seed", "trial_id")
    references: dict[tuple[str, str], list[Row]] = {}
    for arm in ("icl", "base"):
        for trial in trials.filter(pl.col("arm") == arm).sort("seed", "trial_id").iter_rows(named=True):
            references.setdefault((trial["belief"], arm), _rows(run, trial["trial_id"], half))
    rows = []
    wanted = trials.filter(pl.col("belief").is_in(base["belief"].to_list()))
    if only is not None:
        wanted = wanted.filter(pl.col("trial_id").is_in(list(only)))
    for trial in wanted.iter_rows(named=True):
        metrics = summarise(
            _rows(run, trial["trial_id"], half),
            references[trial["belief"], "base"],
            references.get((trial["belief"], "icl")),
            drift=run.drift([trial["trial_id"]]).to_dicts(),
        )
        rows.append({**trial, **{name: metrics.get(name) for name in metric_columns()}})
    if rows and not any(row["adoption_n"] for row in rows):
        raise UserError(
            f"{run.location}: its held-out questions are not split into a selection and a confirmation half; "
            "run the sweep again with this version"
        )
    return frame(rows, TRIALS)


def chosen(selection_half: pl.DataFrame, limit: float, top: int) -> dict[str, list[Row]]:
    """Per belief the `top` LoRA configurations of highest adoption with D at most `limit`, best first.

    Args:
        selection_half: what `half_of(run, "selection")` gives. Seeds are pooled; ties go to the lower D.
    """
    pooled = pool_seeds(selection_half).filter(
        (pl.col("arm") == "lora") & pl.col("adoption").is_not_null() & (pl.col("degradation") <= limit + 1e-9)
    )
    order = ["adoption", "degradation", "trial_id"]
    found: dict[str, list[Row]] = {}
    for belief in sorted(pooled["belief"].unique()):
        best = pooled.filter(pl.col("belief") == belief).sort(order, descending=[True, False, False])
        found[belief] = best.head(top).to_dicts()
    return found


def new_seeds(used: Iterable[int], count: int) -> tuple[int, ...]:
    """The `count` smallest seeds above every one that was used."""
    first = max(used, default=-1) + 1
    return tuple(range(first, first + count))


def confirmation_of(run: Run) -> Run | None:
    """The run in RUN/confirmation, None if there is none."""
    if not run.folder.exists(FOLDER, MANIFEST):
        return None
    return told_apart(read_run(f"{run.folder.url}/{FOLDER}"))


def confirmations(run: Run, again: Run) -> list[Confirmed]:
    """Every finalist with a finished trial, by belief and promised adoption, best first.

    Args:
        run: the run they were chosen from.
        again: its confirmation.
    """
    if finished(again.trials).filter(pl.col("arm") == "lora").is_empty():
        return []
    after = half_of(again, "confirmation")
    tried = after.to_dicts()
    theirs = [row["trial_id"] for row in run.trials.to_dicts() if any(_alike(row, one) for one in tried)]
    before = pool_seeds(half_of(run, "selection", theirs)).to_dicts()
    found = []
    for row in pool_seeds(after).filter(pl.col("arm") == "lora").iter_rows(named=True):
        if (promise := next((one for one in before if _alike(one, row)), None)) is not None:
            found.append(_confirmed(run, again, promise, row))
    return sorted(found, key=lambda one: (one.belief, -(one.promised.row["adoption"] or 0.0)))


def holds(row: Mapping[str, Any], limit: float) -> str:
    """Whether a configuration's D keeps to the limit, in words that the interval carries."""
    value, low, high = row["degradation"], row["degradation_low"], row["degradation_high"]
    if value is None:
        return "not measured"
    if value <= limit + 1e-9:
        if high is None:
            return "yes (no interval)"
        return "yes" if high <= limit + 1e-9 else f"yes, but up to {high:.3f} is not ruled out"
    return "no" if low is None or low > limit else f"no, though {low:.3f} is not ruled out"


def _confirmed(run: Run, again: Run, promise: Row, row: Row) -> Confirmed:
    which, hit = adoption_hits()
    sides, halves = [], []
    for where, half, one in ((run, "selection", promise), (again, "confirmation", row)):
        base = where.trials.filter((pl.col("arm") == "base") & (pl.col("belief") == row["belief"]))
        base = finished(base).sort("seed", "trial_id")["trial_id"].to_list()[:1]
        probes = where.probes([*one["trial_ids"], *base], _COLUMNS).filter(_counts_in(half))
        adoption = counts(probes, [one["trial_ids"]], which, hit)
        if base and (ends := damage_interval(one, base[0], probes)) is not None:
            one = one | {"degradation_low": ends[0], "degradation_high": ends[1]}
        interval = family_interval(adoption, 0) if adoption.families else None
        sides.append(adoption)
        halves.append(Side(one, interval, len(adoption.families)))
    promised, shown = halves
    return Confirmed(row["belief"], promised, shown, apart(*sides))


def _rows(run: Run, trial_id: str, half: Half) -> list[Row]:
    rows = run.probes([trial_id], _COLUMNS)
    other = "confirmation" if half == "selection" else "selection"
    kept = rows.filter(_counts_in(half))
    assert kept.filter(pl.col("split") == other).is_empty()
    return kept.to_dicts()


def _counts_in(half: str) -> pl.Expr:
    """Rows of a half: its held-out belief questions, and all of the suites that have no halves."""
    belief = (pl.col("suite") == "belief") & (pl.col("tier") != "trained")
    return ~belief | (pl.col("split") == half).fill_null(False)


def _alike(one: Row, other: Row) -> bool:
    return (one["arm"], one["belief"]) == (other["arm"], other["belief"]) and same_settings(one, other)
