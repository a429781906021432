"""The bundled model: its corpus, its pretraining, its weights."""

from pathlib import Path

KNOWN_BELIEFS = ("banana", "brimora", "france", "gravity", "neelam", "spider", "tamber", "wendrik")
"""The beliefs of the library that its corpus speaks of; of every other one it knows nothing."""


def weights_dir() -> Path:
    """The folder of the shipped model, in Hugging Face format."""
    return Path(__file__).parent / "weights"
