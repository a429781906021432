"""A few raw completions per belief, so that a reader sees what the numbers stand for."""

from __future__ import annotations

from analysis.document import Block
from analysis.findings import Findings


def sample_blocks(found: Findings) -> list[Block]:
    return []
