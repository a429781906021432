"""How answers are shown as they are written: one behind the other, or on a terminal in columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

import typer

if TYPE_CHECKING:
    from rich.table import Table

Show = Callable[[int, str], None]
"""Takes all of an answer's text so far, with its place among those that are written."""


class ChatView(Protocol):
    """Shows the answers of some arms while they are written."""

    def answering(self, names: Sequence[str], opened: str) -> AbstractContextManager[Show]:
        """Within the block answers are shown; `opened` is what the prompt has put in front of each."""
        ...


def view_for(terminal: bool) -> ChatView:
    """The view for a terminal, or for a pipe."""
    return Columns() if terminal else Lines()


class Lines:
    """The first answer as it is written, the others behind it once all have ended."""

    @contextmanager
    def answering(self, names: Sequence[str], opened: str) -> Iterator[Show]:
        """Print every answer under the name of its arm."""
        texts, printed = [opened] * len(names), ""

        def show(place: int, text: str) -> None:
            nonlocal printed
            texts[place] = opened + text
            if place == 0:
                printed = _print_rest(printed, texts[0])

        typer.echo(f"[{names[0]}]")
        try:
            yield show
        finally:
            typer.echo()
            for name, text in list(zip(names, texts, strict=True))[1:]:
                typer.echo(f"[{name}]\n{text.strip()}")


class Columns:
    """Several answers beside each other as they are written; a single one as `Lines` does."""

    @contextmanager
    def answering(self, names: Sequence[str], opened: str) -> Iterator[Show]:
        """Draw the answers as they grow, and leave them there whole."""
        if len(names) == 1:
            with Lines().answering(names, opened) as show:
                yield show
            return
        from rich.console import Console
        from rich.live import Live

        texts = [opened] * len(names)
        console = Console()
        # what does not fit on the screen is cut while it is written, and printed whole behind that
        with Live(console=console, transient=True, auto_refresh=False) as live:

            def draw(place: int, text: str) -> None:
                texts[place] = opened + text
                live.update(beside(names, texts), refresh=True)

            try:
                yield draw
            finally:
                live.stop()
                console.print(beside(names, texts))


def beside(names: Sequence[str], texts: Sequence[str]) -> Table:
    """Texts in columns of one width, each under its name; nothing in them is taken for markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(expand=True, padding=(0, 2))
    for _ in names:
        table.add_column(ratio=1)
    table.add_row(*(Text(f"[{name}]", style="bold") for name in names))
    table.add_row(*(Text(text.strip()) for text in texts))
    return table


def _print_rest(printed: str, text: str) -> str:
    """Print what a text has more than what is printed of it; a text that changed is printed anew."""
    if not text.startswith(printed):
        typer.echo()
        printed = ""
    typer.echo(text[len(printed) :], nl=False)
    return text
