"""The space files that come with beliefmod, found by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from beliefmod.errors import UserError

PACKAGED = Path(__file__).parent / "sweeps"
"""Where a wheel has them; a checkout has them in `sweeps/` at its top, editable installations too."""
ENDINGS = (".yaml", ".yml")


def shipped_spaces() -> dict[str, Path]:
    """Name -> file of every space that comes with beliefmod, by name."""
    folder = PACKAGED if PACKAGED.is_dir() else Path(__file__).parents[2] / "sweeps"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def space_path(name_or_path: str | Path) -> Path:
    """The space file that is meant: a file of that path goes before a shipped space of that name.

    What can only be a path is given back as it is, there or not.

    Raises:
        UserError: there is neither; the sentence names what is shipped.
    """
    path, given, known = Path(name_or_path), str(name_or_path), shipped_spaces()
    try:
        there, folder = path.exists(), path.is_dir()
    except OSError:  # who reads the file says why it cannot be
        return path
    if there and not folder:
        return path
    if given in known:
        return known[given]
    if folder or path.name != given or path.suffix in ENDINGS:
        if path.stem in known and not folder:
            raise UserError(f"{given}: no such file; check the path, or name the shipped space {path.stem}")
        return path
    near = get_close_matches(given, known, n=1)
    hint = f', did you mean "{near[0]}"?' if near else ";"
    raise UserError(
        f"{given}: no such file, and no shipped space of that name{hint} shipped are {', '.join(known)}"
    )
