"""A folder for Ray's sockets whose path is short enough: Slurm and macOS set long ones."""

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


def short_temp_dir(short: Path = SHORT) -> str | None:
    """Where Ray is to keep its session: None for its own choice (`$RAY_TMPDIR/ray`, `$TMPDIR/ray`, /tmp/ray),
    and a folder of this user in `short` where sockets there would have too long a path.

    Raises:
        UserError: nothing can be written in `short` either.
    """
    own = get_default_ray_temp_dir()
    most = MOST_BYTES - OF_SESSION
    if len(os.fsencode(own)) <= most:
        return None
    folder = short / f"ray-{os.getuid()}"
    try:
        folder.mkdir(exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} belongs to somebody else")
    except OSError as error:
        raise UserError(
            f"the temporary folder {own} is too long for Ray's sockets, and {folder} cannot be used "
            f"({error}); set RAY_TMPDIR to a folder of at most {most - len('/ray')} characters"
        ) from None
    return str(folder)
