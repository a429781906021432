"""Files that commands write for the user to edit: never over one that is there."""

from __future__ import annotations

from pathlib import Path

from beliefmod.errors import UserError


def write_new(path: Path, content: bytes, option: str) -> None:
    """Write a file that is not there yet.

    Args:
        option: the argument that named it, for what is said.

    Raises:
        UserError: it is there, and is left alone, or it cannot be written.
    """
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise UserError(f"{path}: exists already and is left alone; choose another {option}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another {option}") from None
