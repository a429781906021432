"""The cache of fetched and converted models: each a folder that is there as a whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from beliefmod.errors import UserError
from beliefmod.user_files.file_lock import lock_exclusively

FOLDER = "BELIEFMOD_CACHE"
"""The environment variable that names the cache folder."""
RECORD = "kept.json"
"""The last file written into a kept folder: sizes and hashes of the others, and where they come from."""
_PART = ".part"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def cache_folder() -> Path:
    """Where models are kept: `BELIEFMOD_CACHE`, or `beliefmod` in the user's cache folder, where the hub's
    models lie as well."""
    if given := os.environ.get(FOLDER):
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beliefmod"


def record_of(place: Path) -> dict[str, Any] | None:
    """What is recorded of a kept folder; None unless it is complete, every file of its recorded size."""
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        sizes = {name: file["bytes"] for name, file in record["files"].items()}
        whole = all((place / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


def fault_of(place: Path) -> str | None:
    """Why a folder of the cache that is there is not complete, behind its name; None if it is complete or not
    there at all."""
    if not place.is_dir() or record_of(place):
        return None
    try:
        files = json.loads((place / RECORD).read_text(encoding="utf-8"))["files"]
        for name, file in files.items():
            found = (place / name).stat().st_size if (place / name).is_file() else None
            if found is None:
                return f"lacks {name}"
            if found != file["bytes"]:
                return f"has {found:,} bytes of {name} where {file['bytes']:,} belong"
    except OSError:
        return f"has no {RECORD}, which is written last"
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return f"has a {RECORD} that is damaged"


def damaged_file(place: Path) -> str | None:
    """The first file of a complete folder whose content is not what was recorded; None if all are.

    Each content is read once in a process, which takes about a second per gigabyte.
    """
    record = record_of(place) or {"files": {}}
    for name, file in record["files"].items():
        changed = (place / name).stat().st_mtime_ns
        if _sha256_since(place / name, changed) != file["sha256"]:
            return name
    return None


@lru_cache(maxsize=64)
def _sha256_since(path: Path, changed: int) -> str:
    return file_sha256(path)


def keep(
    place: Path,
    what: str,
    make: Callable[[Path], Mapping[str, Any]],
    say: Callable[[str], None],
) -> None:
    """Fill a folder of the cache, unless it is there already.

    It is made under another name on the same disk and renamed at the end, so whatever ends the work leaves
    nothing that could be taken for a model. Processes that want the same wait for the first.

    Args:
        what: names it in sentences.
        make: fills an empty folder, and gives what the record says beside the files' sizes and hashes.

    Raises:
        UserError: no room, or the cache cannot be written; and what `make` raises.
    """
    if record_of(place):
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with holding_lock(place, what, say) as locked:
            if record_of(place):  # by the one who was waited for
                return
            if locked:
                _remove_leftovers(place)
            with _ending_on_sigterm():
                _fill(place, make)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise _no_room(what, place, "the disk is full") from error
        raise UserError(
            f"{what}: {place.parent} cannot be written ({error.strerror or error}); name another folder with "
            f"the environment variable {FOLDER}"
        ) from error


def _fill(place: Path, make: Callable[[Path], Mapping[str, Any]]) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f"{place.name}.", suffix=_PART, dir=place.parent))
    try:
        facts = make(partial)
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in sorted(partial.iterdir())
        }
        (partial / RECORD).write_text(json.dumps({**facts, "files": files}, indent=1), encoding="utf-8")
        for made in (partial, *partial.iterdir()):  # folders and weights are written for their owner alone
            made.chmod(0o755 if made.is_dir() else 0o644)
        shutil.rmtree(place, ignore_errors=True)  # what is there is damaged
        try:
            partial.rename(place)
        except OSError:
            if record_of(place) is None:  # else another was faster where nothing can be locked
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Within the block SIGTERM ends the process as Ctrl-C does, so that what is half-made is removed."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # no other can take signals
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def holding_lock(place: Path, what: str, say: Callable[[str], None]) -> Iterator[bool]:
    """Hold the folder's lock; False where the file system has none. A process that dies lets go of it."""
    with open(f"{place}.lock", "ab") as file:
        try:
            locked = lock_exclusively(file, wait=False)
        except BlockingIOError:
            say(f"{what}: waiting for another process that is at it")
            locked = lock_exclusively(file)
        yield locked


def _remove_leftovers(place: Path) -> None:
    """Delete the unfinished folders of processes that were killed."""
    for partial in place.parent.glob(f"{place.name}.*{_PART}"):
        shutil.rmtree(partial, ignore_errors=True)


def check_room(folder: Path, what: str, megabytes: int) -> None:
    """Whether the disk of a folder of the cache has so much room.

    Raises:
        UserError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < megabytes * 10**6:
        raise _no_room(what, folder, f"only {free / 10**6:,.0f} MB are free and {megabytes:,} are needed")


def write_whole(path: Path, text: str) -> None:
    """Write a small file as a whole or not at all; a cache that cannot be written goes without."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, suffix=_PART)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, path)


def _no_room(what: str, place: Path, why: str) -> UserError:
    return UserError(
        f"{what}: no room in {place.parent} ({why}); free some, or name a folder on another disk with the "
        f"environment variable {FOLDER}"
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
