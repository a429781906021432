"""Options that several commands take, said once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

Address = Annotated[
    str | None, typer.Option(help="Ray cluster to use (auto, or host:port); default: this machine.")
]
Hosts = Annotated[int, typer.Option(min=0, help="Engines; 0: one per GPU, or per core.")]
HostsPerGpu = Annotated[
    int, typer.Option(min=1, max=64, help="Engines that share a GPU and its memory, for small models.")
]
Slots = Annotated[int, typer.Option(min=0, help="Trials that train together on an engine; 0: choose.")]
CheckpointEvery = Annotated[
    float,
    typer.Option(min=0.5, metavar="SECONDS", help="How much work of a running trial may be lost, at most."),
]
Dashboard = Annotated[bool, typer.Option(help="Start Ray's dashboard (0.4 GB, 5 s).")]
Report = Annotated[
    bool,
    typer.Option(help="Write the report at the end (5 s and more); beliefmod report RUN writes it later."),
]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Show trials in TensorBoard: tensorboard --logdir RUN/tune.")
]
Mlflow = Annotated[
    str | None, typer.Option(metavar="URI", help="Show trials in MLflow, at this tracking URI.")
]
Wandb = Annotated[
    str | None, typer.Option(metavar="PROJECT", help="Show trials in Weights & Biases, in this project.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the last lines.")]

LIBRARIES = ("mlflow", "wandb")
"""What the options of these names need; TensorBoard's files are written by a library that Ray Tune brings."""


@dataclass(frozen=True, kw_only=True)
class Driving:
    """How a run is driven, whichever command drives it; the fields are the options of that name."""

    address: str | None = None
    hosts: int = 0
    hosts_per_gpu: int = 1
    slots: int = 0
    checkpoint_every: float = 30.0
    dashboard: bool = True
    quiet: bool = False
    report: bool = True
    tensorboard: bool = False
    mlflow: str | None = None
    wandb: str | None = None

    def check(self) -> None:
        """Raises UserError if a library for an option is missing."""
        from importlib.util import find_spec

        from beliefmod.errors import UserError

        problems = [
            f"--{name}: the library {name} is not installed; install it with pip install 'beliefmod[{name}]'"
            for name in LIBRARIES
            if getattr(self, name) is not None and find_spec(name) is None
        ]
        if problems:
            raise UserError(problems)
