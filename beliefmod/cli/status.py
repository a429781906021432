"""`beliefmod status` and `beliefmod watch`: how a run stands, from anywhere that sees its folder."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.options import Json, Limit, Run
from beliefmod.metrics.registry import DAMAGE_BUDGET

if TYPE_CHECKING:
    from beliefmod.cli.status_view import Frontier
    from beliefmod.monitor.status import Status, Watcher


def status(run: Run, limit: Limit = DAMAGE_BUDGET, as_json: Json = False) -> None:
    """Print how a run stands: trials by state, what runs now, failures, the frontier so far, hosts.

    Reads the run folder only, so it needs no Ray and works for finished and
    interrupted runs. `beliefmod watch RUN` shows the same, live.
    """
    from beliefmod.monitor.status import Watcher
    from beliefmod.run.folder import RunFolder

    watcher = Watcher(RunFolder.open(run))
    now = watcher.look()
    found = frontier_so_far(now, limit)
    if as_json:
        typer.echo(json.dumps({**now.as_dict(), "limit": limit, "frontier": found}, indent=1))
        return
    from rich.console import Console

    from beliefmod.cli.status_view import view

    Console(highlight=False).print(view(now, found, limit))


def watch(
    run: Run,
    limit: Limit = DAMAGE_BUDGET,
    every: Annotated[
        float, typer.Option(min=0.5, metavar="SECONDS", help="Look again after so many seconds.")
    ] = 2.0,
) -> None:
    """Show how a run stands, live, until it has finished; Ctrl-C ends the watching, not the run.

    Where the output is no terminal, a line is printed whenever something has changed.
    """
    from rich.console import Console

    from beliefmod.monitor.status import Watcher
    from beliefmod.run.folder import RunFolder

    watcher = Watcher(RunFolder.open(run))
    console = Console(highlight=False)
    try:
        if console.is_terminal:
            _watch_live(watcher, console, limit, every)
        else:
            _watch_lines(watcher, limit, every)
    except KeyboardInterrupt:
        return


def _watch_live(watcher: Watcher, console: Any, limit: float, every: float) -> None:
    from rich.live import Live

    from beliefmod.cli.status_view import view

    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            now = watcher.look()
            # what does not fit into the window would be cut off at the end
            shown = max(3, (console.height - 8) // 3)
            live.update(view(now, frontier_so_far(now, limit), limit, shown), refresh=True)
            if now.state == "finished":
                return
            time.sleep(every)


def _watch_lines(watcher: Watcher, limit: float, every: float) -> None:
    from beliefmod.cli.status_view import plain_lines

    before: Any = None
    while True:
        now = watcher.look()
        if (now.state, now.counts) != before:
            before = (now.state, now.counts)
            for line in plain_lines(now, frontier_so_far(now, limit)):
                typer.echo(line)
        if now.state == "finished":
            return
        time.sleep(every)


def frontier_so_far(now: Status, limit: float) -> Frontier:
    """Per belief the configurations that none beats, seeds pooled, the best under the limit marked `best`.

    The same choice as in the report, on the rows that there are.
    """
    from analysis.frontier.quoted import choices
    from analysis.told_apart import told_apart_trials
    from beliefmod.run.tables.trial_tables import TRIALS, frame

    found = {}
    for choice in choices(told_apart_trials(frame(now.rows, TRIALS)), limit):
        best = choice.best["trial_id"] if choice.best else None
        rows = [
            {**_quoted(row), "label": _label(row), "best": row["trial_id"] == best}
            for row in choice.on_frontier.iter_rows(named=True)
        ]
        if rows:
            found[choice.belief] = rows
    return found


def _quoted(row: dict[str, Any]) -> dict[str, Any]:
    quoted = ("adoption", "adoption_answerable", "degradation")
    names = [f"{name}{end}" for name in quoted for end in ("", "_low", "_high")]
    counts = ("adoption_n", "adoption_answerable_n")
    return {name: row.get(name) for name in ("trial_id", "seeds", "degradation_by", *counts, *names)}


def _label(row: dict[str, Any]) -> str:
    """As `TrialConfig.label`; of pooled seeds without the seed, but with their number."""
    from beliefmod.config import LISTS, TrialConfig, leaf_fields, unflatten

    leaves = {name: row[name] for name in leaf_fields() if row.get(name) is not None}
    # lists, in another spelling, are no part of a label; nor switches, which stand behind the belief's name
    for name in (*LISTS, "template"):
        leaves.pop(name, None)
    label = TrialConfig.model_validate(unflatten(leaves)).label
    return label if row["seeds"] == 1 else f"{label.rpartition('-s')[0]} ({row['seeds']} seeds)"
