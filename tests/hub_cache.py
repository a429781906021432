"""A hub cache made by hand: blobs named by their sha256, snapshots of links to them, refs to commits."""

from __future__ import annotations

import hashlib
from pathlib import Path

NAME = "tests/tiny-model"
FIRST, SECOND = "a1" * 20, "b2" * 20
"""Two commits."""


def add_version(home: Path, commit: str, files: Path, refs: tuple[str, ...] = (), name: str = NAME) -> Path:
    """Put a folder's files into the cache of HF_HOME `home` as a version of a model; the snapshot's folder.

    Args:
        refs: branches and tags that name this version from now on.
    """
    cache = home / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = cache / "snapshots" / commit
    for folder in (cache / "blobs", cache / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    for path in files.iterdir():
        content = path.read_bytes()
        blob = cache / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", blob.name))
    for ref in refs:
        (cache / "refs" / ref).write_text(commit)
    return snapshot
