"""Which run a space already has in a folder of runs, so that the command that began it can go on with it."""

from __future__ import annotations

from typing import Any

from beliefmod.errors import UserError
from beliefmod.run.folder import MANIFEST, SPACE, RunFolder
from beliefmod.space import Space


def run_of_space(space: Space, out: str) -> RunFolder | None:
    """The run in `out` that was started with exactly this space, overrides and model included; None if there
    is none.

    Raises:
        UserError: there are several, so nobody knows which is meant.
    """
    wanted = space.spec.model_dump(mode="json")
    folders = [RunFolder(f"{out.rstrip('/')}/{name}") for name, entry in RunFolder(out).entries().items()
               if entry.is_folder]  # fmt: skip
    same = [folder for folder in folders if _stored(folder) == wanted]
    if len(same) > 1:
        names = ", ".join(folder.url for folder in same)
        raise UserError(
            f"--auto-resume: {out} holds {len(same)} runs of this space ({names}); go on with one of them by "
            "beliefmod resume RUN, or give another --out"
        )
    return same[0] if same else None


def _stored(folder: RunFolder) -> Any:
    """What space.yaml holds; None where the folder is no run, or was left half made."""
    import yaml

    try:
        return yaml.safe_load(folder.read_bytes(SPACE)) if folder.exists(MANIFEST) else None
    except (OSError, yaml.YAMLError):
        return None
