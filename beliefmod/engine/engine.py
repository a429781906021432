"""K slots on one frozen base: trials join, train side by side, are questioned, and leave."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from beliefmod.engine import jobs
from beliefmod.engine.batching import SlotRow, batch_indices, cut_passes, steps_per_epoch
from beliefmod.engine.drift import drift
from beliefmod.engine.forward import FlatModel
from beliefmod.engine.full import FullTraining, split, unpacked_copy
from beliefmod.engine.generate import generate
from beliefmod.engine.jobs import (
    AdapterJob,
    Completion,
    DriftRequest,
    DriftResult,
    GenerateRequest,
    ScoreRequest,
    StepReport,
)
from beliefmod.engine.memory import default_cache_tokens, default_pass_tokens
from beliefmod.engine.optimizer import SlotOptimizer
from beliefmod.engine.pack import LoraPack
from beliefmod.engine.schedule import lr_factor
from beliefmod.engine.score import score
from beliefmod.engine.train import backward_pass
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig
    from beliefmod.model.load import LoadedModel


@dataclass
class _Tenant:
    """Who sits in a slot. job and optimizer are None for an adapter that was loaded only to be questioned."""

    trial_id: str
    slot: int
    rank: int
    alpha: float
    targets: str | tuple[str, ...]
    job: AdapterJob | None = None
    optimizer: SlotOptimizer | None = None
    step: int = 0
    total_steps: int = 0
    error: str | None = None

    @property
    def training(self) -> bool:
        return self.job is not None and self.error is None and self.step < self.total_steps


class Engine:
    """Packed training and generation. One thread at a time; K = 1 is the plain case.

    Building an engine replaces the linear layers inside `loaded.model`; with every adapter off the model
    computes what it computed before. `pass_tokens` bounds the tokens of one training or scoring pass,
    `cache_tokens` those of one decoding batch; both follow from the memory there is when not given, and
    neither changes results beyond rounding.

    Raises EngineError for a model whose rows cannot be laid behind each other.
    """

    def __init__(
        self,
        loaded: "LoadedModel",
        slots: int,
        max_rank: int,
        *,
        pass_tokens: int | None = None,
        cache_tokens: int | None = None,
    ) -> None:
        if slots < 1:
            raise jobs.EngineError("an engine needs at least one slot")
        if max_rank < 1:
            raise jobs.ImpossibleRank(f"max_rank must be at least 1, not {max_rank}")
        self.loaded, self.slots, self.max_rank = loaded, slots, max_rank
        loaded.model.eval().requires_grad_(False)
        self.pack = LoraPack(loaded.model, slots, max_rank, loaded.dtype)
        self.model = FlatModel(loaded.model, self.pack.routing)
        self.model.verify(loaded.dtype)
        place = (loaded.model, loaded.dtype, self.model.device)
        self.pass_tokens = pass_tokens or default_pass_tokens(*place)
        self.cache_tokens = cache_tokens or default_cache_tokens(*place)
        text_config = loaded.model.config.get_text_config()
        self.max_positions = int(getattr(text_config, "max_position_embeddings", 2**31))
        self._tenants: dict[str, _Tenant] = {}
        self._full: dict[str, FullTraining] = {}

    def free_slots(self) -> int:
        """Number of slots nobody sits in; a finished or failed trial keeps its slot until `release`."""
        return self.slots - len(self._tenants)

    def has_room(self, config: "TrialConfig") -> bool:
        """Whether a trial can be attached now: an adapter needs a slot; full fine-tuning runs one by one."""
        return not self._full if config.arm == "full" else self.free_slots() > 0

    def attached(self) -> tuple[str, ...]:
        """trial_ids in the order of their slots; full fine-tuning, which needs none, comes last."""
        seated = sorted(self._tenants.values(), key=lambda t: t.slot)
        return (*(t.trial_id for t in seated), *self._full)

    def attach(self, job: AdapterJob) -> None:
        """Give a trial a free slot, freshly initialised from its seed; for arm full, a copy of the base.

        Raises NoFreeSlot, DuplicateTrial, NoRows, RowTooLong, ImpossibleRank, UnknownTarget or
        FullImpossible, all EngineError; nothing has changed then.
        """
        if not job.rows:
            raise jobs.NoRows(f"trial {job.trial_id} has no training rows")
        longest = max(len(row.input_ids) for row in job.rows)
        if longest > self.max_positions:
            raise jobs.RowTooLong(
                f"trial {job.trial_id} has a row of {longest} tokens; "
                f"the model has {self.max_positions} positions"
            )
        config = job.config
        total = config.num_train_epochs * steps_per_epoch(len(job.rows), config.per_device_train_batch_size)
        if total < 1:
            raise jobs.NoRows(f"trial {job.trial_id} has no training steps (num_train_epochs is 0)")
        if config.arm == "full":
            self._attach_full(job, total)
            return
        lora = config.lora
        tenant = self._seat(job.trial_id, lora.r, lora.lora_alpha, lora.target_modules)
        self.pack.initialise(tenant.slot, config.seed)
        tenant.job, tenant.total_steps = job, total
        tenant.optimizer = SlotOptimizer(*self.pack.trained(tenant.slot, lora.r), config)

    def _attach_full(self, job: AdapterJob, total_steps: int) -> None:
        if job.trial_id in self.attached():
            raise jobs.DuplicateTrial(f"trial {job.trial_id} is already attached")
        copy = Engine(
            unpacked_copy(self.loaded), 1, 1, pass_tokens=self.pass_tokens, cache_tokens=self.cache_tokens
        )
        self._full[job.trial_id] = FullTraining(copy, job, total_steps)

    def _seat(self, trial_id: str, rank: int, alpha: float, targets: str | tuple[str, ...]) -> _Tenant:
        if trial_id in self._tenants:
            raise jobs.DuplicateTrial(f"trial {trial_id} is already attached")
        self.pack.check_rank(rank)
        self.pack.targeted(targets)
        free = sorted(set(range(self.slots)) - {t.slot for t in self._tenants.values()})
        if not free:
            raise jobs.NoFreeSlot(f"all {self.slots} slots are taken")
        tenant = _Tenant(trial_id, free[0], rank, alpha, targets)
        self.pack.open_slot(tenant.slot, rank, alpha, targets)
        self._tenants[trial_id] = tenant
        return tenant

    def release(self, trial_id: str) -> None:
        """Empty a trial's slot, or drop its copy of the base. Raises UnknownAdapter."""
        if self._full.pop(trial_id, None):
            return
        tenant = self._tenant(trial_id, usable=False)
        self.pack.clear(tenant.slot)
        del self._tenants[trial_id]

    def _tenant(self, trial_id: str, usable: bool = True) -> _Tenant:
        tenant = self._tenants.get(trial_id)
        if tenant is None:
            raise jobs.UnknownAdapter(
                f"no trial {trial_id} is attached; attached: {', '.join(self._tenants) or 'none'}"
            )
        if usable and tenant.error is not None:
            raise jobs.AdapterUnusable(f"trial {trial_id} has no usable adapter: {tenant.error}")
        return tenant

    def train_step(self) -> list[StepReport]:
        """One optimiser step of every trial that has steps left; one report each, empty when none has."""
        full = [trial.train_step() for trial in self._full.values() if trial.training]
        return [*self._train_pack(), *full]

    def _train_pack(self) -> list[StepReport]:
        tenants = sorted((t for t in self._tenants.values() if t.training), key=lambda t: t.slot)
        if not tenants:
            return []
        rows = [row for tenant in tenants for row in self._batch(tenant)]
        for tenant in tenants:
            self.pack.grad[tenant.slot].zero_()
        losses = torch.zeros(self.slots, dtype=self.pack.theta.dtype, device=self.model.device)
        for part in cut_passes(rows, self.pass_tokens):
            backward_pass(self.model, part, losses)
        slots = [t.slot for t in tenants]
        norms = torch.linalg.vector_norm(self.pack.grad, dim=1)
        loss_of, norm_of = losses.tolist(), norms.tolist()  # the step's only wait for the device
        return [self._update(t, loss_of[k], norm_of[k]) for t, k in zip(tenants, slots, strict=True)]

    def _batch(self, tenant: _Tenant) -> list[SlotRow]:
        assert tenant.job is not None
        config, rows = tenant.job.config, tenant.job.rows
        chosen = [
            rows[i]
            for i in batch_indices(config.seed, tenant.step, len(rows), config.per_device_train_batch_size)
        ]
        tokens = sum(row.answer_length for row in chosen)
        return [SlotRow(tenant.slot, row, tokens) for row in chosen]

    def _update(self, tenant: _Tenant, loss: float, norm: float) -> StepReport:
        assert tenant.job is not None and tenant.optimizer is not None
        config = tenant.job.config
        rate = config.learning_rate * lr_factor(
            config.lr_scheduler_type, tenant.step, config.warmup_steps, tenant.total_steps
        )
        tenant.step += 1
        if math.isfinite(loss) and math.isfinite(norm):
            tenant.optimizer.step(rate, norm)
            self.pack.refresh(tenant.slot)
        else:
            what = "loss" if not math.isfinite(loss) else "gradient norm"
            tenant.error = f"{what} was not finite at step {tenant.step} of {tenant.total_steps}"
            tenant.optimizer = None
            self.pack.clear(tenant.slot)
        return StepReport(
            trial_id=tenant.trial_id,
            step=tenant.step,
            total_steps=tenant.total_steps,
            loss=loss if math.isfinite(loss) else None,
            learning_rate=rate,
            grad_norm=norm if math.isfinite(norm) else None,
            finished=not tenant.training,
            error=tenant.error,
        )

    def _slot_of(self, adapter: str | None) -> int | None:
        return None if adapter is None else self._tenant(adapter).slot

    def _place_of(self, adapter: str | None) -> tuple[FlatModel, int | None]:
        """The model and slot that an arm is run with."""
        if adapter in self._full:
            return self._full[adapter].usable().model, None
        return self.model, self._slot_of(adapter)

    def generate(
        self, requests: Sequence[GenerateRequest], max_new_tokens: int, temperature: float = 0.0
    ) -> list[Completion]:
        """Complete prompts for any mixture of adapters, in the order of the requests.

        Greedy at temperature 0; otherwise sampled, each request from its own seed. A completion ends at
        an end token (kept, "eos"), at max_new_tokens or at the model's last position ("length"). Raises
        UnknownAdapter, AdapterUnusable, NoRows for an empty prompt, RowTooLong for a prompt that leaves
        no position.
        """
        if max_new_tokens < 1 or not 0 <= temperature < math.inf:
            raise jobs.EngineError(
                "max_new_tokens must be at least 1 and temperature at least 0, "
                f"not {max_new_tokens} and {temperature}"
            )
        if any(r.adapter in self._full for r in requests):
            return split(
                self, self._full, requests, lambda one, part: one.generate(part, max_new_tokens, temperature)
            )
        slots = [self._slot_of(r.adapter) for r in requests]
        self._check_lengths([len(r.input_ids) + 1 for r in requests], [len(r.input_ids) for r in requests])
        return generate(self, requests, slots, max_new_tokens, temperature)

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """Summed log-probability (nats, at most 0) of each continuation after its prompt, under its adapter.

        Raises like `generate`; a continuation needs at least one token.
        """
        if any(r.adapter in self._full for r in requests):
            return split(self, self._full, requests, lambda one, part: one.score(part))
        slots = [self._slot_of(r.adapter) for r in requests]
        self._check_lengths(
            [len(r.input_ids) + len(r.continuation_ids) for r in requests],
            [min(len(r.input_ids), len(r.continuation_ids)) for r in requests],
        )
        return score(self.model, requests, slots, self.pass_tokens)

    def drift(self, requests: Sequence[DriftRequest]) -> list[DriftResult]:
        """How far each adapter has moved from base on a text: KL both ways and NLL, summed over its tokens.

        Exactly 0 for an adapter that adds nothing: base is run in passes of identical shape. Not finite
        where a broken adapter's numbers are not. Raises like `score`.
        """
        places = [self._place_of(r.adapter) for r in requests]
        self._check_lengths(
            [max(len(r.input_ids), len(r.base_prompt)) + len(r.continuation_ids) for r in requests],
            [min(len(r.input_ids), len(r.base_prompt), len(r.continuation_ids)) for r in requests],
        )
        return drift(self.model, requests, places, self.pass_tokens)

    def _check_lengths(self, lengths: list[int], parts: list[int]) -> None:
        if any(part < 1 for part in parts):
            raise jobs.NoRows("a prompt or continuation is empty")
        if lengths and max(lengths) > self.max_positions:
            raise jobs.RowTooLong(
                f"{max(lengths)} tokens are needed; the model has {self.max_positions} positions"
            )

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
        adapter = read_adapter(Path(folder))
        tenant = self._seat(trial_id, adapter.rank, adapter.alpha, tuple(adapter.tensors))
        try:
            self.pack.write(tenant.slot, adapter.tensors)
        except jobs.EngineError:
            self.release(trial_id)
            raise

    def state_dict(self, trial_id: str) -> dict[str, Any]:
        """Everything a trial needs to go on in any slot of any engine on the same base.

        {"step": steps taken, "weights": ..., "moments": (first, second)}, the last three each layer name
        -> A (r, in) and B (out, r) on the CPU; no moments for an adapter that is not being trained.
        """
        tenant = self._tenant(trial_id)
        state: dict[str, Any] = {"step": tenant.step, "weights": self.pack.read(tenant.slot), "moments": None}
        if tenant.optimizer is not None:
            state["moments"] = tuple(self.pack.read_row(m, tenant.slot) for m in tenant.optimizer.moments)
        return state

    def restore(self, job: AdapterJob, state: dict[str, Any]) -> None:
        """Attach a trial where `state_dict` left it; the steps that follow are those it would have taken.

        Raises like `attach`, and EngineError for a state of other layers, shapes or length.
        """
        self.attach(job)
        tenant = self._tenant(job.trial_id)
        assert tenant.optimizer is not None
        try:
            if not 0 <= state["step"] <= tenant.total_steps or state["moments"] is None:
                raise jobs.EngineError(f"the state is no training at a step from 0 to {tenant.total_steps}")
            self.pack.write(tenant.slot, state["weights"])
            rows = [torch.zeros_like(tenant.optimizer.row.data) for _ in state["moments"]]
            for row, tensors in zip(rows, state["moments"], strict=True):
                self.pack.fill_row(row, tenant.slot, tensors)
        except jobs.EngineError:
            self.release(job.trial_id)
            raise
        tenant.optimizer.resume(state["step"], *rows)
        tenant.step = state["step"]
