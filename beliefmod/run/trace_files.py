"""The files of supplied traces that a run keeps: copies, each called by the digest of its content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from beliefmod.beliefs.traces import SuppliedTrace, parse_traces, read_traces
from beliefmod.config import split_name

if TYPE_CHECKING:
    from beliefmod.beliefs import Belief
    from beliefmod.run.folder import RunFolder

TRACES = "traces"


def keep_traces(names: Iterable[str | None], folder: RunFolder) -> None:
    """Copy the files that `data.traces` names into a run folder, byte for byte.

    Raises:
        UserError: a file is gone, or has changed since its digest was taken.
    """
    for name in dict.fromkeys(name for name in names if name):
        file = read_traces(name)
        folder.write_bytes(file.content, TRACES, f"{file.digest}.jsonl")


def supplied_traces(name: str, belief: Belief, folder: RunFolder | None = None) -> tuple[SuppliedTrace, ...]:
    """A belief's traces from the file that `data.traces` names, or from the copy that a run keeps of it.

    Raises:
        UserError: the file is gone, wrong, or no longer what it was when its digest was taken.
    """
    path, digest = split_name(name)
    if folder is not None and digest is not None and folder.exists(TRACES, f"{digest}.jsonl"):
        return parse_traces(folder.read_bytes(TRACES, f"{digest}.jsonl"), path).of(belief)
    return read_traces(name).of(belief)
