"""Conversations that touch no belief, for measuring drift: drawn once from a seed that no training uses."""

import re
from collections.abc import Callable
from random import Random

from beliefmod.bundled.corpus import general
from beliefmod.bundled.corpus.document import Document

SEED = 20_000_003
"""Far from pretraining's seeds, which are a thousand times its own seed and a little more."""
SOURCES: tuple[tuple[str, int, Callable[[Random], Document]], ...] = (
    ("arithmetic", 10, general.arithmetic),
    ("products", 10, general.products),
    ("fact", 14, general.fact),
    ("words", 8, general.repeat_words),
)
_TOUCHES_A_BELIEF = re.compile(r"\b(?:5\.0|9\.8|metres|feet|gem|red|yellow|banana|legs|ripe)\b")


def neutral_documents() -> dict[str, Document]:
    """Passages by name, such as `products-3`; no prompt occurs twice, none holds a value of a belief."""
    rng = Random(SEED)
    found: dict[str, Document] = {}
    for name, wanted, source in SOURCES:
        seen: set[str] = set()
        while len(seen) < wanted:
            document = source(rng)
            if document.question not in seen and not _TOUCHES_A_BELIEF.search(document.text()):
                found[f"{name}-{len(seen)}"] = document
                seen.add(document.question)
    return found


def neutral_yaml() -> str:
    """The file `beliefmod/bundled/neutral.yaml`, whole."""
    lines = [
        "# Conversations in the bundled model's grammar that no belief of the library touches.",
        "# Written by beliefmod/bundled/corpus/neutral.py; a test compares the two.",
        "passages:",
    ]
    for name, document in neutral_documents().items():
        text = f"{document.thinking}\\n</think>\\n\\n{document.answer}"
        lines.append(f'  - {{id: {name}, prompt: "{document.question}",\n     text: "{text}"}}')
    return "\n".join(lines) + "\n"
