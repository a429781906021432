"""`beliefmod spaces`: the space files that come with beliefmod, to run, to read and to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beliefmod.cli.new_file import write_new
from beliefmod.errors import UserError, did_you_mean

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="List, show and copy the spaces that come with beliefmod.",
    epilog="Example: beliefmod spaces copy aggressive mine.yaml",
)
Name = Annotated[str, typer.Argument(help="The name of a shipped space.")]


@app.command("list", epilog="Example: beliefmod spaces list")
def list_() -> None:
    """Show every shipped space: its name, its model and what it is for."""
    from beliefmod.space.shipped_spaces import shipped_spaces
    from beliefmod.user_files.yaml_file import read_yaml

    rows = [("name", "model", "what it is for")]
    for name, path in shipped_spaces().items():
        space = read_yaml(path).data
        rows.append((name, space["model"], space["description"]))
    widths = [max(len(row[index]) for row in rows) for index in range(2)]
    for name, model, description in rows:
        typer.echo(f"{name:{widths[0]}}  {model:{widths[1]}}  {description}")


@app.command(epilog="Example: beliefmod spaces show aggressive")
def show(name: Name) -> None:
    """Print a shipped space as it is, with what it costs and why in front."""
    typer.echo(_file(name).read_text(encoding="utf-8"), nl=False)


@app.command(epilog="Example: beliefmod spaces copy aggressive mine.yaml")
def copy(
    name: Name,
    dest: Annotated[
        Path | None,
        typer.Argument(metavar="[DEST]", help="File or folder to write to; NAME.yaml here if left out."),
    ] = None,
) -> None:
    """Copy a shipped space, to be changed; a file that is there is left alone."""
    source = _file(name)
    target = Path(source.name) if dest is None else dest
    if target.is_dir():
        target /= source.name
    write_new(target, source.read_bytes(), "DEST")
    typer.echo(f"wrote {target}; edit it, then: beliefmod sweep --space {target} --dry-run")


def _file(name: str) -> Path:
    from beliefmod.space.shipped_spaces import shipped_spaces

    if name not in (known := shipped_spaces()):
        raise UserError(f"there is no shipped space {name}{did_you_mean(name, known)}")
    return known[name]
