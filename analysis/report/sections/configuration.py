"""One configuration: its settings, its numbers, and its completions beside base's and in context's."""

from __future__ import annotations

from analysis.findings import Findings
from analysis.report.blocks import Block
from analysis.report.explorer import explorer


def blocks(found: Findings) -> list[Block]:
    """The explorer; nothing when no trial has finished."""
    return explorer(found)
