"""Folders with saved LoRA adapters that a space names, before any tensor is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from beliefmod.config import split_name
from beliefmod.errors import UserError

FILES = ("adapter_config.json", "adapter_model.safetensors")
"""Of PEFT's format: how the adapter is to be read, and its tensors."""


@dataclass(frozen=True)
class AdapterFolder:
    """A folder in PEFT's format.

    Attributes:
        path: as it was given, without what pins it.
        digest: the first 12 hex digits of the SHA-256 of its two files, one behind the other.
        rank: of the adapter.
    """

    path: str
    digest: str
    rank: int

    @property
    def pin(self) -> str:
        """Digest and rank, as they stand behind the path."""
        return f"{self.digest}-r{self.rank}"

    @property
    def pinned(self) -> str:
        """The folder's absolute path with its pin, as a setting has it once the folder was read."""
        return f"{os.path.abspath(self.path)}@{self.pin}"


def read_adapter_folder(name: str, setting: str = "adapter.source") -> AdapterFolder:
    """Look into the folder that a setting names, pinned or not; tensors are not read.

    Args:
        setting: which one names it, for what is said.

    Raises:
        UserError: it is no folder in PEFT's format, or no longer holds what was pinned.
    """
    path, pin = split_name(name)
    try:
        contents = [Path(path, file).read_bytes() for file in FILES]
        rank = json.loads(contents[0]).get("r")
    except (OSError, ValueError, AttributeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"{FILES[0]} is damaged"
        raise UserError(
            f"{path}: is no adapter in PEFT's format ({why}); {setting} names it, and takes a folder with "
            f"{FILES[0]} and {FILES[1]}, such as adapters/ID of a finished run"
        ) from None
    if not isinstance(rank, int) or rank < 1:
        raise UserError(f"{path}: {FILES[0]} names no rank r; {setting} takes a plain LoRA adapter")
    found = AdapterFolder(path, digest_of(contents), rank)
    if pin is not None and pin != found.pin:
        raise UserError(
            f"{path}: has changed since {setting} was read ({pin}, now {found.pin}); put the old adapter "
            "back, or start a new run with the one that is there"
        )
    return found


def digest_of(contents: Iterable[bytes]) -> str:
    """The first 12 hex digits of the SHA-256 of an adapter's files, one behind the other."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()[:12]
