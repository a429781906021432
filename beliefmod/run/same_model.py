"""Whether a run's model is still the one that its results are of, told from files, before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beliefmod.errors import UserError
from beliefmod.model.identity import changed_parts, kept_identity, model_identity
from beliefmod.model.model_files import ModelSource
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.run.row_index import row_entries
from beliefmod.space.space import SpaceFile


def source_of(folder: RunFolder, spec: SpaceFile) -> ModelSource:
    """The files of a run's model on this machine, in the version that the run keeps to; fetched where they
    come from the hub and are not here.

    Raises:
        UserError: they cannot be found or used.
    """
    from beliefmod.model.source import find_source

    commit = (folder.read_json(MANIFEST).get("model") or {}).get("commit")
    return find_source(spec.model, commit or spec.revision, spec.chat)


def check_before_hosts(folder: RunFolder, spec: SpaceFile, elsewhere: bool) -> None:
    """See that results of another model are not gone on with, before any host starts.

    Args:
        elsewhere: hosts are on machines of their own. Then only what lies on this one is looked at, nothing
            is fetched for it, and the first host compares again.

    Raises:
        UserError: a part of the model has changed, or it cannot be found.
    """
    if not elsewhere or spec.model == "bundled" or Path(spec.model).exists():
        check_same_model(folder, source_of(folder, spec))


def check_same_model(folder: RunFolder, source: ModelSource) -> None:
    """Compare files with what the run keeps of its model; a run without results may have any.

    Reads the weight files once, where the hub's cache does not know their digests, and nothing where the run
    keeps nothing of its model.

    Raises:
        UserError: a part of the model has changed, or a file of it is damaged.
    """
    from beliefmod.model.load import load_tokenizer

    if keeps_to_a_model(folder) and any(_kept(folder).values()):
        refuse_other(folder, source.name, model_identity(source, load_tokenizer(source)))


def keeps_to_a_model(folder: RunFolder) -> bool:
    """Whether the run has results, or confirms those of another one."""
    return bool(row_entries(folder)) or "confirmation" in folder.read_json(MANIFEST)


def refuse_other(folder: RunFolder, name: str, now: Mapping[str, Any]) -> None:
    """Compare a model's identity with what the run's manifest has of it.

    Raises:
        UserError: a part that both know differs.
    """
    if changed := changed_parts(_kept(folder), now):
        raise UserError(
            f"{folder.url}: {name} is not the model that its results are of, changed: {', '.join(changed)}; "
            "put the old files back, or start a new run"
        )


def _kept(folder: RunFolder) -> dict[str, Any]:
    return kept_identity(folder.read_json(MANIFEST).get("model") or {})
