"""How the answers of a run were written, and how many of them reached their limit, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.findings import Findings
from beliefmod.probing.decoding import decoding_words


def asked(found: Findings) -> str:
    """`Answers: greedy, at most 160 tokens each; 12 of 3,960 were cut off at the limit.`

    "" where the manifest does not say how it asked.
    """
    model: Any = found.run.manifest.get("model")
    model = model if isinstance(model, Mapping) else {}
    facts = model.get("decoding") or _of_an_older_run(found.run.manifest)
    if not isinstance(facts, Mapping):
        return ""
    limit = model.get("max_new_tokens")
    text = f"Answers: {decoding_words(facts)}" + (f", at most {limit:,} tokens each" if limit else "")
    return f"{text}{_cut_off(found)}."


def _of_an_older_run(manifest: Mapping[str, Any]) -> Any:
    """Before the manifest told, the space's temperature was all that there was."""
    space: Any = manifest.get("space")
    evaluation = space.get("evaluation") if isinstance(space, Mapping) else None
    temperature = evaluation.get("temperature") if isinstance(evaluation, Mapping) else None
    return {"temperature": temperature} if isinstance(temperature, (int, float)) else None


def _cut_off(found: Findings) -> str:
    if found.probes.is_empty():
        return ""
    count = int(found.probes["truncated"].fill_null(False).sum())
    return f"; {count:,} of {found.probes.height:,} {'was' if count == 1 else 'were'} cut off at the limit"
