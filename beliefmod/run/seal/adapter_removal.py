"""Deletes a run's adapters to save space, and says so in its manifest and its chain: no loss then."""

from __future__ import annotations

from datetime import UTC, datetime

from beliefmod.errors import UserError
from beliefmod.run.folder import ADAPTERS, MANIFEST, RunFolder
from beliefmod.run.integrity import ADAPTERS_DELETED
from beliefmod.run.lock import sole_driver
from beliefmod.run.manifest import update_manifest
from beliefmod.run.seal.ledger import chain_of, hashes, seal_files
from beliefmod.run.seal.sealed_state import state_of

PRUNE = "prune"
"""Kind of the chain's entry."""


def delete_adapters(folder: RunFolder) -> tuple[int, int]:
    """Delete every adapter of a run whose sweep has ended.

    Returns:
        How many trials had one, and how many bytes they took.

    Raises:
        UserError: the sweep has not ended, there is none, or the manifest is another than was sealed.
        StorageTrouble: the folder cannot be written.
    """
    with sole_driver(folder):
        _check(folder)
        files = folder.sizes(ADAPTERS)
        trials = sorted({path.split("/")[1] for path in files})
        if not trials:
            raise UserError(f"{folder.url}: has no adapters to delete")
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        update_manifest(folder, **{ADAPTERS_DELETED: at})  # first: half of them gone is no damage either
        folder.delete(ADAPTERS)
        seal_files(folder, PRUNE, [MANIFEST], trials=trials)
    return len(trials), sum(files.values())


def _check(folder: RunFolder) -> None:
    """A manifest that was changed behind the seal's back must not be sealed anew."""
    status = folder.read_json(MANIFEST).get("status")
    if status != "finished":
        raise UserError(
            f"{folder.url}: its sweep has not ended ({status}), and what goes on needs adapters; "
            f"beliefmod resume {folder.url} first"
        )
    sealed = state_of(chain_of(folder).entries).files.get(MANIFEST)
    if sealed is not None and hashes(folder, [MANIFEST]).get(MANIFEST) != sealed.sha256:
        raise UserError(f"{folder.url}/{MANIFEST}: is not the file that was sealed, so nothing was deleted; "
                        "restore it")  # fmt: skip
