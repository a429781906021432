"""Settings that name files of the user: a path, and behind it what pins the content once it was read."""

from __future__ import annotations

import re
from pathlib import PurePath

PINNED = ("data.traces", "adapter.source", "adapter.merge_with", "lora.start_from")
"""Settings of which the content counts and not where it lies: `/path/my.jsonl@1f3870be274f`; of an adapter
its rank stands behind the digest, `/path/adapters/ab12cd34ef@1f3870be274f-r16`."""
_PINNED = re.compile(r"(?P<path>.+)@(?P<digest>[0-9a-f]{12}(-r\d+)?)", re.DOTALL)


def split_name(name: str) -> tuple[str, str | None]:
    """Path and pin of a name; None where it has no pin yet.

    >>> split_name("my.jsonl@1f3870be274f")
    ('my.jsonl', '1f3870be274f')
    """
    pinned = _PINNED.fullmatch(name)
    return (pinned["path"], pinned["digest"]) if pinned else (name, None)


def pinned_rank(name: str | None) -> int:
    """The rank of a pinned adapter; 0 for None and for a name without a pin.

    >>> pinned_rank("/runs/a/adapters/ab12cd34ef@1f3870be274f-r16")
    16
    """
    _, pin = split_name(name or "")
    return int(pin.rpartition("-r")[2]) if pin and "-r" in pin else 0


def short_name(name: str | None) -> str:
    """What a file or folder is called by itself, pinned or not, fit for a file name; empty for None.

    >>> short_name("/runs/a run/adapters/ab12cd34ef@1f3870be274f-r16")
    'ab12cd34ef'
    """
    return "" if name is None else re.sub(r"[^A-Za-z0-9_.-]", "_", PurePath(split_name(name)[0]).name)
