"""`beliefmod sweep` and `beliefmod resume`: from a space file to a run folder and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.options import ChatTemplate, Driving, Model, Revision, Run, with_driving
from beliefmod.errors import StorageTrouble, UserError

if TYPE_CHECKING:
    from beliefmod.fleet.sweep import Outcome
    from beliefmod.run.folder import RunFolder
    from beliefmod.space import Space


@with_driving
def sweep(
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="SPACE", help="Space file, what varies and what does not; or the name of a shipped one."
        ),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run: only what is not finished runs.")
    ] = None,
    auto_resume: Annotated[
        bool,
        typer.Option(
            "--auto-resume",
            help="Go on with the run of this space in --out if there is one, else start it: for a job that "
            "is submitted again.",
        ),
    ] = False,
    model: Model = None,
    revision: Revision = None,
    chat_template: ChatTemplate = None,
    out: Annotated[str, typer.Option(help="Folder for runs: local, or any fsspec URL.")] = "runs",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change the space; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the plan and its cost; start nothing. Loads the model for a minute or two, to ask it "
            "a few questions and time it; base's answers are kept for the sweep.",
        ),
    ] = False,
    sample: Annotated[
        bool, typer.Option(help="Whether --dry-run looks at the model itself, or assumes typical figures.")
    ] = True,
    *,
    driving: Driving,
) -> None:
    """Run every trial of a space, reference arms included, and write the report.

    Ctrl-C ends cleanly: finished trials and running adapters are kept, and
    `beliefmod resume RUN` goes on from there. A second Ctrl-C ends at once.
    """
    from beliefmod.cli.prepare_sweep import checked_space, model_overrides, new_run, print_plan, stored_space
    from beliefmod.model.source import find_source
    from beliefmod.run.folder import RunFolder
    from beliefmod.run.manifest import commit_in
    from beliefmod.run.same_space import run_of_space

    if (space is None) == (resume is None):
        raise UserError("give either --space SPACE for a new run or --resume RUN for an old one")
    overrides = [*model_overrides(model, revision, chat_template), *(set_ or [])]
    if resume is not None:
        if auto_resume:
            raise UserError("--auto-resume finds the run by its space; leave out either it or --resume RUN")
        if overrides:
            raise UserError(
                "--set, --model, --revision and --chat-template change a run that already has results; "
                "start a new one with --space"
            )
        if not dry_run:
            _go_on(resume, driving)
            return
        folder = RunFolder.open(resume)
        checked = stored_space(folder)
        spec = checked.spec
        source = find_source(spec.model, commit_in(folder) or spec.revision, spec.chat)
    else:
        assert space is not None
        checked, source = checked_space(
            space, overrides, model, None if dry_run else out, here=driving.address in (None, "local")
        )
    if dry_run:
        run_url = f"{out.rstrip('/')}/plan" if resume is None else RunFolder.open(resume).url
        print_plan(checked, source, driving, run_url, sample)
        return
    _check_array(out)
    if auto_resume and (before := run_of_space(checked, out)):
        _go_on(before.url, driving)
        return
    folder = new_run(checked, out, source)
    typer.echo(f"run folder: {folder.url}", err=True)
    _close(folder, run_space(checked, folder, driving, new=True), driving.report)


@with_driving
def resume(run: Run, *, driving: Driving) -> None:
    """Go on with a run that was ended by Ctrl-C, a full disk, a kill or a lost machine.

    Finished trials stay as they are, running ones go on from their last
    checkpoint, failed and damaged ones run again. The report is written anew.
    """
    _go_on(run, driving)


def _go_on(run: str, driving: Driving) -> None:
    from beliefmod.cli.prepare_sweep import stored_space
    from beliefmod.run.folder import RunFolder

    folder = RunFolder.open(run)
    _check_array(folder.url)
    space = stored_space(folder)
    typer.echo(f"run folder: {folder.url}", err=True)
    _close(folder, run_space(space, folder, driving, new=False), driving.report)


def _check_array(folder: str) -> None:
    """Raises UserError in a task of a Slurm array whose jobs would work in one folder."""
    import os

    from beliefmod.capacity.slurm import array_problem

    if problem := array_problem(os.environ, folder):
        raise UserError(problem)


def run_space(space: Space, folder: RunFolder, driving: Driving, *, new: bool) -> Outcome:
    """Run what the folder lacks of a space; a new one in which nothing could start is removed again.

    Raises:
        StorageTrouble: the folder cannot be written; the sentence says how to go on.
    """
    from contextlib import suppress

    from beliefmod.run.manifest import update_manifest

    try:
        return _run(space, folder, driving)
    except UserError:
        if new and not folder.rows():  # nothing has run yet: leave no empty run behind
            folder.remove()
        raise
    except StorageTrouble as trouble:
        with suppress(StorageTrouble, UserError, OSError):
            update_manifest(folder, status="interrupted")
        raise keep_going(trouble, folder) from None
    except BaseException as error:
        update_manifest(folder, status="interrupted")
        if isinstance(error, KeyboardInterrupt):
            typer.echo(_how_to_go_on(folder), err=True)
        raise


def _run(space: Space, folder: RunFolder, driving: Driving) -> Outcome:
    """Ray is imported here: that takes seconds, and an interrupt then is one like any other."""
    from beliefmod.capacity.resources import Capacity
    from beliefmod.fleet.sweep import run_sweep
    from beliefmod.fleet.trackers import Trackers

    return run_sweep(
        space,
        folder,
        address=driving.address,
        capacity=Capacity(hosts=driving.hosts, hosts_per_gpu=driving.hosts_per_gpu, slots=driving.slots),
        dashboard=driving.dashboard,
        quiet=driving.quiet,
        checkpoint_seconds=driving.checkpoint_every,
        exit_message=f"ended at once; {_how_to_go_on(folder)}",
        trackers=Trackers(driving.tensorboard, driving.mlflow, driving.wandb),
    )


def keep_going(trouble: StorageTrouble, folder: RunFolder) -> StorageTrouble:
    """The trouble with what is kept and what to do."""
    return StorageTrouble(
        f"{trouble.sentence}; finished trials are kept: put the folder right, then {_how_to_go_on(folder)}"
    )


def _close(folder: RunFolder, outcome: Outcome, report: bool) -> None:
    """Bring the manifest up to date, write the report if it is wanted, say where it is."""
    try:
        settle(folder, outcome)
        if report and outcome.finished:
            from analysis.report.write import write_report

            paths = write_report(folder.url)
            typer.echo(f"report: {paths.html}")
    except StorageTrouble as trouble:
        raise keep_going(trouble, folder) from None
    except OSError as error:
        raise keep_going(StorageTrouble.of(folder.url, error), folder) from None
    if outcome.interrupted:
        typer.echo(_how_to_go_on(folder), err=True)
        raise typer.Exit(130)


def settle(folder: RunFolder, outcome: Outcome) -> None:
    """Bring the manifest up to date with how the sweep ended, seal it, and say both."""
    from beliefmod.capacity.limit import limit_line
    from beliefmod.run.folder import MANIFEST
    from beliefmod.run.manifest import update_manifest
    from beliefmod.run.seal.sessions import seal_end

    before: dict[str, Any] = folder.read_json(MANIFEST)
    update_manifest(
        folder,
        status="interrupted" if outcome.interrupted else "finished",
        wall_seconds=round(before["wall_seconds"] + outcome.wall_seconds, 1),
        trials={
            "total": outcome.finished + outcome.failed + outcome.stopped + outcome.missing,
            "finished": outcome.finished,
            "failed": outcome.failed,
            **({"stopped": outcome.stopped} if outcome.stopped else {}),
            **({"added": outcome.added} if outcome.added else {}),
        },
    )
    typer.echo(
        f"{outcome.finished} finished, {outcome.failed} failed, "
        + (f"{outcome.stopped} stopped early, " if outcome.stopped else "")
        + f"{outcome.missing} not run, "
        f"{outcome.wall_seconds:.0f} s"
    )
    if outcome.limit is not None:
        typer.echo(limit_line(outcome.limit))
    counts = {name: getattr(outcome, name) for name in ("finished", "failed", "stopped", "missing")}
    if entry := seal_end(folder, counts):
        typer.echo(f"seal: {entry['hash']} ({entry['n'] + 1:,} entries)")


def _how_to_go_on(folder: RunFolder) -> str:
    return f"go on with: beliefmod resume {folder.url}"
