"""How near the sweep came to the limit of its machine. Everything is in the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.findings import Findings
from analysis.report import explained
from analysis.report.blocks import Block, Bullets, Heading, Paragraph, Table
from beliefmod.capacity.limit import limit_line, rate

PHASES = {"training": "train_seconds", "generation": "generate_seconds", "reading": "read_seconds"}
BINDS = {"products": "matrix products", "memory": "memory traffic"}
MOST_SHRINKS = 20


def blocks(found: Findings) -> list[Block]:
    """The line of the sweep's end, its terms, and what was chosen for the machine; nothing for older runs."""
    manifest = found.run.manifest
    if not isinstance(known := manifest.get("limit"), Mapping):
        return []
    line = limit_line(known).removeprefix("limit: ")
    return [
        Heading(2, "Speed"),
        Paragraph(f"{line[0].upper()}{line[1:]}."),
        _phases(known),
        Bullets((*_chosen(manifest), *_shrinks(known.get("shrinks") or ()))),
    ]


def _phases(known: Mapping[str, Any]) -> Table:
    """Per phase the time an ideal machine would need, and the time the hosts took."""
    hosts, wall = known["machine"]["hosts"], known["wall_seconds"]
    taken = {name: seconds / hosts for name, seconds in known["work"].items() if name.endswith("_seconds")}
    rows = []
    for name, counter in PHASES.items():
        phase = known["phases"][name]
        needed = max(phase["products"], phase["memory"])
        binds = BINDS["products" if phase["products"] >= phase["memory"] else "memory"]
        share = _share(needed, taken[counter])
        rows.append((name, _seconds(needed), binds if needed else "", _seconds(taken[counter]), share))
    inside = sum(taken[counter] for counter in PHASES.values())
    around = max(0.0, taken["question_seconds"] - taken["generate_seconds"] - taken["read_seconds"])
    rest = max(0.0, wall - inside - around - taken["idle_seconds"])
    others = {"judging answers, files": around, "idle hosts": taken["idle_seconds"], "everything else": rest}
    rows += [(name, "-", "", _seconds(seconds), "") for name, seconds in others.items()]
    whole = (
        _seconds(known["seconds"]),
        BINDS[known["binds"]],
        _seconds(wall),
        _share(known["seconds"], wall),
    )
    rows.append(("the sweep", *whole))
    header = ("phase", "needed at least", "what binds", "taken", "share")
    return Table(header, tuple(rows), explained=explained.SPEED)


def _chosen(manifest: Mapping[str, Any]) -> list[str]:
    known = manifest["limit"]
    machine = known["machine"]
    lines = [
        f"Measured per host ({machine['hosts']} in use): {rate(machine['flops'], 'FLOP/s')} in matrix "
        f"products, {rate(machine['bandwidth'], 'B/s')} in copies as large as the model."
    ]
    if steps := known["work"]["decode_steps"]:
        written = known["work"]["generated_tokens"] / steps
        lines.append(f"A decode step wrote {written:.0f} tokens on average, one per answer under way.")
    engine = manifest.get("engine")
    if isinstance(engine, Mapping) and "why" in engine:
        lines.append(
            f"Slots per host: {engine['slots']} ({engine['why']}); places for adapters that wait to be "
            f"questioned: {engine['parking']}; tokens of a pass: up to {engine['pass_tokens']:,}; tokens of "
            f"a decoding batch: up to {engine['cache_tokens']:,}."
        )
    lines += _hosts(manifest.get("engines") or ())
    if known.get("attempts", 1) > 1:
        lines.append(f"The run took {known['attempts']} attempts; times are their sums.")
    return lines


def _hosts(engines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where hosts were not alike, and who was refused; nothing where all were."""
    worked = [engine for engine in engines if not engine.get("refused")]
    kinds = Counter((str(engine.get("device")), engine.get("slots")) for engine in worked)
    lines = [
        f"{engine['host']} on {engine.get('machine')} was refused and took no trial: {engine['refused']}."
        for engine in engines
        if engine.get("refused")
    ]
    if len(kinds) > 1:
        each = "; ".join(
            f"{count} with {slots} slots on {device}" for (device, slots), count in kinds.items()
        )
        lines.append(f"Hosts differed, each counted as often as it was started: {each}.")
    return lines


def _shrinks(sentences: Sequence[str]) -> list[str]:
    if not sentences:
        return ["Memory sufficed throughout."]
    more = len(sentences) - MOST_SHRINKS
    return [
        *sentences[:MOST_SHRINKS],
        *([f"and {more} more such lines in manifest.json."] if more > 0 else []),
    ]


def _seconds(value: float) -> str:
    """`0.42 s`, `12.3 s`, `1,234 s`; a dash for nothing."""
    if value == 0:
        return "-"
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"


def _share(needed: float, taken: float) -> str:
    return f"{100 * needed / taken:.2g} %" if taken > 0 and needed > 0 else ""
