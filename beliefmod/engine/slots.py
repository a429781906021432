"""Which adapter is where: those in training in slots, those that wait to be questioned in parking places."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from beliefmod.engine import jobs
from beliefmod.engine.optimizer import SlotOptimizer
from beliefmod.engine.packed_adapters import LayerTensors, LoraPack
from beliefmod.engine.training_steps import TrialSteps
from beliefmod.model.adapter_base import AdapterBase
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter

if TYPE_CHECKING:
    from beliefmod.model.load import LoadedModel


@dataclass(kw_only=True)
class SlotTrial(TrialSteps):
    """A trial with its adapter in a slot or parking place. job and optimizer are None for an adapter that is
    there only to be questioned: parked, or loaded from a file. weights: how many the adapter has."""

    slot: int
    rank: int
    alpha: float
    targets: str | tuple[str, ...]
    weights: int
    optimizer: SlotOptimizer | None = None


class SlotTable:
    """The slots 0..slots-1 and the parking places behind them, with the adapters that are in them."""

    def __init__(self, loaded: "LoadedModel", slots: int, max_rank: int, parking: int) -> None:
        if slots < 1:
            raise jobs.EngineError("an engine needs at least one slot")
        if max_rank < 1:
            raise jobs.ImpossibleRank(f"max_rank must be at least 1, not {max_rank}")
        self.loaded, self.slots, self.max_rank, self.parking = loaded, slots, max_rank, parking
        self.pack = LoraPack(loaded.model, slots, max_rank, loaded.dtype, parking)
        self._slot_trials: dict[str, SlotTrial] = {}
        self._steered: dict[str, int] = {}  # arms with a vector, which take no slot: numbered behind them
        self._closed: set[int] = set()  # slots given up for lack of memory

    def free_slots(self) -> int:
        """Number of slots without a trial; one that has ended keeps its own until `park` or `release`."""
        return len(self._free(range(self.slots)))

    def parking_room(self) -> int:
        """Number of parking places without an adapter."""
        return len(self._free(range(self.slots, self.slots + self.parking)))

    def parked(self) -> tuple[str, ...]:
        """trial_ids in the order of their parking places."""
        in_slots = sorted(self._slot_trials.values(), key=lambda t: t.slot)
        return tuple(t.trial_id for t in in_slots if t.slot >= self.slots)

    def _free(self, places: range) -> list[int]:
        taken = {slot_trial.slot for slot_trial in self._slot_trials.values()} | self._closed
        return [place for place in places if place not in taken]

    def _assign_slot(
        self, trial_id: str, rank: int, alpha: float, targets: str | tuple[str, ...], parked: bool = False
    ) -> SlotTrial:
        if trial_id in self._slot_trials:
            raise jobs.DuplicateTrial(f"trial {trial_id} is already attached")
        self.pack.check_rank(rank)
        self.pack.targeted(targets)
        free = self._free(range(self.slots, self.slots + self.parking) if parked else range(self.slots))
        if not free:
            what = f"{self.parking} parking places" if parked else f"{self.slots} slots"
            raise jobs.NoFreeSlot(f"all {what} are taken")
        self.pack.open_slot(free[0], rank, alpha, targets)
        slot_trial = SlotTrial(
            trial_id=trial_id,
            slot=free[0],
            rank=rank,
            alpha=alpha,
            targets=targets,
            weights=self.pack.weights(free[0]),
        )
        self._slot_trials[trial_id] = slot_trial
        return slot_trial

    def park(self, trial_id: str, as_trial_id: str | None = None) -> None:
        """Put a trial's adapter, as it is now, into a parking place, where it takes no more steps.

        Under another id a copy is parked and the trial goes on (prefix sharing); under its own the trial,
        which has taken its steps, moves there and its slot is free at once. Raises UnknownAdapter (also for
        full fine-tuning, which is not kept in a slot), AdapterUnusable, DuplicateTrial, NoFreeSlot when the
        parking is full, and EngineError for a trial with steps left or already parked; nothing has changed
        then.
        """
        slot_trial = self._slot_trial(trial_id)
        moving = as_trial_id in (None, trial_id)
        if moving and (slot_trial.training or slot_trial.slot >= self.slots):
            why = "has steps left" if slot_trial.training else "is already parked"
            raise jobs.EngineError(f"trial {trial_id} {why}, so it cannot leave its place")
        if moving:
            del self._slot_trials[trial_id]  # so that its id is free for the new place
        try:
            place = self._assign_slot(
                as_trial_id or trial_id, slot_trial.rank, slot_trial.alpha, slot_trial.targets, parked=True
            )
        except jobs.EngineError:
            self._slot_trials[trial_id] = slot_trial
            raise
        self.pack.copy(slot_trial.slot, place.slot, slot_trial.rank)
        place.step = slot_trial.step
        if moving:
            self.pack.clear(slot_trial.slot)

    def end_early(self, trial_id: str, step: int, weights: LayerTensors) -> None:
        """End a trial's training with the weights of an earlier step, in PEFT's shapes; it takes no more
        steps and can be parked and questioned. Raises UnknownAdapter, AdapterUnusable, and EngineError for
        weights of other layers or shapes."""
        slot_trial = self._slot_trial(trial_id)
        self.pack.write(slot_trial.slot, weights)
        slot_trial.step, slot_trial.job, slot_trial.optimizer = step, None, None

    def _empty_slot(self, trial_id: str) -> None:
        """Empty the slot or parking place of a trial. Raises UnknownAdapter."""
        slot_trial = self._slot_trial(trial_id, usable=False)
        self.pack.clear(slot_trial.slot)
        del self._slot_trials[trial_id]

    def _slot_trial(self, trial_id: str, usable: bool = True) -> SlotTrial:
        slot_trial = self._slot_trials.get(trial_id)
        if slot_trial is None:
            raise jobs.UnknownAdapter(
                f"no trial {trial_id} is attached; attached: {', '.join(self._slot_trials) or 'none'}"
            )
        if usable and slot_trial.error is not None:
            raise jobs.AdapterUnusable(f"trial {trial_id} has no usable adapter: {slot_trial.error}")
        return slot_trial

    def slot_of(self, adapter: str | None) -> int | None:
        """The slot or parking place of an adapter, or the number of a steered arm; None for base.

        Raises UnknownAdapter, AdapterUnusable.
        """
        if adapter in self._steered:
            return self._steered[adapter]
        return None if adapter is None else self._slot_trial(adapter).slot

    def _weights_of(
        self, requests: Sequence[jobs.GenerateRequest | jobs.ScoreRequest | jobs.DriftRequest]
    ) -> list[int]:
        """Weights of each request's adapter, 0 for the base and for a copy of it."""
        in_slots = self._slot_trials
        return [in_slots[r.adapter].weights if r.adapter in in_slots else 0 for r in requests]

    def state_dict(self, trial_id: str) -> dict[str, Any]:
        """Everything a trial needs to go on in any slot of any engine on the same base.

        {"step": steps taken, "weights": ..., "moments": (first, second)}, the last three each layer name
        -> A (r, in) and B (out, r) on the CPU; no moments for an adapter that is not being trained. Between
        steps on the same answers of its own, "written" and "own_answers" of `TrialSteps` too.
        """
        slot_trial = self._slot_trial(trial_id)
        slot, optimizer = slot_trial.slot, slot_trial.optimizer
        moments = optimizer and tuple(self.pack.read_row(m, slot) for m in optimizer.moments)
        state = {"step": slot_trial.step, "weights": self.pack.read(slot), "moments": moments}
        if slot_trial.written:
            state |= {"written": tuple(slot_trial.written), "own_answers": dict(slot_trial.own_answers)}
        return state

    def _load_state(self, slot_trial: SlotTrial, state: dict[str, Any]) -> None:
        """Put a trial that has just been attached where `state_dict` left it."""
        assert slot_trial.optimizer is not None
        moments = state["moments"] or ()
        least = 0 if moments else slot_trial.total_steps
        if not least <= state["step"] <= slot_trial.total_steps:
            raise jobs.EngineError(
                f"the state is no training at a step from {least} to {slot_trial.total_steps}"
            )
        self.pack.write(slot_trial.slot, state["weights"])
        rows = [torch.zeros_like(slot_trial.optimizer.theta) for _ in moments]
        for row, tensors in zip(rows, moments, strict=True):
            self.pack.fill_row(row, slot_trial.slot, tensors)
        if rows:
            slot_trial.optimizer.resume(state["step"], *rows)
        slot_trial.step = state["step"]
        slot_trial.written = state.get("written", ())
        slot_trial.own_answers = state.get("own_answers", {})

    def save_adapter(self, trial_id: str, folder: str | Path) -> None:
        """Write a trial's adapter in PEFT's format, whole or not at all."""
        slot_trial = self._slot_trial(trial_id)
        base = self.loaded.adapter_base or AdapterBase(self.loaded.name)
        weights = self.pack.read(slot_trial.slot)
        write_adapter(
            Path(folder),
            AdapterFile(slot_trial.rank, slot_trial.alpha, weights, base.path, base.revision),
            all_layers=base.layers or tuple(self.pack.layers),
            names=base.names,
        )

    def load_adapter(self, folder: str | Path, trial_id: str) -> None:
        """Put a saved adapter into a free slot, to be questioned.

        Raises like `attach`, and UserError for a folder that is no plain LoRA adapter.
        """
        self.put_adapter(read_adapter(Path(folder)), trial_id)

    def put_adapter(self, adapter: AdapterFile, trial_id: str) -> None:
        """Put an adapter that is in memory into a free slot, to be questioned. Raises like `attach`."""
        slot_trial = self._assign_slot(trial_id, adapter.rank, adapter.alpha, tuple(adapter.tensors))
        try:
            self.pack.write(slot_trial.slot, adapter.tensors)
        except jobs.EngineError:
            self._empty_slot(trial_id)
            raise
