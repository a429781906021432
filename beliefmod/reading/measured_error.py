"""How often this scorer misreads real models; the figures are written by `python -m tests.gold --write`."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).with_name("measured_error.json")
"""Per part of the gold set (development, kept, and what is kept of each drawing), per figure: how many, of
how many."""


def measured_error(part: str = "kept") -> dict[str, tuple[int, int]]:
    """The figures of a part by name, each as (how many, of how many); empty where it was not measured.

    `answer` and `thinking` count what was read as labelled, `false_adoption` the answers that are not the
    target and were read as it, `loops` the loops that were found.
    """
    return {name: (hits, n) for name, (hits, n) in json.loads(FILE.read_text()).get(part, {}).items()}
