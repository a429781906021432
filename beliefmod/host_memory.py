"""Memory that one host needs, before any weight is read: its model is built without storage and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from beliefmod.limit import NF4_BYTES

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PROCESS_BYTES = 0.6 * 2**30  # Python, torch and transformers without a model
FULL_COPIES = 4  # weight, gradient and two moments of every weight, in the model's dtype


@dataclass(frozen=True)
class HostMemory:
    """Bytes of one host.

    Attributes:
        base: the frozen model as it is stored, and the copy that full fine-tuning trains.
        adapters: of all slots in training and as many parked.
        work: one training pass over a step of every slot.
    """

    base: float
    adapters: float
    work: float

    @property
    def total(self) -> float:
        """With the process itself."""
        return PROCESS_BYTES + self.base + self.adapters + self.work


def host_memory(
    config: PretrainedConfig,
    base_storage: str,
    *,
    gpu: bool,
    slots: int,
    rank: int,
    step_tokens: float,
    full: bool = False,
) -> HostMemory:
    """Estimate a host's memory.

    Args:
        base_storage: as in the space: dequantized, nf4 or none.
        rank: the largest of the adapters, 0 if none is trained.
        step_tokens: tokens of one optimiser step of a typical trial.
        full: whether a copy of the whole model is trained.
    """
    import torch
    from accelerate.utils import compute_module_sizes
    from transformers import AutoModelForCausalLM

    from beliefmod.engine.calibrate import CPU_LADDER, GPU_LADDER
    from beliefmod.engine.choice import adapter_bytes
    from beliefmod.engine.memory import training_bytes_per_token
    from beliefmod.engine.pack import linear_layers

    dtype = torch.bfloat16 if gpu else torch.float32  # as load_model chooses
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    dense = compute_module_sizes(model)[""]
    layers = linear_layers(model).values()
    weights = sum(layer.in_features * layer.out_features for layer in layers)
    packed = base_storage == "nf4"
    stored = dense - weights * (dtype.itemsize - NF4_BYTES) if packed else dense
    unit = sum(layer.in_features + layer.out_features for layer in layers)
    longest = (GPU_LADDER if gpu else CPU_LADDER)[-1]
    return HostMemory(
        base=stored + (FULL_COPIES * dense if full else 0),
        adapters=slots * sum(adapter_bytes(rank * unit, dtype.itemsize)),
        work=min(slots * step_tokens, longest) * training_bytes_per_token(model, dtype),
    )
