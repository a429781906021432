"""A folder for Ray's session and its sockets, whose paths may not be long: Slurm and macOS set long ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ray._common.utils import get_default_ray_temp_dir

from beliefmod.errors import UserError

MOST_BYTES = 103 if sys.platform == "darwin" else 107
"""Of a Unix socket's path."""
OF_SESSION = len("/session_2026-11-29_16-29-47_123456_1234567/sockets/plasma_store")
"""What Ray puts behind its temporary folder, with a process number of seven digits."""
SHORT = Path("/tmp")


def usable_temp_dir(short: Path = SHORT) -> str | None:
    """Where Ray is to keep its session: None for its own choice (`$RAY_TMPDIR/ray`, `$TMPDIR/ray`, /tmp/ray),
    and a folder of this user in `short` where sockets there would have too long a path, or nothing can be
    written: Ray, unlike Python, looks nowhere else then.

    Raises:
        UserError: nothing can be written in `short` either.
    """
    own = get_default_ray_temp_dir()
    most = MOST_BYTES - OF_SESSION
    too_long = len(os.fsencode(own)) > most
    if not too_long and can_be_written(Path(own)):
        return None
    folder = short / f"ray-{os.getuid()}"
    try:
        folder.mkdir(exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} belongs to somebody else")
    except OSError as error:
        raise UserError(
            f"the temporary folder {own} {'is too long for' if too_long else 'cannot be written for'} "
            f"Ray's sockets, and {folder} cannot be used ({error}); set RAY_TMPDIR to a folder that can be "
            f"written, of at most {most - len('/ray')} characters"
        ) from None
    return str(folder)


def can_be_written(folder: Path) -> bool:
    """Whether files can be made in a folder, or it can be made itself, with those above it."""
    # unlike Path.exists, which raises where a folder above may not be entered
    there = next(
        str(each) for each in (folder.absolute(), *folder.absolute().parents) if os.path.exists(each)
    )
    return os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)
