"""How far can LoRA move a reasoning model's belief before it breaks the model, and where does it live?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from beliefmod.api.opened_run import OpenedRun

__version__ = "0.1.0"


def open(location: str | PathLike[str]) -> OpenedRun:
    """A run folder, or the URL of one, as an object with its tables, charts and adapters.

    The run may be unfinished. Where the current folder has an `analysis` or `interp` of your own, these names
    mean beliefmod's from here on, and a warning says so.

    Raises:
        UserError: it is no run folder or cannot be read; or such a module of your own is imported already.
    """
    import os
    import warnings

    from beliefmod.api.own_packages import use_own_packages

    for name, theirs in use_own_packages().items():
        warnings.warn(f'"{name}" is now beliefmod\'s package in this Python, not {theirs}', stacklevel=2)
    from beliefmod.api.opened_run import OpenedRun

    return OpenedRun(os.fspath(location))
