"""Memory that one host needs, before any weight is read: its model is built without storage and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from beliefmod.capacity.limit import NF4_BYTES

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PROCESS_BYTES = 0.6 * 2**30
"""Without a model: Python, torch and transformers in memory; on a GPU about as much for CUDA."""
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


@dataclass(frozen=True)
class Footprint:
    """What a model takes by its shape alone, in bytes.

    Attributes:
        dense, packed: all weights in the model's dtype, and with the linear layers in NF4.
        unit: weights of an adapter of rank 1 on every linear layer.
        number_bytes: of a number in the model's dtype.
        token_bytes: activations of one token in a training pass.
        longest_pass: tokens beyond which a pass is cut, however much memory there is.
    """

    dense: float
    packed: float
    unit: int
    number_bytes: int
    token_bytes: int
    longest_pass: int

    def base(self, base_storage: str, full: bool = False) -> float:
        """The frozen model, and with `full` the copy that is trained.

        Args:
            base_storage: as in the space: dequantized, nf4 or none.
        """
        stored = self.packed if base_storage == "nf4" else self.dense
        return stored + (FULL_COPIES * self.dense if full else 0)

    def adapter(self, rank: int) -> tuple[int, int]:
        """An adapter in training, and one that is parked."""
        from beliefmod.capacity.choose import adapter_bytes

        return adapter_bytes(rank * self.unit, self.number_bytes)


def footprint(config: PretrainedConfig, gpu: bool) -> Footprint:
    """Measure a model that is built on the meta device: no weight is read or made."""
    import torch
    from accelerate.utils import compute_module_sizes
    from transformers import AutoModelForCausalLM

    from beliefmod.capacity.calibrate import CPU_LADDER, GPU_LADDER
    from beliefmod.engine.memory import training_bytes_per_token
    from beliefmod.engine.packed_adapters import linear_layers

    dtype = torch.bfloat16 if gpu else torch.float32  # as load_model chooses
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    dense = compute_module_sizes(model)[""]
    layers = linear_layers(model).values()
    weights = sum(layer.in_features * layer.out_features for layer in layers)
    return Footprint(
        dense=dense,
        packed=dense - weights * (dtype.itemsize - NF4_BYTES),
        unit=sum(layer.in_features + layer.out_features for layer in layers),
        number_bytes=dtype.itemsize,
        token_bytes=training_bytes_per_token(model, dtype),
        longest_pass=(GPU_LADDER if gpu else CPU_LADDER)[-1],
    )


def host_memory(
    model: Footprint, base_storage: str, *, slots: int, rank: int, step_tokens: float, full: bool = False
) -> HostMemory:
    """Estimate a host's memory.

    Args:
        base_storage: as in the space: dequantized, nf4 or none.
        rank: the largest of the adapters, 0 if none is trained.
        step_tokens: tokens of one optimiser step of a typical trial.
        full: whether a copy of the whole model is trained.
    """
    return HostMemory(
        base=model.base(base_storage, full),
        adapters=slots * sum(model.adapter(rank)),
        work=min(slots * step_tokens, model.longest_pass) * model.token_bytes,
    )
