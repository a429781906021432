"""The bundled model: its corpus, its pretraining, its weights."""

from pathlib import Path


def weights_dir() -> Path:
    """The folder of the shipped model, in Hugging Face format."""
    return Path(__file__).parent / "weights"
