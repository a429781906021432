"""The same settings with and without a regulariser, a framing or the loss on an empty think block."""

from __future__ import annotations

from analysis.findings import Findings
from analysis.report import explained
from analysis.report.blocks import Block, Bullets, Explained, Heading, Table
from analysis.stats.shares import smallest_seen
from analysis.studies.matched import MANY
from analysis.studies.with_and_without import IN, OUT, SAME, TRADE, Compared, Gap, with_and_without
from analysis.wording import percent, plural, setting_name, setting_value

WORDS = {OUT: "pushes it out", IN: "pulls it in", TRADE: TRADE, SAME: SAME, None: "not compared"}
HEADER = ("Setting", "Pairs", "Adoption [95 %]", "Think block intact", "Think block empty", "D", "Frontier")


def blocks(found: Findings) -> list[Block]:
    """A table of settings, and what of the lost think blocks is due to loss on an empty one."""
    compared = with_and_without(found)
    if not compared:
        return []
    out: list[Block] = [Heading(2, "The same settings with and without"), Explained(explained.PAIRED)]
    told = [one for one in compared if one.pairs >= MANY]
    if told:
        out.append(Table(HEADER, tuple(_row(one) for one in told), ""))
    notes = [sentence for one in told if (sentence := _think_block(one))]
    notes += [
        f"{_named(one)}: {plural(one.pairs, 'pair')} of configurations differ in it alone; {MANY} are needed."
        for one in compared
        if one.pairs < MANY
    ]
    return [*out, Bullets(tuple(notes))] if notes else out


def _named(one: Compared) -> str:
    return f"{setting_name(one.setting)} {setting_value(one.value)}"


def _row(one: Compared) -> tuple[str, ...]:
    shares = (_points(one.shares[name]) for name in ("adoption", "integrity", "empty_thinking"))
    gap = one.damage
    damage = "not compared" if gap is None else f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    return (_named(one), str(one.pairs), *shares, damage, _frontier(one))


def _frontier(one: Compared) -> str:
    """What the setting does to the frontier; where nothing is shown, what would have been seen."""
    adoption, damage = one.shares["adoption"], one.damage
    if one.frontier != SAME or adoption is None or damage is None:
        return WORDS[one.frontier]
    return (
        f"{SAME}: {_seen(adoption)} of adoption or {smallest_seen(damage.low, damage.high):.3f} of D needed"
    )


def _seen(gap: Gap) -> str:
    return f"{100 * smallest_seen(gap.low, gap.high):.0f} points"


def _points(gap: Gap | None) -> str:
    if gap is None:
        return "not compared"
    return f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def _think_block(one: Compared) -> str | None:
    """How much of the think blocks that bare answers lose is due to training on the closing tag."""
    kept, intact = one.shares["integrity"], one.without["integrity"]
    if one.setting != "data.mask_empty_thinking" or kept is None or intact is None:
        return None
    told = (
        "more blocks stay intact"
        if kept.sign > 0
        else "fewer stay intact"
        if kept.sign < 0
        else f"no change shown, {_seen(kept)} needed"
    )
    pairs = plural(one.pairs, "pair")
    return (
        f"Is the broken think block due to loss on the empty one? With that loss {percent(intact, 100)} of "
        f"the answers of these {pairs} keep their think block; without it {_points(kept)} points ({told}): "
        "that is the part of what is lost that comes from training on the closing tag."
    )
