"""A run with random adapters on the bundled model: what the parts of an inspection are given, in a second."""

from __future__ import annotations

from pathlib import Path

import torch

from beliefmod.beliefs import load_belief
from beliefmod.config import LoraSettings, TrialConfig
from beliefmod.model.adapter_files import AdapterFile, write_adapter
from beliefmod.run.folder import RunFolder
from interp.opened.inspection import Inspection, TrainedTrial
from tests.small import make_session

RANK = 2


def random_inspection(place: Path, belief: str = "gravity", adapters: int = 2) -> Inspection:
    """An inspection of as many adapters as asked for, whose rows claim adoption 1/n, 2/n, ..., 1.

    Its engine has room for two at a time.
    """
    session = make_session(slots=2, max_rank=RANK)
    folder = RunFolder(str(place / "run"))
    folder.create()
    trained = []
    for number in range(adapters):
        lora = LoraSettings(r=RANK, lora_alpha=2.0 * RANK)
        config = TrialConfig(belief=belief, seed=number, lora=lora)
        adapter = _random_adapter(session.engine.pack.layers, number)
        folder.store_adapter(
            lambda to, adapter=adapter: write_adapter(to, adapter, tuple(adapter.tensors)), config.trial_id
        )
        row = {"belief": belief, "adoption": (number + 1) / adapters, "degradation": 0.0}
        trained.append(TrainedTrial(config, row))
    references = {(belief, arm, None): TrialConfig(belief=belief, arm=arm) for arm in ("base", "icl")}
    return Inspection(folder, session, {belief: load_belief(belief)}, references, tuple(trained))


def _random_adapter(layers: dict, seed: int) -> AdapterFile:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: (
            torch.randn(RANK, layer.store.width_in, generator=generator) * 0.1,
            torch.randn(layer.store.width_out, RANK, generator=generator) * 0.1,
        )
        for name, layer in layers.items()
    }
    return AdapterFile(RANK, 2.0 * RANK, tensors, "bundled")
