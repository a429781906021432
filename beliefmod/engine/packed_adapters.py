"""The adapters of all slots as rows of one flat tensor, and the model they are put into."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from beliefmod.engine.batching import derived_seed
from beliefmod.engine.jobs import EngineError, ImpossibleRank, UnknownTarget
from beliefmod.engine.lora_linear import LayerStore, PackedLinear
from beliefmod.engine.routing import Kind, Routing
from beliefmod.model.target_modules import in_layers, linear_layers, targeted_layers

# Layer name -> A (r, in) and B (out, r), PEFT's shapes.
LayerTensors = dict[str, tuple[Tensor, Tensor]]


class LoraPack:
    """K slots and Q parking places of P numbers each: `theta` (K + Q, P), one row per adapter.

    Slots are numbered from 0 and have a row of gradients each, `grad` (K, P); parking places come behind
    them and have none. Every layer's A (r, in) and B (r, out) are views of a row; a slot of rank r uses the
    first r / max_rank of its row. `compute` is theta in the model's dtype (theta itself where they agree).
    `frozen`: no weight of the model ever changes.
    """

    def __init__(
        self,
        model: nn.Module,
        slots: int,
        max_rank: int,
        dtype: torch.dtype,
        parking: int = 0,
        frozen: bool = True,
    ) -> None:
        layers = linear_layers(model)
        if not layers:
            raise EngineError("the model has no linear layers to adapt")
        device = next(model.parameters()).device
        self.slots, self.max_rank, self.parking = slots, max_rank, parking
        self.unit = size = sum(layer.in_features + layer.out_features for layer in layers.values())
        # Adapters train in fp32 under a bf16 base, as PEFT does; under an fp64 base in fp64.
        self.theta = torch.zeros(
            slots + parking, max_rank * size, dtype=torch.promote_types(dtype, torch.float32), device=device
        )
        self.grad = torch.zeros_like(self.theta[:slots])
        self.compute = self.theta if self.theta.dtype == dtype else torch.zeros_like(self.theta, dtype=dtype)
        self.routing = Routing(dtype, device, self.unit)
        self.layers: dict[str, PackedLinear] = {}
        start = 0
        for name, layer in layers.items():
            store = LayerStore(self.compute, self.grad, start, layer.in_features, layer.out_features)
            start += layer.in_features + layer.out_features
            self.layers[name] = PackedLinear(layer, slots + parking, self.routing, store, frozen)
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, self.layers[name])

    def _views(self, row: Tensor, name: str, rank: int) -> tuple[Tensor, Tensor]:
        """One layer's A (rank, in) and B (rank, out) in a slot's row."""
        a, b = self.layers[name].store.views(row[None], rank)
        return a[0], b[0]

    def trained(self, slot: int, rank: int) -> tuple[Tensor, Tensor]:
        """Weights and gradients of a slot, both (rank * unit,): all that its optimiser has to visit."""
        return self.theta[slot, : rank * self.unit], self.grad[slot, : rank * self.unit]

    def places(self, rank: int) -> list[tuple[slice, slice]]:
        """Where A and B of every layer lie in a row of this rank."""
        return [layer.store.places(rank) for layer in self.layers.values()]

    def _rank(self, slot: int, name: str) -> int:
        """Rank of a slot in a layer, 0 where it adapts nothing."""
        return self.layers[name].ranks[slot]

    def _used(self, slot: int) -> int:
        """How many numbers of its row a slot's rank takes up, 0 for an empty slot."""
        return self.unit * max(layer.ranks[slot] for layer in self.layers.values())

    def weights(self, slot: int) -> int:
        """Number of weights of the adapter in a slot or parking place."""
        stores = [(layer.store, layer.ranks[slot]) for layer in self.layers.values()]
        return sum(rank * (store.width_in + store.width_out) for store, rank in stores)

    def targeted(self, targets: str | Sequence[str], numbers: str | Sequence[int] = "all") -> list[str]:
        """Names of the layers that these target_modules choose in transformer layers of these numbers. Raises
        UnknownTarget."""
        chosen, problem = targeted_layers(self.layers, targets)
        if not problem:
            chosen, problem = in_layers(self.layers, chosen, targets, numbers)
        if problem:
            raise UnknownTarget(problem)
        return chosen

    def check_rank(self, rank: int) -> None:
        """Raises ImpossibleRank unless 1 <= rank <= max_rank."""
        if not 1 <= rank <= self.max_rank:
            raise ImpossibleRank(f"rank {rank} is not possible: this engine holds ranks 1 to {self.max_rank}")

    def open_slot(self, slot: int, rank: int, alpha: float, targets: str | Sequence[str]) -> None:
        """Empty a slot and give it a rank, a scale alpha / rank and the layers it adapts."""
        self.check_rank(rank)
        chosen = self.targeted(targets)
        self.clear(slot)
        for name in chosen:
            self.layers[name].ranks[slot] = rank
        self.routing.open(slot, Kind(rank, tuple(chosen)), alpha / rank)

    def initialise(self, slot: int, seed: int) -> None:
        """A uniform in +-1/sqrt(in), which is PEFT's kaiming_uniform_(a=sqrt(5)); B zero.

        Drawn on the CPU in fp32 from a seed that depends on the trial's seed and the layer's name alone,
        so a trial starts the same in every slot, pack and device.
        """
        tensors = {}
        for name, layer in self.layers.items():
            rank, store = self._rank(slot, name), layer.store
            if not rank:
                continue
            generator = torch.Generator().manual_seed(derived_seed(seed, f"init/{name}"))
            bound = 1.0 / math.sqrt(store.width_in)
            a = torch.empty(rank, store.width_in).uniform_(-bound, bound, generator=generator)
            tensors[name] = (a, torch.zeros(store.width_out, rank))
        self.write(slot, tensors)

    def write(self, slot: int, tensors: LayerTensors) -> None:
        """Set a slot's weights from PEFT's shapes. Raises like `fill_row`."""
        self.fill_row(self.theta[slot], slot, tensors)
        self.refresh(slot)

    def read(self, slot: int) -> LayerTensors:
        """A slot's weights on the CPU in PEFT's shapes."""
        return self.read_row(self.theta[slot], slot)

    def fill_row(self, row: Tensor, slot: int, tensors: LayerTensors) -> None:
        """Copy one pair per adapted layer into a row that is laid out as the slot's weights are.

        Raises EngineError, before anything is copied, when layers or shapes are not those the slot was
        opened with.
        """
        adapted = {name for name in self.layers if self._rank(slot, name)}
        if adapted != set(tensors):
            raise EngineError(f"layers that are missing or not adapted: {sorted(set(tensors) ^ adapted)}")
        for name, (a, b) in tensors.items():
            store, rank = self.layers[name].store, self._rank(slot, name)
            if a.shape != (rank, store.width_in) or b.shape != (store.width_out, rank):
                raise EngineError(f"tensors of {name} have shapes {tuple(a.shape)} and {tuple(b.shape)}")
        # on the CPU and copied at once: a copy for every matrix would wait for the device every time
        there = row[: self._used(slot)]
        here = there.cpu()
        for name, (a, b) in tensors.items():
            to_a, to_b = self._views(here, name, self._rank(slot, name))
            to_a.copy_(a)
            to_b.copy_(b.T)
        there.copy_(here)

    def read_row(self, row: Tensor, slot: int) -> LayerTensors:
        """The inverse of `fill_row`, copied to the CPU; any other pack on this base can take it."""
        tensors, here = {}, row[: self._used(slot)].cpu()
        for name in self.layers:
            if rank := self._rank(slot, name):
                a, b = self._views(here, name, rank)
                # of one row `contiguous` would be no copy
                tensors[name] = (a.clone(), b.T.clone(memory_format=torch.contiguous_format))
        return tensors

    def copy(self, source: int, target: int, rank: int) -> None:
        """Give a slot or parking place, opened with the same rank and layers, the weights of another."""
        used = rank * self.unit
        self.theta[target, :used].copy_(self.theta[source, :used])
        self.refresh(target)

    def refresh(self, slot: int) -> None:
        """Bring the compute copy of a slot up to date after its theta changed."""
        self.routing.version += 1
        if self.compute is not self.theta:
            self.compute[slot].copy_(self.theta[slot])

    def clear(self, slot: int) -> None:
        """Zero a slot's weights and gradients and switch it off in every layer."""
        self.theta[slot].zero_()
        if slot < self.slots:
            self.grad[slot].zero_()
        self.refresh(slot)
        for layer in self.layers.values():
            layer.ranks[slot] = 0
        self.routing.close(slot)
