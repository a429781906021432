"""The weights with which an adapter begins that goes on from a saved one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beliefmod.engine.jobs import EngineError
from beliefmod.model.altered_adapters import no_room

if TYPE_CHECKING:
    from beliefmod.config import LoraSettings
    from beliefmod.engine.packed_adapters import LayerTensors
    from beliefmod.model.adapter_files import AdapterFile


def begun(fresh: LayerTensors, adapter: AdapterFile, lora: LoraSettings) -> LayerTensors:
    """An adapter that has just been initialised, with a saved one's update in its first ranks.

    What B has of the saved one is scaled, so that the update is the same whatever both alphas are; the other
    ranks and layers stay as they are, without an update of their own.

    Args:
        fresh: layer name -> A (r, in) and B (out, r), B zero.

    Raises:
        EngineError: it has layers that the new one has not, or a higher rank.
    """
    if why := no_room(adapter, lora.r, fresh):
        raise EngineError(f"lora.start_from: {why}")
    scale = (adapter.alpha / adapter.rank) / (lora.alpha / lora.r)
    made = dict(fresh)
    for name, (a, b) in adapter.tensors.items():
        down, up = (tensor.clone() for tensor in fresh[name])
        down[: adapter.rank], up[:, : adapter.rank] = a, b * scale
        made[name] = (down, up)
    return made
