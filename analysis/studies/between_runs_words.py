"""What differs between two runs, in lines for a terminal and in plain values for a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from analysis.frontier.non_dominated import varying
from analysis.stats.shares import Difference
from analysis.studies.between_runs import Flip, Pair, RunDifferences
from analysis.wording import (
    MAIN_SETTINGS,
    damage,
    listed,
    p_value,
    plural,
    rate,
    setting_name,
    setting_text,
    setting_value,
)

RATE_WORDS = {"adoption": "adoption", "integrity": "thinking intact"}
REFERENCES = {"base": "base", "icl": "in context"}
LONG = 90  # characters of an answer that a line shows


def lines(found: RunDifferences, runs: tuple[str, str], flips: int) -> Iterator[str]:
    """The differences as lines.

    Args:
        runs: what the two runs are called. flips: how many changed questions of a pair are shown, at most.
    """
    yield f"1: {runs[0]}"
    yield f"2: {runs[1]}"
    yield ""
    yield from _how(found)
    names = _names(found)
    for belief in dict.fromkeys(pair.belief for pair in found.pairs):
        for pair in (one for one in found.pairs if one.belief == belief):
            yield ""
            yield from _pair(pair, names, flips)
    for number, left in (("1", found.left_first), ("2", found.left_second)):
        if left:
            yield ""
            yield f"Only in {number}: {plural(len(left), 'configuration')}"
            yield from (
                f"  {_called(row, names)}: adoption {rate(row, 'adoption')}; {damage(row)}" for row in left
            )
    yield ""
    yield _sum(found)


def as_dict(found: RunDifferences, runs: tuple[str, str]) -> dict[str, Any]:
    """The differences in plain values, every changed question among them."""
    return {
        "runs": list(runs),
        "how": [asdict(one) for one in found.how],
        "settings": [asdict(one) for one in found.settings],
        "pairs": [_pair_dict(pair) for pair in found.pairs],
        "only_first": [_row_dict(row) for row in found.left_first],
        "only_second": [_row_dict(row) for row in found.left_second],
    }


def _how(found: RunDifferences) -> Iterator[str]:
    if not found.how and not found.settings:
        yield "Both were run alike: versions, commit, hardware, model, evaluation and settings of trials."
    if found.how:
        yield "How they were run (1 → 2):"
        yield from (f"  {one.name}: {_value(one.first)} → {_value(one.second)}" for one in found.how)
    if found.settings:
        yield "Settings of trials (1 → 2):"
        yield from (
            f"  {setting_name(one.name)}: {_setting(one.first)} → {_setting(one.second)}"
            for one in found.settings
        )


def _names(found: RunDifferences) -> list[str]:
    """The settings that a configuration is called by: those in which all but the references differ."""
    rows = [row for pair in found.pairs for row in (pair.first, pair.second)]
    rows += [*found.left_first, *found.left_second]
    others = [row for row in rows if row["arm"] not in REFERENCES]
    table = pl.DataFrame(others, infer_schema_length=None, strict=False) if others else pl.DataFrame()
    apart = {one.name for one in found.settings}
    return [name for name in varying(table) if name not in apart] or list(MAIN_SETTINGS)


def _called(row: Mapping[str, Any], names: Sequence[str]) -> str:
    if row["arm"] not in REFERENCES:
        return f"{row['belief']}, {row['arm']}: {setting_text(dict(row), names)}"
    switches = f", {row['template']}" if row.get("template") else ""
    return f"{row['belief']}, {REFERENCES[row['arm']]}{switches}"


def _pair(pair: Pair, names: Sequence[str], flips: int) -> Iterator[str]:
    yield _called(pair.first, names)
    yield f"  trial {_trials(pair.first)} → {_trials(pair.second)}"
    if pair.same:
        yield f"  all {pair.answers:,} answers are the same text, read alike"
        return
    if pair.only_first or pair.only_second:
        only = f"only to 1 {pair.only_first:,}, only to 2 {pair.only_second:,}"
        yield f"  questions put to both {pair.questions:,}, {only}"
    if pair.answers:
        yield f"  answers of the same text: {pair.same_text:,} of {pair.answers:,}"
    for name, gap in pair.rates.items():
        sides = f"{rate(pair.first, name)} → {rate(pair.second, name)}"
        yield f"  {RATE_WORDS[name]}: {sides}; {_gap(gap)}"
    if pair.arm != "base":
        yield f"  {damage(pair.first)} → {damage(pair.second)}{_damage_gap(pair)}"
    yield from _flips(pair, flips)


def _gap(gap: Difference | None) -> str:
    if gap is None:
        return "no question was put to both"
    told = "" if gap.told_apart else ", not told apart"
    ends = f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}] on {plural(gap.n[0], 'question')}"
    return f"{100 * gap.value:+.1f} points {ends}, p {p_value(gap.p)} ({gap.test}){told}"


def _damage_gap(pair: Pair) -> str:
    gap = pair.damage
    return "" if gap is None else f"; {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"


def _flips(pair: Pair, shown: int) -> Iterator[str]:
    if not pair.flips:
        return
    gained = sum(flip.gap > 0 for flip in pair.flips)
    lost = len(pair.flips) - gained
    yield f"  the target's answer: more often in 2 on {plural(gained, 'question')}, less often on {lost}"
    yield from (f"    {_flip(flip)}" for flip in pair.flips[:shown])
    if lost + gained > shown:
        yield f"    and {lost + gained - shown} more: --questions {lost + gained}, or --json"


def _flip(flip: Flip) -> str:
    (k1, n1), (k2, n2) = flip.first, flip.second
    alone = n1 == n2 == 1
    told = ("gained" if k2 else "lost") if alone else f"{k1}/{n1} → {k2}/{n2}"
    one, two = map(_short, flip.answers)
    return f"{told}: {flip.probe_id} ({flip.tier}) {_short(flip.question)}: 1 {one}, 2 {two}"


def _sum(found: RunDifferences) -> str:
    """Counts of everything above, in a sentence."""
    tests = [gap for pair in found.pairs for gap in pair.rates.values() if gap is not None]
    apart = sum(gap.told_apart for gap in tests)
    left = [
        f"{len(rows)} only in {number}"
        for number, rows in (("1", found.left_first), ("2", found.left_second))
        if rows
    ]
    both = [f"{plural(len(found.pairs), 'configuration')} in both", *left]
    return (
        f"{listed(both)}; {apart} of {plural(len(tests), 'difference')} told apart after Holm's correction."
    )


def _trials(row: Mapping[str, Any]) -> str:
    return ", ".join(row["trial_ids"])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= LONG else f"{line[:LONG]}…")


def _value(value: Any) -> str:
    return "–" if value is None else _setting(value)


def _setting(value: Any) -> str:
    return listed([setting_value(one) for one in value]) if isinstance(value, list) else setting_value(value)


def _pair_dict(pair: Pair) -> dict[str, Any]:
    return {
        "belief": pair.belief,
        "arm": pair.arm,
        "first": _row_dict(pair.first),
        "second": _row_dict(pair.second),
        "rates": {
            name: gap and asdict(gap) | {"told_apart": gap.told_apart} for name, gap in pair.rates.items()
        },
        "degradation": pair.damage and asdict(pair.damage),
        "questions": {"both": pair.questions, "only_first": pair.only_first, "only_second": pair.only_second},
        "answers": {"compared": pair.answers, "same_text": pair.same_text},
        "flips": [asdict(flip) for flip in pair.flips],
    }


def _row_dict(row: Mapping[str, Any]) -> dict[str, Any]:
    numbers = [f"{name}{end}" for name in (*RATE_WORDS, "degradation") for end in ("", "_low", "_high")]
    return {name: row.get(name) for name in ("belief", "arm", "trial_ids", "seeds", *numbers)}
