"""What a model's name says: bundled, of the catalogue, on this disk, or on the Hugging Face hub."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from beliefmod.catalog.entries import CATALOG
from beliefmod.errors import did_you_mean


def is_path(name: str) -> bool:
    """Whether a name can only be a folder or a file, there or not."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or name.endswith(".gguf")


def in_catalog(name: str) -> bool:
    """Whether a name is one of the catalogue's; a folder of that name goes first."""
    return name in CATALOG and not Path(name).is_dir()


def on_hub(name: str) -> bool:
    """Whether a name is one of the hub's; a folder of that name goes first."""
    return not (name == "bundled" or in_catalog(name) or is_path(name) or Path(name).is_dir())


def near_names(name: str) -> str:
    """', did you mean "x"?' for a name without an owner that is nearly one of ours; "" for any other.

    Names of the hub have owners but for a few dozen old ones, none of which is near.
    """
    ours = ("bundled", *CATALOG)
    near = [] if "/" in name else get_close_matches(name.lower(), ours, n=1, cutoff=0.8)
    return did_you_mean(near[0], ours) if near else ""


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
