"""One driver per run folder: two that work on one would run every trial twice."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from beliefmod.errors import StorageTrouble, UserError
from beliefmod.run.folder import RunFolder
from beliefmod.user_files.file_lock import lock_exclusively

LOCK = ".lock"


@contextmanager
def sole_driver(folder: RunFolder) -> Iterator[None]:
    """Hold the folder's lock. The kernel lets go of it when the process dies, however that happens.

    A folder that is not on this machine's file system (a bucket) cannot be locked. `filelock` would not do:
    on file systems without locks it fails, or leaves a file that goes on to lock when its process was killed.

    Raises:
        UserError: another process does.
        StorageTrouble: the folder cannot be written.
    """
    if not folder.local:
        yield
        return
    path = folder.path(LOCK)
    try:
        file = _locked(path)
    except BlockingIOError:
        raise UserError(f"{folder.url}: {_holder(path)} works on this run; wait for it, or stop it") from None
    except OSError as error:
        raise StorageTrouble.of(folder.url, error) from error
    try:
        with suppress(OSError):  # who it is, is only told to others
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        yield
    finally:
        # while it is still held: whoever locks a file that is no longer there tries again
        with suppress(OSError):
            os.unlink(path)
        os.close(file)


def _locked(path: str) -> int:
    """Open and lock the file. Raises BlockingIOError if another holds it, and what `open` raises."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            lock_exclusively(file, wait=False)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.stat(path)):
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its holder removed it between our opening and our locking


def _holder(path: str) -> str:
    try:
        with open(path, "rb") as file:
            holder = json.loads(file.read())
        return f"another beliefmod (process {holder['process']} on {holder['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another beliefmod"
