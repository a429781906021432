"""Whether a run clears a bar: adoption at least so much and D at most so much, decided on their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.findings import BeliefFindings, Findings
from analysis.frontier.beyond_limit import ROUNDING
from analysis.frontier.non_dominated import varying
from analysis.frontier.quoted import least_damaged
from analysis.studies.confirm import Confirmed
from analysis.studies.headline import MEASURED, Headline, headline
from analysis.wording import MAIN_SETTINGS, damage, percent, setting_text

PASSES, FAILS, UNDECIDED = "passes", "fails", "undecided"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """What is asked of a belief's configuration, both 0 to 1: adoption at least, D at most."""

    min_adoption: float
    max_degradation: float


@dataclass(frozen=True)
class Decision:
    """One belief against the bar.

    Attributes:
        outcome: PASSES: both intervals lie within the bar; FAILS: one lies beyond it; else UNDECIDED.
        adoption, damage: the outcome of either number alone; None where that one has no say.
        why: a clause, where there is no configuration with numbers to decide on.
        quoted: the number that adoption was decided on and how it came about; its row has D.
        settings: of that configuration, in words.
    """

    belief: str
    outcome: str
    adoption: str | None = None
    damage: str | None = None
    why: str | None = None
    quoted: Headline | None = None
    settings: str = ""


def decide(found: Findings, confirmed: Sequence[Confirmed], bar: Bar) -> list[Decision]:
    """A decision per belief, on the configuration and the number that the report quotes for it.

    Args:
        found: the run's numbers, its best configurations chosen under `bar.max_degradation`.
        confirmed: what `confirmations` gives for the run; empty where nothing was confirmed.
    """
    return [_decided(belief, headline(belief, confirmed), bar) for belief in found.beliefs]


def all_pass(decisions: Iterable[Decision]) -> bool:
    """Whether every belief passes, and there is one."""
    outcomes = [one.outcome for one in decisions]
    return bool(outcomes) and set(outcomes) == {PASSES}


def line(one: Decision, bar: Bar) -> str:
    """The decision in a line: both numbers with their intervals, what was asked of them, where they are from.

    `gravity: undecided: adoption 90.7 % [80.1, 96.0], at least 90 %: undecided; D 0.009 [0.000, 0.040] by
    loops, n = 240, at most 0.05: passes (confirmed on ...; 50 examples, trial 42acb27435)`.
    """
    if one.quoted is None:
        return f"{one.belief}: {one.outcome}: {one.why}"
    asked = f"at least {percent(bar.min_adoption)}{f': {one.adoption}' if one.adoption else ''}"
    told = f"{one.belief}: {one.outcome}: "
    told += f"{one.why}; of the least damaged: " if one.why else ""
    told += f"adoption {one.quoted.number}, {asked}; {damage(one.quoted.row)}, at most "
    told += f"{bar.max_degradation:g}: {one.damage} "
    return told + f"({one.quoted.why}; {one.settings}; trial {one.quoted.row['trial_id']})"


def as_dict(one: Decision) -> dict[str, Any]:
    """The decision in plain values, with the numbers that it was made on; null for what is unknown."""
    found: dict[str, Any] = {
        "belief": one.belief,
        "outcome": one.outcome,
        "adoption_outcome": one.adoption,
        "degradation_outcome": one.damage,
        "why": one.why,
    }
    if (quoted := one.quoted) is None:
        return found
    row = quoted.row
    return found | {
        "kind": quoted.kind,
        "adoption": quoted.adoption,
        "adoption_low": quoted.low,
        "adoption_high": quoted.high,
        **{
            name: row.get(name)
            for name in (
                "adoption_n",
                "degradation",
                "degradation_low",
                "degradation_high",
                "degradation_by",
                "seeds",
                "trial_id",
            )
        },
        "settings": one.settings,
    }


def within(low: float | None, high: float | None, least: float, most: float) -> str:
    """Whether an interval lies within least to most (PASSES), wholly outside (FAILS), or neither.

    >>> within(0.91, 0.98, 0.9, 1.0), within(0.5, 0.89, 0.9, 1.0), within(0.85, 0.98, 0.9, 1.0)
    ('passes', 'fails', 'undecided')
    """
    if low is None or high is None:
        return UNDECIDED
    if low >= least - ROUNDING and high <= most + ROUNDING:
        return PASSES
    return FAILS if high < least - ROUNDING or low > most + ROUNDING else UNDECIDED


def _decided(belief: BeliefFindings, quoted: Headline | None, bar: Bar) -> Decision:
    name = belief.choice.belief
    if quoted is None:
        return _none_under(belief, bar)
    adoption = within(quoted.low, quoted.high, bar.min_adoption, 1.0)
    kept = _kept(quoted.row, bar)
    both = (adoption, kept)
    outcome = FAILS if FAILS in both else PASSES if both == (PASSES, PASSES) else UNDECIDED
    return Decision(name, outcome, adoption, kept, None, quoted, _settings(belief, quoted.row))


def _none_under(belief: BeliefFindings, bar: Bar) -> Decision:
    """Where no configuration was measured to keep to the limit of D, the least damaged one speaks for all."""
    name, row = belief.choice.belief, least_damaged(belief.choice.lora)
    if row is None:
        lora = belief.choice.lora.height
        why = "none of its configurations has both an adoption and a D" if lora else "no LoRA trial finished"
        return Decision(name, UNDECIDED, why=why)
    low, high = belief.by_family.get(row["trial_id"]) or (row.get("adoption_low"), row.get("adoption_high"))
    quoted = Headline(MEASURED, row, row["adoption"], low, high)
    kept = _kept(row, bar)
    why = f"no configuration was measured at D ≤ {bar.max_degradation:g}"
    return Decision(name, kept, None, kept, why, quoted, _settings(belief, row))


def _kept(row: Row, bar: Bar) -> str:
    return within(row.get("degradation_low"), row.get("degradation_high"), 0.0, bar.max_degradation)


def _settings(belief: BeliefFindings, row: Row) -> str:
    return setting_text(dict(row), varying(belief.choice.lora) or MAIN_SETTINGS)
