"""A hash chain: entries, one a line, each of which carries the hash of the one before. Pure: bytes in, out.

An entry is a JSON object. `n` counts from 0, `previous` is the hash of the entry before (64 zeros in the
first), `hash` the SHA-256 of everything else in the entry. So an entry that is changed, taken out or put in
breaks the chain behind it, unless all that follows is hashed anew, which gives the chain another last hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

START = "0" * 64
"""What the first entry has as `previous`."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class Chain:
    """A chain as it was read.

    Attributes:
        entries: in order; those behind a broken place too, as far as they are JSON objects.
        problems: sentences that name the line; none in a chain that nobody has touched.
        torn: bytes behind the last line end, the rest of an entry that a crash cut off. They are no entry.
    """

    entries: tuple[Entry, ...]
    problems: tuple[str, ...]
    torn: int = 0

    @property
    def last(self) -> str:
        """The hash of the last entry, which stands for the whole chain; 64 zeros without one."""
        return str(self.entries[-1].get("hash")) if self.entries else START


def linked(last: Entry | None, facts: Mapping[str, Any]) -> Entry:
    """The entry with these facts that follows `last` (None: the first of a chain)."""
    n, previous = (0, START) if last is None else (last["n"] + 1, last["hash"])
    entry = {"n": n, "previous": previous, **facts}
    return {**entry, "hash": digest(entry)}


def link_all(last: Entry | None, facts: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Entries with these facts, one after the other behind `last`."""
    found: list[Entry] = []
    for each in facts:
        last = linked(last, each)
        found.append(last)
    return found


def digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 of what an entry says, without its own hash; of the content, not of how the line looks."""
    content = {name: value for name, value in entry.items() if name != "hash"}
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def lines(entries: Sequence[Entry]) -> bytes:
    """Entries as the lines of a chain's file."""
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def read_chain(content: bytes, name: str) -> Chain:
    """Read a chain's file and check that every entry is whole and follows the one before.

    Args:
        name: of the file, for the sentences.
    """
    *whole, torn = content.split(b"\n")
    entries: list[Entry] = []
    problems: list[str] = []
    for number, line in enumerate(whole, 1):
        place = f"{name}, line {number}"
        if (entry := _entry(line)) is None:
            problems.append(f"{place}: is no entry of a chain")
            continue
        if entry["hash"] != digest(entry):
            problems.append(f"{place}: was changed after it was written, for its hash is of other content")
        before = entries[-1]["hash"] if entries else START
        if entry["previous"] != before or entry["n"] != len(entries):
            problems.append(f"{place}: does not follow the line before it; an entry was taken out or put in")
        entries.append(entry)
    return Chain(tuple(entries), tuple(problems), len(torn))


def _entry(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    known = isinstance(entry, dict) and isinstance(entry.get("n"), int)
    return entry if known and isinstance(entry.get("hash"), str) and "previous" in entry else None
