"""`beliefmod prune`: the adapters of a finished run deleted, and that said where it is looked for."""

from __future__ import annotations

import typer

from beliefmod.cli.options import Run
from beliefmod.errors import UserError


def prune(run: Run) -> None:
    """Delete a finished run's adapters to save space; its numbers and its seal stay whole.

    The manifest and the seal say that they were deleted, so verify notes it
    and finds nothing wrong, and resume trains none of them again. Afterwards
    lens and export --adapter have nothing to work on. The adapters of
    RUN/confirmation go too.
    """
    from beliefmod.run.folder import ADAPTERS, MANIFEST, RunFolder
    from beliefmod.run.seal.adapter_removal import PRUNE, delete_adapters
    from beliefmod.run.seal.ledger import append, chain_of

    folder = RunFolder.open(run)
    below = RunFolder(f"{folder.url}/confirmation")
    both = [one for one in (folder, below) if one.exists(MANIFEST) and one.sizes(ADAPTERS)]
    if not both:
        raise UserError(f"{folder.url}: has no adapters to delete")
    for one in both:
        trials, size = delete_adapters(one)
        typer.echo(f"{one.url}: {trials} adapters deleted, {size / 1e6:,.1f} MB")
    if below in both:
        append(folder, [{"kind": PRUNE, "confirmation": chain_of(below).last}])
