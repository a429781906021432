"""The chain of a run, in `seal/chain.jsonl`: entries are only ever put behind the last one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from beliefmod.errors import UserError
from beliefmod.run.folder import ADAPTERS, RunFolder
from beliefmod.run.row_index import chunks
from beliefmod.run.seal.hash_chain import Chain, Entry, lines, link_all, read_chain
from beliefmod.user_files.file_lock import lock_exclusively

FOLDER, CHAIN, PLAN = "seal", "chain.jsonl", "plan.json"
NAME = f"{FOLDER}/{CHAIN}"


def is_sealed(folder: RunFolder) -> bool:
    """Whether a run has a chain; runs from before there were any have none."""
    return folder.exists(FOLDER, CHAIN)


def chain_of(folder: RunFolder) -> Chain:
    """The chain of a run, with what is wrong in it; an empty one for a run that is not sealed."""
    return read_chain(folder.read_bytes(FOLDER, CHAIN), NAME) if is_sealed(folder) else Chain((), ())


def append(folder: RunFolder, facts: Sequence[Mapping[str, Any]], *, begin: bool = False) -> Entry | None:
    """Put entries behind the last one of a sealed run, each with the time; the last of them.

    On this machine's file systems several commands may do so at once. What a crash left of an entry goes. A
    run that is not sealed stays so, with None, unless `begin` says that this is where its chain begins.

    Raises:
        StorageTrouble: the folder cannot be written.
        UserError: the chain is damaged.
    """
    if not (begin or is_sealed(folder)):
        return None
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    stamped = [{"at": at, **each} for each in facts]
    if not folder.local:
        return folder.persist(lambda: _append_in_bucket(folder, stamped))
    return folder.persist(lambda: _append_here(folder.path(FOLDER, CHAIN), folder.url, stamped))


def seal_files(folder: RunFolder, kind: str, paths: Iterable[str], **facts: Any) -> Entry | None:
    """An entry that says what a command did, with the SHA-256 of the files that it wrote, by their path in
    the run; None where the run is not sealed. Raises as `append` does."""
    if not is_sealed(folder):
        return None
    return append(folder, [{"kind": kind, **facts, "files": hashes(folder, paths)}])


def hashes(folder: RunFolder, paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files by their path in the run; those that are not there are left out."""
    found: dict[str, str] = {}
    wanted = list(paths)
    for part in chunks([path for path in wanted if not of_adapter(path)]):
        contents = folder.read_many(part)
        found |= {path: sha256(contents[path]).hexdigest() for path in part if path in contents}
    for path in filter(of_adapter, wanted):
        with suppress(FileNotFoundError):
            found[path] = folder.sha256(path)
    return found


def of_adapter(path: str) -> bool:
    """Whether a path in a run is of an adapter's file: such are large, and may be deleted on purpose."""
    return path.startswith(f"{ADAPTERS}/")


def files_below(folder: RunFolder, *names: str) -> list[str]:
    """Files of the run's subfolders (not of folders in these), by their path in the run, in order."""
    return [
        f"{name}/{inner}"
        for name in names
        for inner, entry in folder.entries(name).items()
        if not entry.is_folder and not inner.startswith(".")
    ]


def _append_here(path: str, url: str, facts: Sequence[Mapping[str, Any]]) -> Entry:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a+b") as file:
        lock_exclusively(file)
        last, end = _last_entry(file, url)
        file.truncate(end)
        entries = link_all(last, facts)
        file.write(lines(entries))
        file.flush()
        os.fsync(file.fileno())
    return entries[-1]


def _last_entry(file: Any, url: str) -> tuple[Entry | None, int]:
    """The last whole entry and where its line ends, read from the end of the file."""
    size = file.seek(0, os.SEEK_END)
    wanted = 2**16
    while True:
        start = max(0, size - wanted)
        file.seek(start)
        content = file.read(size - start)
        whole = content.rpartition(b"\n")[0]
        if start == 0 or b"\n" in whole:
            break
        wanted *= 4
    if not whole:
        return None, 0
    found = read_chain(whole.rpartition(b"\n")[2] + b"\n", NAME).entries
    if not found:
        raise UserError(f"{url}/{NAME}: its last line is no entry of a chain; restore the file")
    return found[0], start + len(whole) + 1


def _append_in_bucket(folder: RunFolder, facts: Sequence[Mapping[str, Any]]) -> Entry:
    """Stores without appending get the whole file again."""
    content = b""
    with suppress(FileNotFoundError):
        content = folder.read_bytes(FOLDER, CHAIN)
    before = read_chain(content, NAME).entries
    entries = link_all(before[-1] if before else None, facts)
    folder.write_bytes(content + lines(entries), FOLDER, CHAIN)
    return entries[-1]
