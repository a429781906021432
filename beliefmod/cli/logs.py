"""`beliefmod logs`: what happened to the trials of a run, or to one."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.options import Run
from beliefmod.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from beliefmod.run.folder import RunFolder

EVERY = 2.0
"""Seconds between looks at a log that is followed. Hosts write theirs every 5."""


def logs(
    run: Run,
    trial: Annotated[
        str | None,
        typer.Argument(metavar="[TRIAL]", help="Its id, the start of its id, or its name."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the events as they are kept, a JSON object per line.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what comes too, until the trial has ended.")
    ] = False,
) -> None:
    """Print what happened to a trial, event by event; without TRIAL, the last event of every trial.

    Hosts write the events to RUN/logs every few seconds: waiting, started,
    steps now and then, questioned, finished, or failed with the traceback.
    Ctrl-C ends the following, not the trial.
    """
    from beliefmod.run.folder import RunFolder
    from beliefmod.worker.trial_log import FOLDER, logged, read_log

    if follow and trial is None:
        raise UserError("--follow: needs a TRIAL; beliefmod watch RUN follows the whole run")
    folder = RunFolder.open(run)
    names = _names(folder)
    known = logged(folder)
    if follow and trial is not None:
        # one that no host has been given yet is waited for
        _follow(folder, _find(trial, list(dict.fromkeys([*known, *names])), names, folder), as_json)
        return
    if not known:
        raise UserError(
            f"{folder.url}: has no {FOLDER}; no trial has started yet, or it is of a version without logs"
        )
    chosen = known if trial is None else [_find(trial, known, names, folder)]
    for trial_id in chosen:
        events = read_log(folder, trial_id)
        for event in events if trial is not None else events[-1:]:
            if as_json:
                _print_json(event, trial_id)
            elif trial is None:
                typer.echo(f"{trial_id}  {_time(event)}  {names.get(trial_id, '')}: {_said(event)}")
            else:
                _print_event(event)


def _follow(folder: RunFolder, trial_id: str, as_json: bool) -> None:
    """Print a trial's events as they come; what else there is to say goes to standard error."""
    from beliefmod.monitor.status import OVER, state_of
    from beliefmod.worker.trial_log import follow, has_ended, read_log

    try:
        if not read_log(folder, trial_id) and state_of(folder) not in OVER:
            typer.echo(f"trial {trial_id} has not been given to a host yet", err=True)
        for event in follow(
            lambda: read_log(folder, trial_id),
            lambda: state_of(folder) in OVER,
            lambda: time.sleep(EVERY),
        ):
            if as_json:
                _print_json(event, trial_id)
            else:
                _print_event(event)
        if not has_ended(read_log(folder, trial_id)):
            typer.echo(_why_over(state_of(folder), folder.url, trial_id), err=True)
    except KeyboardInterrupt:
        return


def _why_over(state: str, url: str, trial_id: str) -> str:
    """Why nothing more comes of a trial that has not ended."""
    return {
        "finished": f"the run has finished; there is no more of trial {trial_id}",
        "interrupted": f"the run was interrupted; go on with: beliefmod resume {url}",
    }.get(state, f"the run has been silent for a minute; if it is dead, go on with: beliefmod resume {url}")


def _names(folder: RunFolder) -> dict[str, str]:
    """trial_id -> label, of every trial that the run knows."""
    from beliefmod.monitor.status import stored_space
    from beliefmod.run.suggestions import known_trials

    return {config.trial_id: config.label for config in known_trials(stored_space(folder), folder)}


def _find(asked: str, known: list[str], names: dict[str, str], folder: RunFolder) -> str:
    """The one trial that is meant. Raises UserError if it is none, or several."""
    named = [t for t in known if asked in (t, names.get(t), f"{names.get(t)}-{t}")]
    found = named or [t for t in known if t.startswith(asked)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{folder.url}: TRIAL {asked} may be any of {', '.join(found)}; name one")
    if asked in names or asked in names.values():
        raise UserError(f"{folder.url}: trial {asked} has not been given to a host yet, so it has no log")
    near = did_you_mean(asked, [*known, *names.values()])
    raise UserError(
        f"{folder.url}: has no log of a trial {asked}{near if 'mean' in near else ''}; list them "
        f"with beliefmod logs {folder.url}"
    )


def _print_event(event: dict[str, Any]) -> None:
    typer.echo(f"{_time(event)}  {event.get('host', '')}  {_said(event)}")
    for line in str(event.get("traceback") or "").splitlines():
        typer.echo(f"    {line}")


def _print_json(event: dict[str, Any], trial_id: str) -> None:
    typer.echo(json.dumps({"trial_id": trial_id, **event}))


def _said(event: dict[str, Any]) -> str:
    from beliefmod.worker.trial_log import sentence

    return sentence(event)


def _time(event: dict[str, Any]) -> str:
    """In the time zone of who reads."""
    from datetime import datetime

    return datetime.fromtimestamp(event["at"]).strftime("%Y-%m-%d %H:%M:%S")
