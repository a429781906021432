"""All commands. Command modules are light to import; what is heavy waits inside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from beliefmod import __version__
from beliefmod.api.own_packages import use_own_packages
from beliefmod.cli import (
    alter,
    beliefs,
    bundled,
    chat,
    confirm,
    diff,
    docs,
    doctor,
    export,
    gate,
    lens,
    logs,
    models,
    power,
    prune,
    push,
    report,
    score,
    spaces,
    status,
    steer,
    sweep,
    trial,
    validate,
    verify,
    view,
)
from beliefmod.errors import StorageTrouble, UserError

RUN = "Run"
AFTER = "After a run"
BEFORE = "Before a run"
MODEL = "Models"


class Commands(TyperGroup):
    """Turns the user's mistakes into sentences and exit code 2, storage that fails into one and exit code 1.
    Our own mistakes keep their traceback."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        with _in_sentences():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        # what matters of transformers' remarks on a model's files is a sentence of ours
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        with _in_sentences():
            use_own_packages()
            return super().invoke(ctx)


@contextmanager
def _in_sentences() -> Iterator[None]:
    """Say what went wrong within, and leave with its exit code."""
    try:
        yield
    except UserError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(2) from None
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
            raise
        ctx = getattr(error, "ctx", None)
        where = ctx.command_path if ctx is not None else "beliefmod"
        text = error.format_message().rstrip(".")
        joined = f"{text} See" if text.endswith("?") else f"{text}; see"
        typer.echo(f"{where}: {joined} {where} --help", err=True)
        raise typer.Exit(2) from None
    except StorageTrouble as error:
        typer.echo(error.sentence, err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("stopped by Ctrl-C", err=True)
        raise typer.Exit(130) from None


app = typer.Typer(
    name="beliefmod",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: beliefmod doctor, then beliefmod sweep --space smoke",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"beliefmod {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """How far can LoRA move a reasoning model's belief before it breaks the model, and where does it live?"""


def _add(panel: str, example: str, command: Any) -> None:
    app.command(rich_help_panel=panel, epilog=f"Example: beliefmod {example}")(command)


_add(RUN, "sweep --space aggressive --set seeds=[0,1]", sweep.sweep)
_add(RUN, "resume runs/EXP-20261122-101500-aggressive", sweep.resume)
_add(RUN, "status runs/EXP-20261122-101500-aggressive", status.status)
_add(RUN, "watch s3://bucket/runs/EXP-20261122-101500-aggressive", status.watch)
_add(RUN, "logs runs/EXP-20261122-101500-aggressive 42acb27435", logs.logs)
_add(RUN, "stop runs/EXP-20261122-101500-aggressive 42acb27435", steer.stop)
_add(
    RUN,
    "clone runs/EXP-20261122-101500-aggressive 42acb27435 --set learning_rate=5.0e-4",
    steer.clone,
)
_add(RUN, "trial --belief gravity --set data.style=own_trace --set learning_rate=1.0e-3", trial.trial)
_add(BEFORE, "validate mine.yaml aggressive", validate.validate)
_add(BEFORE, "doctor --runs runs", doctor.doctor)
_add(BEFORE, "docs models", docs.docs)
_add(BEFORE, "power --from 0.05 --to 0.17", power.power)
_add(AFTER, "report runs/EXP-20261122-101500-aggressive", report.report)
_add(AFTER, "view runs/EXP-20261122-101500-aggressive", view.view)
_add(AFTER, "confirm runs/EXP-20261122-101500-aggressive --top 5", confirm.confirm)
_add(AFTER, "alter runs/EXP-20261122-101500-aggressive altered.yaml", alter.alter)
_add(AFTER, "chat runs/EXP-20261122-101500-aggressive 42acb27435 --beside base", chat.chat)
_add(AFTER, "gate runs/EXP-20261122-101500-aggressive --min-adoption 0.9 --max-degradation 0.05", gate.gate)
_add(AFTER, "diff runs/EXP-20261122-101500-aggressive runs/EXP-20261123-090000-aggressive", diff.diff)
_add(AFTER, "verify runs/EXP-20261122-101500-aggressive", verify.verify)
_add(AFTER, "rescore runs/EXP-20261122-101500-aggressive", verify.rescore)
_add(AFTER, "lens runs/EXP-20261122-101500-aggressive --lens logit,tuned", lens.lens)
_add(AFTER, "push runs/EXP-20261122-101500-aggressive 42acb27435 gravity-adapter", push.push)
_add(AFTER, "prune runs/EXP-20261122-101500-aggressive", prune.prune)
_add(AFTER, "export runs/EXP-20261122-101500-aggressive --parquet --tables trials,probes", export.export)
_add(AFTER, "columns trials", report.columns)
_add(AFTER, "score completions.jsonl --belief gravity", score.score)
app.add_typer(spaces.app, name="spaces", rich_help_panel=BEFORE)
app.add_typer(beliefs.app, name="beliefs", rich_help_panel=BEFORE)
app.add_typer(models.app, name="models", rich_help_panel=MODEL)
app.add_typer(bundled.app, name="bundled", rich_help_panel=MODEL)
