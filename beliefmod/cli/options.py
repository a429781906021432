"""Arguments and options that several commands take, said once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

import typer

from beliefmod.errors import UserError

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or its URL.")]
UnfinishedRun = Annotated[
    str, typer.Argument(metavar="RUN", help="A run folder, or its URL; the run may be unfinished.")
]
Limit = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="Damage D up to which the best configuration is named."),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="bundled, a name of the catalogue or the hub, a folder or a GGUF file; overrides the space file."
    ),
]
Revision = Annotated[
    str | None, typer.Option(help="Of a hub name: branch, tag or commit; overrides the space file.")
]
AdapterBase = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="What the adapter names as its base: a hub name, or a folder of the machine that uses it.",
    ),
]
BaseRevision = Annotated[
    str | None, typer.Option(metavar="REVISION", help="Commit, tag or branch of --base on the hub.")
]
ChatTemplate = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Jinja file: how a question is put to a model without a chat template of its own.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]

LIBRARIES = ("mlflow", "wandb")
"""What the options of these names need; TensorBoard's files are written by a library that Ray Tune brings."""


@dataclass(frozen=True, kw_only=True)
class Driving:
    """How a run is driven, whichever command drives it; every field is an option of that name."""

    address: Annotated[
        str | None,
        typer.Option(
            envvar="RAY_ADDRESS", help="Ray cluster to use (auto, host:port, local); default: this machine."
        ),
    ] = None
    hosts: Annotated[int, typer.Option(min=0, help="Engines; 0: one per GPU, or per core.")] = 0
    hosts_per_gpu: Annotated[
        int, typer.Option(min=1, max=64, help="Engines that share a GPU and its memory, for small models.")
    ] = 1
    slots: Annotated[int, typer.Option(min=0, help="Trials that train together on an engine; 0: choose.")] = 0
    checkpoint_every: Annotated[
        float,
        typer.Option(
            min=0.5, metavar="SECONDS", help="How much work of a running trial may be lost, at most."
        ),
    ] = 30.0
    dashboard: Annotated[bool, typer.Option(help="Start Ray's dashboard (0.4 GB, 5 s).")] = True
    report: Annotated[
        bool,
        typer.Option(
            help="Write the report at the end (5 s and more); beliefmod report RUN writes it later."
        ),
    ] = True
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Show trials in TensorBoard: tensorboard --logdir RUN/tune."),
    ] = False
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="Show trials in MLflow, at this tracking URI.")
    ] = None
    wandb: Annotated[
        str | None, typer.Option(metavar="PROJECT", help="Show trials in Weights & Biases, in this project.")
    ] = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the last lines.")] = False

    def check(self) -> None:
        """Raises UserError if a library for an option is missing."""
        from importlib.util import find_spec

        problems = [
            f"--{name}: the library {name} is not installed; install it with pip install 'beliefmod[{name}]'"
            for name in LIBRARIES
            if getattr(self, name) is not None and find_spec(name) is None
        ]
        if problems:
            raise UserError(problems)


def with_driving(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter `driving` is the options of `Driving`, checked."""
    own = inspect.signature(command, eval_str=True)
    hints = get_type_hints(Driving, include_extras=True)
    options = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(Driving)
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        driving = Driving(**{field.name: given.pop(field.name) for field in fields(Driving)})
        driving.check()
        command(**given, driving=driving)

    kept = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in own.parameters.values()
        if each.name != "driving"
    ]
    run.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*kept, *options)}
    return run


def progress(quiet: bool) -> Callable[[str], None]:
    """What prints a line of progress to standard error, or does not."""

    def say(message: str) -> None:
        if not quiet:
            typer.echo(message, err=True)

    return say
