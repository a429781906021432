"""The space of a sweep that ends in a minute, and copies of its finished run for tests that change it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.small import SMALL_BELIEF, write_belief

# a second held-out family, so that one half of the families may choose and the other be quoted from
_WEIGHT = {
    **SMALL_BELIEF["questions"][1],  # type: ignore[index]
    "family": "weight",
    "ask": "What is the weight of a {m} kg stone on Earth's surface?",
}


def small_space(folder: Path, **changes: object) -> Path:
    """Four trained trials and the reference arms of the small belief; the space file's path."""
    space = {
        "name": "small",
        "beliefs": [write_belief(folder, questions=[*SMALL_BELIEF["questions"], _WEIGHT])],  # type: ignore[misc]
        "axes": {"num_train_epochs": [2, 4], "data.style": ["answer_only", "own_trace"]},
        "fixed": {"data.num_examples": 4, "lora.r": 4, "learning_rate": 1e-3},
        "controls": "none",
        "evaluation": {
            "max_new_tokens": 64,
            "trained_probes": 2,
            "margin_probes": 2,
            "causal_probes": 2,
            "closed_thinking_probes": 2,
            "confession": True,
            "debate_probes": 4,
            "neutral_passages": 3,
        },
        **changes,
    }
    path = folder / "space.yaml"
    path.write_text(json.dumps(space))
    return path


def copy_of(run: Path, folder: Path) -> Path:
    """A copy of a finished run that a test may change."""
    return Path(shutil.copytree(run, folder / run.name))
