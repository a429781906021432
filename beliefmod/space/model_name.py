"""What a model's name says: bundled, of the catalogue, on this disk, or on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from beliefmod.catalog.entries import CATALOG


def is_path(name: str) -> bool:
    """Whether a name can only be a folder or a file, there or not."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or name.endswith(".gguf")


def in_catalog(name: str) -> bool:
    """Whether a name is one of the catalogue's; a folder of that name goes first."""
    return name in CATALOG and not Path(name).is_dir()


def on_hub(name: str) -> bool:
    """Whether a name is one of the hub's; a folder of that name goes first."""
    return not (name == "bundled" or in_catalog(name) or is_path(name) or Path(name).is_dir())


def revision_problem(name: str, revision: str) -> str | None:
    """What is wrong with naming a revision of this model, in a sentence without its place; None: nothing."""
    if on_hub(name):
        return None
    if name == "bundled":
        what = "the bundled model comes with this package"
    elif in_catalog(name):
        what = f"model {name} is of the catalogue, which has one version"
    else:
        what = f"model {name} names a {'file' if name.endswith('.gguf') else 'folder'}"
    return f"revision {revision} is given, but {what}; only models of the hub have revisions, so leave it out"
