"""What the model gave, apart from how it was read: a digest that a new scorer does not change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

RAW_PROBE = (
    "first_turn",
    "prompt",
    "completion",
    "finish_reason",
    "token_ids",
    "logprob_target",
    "logprob_prior",
    "logprob_target_own",
    "logprob_prior_own",
)
"""Columns of the probes that the model gave: nothing in the run folder says what they should have been."""
RAW: dict[str, tuple[str, ...] | None] = {
    "probes": ("suite", "probe_id", *RAW_PROBE),
    "causal": ("probe_id", "test", "fraction", "round", "argument", "completion", "finish_reason", "tokens"),
    "steps": None,
    "drift": None,
}
"""Table -> its raw columns; None: all of them."""


def raw_digest(table: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the raw columns of a table's rows, in their order.

    What is null is left out, so that a column that a later version adds changes nothing.
    """
    columns, found = RAW[table], sha256()
    for row in rows:
        names = row if columns is None else columns
        kept = {name: row[name] for name in names if row.get(name) is not None}
        found.update(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return found.hexdigest()
