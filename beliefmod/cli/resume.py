"""`beliefmod resume`: go on with a run, whatever ended it."""

from __future__ import annotations

from typing import Annotated

import typer

from beliefmod.cli.options import (
    Address,
    CheckpointEvery,
    Dashboard,
    Driving,
    Hosts,
    HostsPerGpu,
    Mlflow,
    Quiet,
    Report,
    Slots,
    Tensorboard,
    Wandb,
)


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or its URL.")],
    address: Address = None,
    hosts: Hosts = 0,
    hosts_per_gpu: HostsPerGpu = 1,
    slots: Slots = 0,
    checkpoint_every: CheckpointEvery = 30.0,
    dashboard: Dashboard = True,
    report: Report = True,
    tensorboard: Tensorboard = False,
    mlflow: Mlflow = None,
    wandb: Wandb = None,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was ended by Ctrl-C, a full disk, a kill or a lost machine.

    Finished trials stay as they are, running ones go on from their last
    checkpoint, failed and damaged ones run again. The report is written anew.
    """
    from beliefmod.cli.sweep import go_on

    driving = Driving(
        address=address,
        hosts=hosts,
        hosts_per_gpu=hosts_per_gpu,
        slots=slots,
        checkpoint_every=checkpoint_every,
        dashboard=dashboard,
        quiet=quiet,
        report=report,
        tensorboard=tensorboard,
        mlflow=mlflow,
        wandb=wandb,
    )
    driving.check()
    go_on(run, driving)
