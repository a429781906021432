"""report.html, LaTeX files and figures once more from the recomputed rows, each against the stored one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any

from analysis.verify.verify_trials import Verification
from beliefmod.run.folder import RunFolder

PAGE = "report.html"
DRAWN_BY = ("altair",)
"""Libraries whose version changes how a figure is drawn, as far as the manifest names them."""
_DRAWING = re.compile(r"<svg.*?</svg>", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_SCALE = re.compile(r"gradient_\d+")
"""A colour scale's name, numbered through all drawings that a process has made."""
_USED = re.compile(rb"(?:^ +/\w+ \d+ 0 R\n)+", re.MULTILINE)
SHIFT = 4.0
"""So many units may a mark lie elsewhere where other fonts are installed; a figure is some hundreds wide."""


def verify_page(
    folder: RunFolder, again: Mapping[str, bytes], manifest: Mapping[str, Any], done: Verification
) -> None:
    """Note where report.html, a LaTeX file or a figure is not what the rows give.

    Args:
        again: what `report_files` makes of the recomputed rows.
    """
    figures = [name for name in again if name.startswith("figures/") or name.endswith(".pdf")]
    page = folder.exists(PAGE)
    if not page:  # then nothing says which figures there should be
        done.notes.append(f"there is no {PAGE} to compare")
        figures = [name for name in figures if folder.exists(name)]
    places = {name.rpartition("/")[0] for name in figures}
    if other := _other_versions(manifest):
        done.notes.append(f"figures are not drawn again: {other}")
        figures = []
    documents = [name for name in again if name.endswith(".tex")]
    documents = [name for name in documents if page or folder.exists(name)]
    stored = folder.read_many([*([PAGE] if page else []), *figures, *documents])
    done.mismatches += [line for name in documents for line in _document(name, stored.get(name), again[name])]
    done.page = page
    if page:
        done.mismatches += _page(stored[PAGE].decode("utf-8", "replace"), again[PAGE].decode())
    for name in figures:
        done.drawn += 1
        if name not in stored:
            where = "main.tex" if name.endswith(".pdf") else "the report"
            done.mismatches.append(f"{name}: is gone; {where} shows it")
        elif stored[name] != again[name]:
            done.mismatches += _figure(name, stored, again)
    there = [path for place in places for path in folder.sizes(place)]
    extra = [name for name in sorted(there) if name not in again]
    done.mismatches += [f"{name}: is a figure that the report does not have" for name in extra]


def _page(stored: str, again: str) -> Iterator[str]:
    """The page without its drawings, line by line: what it says, and the numbers behind its charts."""
    one, two = (_DRAWING.sub("<svg/>", text).splitlines() for text in (stored, again))
    for number, (old, new) in enumerate(zip(one, two, strict=False), 1):
        if old != new:
            at = next((i for i, (x, y) in enumerate(zip(old, new, strict=False)) if x != y), 0)
            start = max(0, at - 30)
            yield (
                f"{PAGE}, line {number} without its drawings: says {old[start : at + 50]!r}, recomputed "
                f"{new[start : at + 50]!r}"
            )
    if len(one) != len(two):
        yield f"{PAGE}: has {len(one):,} lines without its drawings, recomputed {len(two):,}"
    drawings = (_DRAWING.findall(text) for text in (stored, again))
    for number, (old, new) in enumerate(zip(*drawings, strict=False), 1):
        if what := drawn_otherwise(old, new):
            yield f"{PAGE}, drawing {number}: {what}"


def _document(name: str, stored: bytes | None, again: bytes) -> Iterator[str]:
    if stored is None:
        yield f"{name}: is gone; main.tex reads it"
        return
    old, new = stored.decode("utf-8", "replace").splitlines(), again.decode().splitlines()
    for number in range(max(len(old), len(new))):
        if old[number : number + 1] != new[number : number + 1]:
            yield f"{name}, line {number + 1}: is not what the rows give; write it again with --format tex"
            return


def _figure(name: str, stored: Mapping[str, bytes], again: Mapping[str, bytes]) -> Iterator[str]:
    if name.endswith(".svg"):
        if what := drawn_otherwise(stored[name].decode("utf-8", "replace"), again[name].decode()):
            yield f"{name}: {what}"
        return
    drawing = f"figures/{PurePosixPath(name).stem}.svg"
    if stored.get(drawing) != again[drawing]:
        return  # other fonts, or said of the drawing
    if name.endswith(".pdf") and same_pdf(stored[name], again[name]):
        return
    yield f"{name}: is not the picture of {drawing}"


def same_pdf(stored: bytes, again: bytes) -> bool:
    """Whether two PDFs are one drawing: the names in a list of what a page uses come in any order."""
    return _in_order(stored) == _in_order(again)


def _in_order(pdf: bytes) -> bytes:
    return _USED.sub(lambda found: b"".join(sorted(found[0].splitlines(keepends=True))), pdf)


def drawn_otherwise(stored: str, again: str) -> str | None:
    """In what a drawing is not the one that the data give; None where it is, but for a shift by other fonts.

    Texts, and the values that marks are labelled with, must be the same; places may differ by `SHIFT`.
    """
    if stored == again:
        return None
    if _labels(stored) != _labels(again):
        return "shows other marks, texts or values than the data give"
    one, two = (_NUMBER.findall(_SCALE.sub("", _LABEL.sub("", text))) for text in (stored, again))
    if len(one) != len(two) or any(
        abs(float(x) - float(y)) > SHIFT for x, y in zip(one, two, strict=True) if x != y
    ):
        return "has marks elsewhere than the data have them"
    return None


_LABEL = re.compile(r'aria-label="[^"]*"|>[^<]+<')


def _labels(drawing: str) -> list[str]:
    return [*_LABEL.findall(drawing), *re.findall(r"<(\w+)", drawing)]


def _other_versions(manifest: Mapping[str, Any]) -> str:
    had = manifest.get("versions") or {}
    found = [f"{name} is {version(name)} here and was {had[name]}" for name in DRAWN_BY if had.get(name)
             not in (None, version(name))]  # fmt: skip
    return ", ".join(found)
