"""How answers were decoded, in words, from what a manifest keeps of it. Loads nothing of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OFF = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""The values at which a filter leaves every token in."""
AGAINST_LOOPS = ("repetition_penalty", "no_repeat_ngram_size")
"""Settings that keep answers from repeating themselves."""


def decoding_words(facts: Mapping[str, Any]) -> str:
    """`sampled at temperature 0.6 with top_k 20, top_p 0.95`, or `greedy`; and which engine wrote them, where
    that was not ours.

    >>> decoding_words({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.0})
    'sampled at temperature 0.6 with top_k 20, top_p 0.95'
    """
    by = f", written by {facts['engine']}" if facts.get("engine") else ""
    if not facts.get("temperature"):
        return f"greedy{by}"
    filters = [f"{name} {facts[name]:g}" for name, off in OFF.items() if facts.get(name, off) != off]
    return f"sampled at temperature {facts['temperature']:g}" + (
        f" with {', '.join(filters)}{by}" if filters else by
    )


def not_applied_note(facts: Mapping[str, Any]) -> str | None:
    """What of the model's generation config is left out, in a sentence; None where nothing is."""
    if not (names := facts.get("not_applied")):
        return None
    note = f"of the model's generation config this is not applied: {', '.join(map(str, names))}"
    loops = any(str(name).startswith(AGAINST_LOOPS) for name in names)
    return note + ("; all arms, base too, may loop more than with it" if loops else "")
