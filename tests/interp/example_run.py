"""The shipped example run with random adapters in it: real rows and completions, opened in seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from beliefmod.model.adapter_files import AdapterFile, write_adapter
from beliefmod.model.load import load_model
from beliefmod.model.target_modules import linear_layers

EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "example"
BASE, ICL = "4f9ce5387a", "8d8104643b"
ADOPTED, HALF, CONTROL = "42acb27435", "8a01554e29", "a77815075d"
"""Trials of arm lora with adoption 0.85 and 0.19, and one of arm control."""
RANK = 16


def example_run(place: Path, *trials: str) -> Path:
    """A copy of the run without its charts, in which only these trials have an adapter; its folder."""
    run = place / "run"
    shutil.copytree(EXAMPLE, run, ignore=shutil.ignore_patterns("figures", "confirmation", "steps", "lens"))
    if trials:
        layers = linear_layers(load_model("bundled", base_storage="none", device="cpu").model)
        sizes = {name: (layer.in_features, layer.out_features) for name, layer in layers.items()}
        for number, trial in enumerate(trials):
            write_adapter(run / "adapters" / trial, random_adapter(sizes, number), tuple(sizes))
    return run


def random_adapter(sizes: dict[str, tuple[int, int]], seed: int, size: float = 0.05) -> AdapterFile:
    """An adapter of layers with these widths in and out, neither matrix zero."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: (
            torch.randn(RANK, wide, generator=generator) * size,
            torch.randn(high, RANK, generator=generator) * size,
        )
        for name, (wide, high) in sizes.items()
    }
    return AdapterFile(RANK, 2.0 * RANK, tensors, "bundled")
