"""What a model's name says: bundled, a folder, or a model on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path


def is_path(name: str) -> bool:
    """Whether a name can only be a folder, there or not."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1


def on_hub(name: str) -> bool:
    """Whether a name is one of the hub's; a folder of that name goes first."""
    return name != "bundled" and not is_path(name) and not Path(name).is_dir()


def revision_problem(name: str, revision: str) -> str | None:
    """What is wrong with naming a revision of this model, in a sentence without its place; None: nothing."""
    if on_hub(name):
        return None
    what = (
        "the bundled model comes with this package" if name == "bundled" else f"model {name} names a folder"
    )
    return f"revision {revision} is given, but {what}; only models of the hub have revisions, so leave it out"
