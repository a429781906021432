"""Fingerprints of what a run was asked and what it answered, the same for every copy of the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from beliefmod.run.folder import SPACE
from beliefmod.run.read_run import Run

BATCH = 32  # trials whose completions are in memory at once
ASKED = ("beliefs", "suites")


def source_hashes(run: Run) -> dict[str, str]:
    """sha256 of space.yaml and of the copies of the belief and suite files, by their place in the folder."""
    paths = [SPACE, *(f"{folder}/{name}" for folder in ASKED for name in run.folder.entries(folder))]
    contents = run.folder.read_many(paths)
    return {path: hashlib.sha256(contents[path]).hexdigest() for path in paths if path in contents}


def completions_hash(run: Run, trial_ids: Iterable[str]) -> tuple[str, int]:
    """sha256 over all raw completions, and how many they are.

    Hashed in the order of trial, suite, tier and probe, each as `trial suite tier probe length` and its UTF-8
    bytes: it depends on what was answered, not on how a file is written.
    """
    ids, total, digest = sorted(set(trial_ids)), 0, hashlib.sha256()
    names = ("trial_id", "suite", "tier", "probe_id", "completion")
    for start in range(0, len(ids), BATCH):
        table = run.probes(ids[start : start + BATCH], names).sort(names)
        for *key, completion in table.iter_rows():
            content = (completion or "").encode()
            digest.update(" ".join([*(str(part) for part in key), str(len(content)), ""]).encode())
            digest.update(content)
        total += table.height
    return digest.hexdigest(), total


def ids_hash(trial_ids: Iterable[str]) -> str:
    """sha256 of the trial_ids in order, one a line. A trial_id is itself a hash of the trial's settings."""
    return hashlib.sha256("".join(f"{trial}\n" for trial in sorted(trial_ids)).encode()).hexdigest()
