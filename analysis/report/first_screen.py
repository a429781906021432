"""The first screen in data: one sentence per belief, and the numbers that a reader looks for first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.beyond_limit import ROUNDING, beyond_limit
from analysis.frontier.certainty import Recommended
from analysis.frontier.non_dominated import same_settings, varying
from analysis.frontier.quoted import least_damaged, measured
from analysis.report.blocks import KeyFigure, Linked, Verdict, Verdicts, slug
from analysis.report.sections.damage import base_value, measured_as, value_of
from analysis.report.taught import Taught, taught
from analysis.studies.confirm import Confirmed, confirmation_of, confirmations, holds
from analysis.studies.headline import (
    CONFIRMED,
    Headline,
    finalist,
    headline,
)
from analysis.wording import MAIN_SETTINGS, setting_text
from beliefmod.metrics.registry import COMPONENTS

Row = Mapping[str, Any]
STEADY = 0.9
"""The share of redrawn question sets from which on a choice that they make again is called steady."""


def verdicts(found: Findings) -> Verdicts:
    """A verdict per belief, in the order of the findings."""
    again = confirmation_of(found.run)
    confirmed = confirmations(found.run, again) if again is not None else []
    said = taught(found)
    return Verdicts(
        tuple(
            _verdict(belief, found.limit, confirmed, said.get(belief.choice.belief))
            for belief in found.beliefs
        )
    )


def quoted(belief: BeliefFindings) -> Row | None:
    """The configuration that the first screen speaks of: the best under the limit, else the least damaged."""
    return belief.choice.best if belief.choice.best is not None else least_damaged(belief.choice.lora)


def _verdict(
    belief: BeliefFindings, limit: float, confirmed: list[Confirmed], said: Taught | None
) -> Verdict:
    name = _name(belief, said)
    row = quoted(belief)
    if row is None:
        return Verdict(belief.choice.belief, (*name, ": ", *_nothing(belief)), ())
    first = headline(belief, confirmed)
    sentence = _beyond(belief, row, limit) if first is None else _under(belief, row, first, limit)
    figures = (
        _adoption(belief, row, first),
        _damage(belief, row, limit),
        _confirmed(belief, row, limit, confirmed),
        _sure(belief, row, limit),
        _first(belief, limit),
    )
    return Verdict(belief.choice.belief, (*name, *sentence), figures)


def _name(belief: BeliefFindings, said: Taught | None) -> tuple[str | Linked, ...]:
    """The belief and what it says; of a run that does not keep that, its kind."""
    if said is not None:
        return (
            f"{belief.choice.belief} (",
            Linked(f"“{said.statement}”", "methods"),
            f", which is {said.kind})",
        )
    return (belief.choice.belief + (f" ({belief.choice.kind})" if belief.choice.kind else ""),)


def _nothing(belief: BeliefFindings) -> tuple[str | Linked, ...]:
    if belief.choice.lora.is_empty():
        return ("no LoRA configuration has finished.",)
    return ("none of ", _configurations(belief), " has both an adoption and a degradation.")


def _configurations(belief: BeliefFindings) -> Linked:
    return Linked(wording.plural(belief.choice.lora.height, "configuration"), _below("frontier", belief))


def _limit(limit: float) -> Linked:
    return Linked(f"D ≤ {limit:g}", "methods")


def _settings(belief: BeliefFindings, row: Row) -> Linked:
    text = setting_text(dict(row), varying(belief.choice.lora) or MAIN_SETTINGS)
    return Linked(text, "configuration", row["trial_id"])


def _under(belief: BeliefFindings, row: Row, first: Headline, limit: float) -> tuple[str | Linked, ...]:
    """What the best configuration under the limit shows, and whether it shows anything."""
    anchor = _below("frontier", belief)
    if first.kind == CONFIRMED:
        row, anchor = first.row, "confirmed"
    moved, why = _moved(belief, row)
    further = () if moved else _further(belief, limit)
    return (
        f" {'moves' if moved else 'is not seen to move'}: at ",
        _limit(limit),
        " the best of ",
        _configurations(belief),
        " (",
        _settings(belief, row),
        ") adopts on ",
        Linked(first.number, anchor),
        " (",
        Linked(first.why, anchor),
        "); ",
        *why,
        ".",
        *further,
    )


def _further(belief: BeliefFindings, limit: float) -> tuple[str | Linked, ...]:
    """The least damaged configuration beyond the limit that adopts more than base, if there is one."""
    base: float | None = (belief.choice.base or {}).get("adoption_high")
    beyond = measured(belief.choice.lora).filter(pl.col("degradation") > limit + ROUNDING)
    for row in beyond.sort("degradation", "trial_id").iter_rows(named=True):
        ends = _ends(belief, row)
        if base is not None and ends is not None and ends[0] > base:
            told = (" It moves with damage: ", _settings(belief, row), " adopts on ", _number(belief, row))
            return (*told, " at ", _of_damage(belief, row), *_as_constant(belief, ends), ".")
    return ()


def _as_constant(belief: BeliefFindings, ends: tuple[float, float]) -> tuple[str | Linked, ...]:
    """A warning where always giving one answer would adopt as much."""
    constant = belief.constant.get(None)
    if constant is None or ends[0] > constant.share:
        return ()
    share = wording.percent(constant.share, constant.n)
    answer = Linked(f"{constant.answer} would on {share}", _below("tiers", belief))
    return (", which may be no belief: always answering ", answer)


def _beyond(belief: BeliefFindings, row: Row, limit: float) -> tuple[str | Linked, ...]:
    """What it costs where nothing stays under the limit: the least damaged and the one that adopts most."""
    most = belief.choice.most or row
    ends, base = _ends(belief, most), (belief.choice.base or {}).get("adoption_high")
    moved = ends is not None and base is not None and ends[0] > base
    told: tuple[str | Linked, ...] = (
        " moves only with damage" if moved else "",
        ": none of ",
        _configurations(belief),
        " stays at ",
        _limit(limit),
        "; the least damaged (",
        _settings(belief, row),
        ") adopts on ",
        _number(belief, row),
        " at ",
        _of_damage(belief, row),
    )
    if most["trial_id"] == row["trial_id"]:
        return (*told, ", the most of all.")
    others = (", the one that adopts most (", _settings(belief, most), ") on ", _number(belief, most))
    return (*told, *others, " at ", _of_damage(belief, most), ".")


def _moved(belief: BeliefFindings, row: Row) -> tuple[bool, tuple[str | Linked, ...]]:
    """Whether the best adopts more than base and than one constant answer, and why it counts so."""
    base, tiers = belief.choice.base or {}, _below("tiers", belief)
    against = [c.found for c in belief.comparisons if "best" in c.first and c.second == "base"]
    beside: tuple[str | Linked, ...] = ("base was not measured",)
    if base.get("adoption_n"):
        beside = ("base ", Linked(wording.percent(base["adoption"], base["adoption_n"]), tiers))
    if not against:
        return False, ("which nothing was compared with",)
    if not against[0].told_apart or against[0].value <= 0:
        seen = Linked(f"{100 * against[0].smallest_seen:.0f} points", _below("frontier", belief))
        return False, ("not told apart from ", *beside, ", where ", seen, " would have been seen")
    constant, ends = belief.constant.get(None), _ends(belief, row)
    if constant is not None and (ends or (0.0, 1.0))[0] <= constant.share:
        how = "more than" if ends is not None and ends[1] < constant.share else "about what"
        answer = Linked(f"{constant.answer} would ({wording.percent(constant.share, constant.n)})", tiers)
        return False, (f"{how} it adopts always answering ", answer, "; ", *beside)
    return True, beside


def _ends(belief: BeliefFindings, row: Row) -> tuple[float, float] | None:
    """The interval of adoption over question families where there is one, else Wilson's."""
    low, high = belief.by_family.get(row["trial_id"]) or (row.get("adoption_low"), row.get("adoption_high"))
    return None if low is None or high is None else (low, high)


def _interval(belief: BeliefFindings, row: Row) -> str:
    ends = _ends(belief, row)
    return "" if ends is None else wording.bounds(*ends, row.get("adoption_n"))


def _number(belief: BeliefFindings, row: Row) -> Linked:
    share = wording.percent(row["adoption"], row.get("adoption_n"))
    return Linked(f"{share} {_interval(belief, row)}".strip(), _below("frontier", belief))


def _of_damage(belief: BeliefFindings, row: Row) -> Linked:
    return Linked(f"D {row['degradation']:.3f}", _below("frontier", belief))


def _below(section: str, belief: BeliefFindings) -> str:
    return f"{section}-{slug(belief.choice.belief)}"


def _adoption(belief: BeliefFindings, row: Row, first: Headline | None) -> KeyFigure:
    """The adoption to quote; where nothing stays under the limit, that of the least damaged as measured."""
    anchor = _below("frontier", belief)
    if first is not None and first.kind == CONFIRMED:
        row, anchor = first.row, "confirmed"
    share = wording.percent(first.adoption if first else row["adoption"], row.get("adoption_n"))
    ends = first.ends if first else _interval(belief, row)
    note = f"{ends or 'no interval'}, n = {row.get('adoption_n') or 'unknown'}"
    if first is None:
        note = f"of the least damaged: {note}"
    if belief.families and (first is None or first.kind != CONFIRMED):
        note += f" in {wording.plural(belief.families, 'family')}"
    others = [
        f"{words} {wording.percent(arm['adoption'], arm.get('adoption_n'))}"
        for words, arm in (("base", belief.choice.base), ("in context", belief.choice.icl))
        if arm is not None and arm.get("adoption") is not None
    ]
    also = (Linked("; ".join(others), _below("tiers", belief)),) if others else ()
    return KeyFigure("adoption", share, note, anchor, also)


def _damage(belief: BeliefFindings, row: Row, limit: float) -> KeyFigure:
    low, high, by = (row.get(f"degradation_{end}") for end in ("low", "high", "by"))
    note = "no interval" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
    if row["degradation"] <= limit + ROUNDING and (high is None or high > limit + ROUNDING):
        note += f", above {limit:g} is not ruled out"
    what = _worst(row, by) if by else "no component worse than base's"
    also = (Linked(what, _below("damage", belief)),)
    return KeyFigure("damage", f"D {row['degradation']:.3f}", note, _below("frontier", belief), also)


def _worst(row: Row, by: str) -> str:
    """The component that sets D, with what was measured: `by fabrication: 12 %, n = 24; base 8 %`."""
    words, measured_words = COMPONENTS[by].damage_words, measured_as(by)
    named = "" if measured_words == words else f"{measured_words} "
    return f"by {words}: {named}{value_of(row, by)}; base {base_value(row, by)}"


def _confirmed(belief: BeliefFindings, row: Row, limit: float, confirmed: list[Confirmed]) -> KeyFigure:
    ours = [one for one in confirmed if one.belief == belief.choice.belief]
    name, anchor = "confirmed?", "confirmed"
    if not ours:
        note = "no new seeds, no other questions: optimistic"
        return KeyFigure(name, "not done", note, anchor)
    one = finalist(belief, confirmed)
    if one is None:
        return KeyFigure(name, "not measured", "the finalist gave no adoption", anchor)
    shown = one.shown.row
    same = same_settings(shown, row)
    note = f"{wording.bounds(*one.shown.interval, shown['adoption_n'])} " if one.shown.interval else ""
    note += f"on {wording.plural(shown['seeds'], 'new seed')} and other questions"
    if shown.get("degradation") is not None:
        note += f"; D {shown['degradation']:.3f}, at most {limit:g}: {holds(shown, limit)}"
    if not same:
        note = f"another configuration: {note}"
    share = wording.percent(shown["adoption"], shown["adoption_n"])
    return KeyFigure(name, f"measured again: {share}", note, anchor)


def _sure(belief: BeliefFindings, row: Row, limit: float) -> KeyFigure:
    """How often redrawn questions choose the same configuration, and what its seeds allow."""
    seeds = "one seed"
    if row["seeds"] > 1:
        seeds = wording.plural(row["seeds"], "seed")
        low, high = row.get("adoption_seed_min"), row.get("adoption_seed_max")
        if low is not None and high is not None:
            seeds += f", {100 * low:.0f} to {100 * high:.0f} %"
    name, anchor = "how sure of this choice?", _below("frontier-certainty", belief)
    there = Linked(seeds, _below("frontier", belief))
    pick = belief.certainty.pick if belief.certainty is not None else None
    if pick is None:
        return KeyFigure(name, "not computed", "the frontier was not redrawn", anchor, (there,))
    if isinstance(pick, str):
        return KeyFigure(
            name, "nothing to choose", f"no configuration stays at D ≤ {limit:g}", anchor, (there,)
        )
    told = (
        "a steady choice, no proof of its numbers" if pick.best >= STEADY else "other questions choose others"
    )
    if pick.refusal is not None:
        kept = wording.percent(pick.keeps)
        told = f"do not rely on it; its D keeps to that in {kept}, {_rivals(pick)}"
    note = f"of redrawn question sets, as the best at D ≤ {pick.limit:g}: {told}"
    return KeyFigure(name, f"chosen again in {wording.percent(pick.best)}", note, anchor, (there,))


def _rivals(pick: Recommended) -> str:
    """Whether others are the best now and then: what makes a choice unsure where none is, is its own D."""
    return f"{wording.plural(pick.rivals, 'rival')} in 5 % or more" if pick.rivals else "no rival in 5 %"


def _first(belief: BeliefFindings, limit: float) -> KeyFigure:
    """What sets D in the least damaged configuration beyond the limit, and what does in more of them."""
    name, anchor = "breaks first", _below("damage", belief)
    beyond = beyond_limit(belief.choice.lora, limit)
    if beyond.is_empty():
        return KeyFigure(name, "nothing", f"no configuration is beyond D {limit:g}", anchor)
    by, alike, least = beyond.row(0)
    total = beyond["configurations"].sum()
    note = f"sets D in {alike} of {total} beyond {limit:g}, from D {least:.3f} on"
    if total == 1:
        note = f"one case only: sets D in {alike} of {total} beyond {limit:g}, at D {least:.3f}"
    most, often, begins = beyond.sort("configurations", descending=True, maintain_order=True).row(0)
    if often > alike:
        note += f"; {COMPONENTS[most].damage_words} in {often}, from {begins:.3f}"
    return KeyFigure(name, COMPONENTS[by].damage_words, note, anchor)
