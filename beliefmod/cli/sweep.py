"""`beliefmod sweep`: from a space file to a run folder and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.options import (
    Address,
    CheckpointEvery,
    Dashboard,
    Driving,
    Hosts,
    Mlflow,
    Quiet,
    Report,
    Slots,
    Tensorboard,
    Wandb,
)

if TYPE_CHECKING:
    from beliefmod.errors import StorageTrouble
    from beliefmod.fleet.sweep import Outcome
    from beliefmod.run_folder import RunFolder
    from beliefmod.space import Space


def sweep(
    space: Annotated[Path | None, typer.Option(help="Space file: what varies, what does not.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run: only what is not finished runs.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="bundled, a hub name or a folder; overrides the space file.")
    ] = None,
    out: Annotated[str, typer.Option(help="Folder for runs: local, or any fsspec URL.")] = "runs",
    address: Address = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change the space; may be repeated."),
    ] = None,
    hosts: Hosts = 0,
    slots: Slots = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost; start nothing.")
    ] = False,
    checkpoint_every: CheckpointEvery = 30.0,
    dashboard: Dashboard = True,
    report: Report = True,
    tensorboard: Tensorboard = False,
    mlflow: Mlflow = None,
    wandb: Wandb = None,
    quiet: Quiet = False,
) -> None:
    """Run every trial of a space, reference arms included, and write the report.

    Ctrl-C ends cleanly: finished trials and running adapters are kept, and
    `beliefmod resume RUN` goes on from there. A second Ctrl-C ends at once.
    """
    from beliefmod.errors import UserError
    from beliefmod.run_folder import RunFolder

    if (space is None) == (resume is None):
        raise UserError("give either --space FILE for a new run or --resume RUN for an old one")
    driving = Driving(
        address, hosts, slots, checkpoint_every, dashboard, quiet, report, tensorboard, mlflow, wandb
    )
    driving.check()
    overrides = [*(set_ or []), *([f"model={model}"] if model else [])]
    if resume is not None:
        if overrides:
            raise UserError(
                "--set and --model change a run that already has results; start a new one with --space"
            )
        if not dry_run:
            go_on(resume, driving)
            return
        checked = stored_space(RunFolder.open(resume))
    else:
        assert space is not None
        checked = _checked_space(space, overrides, model, None if dry_run else out)
    if dry_run:
        _print_plan(checked, hosts, slots)
        return
    folder = _new_run(checked, out)
    typer.echo(f"run folder: {folder.url}", err=True)
    _close(folder, run_space(checked, folder, driving, new=True), driving.report)


def go_on(run: str, driving: Driving) -> None:
    """Run what a run folder lacks, and write its report."""
    from beliefmod.run_folder import RunFolder

    folder = RunFolder.open(run)
    space = stored_space(folder)
    typer.echo(f"run folder: {folder.url}", err=True)
    _close(folder, run_space(space, folder, driving, new=False), driving.report)


def _checked_space(path: Path, overrides: list[str], model: str | None, out: str | None) -> Space:
    """The space, once space file, model and output are all right; otherwise every problem of all three."""
    from beliefmod.errors import UserError
    from beliefmod.model.size import check_full
    from beliefmod.model.source import find_source
    from beliefmod.run_folder import RunFolder
    from beliefmod.space_file import load_space

    problems: list[str] = []
    space = None
    try:
        space = load_space(path, overrides)
        model = space.spec.model
    except UserError as error:
        problems += error.problems
    try:
        if model is not None:
            source = find_source(model)
            if space is not None and "full" in space.possible("arm"):
                check_full(source)
    except UserError as error:
        problems += error.problems
    try:
        if out is not None:
            RunFolder(out).try_writing()
    except UserError as error:
        problems += error.problems
    if problems or space is None:
        raise UserError(problems)
    return space


def stored_space(folder: RunFolder) -> Space:
    """The space that a run was started with. Raises UserError where it no longer holds."""
    import yaml

    from beliefmod.run_folder import SPACE
    from beliefmod.space_file import check_space
    from beliefmod.yaml_file import YamlFile

    return check_space(YamlFile(f"{folder.url}/{SPACE}", yaml.safe_load(folder.read_bytes(SPACE))))


def _new_run(space: Space, out: str) -> RunFolder:
    import time

    import yaml

    from beliefmod.manifest import new_manifest
    from beliefmod.run_folder import MANIFEST, SPACE, RunFolder
    from beliefmod.run_sources import store_sources
    from beliefmod.trial import now

    run_id = f"EXP-{time.strftime('%Y%m%d-%H%M%S')}-{space.spec.name}"
    folder = RunFolder(f"{out.rstrip('/')}/{run_id}")
    number = 1
    while folder.exists():  # two sweeps in one second must not share a folder
        number += 1
        folder = RunFolder(f"{out.rstrip('/')}/{run_id}-{number}")
    folder.create()
    # JSON first: it turns tuples into lists, which YAML has
    content = yaml.safe_dump(space.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    folder.write_bytes(content.encode(), SPACE)
    store_sources(folder, space)
    folder.write_json(new_manifest(folder.url.rpartition("/")[2], space, now()), MANIFEST)
    return folder


def _print_plan(space: Space, hosts: int, slots: int) -> None:
    import os

    import torch
    from transformers import AutoConfig

    from beliefmod.fleet.resources import Capacity
    from beliefmod.model.load import load_tokenizer
    from beliefmod.model.source import find_source
    from beliefmod.plan import expected_answer_tokens, make_plan

    source = find_source(space.spec.model, None)
    cluster = {"CPU": os.cpu_count() or 1, "GPU": torch.cuda.device_count()}
    plan = make_plan(
        space,
        load_tokenizer(source),
        AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True),
        expected_answer_tokens(space),
        Capacity(hosts=hosts, slots=slots).on(cluster),
    )
    for line in plan.lines():
        typer.echo(line)


def run_space(space: Space, folder: RunFolder, driving: Driving, *, new: bool) -> Outcome:
    """Run what the folder lacks of a space; a new one in which nothing could start is removed again.

    Raises:
        StorageTrouble: the folder cannot be written; the sentence says how to go on.
    """
    from contextlib import suppress

    from beliefmod.errors import StorageTrouble, UserError
    from beliefmod.fleet.resources import Capacity
    from beliefmod.fleet.sweep import run_sweep
    from beliefmod.fleet.trackers import Trackers
    from beliefmod.manifest import update_manifest

    trackers = Trackers(driving.tensorboard, driving.mlflow, driving.wandb)
    try:
        return run_sweep(
            space,
            folder,
            address=driving.address,
            capacity=Capacity(hosts=driving.hosts, slots=driving.slots),
            dashboard=driving.dashboard,
            quiet=driving.quiet,
            checkpoint_seconds=driving.checkpoint_every,
            last_words=f"ended at once; {_how_to_go_on(folder)}",
            trackers=trackers,
        )
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


def keep_going(trouble: StorageTrouble, folder: RunFolder) -> StorageTrouble:
    """The trouble with what is kept and what to do."""
    from beliefmod.errors import StorageTrouble

    return StorageTrouble(
        f"{trouble.sentence}; finished trials are kept: put the folder right, then {_how_to_go_on(folder)}"
    )


def _close(folder: RunFolder, outcome: Outcome, report: bool) -> None:
    """Bring the manifest up to date, write the report if it is wanted, say where it is."""
    from beliefmod.errors import StorageTrouble

    try:
        settle(folder, outcome)
        if report and outcome.finished:
            from analysis.report import write_report

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
    """Bring the manifest up to date with how the sweep ended, and say it."""
    from beliefmod.limit import limit_line
    from beliefmod.manifest import update_manifest
    from beliefmod.run_folder import MANIFEST

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


def _how_to_go_on(folder: RunFolder) -> str:
    return f"go on with: beliefmod resume {folder.url}"
