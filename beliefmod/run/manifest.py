"""The manifest: what a reader needs to run the same sweep again."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from beliefmod import __version__
from beliefmod.errors import UserError
from beliefmod.model.identity import kept_identity
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.space import Space
from beliefmod.space.model_name import on_hub

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "ray",
    "polars",
    "altair",
    "scikit-learn",
    "scipy",
    "statsmodels",
    "numpy",
    "optuna",
    "tokenizers",
    "safetensors",
)


def new_manifest(
    run_id: str, space: Space, started_at: str, commit: str | None = None, model_name: str | None = None
) -> dict[str, Any]:
    """The manifest of a run that is about to start.

    Args:
        commit: of a model from the hub, the version that the run keeps to.
        model_name: what the model is called in results, where that is not how the space names it.
    """
    return {
        "run_id": run_id,
        "name": space.spec.name,
        "description": space.spec.description,
        "status": "running",
        "command": shlex.join(["beliefmod", *sys.argv[1:]]),
        "started_at": started_at,
        "wall_seconds": 0.0,
        "versions": versions(),
        "git_commit": git_commit(),
        "hardware": _hardware(),
        "model": {
            "name": model_name or space.spec.model,
            **_version_of(space, commit),
            "base_storage": space.spec.base_storage,
        },
        "seeds": list(space.spec.seeds),
        "space": space.spec.model_dump(mode="json"),
        "trials": {"total": space.planned(), "finished": 0, "failed": 0},
    }


def commit_in(folder: RunFolder) -> str | None:
    """The commit of the hub that a run keeps to, as its manifest has it."""
    return (folder.read_json(MANIFEST).get("model") or {}).get("commit")


def kept_limit(folder: RunFolder) -> int | None:
    """The token limit of an answer that a run keeps to; None where it has not asked yet."""
    try:
        model = folder.read_json(MANIFEST).get("model") or {}
    except UserError:  # a folder for one trial has no manifest
        return None
    return model.get("max_new_tokens")


def kept_commit(folder: RunFolder, space: Space) -> str | None:
    """The version of a model from the hub that every host of a run loads, also after a resume: what the
    revision named when the run started. None for a folder or the bundled model.

    Raises:
        UserError: a run that does not know it yet, and the model cannot be found now.
    """
    from beliefmod.model.source import find_source

    commit = commit_in(folder)
    if commit is None and on_hub(space.spec.model):
        commit = find_source(space.spec.model, space.spec.revision).commit
        model = folder.read_json(MANIFEST).get("model") or {}
        update_manifest(folder, model={**model, **_version_of(space, commit)})
    return commit


def keep_identity(parent: RunFolder, folder: RunFolder) -> None:
    """Have a run that goes on from another one expect the model that the other one was made with."""
    identity = kept_identity(parent.read_json(MANIFEST).get("model") or {})
    update_manifest(folder, model={**(folder.read_json(MANIFEST).get("model") or {}), "identity": identity})


def _version_of(space: Space, commit: str | None) -> dict[str, Any]:
    return {"revision": space.spec.revision, "commit": commit} if commit else {}


def update_manifest(folder: RunFolder, **changes: Any) -> None:
    """Change fields of the manifest, the rest kept."""
    folder.write_json({**folder.read_json(MANIFEST), **changes}, MANIFEST)


def versions() -> dict[str, str]:
    """What ran: beliefmod, Python, and the libraries that numbers depend on."""
    found = {"beliefmod": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_commit() -> str | None:
    """The commit of the source checkout, with "+dirty" if it has changes; None for an installed package."""
    here = Path(__file__).parent
    try:
        # an environment may lie in a checkout of something else, which ignores it
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(here, "rev-parse", "HEAD")
        return f"{commit}+dirty" if _git(here, "status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or no answer in time
        return None


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def _hardware() -> dict[str, Any]:
    import psutil

    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.system(),
    }
