"""The token of a Ray of our own where the home, in which Ray would keep one, cannot be written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

SOURCES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def own_token(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """What to add to the environment before Ray starts: nothing where a token is given or can be kept.

    Ray 2.60 writes `~/.ray/auth_token`, and ends with a traceback if it cannot. A new one then holds for this
    session alone.
    """
    kept = home / ".ray" / "auth_token"
    if any(environ.get(name) for name in SOURCES) or os.access(kept, os.R_OK):
        return {}
    there = next(folder for folder in (kept.parent, *kept.parents) if folder.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return {}
    return {SOURCES[0]: secrets.token_hex(32)}
