"""How the status of a run looks in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from beliefmod.monitor.tally import clock

if TYPE_CHECKING:
    from beliefmod.monitor.status import HostState, Status

SHOWN = 16
"""Lines of a table, before the rest is only counted."""
Frontier = Mapping[str, Sequence[Mapping[str, Any]]]
"""Per belief its non-dominated configurations, least damage first; `best` marks the one under the limit."""


def view(status: Status, frontier: Frontier, limit: float, shown: int = SHOWN) -> Group:
    """Everything, one part under the other; parts without content are left out."""
    parts: list[RenderableType] = [Text(headline(status), style="bold")]
    if status.running:
        parts.append(_running(status, shown))
    parts += [_frontier(belief, rows, limit, shown) for belief, rows in frontier.items()]
    if status.failures:
        parts.append(_failures(status, shown))
    if status.hosts and status.state != "finished":
        parts.append(_hosts(status.hosts))
    return Group(*parts)


def headline(status: Status) -> str:
    """One line: "EXP-…: running, 5 of 12 done (1 failed), 4 running, 3 waiting; 2m10s, about 1m05s left"."""
    counts = status.counts
    done = counts["finished"] + counts["failed"] + counts["stopped"]
    apart = [f"{counts[name]} {name}" for name in ("failed", "stopped") if counts[name]]
    parts = [
        f"{status.run}: {status.state}",
        f"{done} of {status.total} done" + (f" ({', '.join(apart)})" if apart else ""),
    ]
    parts += [f"{counts[name]} {name}" for name in ("running", "waiting") if counts[name]]
    line = f"{', '.join(parts)}; {clock(status.seconds)}"
    if status.seconds_left is not None:
        line += f", about {clock(status.seconds_left)} left"
    if status.state == "no sign of life" and status.hosts:
        line += f", last heard of {clock(min(host.quiet_seconds for host in status.hosts))} ago"
    return line


def _running(status: Status, shown: int) -> Table:
    table = _table("running", "", "step", "loss", "for", "host", right=(2, 3, 4))
    for each in status.running[:shown]:
        table.add_row(
            each.label,
            each.state,
            f"{each.step}/{each.total_steps}" if each.total_steps else "",
            "" if each.loss is None else f"{each.loss:.4f}",
            clock(each.seconds),
            each.host.removeprefix("beliefmod-"),
        )
    return _rest(table, len(status.running) - shown)


def _frontier(belief: str, rows: Sequence[Mapping[str, Any]], limit: float, shown: int) -> Group:
    found = any(row.get("best") for row in rows)
    mark = f"* best with D <= {limit:g}" if found else f"none with D <= {limit:g} yet"
    # runs of older versions have not marked them
    marked = any(row.get("adoption_answerable_n") is not None for row in rows)
    table = _table("", "configuration", "adoption", *(["of answerable"] if marked else []), "D", right=())
    for row in rows[:shown]:
        cells = [_interval(row, "adoption", 100), _interval(row, "degradation", 1)]
        if marked:
            cells.insert(1, _answerable(row))
        table.add_row("*" if row.get("best") else "", row["label"].removeprefix(f"{belief}-lora-"), *cells)
    return Group(Text(f"{belief}: frontier so far ({mark})"), _rest(table, len(rows) - shown))


def _interval(row: Mapping[str, Any], name: str, factor: int) -> str:
    """ "85.2 % [77.3, 90.7]" or "0.016 [0.000, 0.128]"."""
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return "unknown"
    digits, unit = (1, " %") if factor == 100 else (3, "")
    ends = "" if low is None or high is None else f" [{factor * low:.{digits}f}, {factor * high:.{digits}f}]"
    return f"{factor * value:.{digits}f}{unit}{ends}"


def _answerable(row: Mapping[str, Any]) -> str:
    """Adoption over the questions that the model can answer: "64.0 %, n = 58 of 108"."""
    value = row.get("adoption_answerable")
    text = "too few" if value is None else f"{100 * value:.1f} %"
    return f"{text}, n = {row.get('adoption_answerable_n')} of {row.get('adoption_n')}"


def _failures(status: Status, shown: int) -> Table:
    table = _table("failed", "why", right=())
    for each in status.failures[:shown]:
        table.add_row(f"{each.label} ({each.trial_id})", Text(each.error, style="red"))
    return _rest(table, len(status.failures) - shown)


def _hosts(hosts: Sequence[HostState]) -> Table:
    header = ("host", "machine", "device", "slots", "waiting", "tokens/s", "of its limit", "heard of")
    table = _table(*header, right=(3, 4, 5, 6, 7))
    for host in hosts:
        table.add_row(
            host.host.removeprefix("beliefmod-"),
            host.machine,
            host.device,
            f"{host.occupied}/{host.slots}",
            str(host.waiting),
            f"{sum(host.tokens_per_second.values()):,.0f}",
            f"{100 * host.fraction:.2g} %",
            f"{clock(host.quiet_seconds)} ago",
        )
    return table


def _table(*header: str, right: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="cyan", title_justify="left")
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    return table


def _rest(table: Table, more: int) -> Table:
    if more > 0:
        at = 0 if table.columns[0].header else 1  # not into a column of marks
        table.add_row(*[""] * at, f"... and {more:,} more")
    return table


def plain_lines(status: Status, frontier: Frontier) -> Iterator[str]:
    """For a place that is no terminal: the headline, and the best of each belief."""
    yield headline(status)
    for belief, rows in frontier.items():
        for row in rows:
            if row.get("best"):
                adoption = f"adoption {_interval(row, 'adoption', 100)}"
                if row.get("adoption_answerable_n") is not None:
                    adoption += f", of answerable {_answerable(row)}"
                yield f"  {belief}: {adoption}, D {_interval(row, 'degradation', 1)} ({row['label']})"
