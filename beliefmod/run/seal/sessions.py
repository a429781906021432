"""Entries of a sweep's sessions: how each began, what its model was and was to be asked, how it ended."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping

from beliefmod import __version__
from beliefmod.run.folder import MANIFEST, TRIALS_FILE, RunFolder
from beliefmod.run.manifest import git_commit
from beliefmod.run.seal.hash_chain import Entry
from beliefmod.run.seal.ledger import append, chain_of, files_below, hashes, is_sealed, seal_files
from beliefmod.run.seal.sealed_state import LOGS, SESSION, state_of

MODEL = ("name", "commit", "fingerprint", "chat_template", "base_storage", "dtype", "max_new_tokens")
"""What the chain keeps of the model: fingerprints of its weights and of its chat template among it."""
WRITTEN_ON_THE_WAY = ("suites", "search")
"""Folders that a sweep adds to: general questions picked by base's answers, and what a search chose."""


def seal_session(folder: RunFolder) -> None:
    """A sweep begins or is gone on with: by which command, with which code."""
    if is_sealed(folder):
        command = shlex.join(["beliefmod", *sys.argv[1:]])
        code = {"beliefmod": __version__, "git_commit": git_commit()}
        append(folder, [{"kind": SESSION, "command": command, "code": code}])


def seal_asked(folder: RunFolder) -> None:
    """The model is loaded and base has picked the general questions: what it is, and what will be asked."""
    if is_sealed(folder):
        model = folder.read_json(MANIFEST).get("model") or {}
        kept = {name: model[name] for name in MODEL if model.get(name) is not None}
        seal_files(folder, "asked", _new(folder), model=kept)


def seal_end(folder: RunFolder, counts: Mapping[str, int]) -> Entry | None:
    """A session has ended: the trial table, the manifest and the trials' logs as it left them, its hosts
    being gone. None without a seal."""
    if not is_sealed(folder):
        return None
    files = [MANIFEST, TRIALS_FILE, *_new(folder), *files_below(folder, LOGS)]
    return seal_files(folder, "end", files, counts=dict(counts))


def _new(folder: RunFolder) -> list[str]:
    """What the sweep wrote beside trials and has not sealed, or has written again."""
    known = state_of(chain_of(folder).entries).files
    found = hashes(folder, files_below(folder, *WRITTEN_ON_THE_WAY))
    return [path for path, sha256 in found.items() if path not in known or known[path].sha256 != sha256]
