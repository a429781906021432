"""Files under one path, local or any fsspec URL, written whole or not at all, through short trouble.

Trouble that lasts (disk full, read-only, folder gone) is `StorageTrouble`: it ends a sweep, never a trial.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import fsspec.core

from beliefmod.errors import StorageTrouble, UserError

MANIFEST = "manifest.json"
TEMPORARY = ".tmp"
"""What the name of a half-written file or folder ends with."""
RETRY_SECONDS = (0.2, 0.8, 2.0)
"""Pauses before a failed write is tried again; then it is trouble that lasts."""

STAMPS = ("mtime", "LastModified", "last_modified", "created", "ETag", "updated")
"""What file systems say of a file that changes when it is written again, beside its size."""

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl"}
"""They publish an object only when it is whole. Renaming one there is a copy and a deletion."""

EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "az": "azure",
}
"""Protocol -> the extra of beliefmod whose library reads it."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a folder's listing says of a file or folder. stamp: changes when the file is written again."""

    is_folder: bool
    size: int
    stamp: tuple[Any, ...]


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path on it.

    Raises:
        UserError: no such protocol, or the library for it is not installed.
    """
    try:
        return fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        extra = EXTRAS.get(url.partition("://")[0])
        fix = f"; install it with pip install 'beliefmod[{extra}]'" if extra else ""
        raise UserError(f"{url}: cannot be opened as a path or URL ({error}){fix}") from error


class RunStorage:
    """Writing and reading below `url`.

    Attributes:
        local: on this machine's file system, where writes are also flushed to the disk.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.fs, self.root = file_system(self.url)
        self.local = self.fs.protocol in ("file", ("file", "local"))
        protocols = (self.fs.protocol,) if isinstance(self.fs.protocol, str) else self.fs.protocol
        self._publishes_whole = not OBJECT_STORES.isdisjoint(protocols)
        # a manifest that disappears means that the folder did, or the disk it was on
        self._has_manifest = self.local and os.path.exists(self.path(MANIFEST))

    @property
    def name(self) -> str:
        """The last part of the URL: what people call the run."""
        return self.root.rstrip("/").rpartition("/")[2]

    def path(self, *parts: str) -> str:
        """A path inside the folder, for this folder's file system."""
        return posixpath.join(self.root, *parts)

    @property
    def storage_path(self) -> str:
        """The folder for processes with another working directory: absolute, or the URL."""
        return self.root if self.local else self.url

    def exists(self, *parts: str) -> bool:
        """Whether a file or folder is there."""
        return self.fs.exists(self.path(*parts))

    def claim(self) -> bool:
        """Make the folder if nobody has; of several processes that ask for a local one, one is told so.

        A store without folders, such as S3, cannot tell two that ask at once apart.
        """
        try:
            self.fs.makedirs(self.root, exist_ok=False)
        except FileExistsError:
            return False
        except OSError:
            pass  # `create` says what is wrong
        return True

    def create(self) -> None:
        """Make the folder.

        Raises:
            UserError: it cannot be written.
        """
        try:
            try:
                self._make_and_mark()
            except FileNotFoundError:  # another sweep that looked had just taken the empty folder away
                self._make_and_mark()
        except OSError as error:
            raise UserError(
                f"{self.url}: cannot be written ({error.strerror or error}); choose another folder with --out"
            ) from None

    def _make_and_mark(self) -> None:
        mark = self.path(f".writable-{uuid.uuid4().hex}")  # another sweep may be looking too
        self.fs.makedirs(self.root, exist_ok=True)
        self._write_whole(b"", mark)
        self.fs.rm(mark)

    def try_writing(self) -> None:
        """See whether the folder could be made, and leave no trace. Raises UserError as `create` does."""
        there = self.exists()
        self.create()
        if not there:
            with suppress(OSError, NotImplementedError):  # unless another sweep has begun in it meanwhile
                self.fs.rmdir(self.root)

    def probe(self) -> None:
        """See whether the folder can be written now, with as much as a table takes.

        Raises:
            StorageTrouble: it cannot.
        """
        self.write_bytes(bytes(2**16), f".probe{TEMPORARY}")
        self.delete(f".probe{TEMPORARY}")

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        self.fs.rm(self.root, recursive=True)

    def delete(self, *parts: str) -> None:
        """Delete a file or folder if it is there; what cannot be deleted stays, to be cleaned up later."""
        with suppress(OSError):
            if self.exists(*parts):
                self.fs.rm(self.path(*parts), recursive=True)

    def write_bytes(self, data: bytes, *parts: str) -> None:
        """Write a file whole: readers see the old content or the new, never a part.

        Raises:
            StorageTrouble: the folder cannot be written, also after a few seconds.
        """
        self.persist(lambda: self._write_whole(data, self.path(*parts)))
        self._has_manifest |= self.local and parts == (MANIFEST,)

    def write_folder(self, fill: Callable[[Path], None], *parts: str) -> None:
        """Let `fill` make a local folder, and put it whole in the place of an earlier one.

        Raises:
            StorageTrouble: as `write_bytes`.
        """
        self.persist(lambda: self._write_folder_whole(fill, self.path(*parts)))

    def read_bytes(self, *parts: str) -> bytes:
        """A file's content."""
        return self.fs.cat_file(self.path(*parts))

    def sha256(self, *parts: str) -> str:
        """SHA-256 of a file, of any size: it is never in memory as a whole. Raises as opening it does."""
        with self.fs.open(self.path(*parts), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read_many(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Contents of files by path inside the folder, of a bucket many at a time; absent ones left out."""
        if not self.local:
            whole = {self.path(path): path for path in paths}
            found: Any = self.fs.cat(list(whole), on_error="omit") if whole else {}
            return {whole[path]: content for path, content in found.items()}
        contents = {}
        for path in paths:
            with suppress(OSError):
                contents[path] = Path(self.path(path)).read_bytes()
        return contents

    def entries(self, *parts: str) -> dict[str, Entry]:
        """What is in a folder, by name, in a stable order; nothing where there is no such folder."""
        found: dict[str, Entry] = {}
        if self.local:  # fsspec takes ten times as long
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path(*parts)) as listing:
                for item in listing:
                    with suppress(FileNotFoundError):  # a temporary file has got its name by now
                        status = item.stat()
                        found[item.name] = Entry(item.is_dir(), status.st_size, (status.st_mtime_ns,))
        else:
            self.fs.invalidate_cache(self.path(*parts))  # file systems of buckets remember listings
            with suppress(FileNotFoundError, NotADirectoryError):
                for info in self.fs.ls(self.path(*parts), detail=True):
                    name = str(info["name"]).rstrip("/").rpartition("/")[2]
                    stamp = tuple(str(info.get(key)) for key in STAMPS)
                    found[name] = Entry(info["type"] == "directory", int(info.get("size") or 0), stamp)
        return dict(sorted(found.items()))

    def persist(self, action: Callable[[], Result]) -> Result:
        """Do what writes, again after a pause if that fails.

        Raises:
            StorageTrouble: it fails for longer.
        """
        for pause in (*RETRY_SECONDS, None):
            try:
                self._check_there()
                return action()
            except OSError as error:
                if pause is None:
                    raise StorageTrouble.of(self.url, error) from error
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _check_there(self) -> None:
        """Making a lost folder anew would scatter a run over two places."""
        if self.local and not os.path.exists(self.path(MANIFEST) if self._has_manifest else self.root):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.root)

    def _write_whole(self, data: bytes, target: str) -> None:
        if self._publishes_whole:
            self.fs.pipe_file(target, data)
            return
        with self._made_beside(target) as temporary:
            if self.local:
                with open(temporary, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())  # a full disk may show only here
                os.replace(temporary, target)
            else:
                self.fs.pipe_file(temporary, data)
                self.fs.mv(temporary, target)

    def _write_folder_whole(self, fill: Callable[[Path], None], target: str) -> None:
        with self._made_beside(target) as temporary:
            if self.local:
                fill(Path(temporary))
                for file in filter(Path.is_file, Path(temporary).rglob("*")):
                    with file.open("rb") as written:
                        os.fsync(written.fileno())
                if os.path.exists(target):
                    os.rename(target, old := _temporary(target))
                    os.rename(temporary, target)
                    shutil.rmtree(old)
                else:
                    os.rename(temporary, target)
                return
            with tempfile.TemporaryDirectory(prefix="beliefmod-") as scratch:
                fill(Path(scratch) / "made")
                self.fs.put(f"{scratch}/made/", f"{temporary}/", recursive=True)
            if self.fs.exists(target):
                self.fs.rm(target, recursive=True)
            self.fs.mv(temporary, target, recursive=True)

    @contextmanager
    def _made_beside(self, target: str) -> Iterator[str]:
        """A temporary name in the target's folder; what stands there is removed where the writing fails."""
        temporary = _temporary(target)
        self.fs.makedirs(posixpath.dirname(target), exist_ok=True)
        try:
            yield temporary
        except BaseException:
            with suppress(OSError):  # what went wrong first is what is raised
                if self.fs.exists(temporary):
                    self.fs.rm(temporary, recursive=True)
            raise


def _temporary(target: str) -> str:
    return f"{target}.{uuid.uuid4().hex[:8]}{TEMPORARY}"
