"""The adoption that a belief is quoted with: confirmed if it was, else corrected for having been picked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.findings import BeliefFindings
from analysis.frontier.corrected import shifted
from analysis.frontier.non_dominated import same_settings
from analysis.studies.confirm import Confirmed, Side
from analysis.wording import bounds, percent, plural

Row = Mapping[str, Any]
CONFIRMED, CORRECTED, MEASURED = "confirmed", "corrected", "as measured"
ONE_SEED = "one seed: nothing covers what a second would show"


@dataclass(frozen=True)
class Headline:
    """One configuration's adoption under the limit.

    Attributes:
        kind: CONFIRMED: new seeds, on questions that had no say in the choice; CORRECTED: as measured, less
            what picking the best adds (`frontier.corrected`); MEASURED: one configuration, so nothing was
            picked, or too few families to correct.
        row: the pooled row of the configuration, of the confirmation where there is one.
        adoption, low, high: a share and its 95 % interval over families and seeds; the ends are None where
            there is no interval.
        measured: the number that stands second, as measured on the questions that chose it; None where
            `adoption` is that.
    """

    kind: str
    row: Row
    adoption: float
    low: float | None
    high: float | None
    measured: str | None = None

    @property
    def ends(self) -> str:
        """`[60.2, 95.0]`, empty without an interval."""
        if self.low is None or self.high is None:
            return ""
        return bounds(self.low, self.high, self.row.get("adoption_n"))

    @property
    def number(self) -> str:
        """`83.1 % [60.2, 95.0]`."""
        return f"{percent(self.adoption, self.row.get('adoption_n'))} {self.ends}".strip()

    @property
    def why(self) -> str:
        """What stands behind the number: how it came about, the measured one, how many seeds."""
        seeds, n = int(self.row.get("seeds") or 1), self.row.get("adoption_n")
        if self.kind == CONFIRMED:
            told = f"confirmed on {plural(seeds, 'new seed')} and questions that did not choose it, n = {n}"
        elif self.kind == CORRECTED:
            told = "corrected for having been picked on these questions"
        else:
            told = f"as measured, n = {n}"
        if self.measured is not None and self.kind == CORRECTED and self.measured.startswith(self.number):
            told += f", which changes nothing, n = {n}"
        elif self.measured is not None:
            told += f"; as measured {self.measured}"
        if seeds == 1:
            told += f"; {ONE_SEED}"
        return told


def headline(belief: BeliefFindings, confirmed: Sequence[Confirmed]) -> Headline | None:
    """The number to quote for a belief; None where nothing stays under the limit and nothing was confirmed.

    The confirmed number is that of the best configuration if it was among the finalists, else of the finalist
    that promised most.

    Args:
        confirmed: what `confirmations` gives for the run, of any belief.
    """
    best = belief.choice.best
    if (one := finalist(belief, confirmed)) is not None:
        return _confirmed(one)
    if best is None or best.get("adoption") is None:
        return None
    ends = belief.by_family.get(best["trial_id"])
    low, high = ends if ends is not None else (best.get("adoption_low"), best.get("adoption_high"))
    if belief.picked is None or belief.choice.lora.height < 2 or low is None or high is None:
        return Headline(MEASURED, best, best["adoption"], low, high)
    value, new_low, new_high = shifted(best["adoption"], (low, high), belief.picked)
    n = best.get("adoption_n")
    measured = f"{percent(best['adoption'], n)} {bounds(low, high, n)}, n = {n}"
    return Headline(CORRECTED, best, value, new_low, new_high, measured)


def finalist(belief: BeliefFindings, confirmed: Sequence[Confirmed]) -> Confirmed | None:
    """The confirmed finalist that speaks for a belief: the best configuration, else the best promise."""
    ours = [
        one
        for one in confirmed
        if one.belief == belief.choice.belief and one.shown.row.get("adoption") is not None
    ]
    best = belief.choice.best
    same = [one for one in ours if best is not None and same_settings(one.shown.row, best)]
    return next(iter(same or ours), None)


def _confirmed(one: Confirmed) -> Headline:
    row = one.shown.row
    low, high = one.shown.interval or (None, None)
    return Headline(CONFIRMED, row, row["adoption"], low, high, _number(one.promised))


def _number(side: Side) -> str | None:
    value, n = side.row.get("adoption"), side.row.get("adoption_n")
    if value is None:
        return None
    ends = f" {bounds(*side.interval, n)}" if side.interval else ""
    return f"{percent(value, n)}{ends}, n = {n}, on the questions that chose it"
