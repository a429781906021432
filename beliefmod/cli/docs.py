"""`beliefmod docs`: the documentation, in a terminal, also where there is no checkout."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from beliefmod.errors import UserError, did_you_mean

PACKAGED = Path(__file__).parents[1] / "pages"
"""Where a wheel has the pages, laid out as a checkout has them, whose own are taken without such a folder."""
LINK = re.compile(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)([^)\s]+)\)")
"""A link or picture in Markdown that leads to a file beside the page."""


def docs(
    page: Annotated[
        str | None, typer.Argument(metavar="[PAGE]", help="Its name; all are listed if left out.")
    ] = None,
) -> None:
    """List the pages of the documentation, or print one as Markdown."""
    known = pages()
    if page is None:
        width = max(map(len, known))
        for name, path in known.items():
            typer.echo(f"{name:{width}}  {_heading(path)}")
        return
    if page not in known:
        raise UserError(f"there is no page {page}{did_you_mean(page, known)}")
    typer.echo(readable(known[page].read_text(encoding="utf-8"), known), nl=False)


def pages() -> dict[str, Path]:
    """Name -> file of every page, by name: what it is called in `docs/`, without its folder and ending."""
    top = PACKAGED if PACKAGED.is_dir() else Path(__file__).parents[2]
    found = [*top.glob("*.md"), *top.glob("docs/*.md"), *top.glob("docs/recipes/*.md")]
    return dict(sorted((path.stem.lower(), path) for path in found))


def readable(text: str, known: Collection[str]) -> str:
    """A page for who has no checkout: what its links lead to is a command, or is left out.

    >>> readable("See [what D is](metrics.md#d), [why](../tests/x.py), ![a chart](a.png).", ["metrics"])
    'See what D is (`beliefmod docs metrics`), why, a chart.'
    """

    def put(link: re.Match[str]) -> str:
        words, target = link.groups()
        name, ending = posixpath.splitext(posixpath.basename(target.partition("#")[0]))
        if ending == ".md" and name.lower() in known:
            return f"{words} (`beliefmod docs {name.lower()}`)"
        if "sweeps/" in target and ending == ".yaml":
            return f"{words} (`beliefmod spaces show {name}`)"
        return words

    return LINK.sub(put, text)


def _heading(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().strip("# \n")
