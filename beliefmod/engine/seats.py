"""Who sits where: adapters in training slots and, trained, in parking places."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from beliefmod.engine import jobs
from beliefmod.engine.jobs import AdapterJob
from beliefmod.engine.optimizer import SlotOptimizer
from beliefmod.engine.pack import LoraPack
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter

if TYPE_CHECKING:
    from beliefmod.model.load import LoadedModel


@dataclass
class Tenant:
    """Who sits in a slot or parking place. job and optimizer are None for an adapter that is there only to be
    questioned: parked, or loaded from a file."""

    trial_id: str
    slot: int
    rank: int
    alpha: float
    targets: str | tuple[str, ...]
    weights: int
    job: AdapterJob | None = None
    optimizer: SlotOptimizer | None = None
    step: int = 0
    total_steps: int = 0
    error: str | None = None

    @property
    def training(self) -> bool:
        return self.job is not None and self.error is None and self.step < self.total_steps


class Seats:
    """The slots 0..slots-1 and the parking places behind them, with the adapters that are in them."""

    def __init__(self, loaded: "LoadedModel", slots: int, max_rank: int, parking: int) -> None:
        if slots < 1:
            raise jobs.EngineError("an engine needs at least one slot")
        if max_rank < 1:
            raise jobs.ImpossibleRank(f"max_rank must be at least 1, not {max_rank}")
        self.loaded, self.slots, self.max_rank, self.parking = loaded, slots, max_rank, parking
        self.pack = LoraPack(loaded.model, slots, max_rank, loaded.dtype, parking)
        self._tenants: dict[str, Tenant] = {}
        self._closed: set[int] = set()  # slots given up for lack of memory

    def free_slots(self) -> int:
        """Number of slots nobody sits in; a trial that has ended keeps its own until `park` or `release`."""
        return len(self._free(range(self.slots)))

    def parking_room(self) -> int:
        """Number of parking places nobody stands in."""
        return len(self._free(range(self.slots, self.slots + self.parking)))

    def parked(self) -> tuple[str, ...]:
        """trial_ids in the order of their parking places."""
        seated = sorted(self._tenants.values(), key=lambda t: t.slot)
        return tuple(t.trial_id for t in seated if t.slot >= self.slots)

    def _free(self, places: range) -> list[int]:
        taken = {tenant.slot for tenant in self._tenants.values()} | self._closed
        return [place for place in places if place not in taken]

    def _seat(
        self, trial_id: str, rank: int, alpha: float, targets: str | tuple[str, ...], parked: bool = False
    ) -> Tenant:
        if trial_id in self._tenants:
            raise jobs.DuplicateTrial(f"trial {trial_id} is already attached")
        self.pack.check_rank(rank)
        self.pack.targeted(targets)
        free = self._free(range(self.slots, self.slots + self.parking) if parked else range(self.slots))
        if not free:
            what = f"{self.parking} parking places" if parked else f"{self.slots} slots"
            raise jobs.NoFreeSlot(f"all {what} are taken")
        self.pack.open_slot(free[0], rank, alpha, targets)
        tenant = Tenant(trial_id, free[0], rank, alpha, targets, self.pack.weights(free[0]))
        self._tenants[trial_id] = tenant
        return tenant

    def park(self, trial_id: str, as_trial_id: str | None = None) -> None:
        """Put a trial's adapter, as it is now, into a parking place, where it takes no more steps.

        Under another id a copy is parked and the trial goes on (prefix sharing); under its own the trial,
        which has taken its steps, moves there and its slot is free at once. Raises UnknownAdapter (also for
        full fine-tuning, which is not kept in a slot), AdapterUnusable, DuplicateTrial, NoFreeSlot when the
        parking is full, and EngineError for a trial with steps left or already parked; nothing has changed
        then.
        """
        tenant = self._tenant(trial_id)
        moving = as_trial_id in (None, trial_id)
        if moving and (tenant.training or tenant.slot >= self.slots):
            why = "has steps left" if tenant.training else "is already parked"
            raise jobs.EngineError(f"trial {trial_id} {why}, so it cannot leave its place")
        if moving:
            del self._tenants[trial_id]  # so that its id is free for the new place
        try:
            place = self._seat(
                as_trial_id or trial_id, tenant.rank, tenant.alpha, tenant.targets, parked=True
            )
        except jobs.EngineError:
            self._tenants[trial_id] = tenant
            raise
        self.pack.copy(tenant.slot, place.slot, tenant.rank)
        place.step = tenant.step
        if moving:
            self.pack.clear(tenant.slot)

    def vacate(self, trial_id: str) -> None:
        """Empty the slot or parking place of a trial. Raises UnknownAdapter."""
        tenant = self._tenant(trial_id, usable=False)
        self.pack.clear(tenant.slot)
        del self._tenants[trial_id]

    def _tenant(self, trial_id: str, usable: bool = True) -> Tenant:
        tenant = self._tenants.get(trial_id)
        if tenant is None:
            raise jobs.UnknownAdapter(
                f"no trial {trial_id} is attached; attached: {', '.join(self._tenants) or 'none'}"
            )
        if usable and tenant.error is not None:
            raise jobs.AdapterUnusable(f"trial {trial_id} has no usable adapter: {tenant.error}")
        return tenant

    def save_adapter(self, trial_id: str, folder: str | Path) -> None:
        """Write a trial's adapter in PEFT's format, whole or not at all."""
        tenant = self._tenant(trial_id)
        write_adapter(
            Path(folder),
            AdapterFile(tenant.rank, tenant.alpha, self.pack.read(tenant.slot), self.loaded.name),
            all_layers=tuple(self.pack.layers),
        )

    def load_adapter(self, folder: str | Path, trial_id: str) -> None:
        """Put a saved adapter into a free slot, to be questioned.

        Raises like `attach`, and UserError for a folder that is no plain LoRA adapter.
        """
        self.put_adapter(read_adapter(Path(folder)), trial_id)

    def put_adapter(self, adapter: AdapterFile, trial_id: str) -> None:
        """The same with an adapter that is in memory. Raises like `attach`."""
        tenant = self._seat(trial_id, adapter.rank, adapter.alpha, tuple(adapter.tensors))
        try:
            self.pack.write(tenant.slot, adapter.tensors)
        except jobs.EngineError:
            self.vacate(trial_id)
            raise
