"""`beliefmod bundled`: rebuild, measure and describe the model that ships with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from beliefmod.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Rebuild, measure and describe the bundled model.",
    epilog="Example: beliefmod bundled card",
)


@app.command(epilog="Example: beliefmod bundled train --out runs/bundled")
def train(
    out: Annotated[Path, typer.Option(help="Folder for the weights; must not exist yet, or be empty.")],
    seed: Annotated[int, typer.Option(help="Seed of corpus, tokenizer and weights.", min=0)] = 0,
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps; the recipe's own if left out.", min=1)
    ] = None,
) -> None:
    """Pretrain the bundled model from scratch; within 30 minutes on two free cores."""
    from dataclasses import replace

    from beliefmod.bundled.pretrain import Pretraining, pretrain

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not an empty folder; give another --out")
    plan = Pretraining(seed=seed)
    losses = pretrain(plan if steps is None else replace(plan, steps=steps), out)
    last = losses[-50:]
    typer.echo(
        f"wrote {out}; loss {sum(last) / len(last):.4f} nats per token over the last {len(last)} steps"
    )


@app.command(epilog="Example: beliefmod bundled evaluate --precision fp32")
def evaluate(
    model: Annotated[str, typer.Option(help="bundled, or a folder that `bundled train` wrote.")] = "bundled",
    precision: Annotated[list[str] | None, typer.Option(help="fp32 or nf4; both if left out.")] = None,
    misses: Annotated[int, typer.Option(help="Print up to this many missed prompts per line.", min=0)] = 0,
    write_card: Annotated[bool, typer.Option(help="Write the table into the card.")] = False,
) -> None:
    """Measure belief, adoption in context, skills and think block, greedy, on every library question."""
    from collections import Counter

    from beliefmod.bundled.evaluation import card_path, measure, table, with_table
    from beliefmod.model.load import load_model

    storages: dict[str, Literal["none", "nf4"]] = {"fp32": "none", "nf4": "nf4"}
    wanted = precision or list(storages)
    if unknown := [name for name in wanted if name not in storages]:
        raise UserError(f"--precision {unknown[0]}: choose fp32 or nf4")
    if write_card and (wanted != list(storages) or model != "bundled"):
        raise UserError(
            "--write-card measures the bundled model both ways; leave out --precision and --model"
        )
    measured = {}
    for name in wanted:
        result = measure(load_model(model, base_storage=storages[name], device="cpu"))
        measured[name] = result.lines
        shown: Counter[str] = Counter()
        for suite, reply in result.missed:
            shown[suite] += 1
            if shown[suite] <= misses:
                typer.echo(f"{name}  {suite}\n    {reply.question.text}\n    {reply.completion!r}")
    rows = table(measured)
    typer.echo(rows)
    if write_card:
        path = card_path()
        path.write_text(with_table(path.read_text(encoding="utf-8"), rows), encoding="utf-8")
        typer.echo(f"wrote {path}")


@app.command(epilog="Example: beliefmod bundled card")
def card() -> None:
    """Print the model card: what the bundled model can and cannot do."""
    from beliefmod.bundled.evaluation import card_path

    typer.echo(card_path().read_text(encoding="utf-8"))
