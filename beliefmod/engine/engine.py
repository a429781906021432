"""K slots on one frozen base: trials join, train side by side, are questioned, and leave."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from beliefmod.engine import jobs
from beliefmod.engine.batching import SlotRow, batch_indices, cut_passes, steps_per_epoch
from beliefmod.engine.divergence import BasePasses, drift
from beliefmod.engine.forward import FlatModel
from beliefmod.engine.full_finetuning import FullTraining, split, unpacked_copy
from beliefmod.engine.generate import OnBatch, generate
from beliefmod.engine.jobs import (
    AdapterJob,
    Completion,
    DriftRequest,
    DriftResult,
    GenerateRequest,
    ScoreRequest,
    StepReport,
)
from beliefmod.engine.logprobs import score
from beliefmod.engine.lr_schedule import lr_factor
from beliefmod.engine.memory import (
    OutOfMemory,
    default_cache_tokens,
    default_pass_tokens,
    ran_out,
    within_memory,
)
from beliefmod.engine.norms import replace_norms
from beliefmod.engine.optimizer import SlotOptimizer
from beliefmod.engine.slots import SlotTable, SlotTrial
from beliefmod.engine.train import backward_pass
from beliefmod.engine.usage import Usage
from beliefmod.model.size import positions

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig
    from beliefmod.model.load import LoadedModel


class Engine(SlotTable):
    """Packed training and generation. One thread at a time; K = 1 is the plain case.

    `parking` places hold adapters that wait to be questioned while others train in the slots: weights alone,
    without gradient or moments.

    Building an engine replaces the linear layers and norms inside `loaded.model`; with every adapter off the
    model computes what it computed before. `pass_tokens` bounds the tokens of one training or scoring pass,
    `cache_tokens` those of one decoding batch; both follow from the memory there is when not given, and
    neither changes results beyond rounding. When memory runs out all the same they are halved; where that
    is not enough the youngest trial waits beside the slots with its state, and its slot stays closed.
    `usage` counts what was done and holds a sentence for every such case.

    Raises EngineError for a model whose rows cannot be laid behind each other.
    """

    def __init__(
        self,
        loaded: "LoadedModel",
        slots: int,
        max_rank: int,
        *,
        parking: int = 0,
        pass_tokens: int | None = None,
        cache_tokens: int | None = None,
    ) -> None:
        loaded.model.eval().requires_grad_(False)
        replace_norms(loaded.model)
        super().__init__(loaded, slots, max_rank, parking)
        self.model = FlatModel(loaded.model, self.pack.routing)
        self.model.verify(loaded.dtype)
        place = (loaded.model, loaded.dtype, self.model.device)
        self.pass_tokens = pass_tokens or default_pass_tokens(*place)
        self.cache_tokens = cache_tokens or default_cache_tokens(*place)
        self.max_positions = positions(loaded.model.config)
        self.base_passes = BasePasses()
        self.usage = Usage()
        self._set_aside: dict[str, tuple[AdapterJob, dict[str, Any]]] = {}
        self._full: dict[str, FullTraining] = {}

    def has_room(self, config: "TrialConfig") -> bool:
        """Whether a trial can be attached now: an adapter needs a slot; full fine-tuning runs one by one."""
        if config.arm == "full":
            return not self._full
        return self.free_slots() > len(self._set_aside)

    def attached(self) -> tuple[str, ...]:
        """trial_ids in the order of slots and parking places; full fine-tuning, in neither, comes last."""
        in_slots = sorted(self._slot_trials.values(), key=lambda t: t.slot)
        return (*(t.trial_id for t in in_slots), *self._set_aside, *self._full)

    def attach(self, job: AdapterJob) -> None:
        """Give a trial a free slot, freshly initialised from its seed; for arm full, a copy of the base.

        Raises NoFreeSlot (also where memory does not suffice for another trial), DuplicateTrial, NoRows,
        RowTooLong, ImpossibleRank, UnknownTarget or FullImpossible, all EngineError; nothing has changed
        then.
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
        slot_trial = self._assign_slot(job.trial_id, lora.r, lora.lora_alpha, lora.target_modules)
        self.pack.initialise(slot_trial.slot, config.seed)
        try:
            slot_trial.optimizer = SlotOptimizer(*self.pack.trained(slot_trial.slot, lora.r), config)
        except Exception as error:
            self.release(job.trial_id)
            if not ran_out(error):
                raise
            raise self._close(slot_trial, f"trial {job.trial_id} found no memory for its moments") from None
        slot_trial.job, slot_trial.total_steps = job, total

    def _attach_full(self, job: AdapterJob, total_steps: int) -> None:
        if job.trial_id in self.attached():
            raise jobs.DuplicateTrial(f"trial {job.trial_id} is already attached")
        copy = Engine(
            unpacked_copy(self.loaded), 1, 1, pass_tokens=self.pass_tokens, cache_tokens=self.cache_tokens
        )
        copy.usage = self.usage
        self._full[job.trial_id] = FullTraining(copy, job, total_steps)

    def release(self, trial_id: str) -> None:
        """Empty a trial's slot, or drop its copy of the base. Raises UnknownAdapter."""
        if self._full.pop(trial_id, None) or self._set_aside.pop(trial_id, None):
            return
        self.empty_slot(trial_id)

    def train_step(self) -> list[StepReport]:
        """One optimiser step of every trial that has steps left; one report each, empty when none has."""
        with self.usage.timed("train"):
            full = [self._train_full(trial) for trial in self._full.values() if trial.training]
            return [*self._train_pack(), *full]

    def _train_full(self, trial: FullTraining) -> StepReport:
        try:
            return trial.train_step()
        except Exception as error:
            if not isinstance(error, OutOfMemory) and not ran_out(error):
                raise
            return trial.fail(f"out of memory in full fine-tuning: {error}")

    def _train_pack(self) -> list[StepReport]:
        lost = self._call_back()
        slot_trials = sorted(
            (t for t in self._slot_trials.values() if t.training),
            key=lambda t: self.pack.routing.order(t.slot),
        )
        while slot_trials:
            rows = [row for slot_trial in slot_trials for row in self._batch(slot_trial)]
            lengths = [len(item.row.input_ids) for item in rows]
            try:
                losses = within_memory(
                    self, "pass_tokens", lengths, partial(self._gradients, slot_trials, rows)
                )
            except OutOfMemory as error:
                if len(slot_trials) == 1:
                    return [*lost, self._lose(slot_trials[0], str(error), 0.0, math.nan, math.nan)]
                slot_trials.remove(self._put_aside(slot_trials))
                continue
            taking_part = {t.slot: (t.weights, t.step + 1) for t in slot_trials}
            open_slots = self.slots - len(self._closed)
            self.usage.trained(cut_passes(rows, self.pass_tokens), taking_part, open_slots)
            slots = [t.slot for t in slot_trials]
            norms = torch.linalg.vector_norm(self.pack.grad, dim=1)
            loss_of, norm_of = losses.tolist(), norms.tolist()  # the step's only wait for the device
            stepped = [
                self._update(t, loss_of[k], norm_of[k]) for t, k in zip(slot_trials, slots, strict=True)
            ]
            return [*lost, *stepped]
        return lost

    def _gradients(self, slot_trials: list[SlotTrial], rows: list[SlotRow]) -> Tensor:
        """Gradients of one step into the pack; the loss of every slot, (slots,). Repeating it is harmless."""
        for slot_trial in slot_trials:
            self.pack.grad[slot_trial.slot].zero_()
        losses = torch.zeros(self.slots, dtype=self.pack.theta.dtype, device=self.model.device)
        for part in cut_passes(rows, self.pass_tokens):
            backward_pass(self.model, part, losses)
        return losses

    def _put_aside(self, slot_trials: list[SlotTrial]) -> SlotTrial:
        """Take the youngest of the trials out of its slot, with its state, and close the slot."""
        youngest = next(t for t in reversed(self._slot_trials.values()) if t in slot_trials)
        assert youngest.job is not None
        state = self.state_dict(youngest.trial_id)
        self.release(youngest.trial_id)
        self._set_aside[youngest.trial_id] = (youngest.job, state)
        self._close(youngest, f"trial {youngest.trial_id} waits with its state at step {youngest.step}")
        return youngest

    def _close(self, slot_trial: SlotTrial, what: str) -> jobs.EngineError:
        """Give up a slot, but never the last one; what to tell whoever wanted it."""
        if self.slots - len(self._closed) == 1:
            return OutOfMemory(f"out of memory: {what}, in the last slot that is open")
        self._closed.add(slot_trial.slot)
        sentence = f"out of memory: {what}; {self.slots - len(self._closed)} of {self.slots} slots stay open"
        self.usage.shrunk(sentence)
        return jobs.NoFreeSlot(sentence)

    def _call_back(self) -> list[StepReport]:
        """Let trials that were put aside go on as slots get free; reports of those that never can."""
        lost = []
        for trial_id, (job, state) in list(self._set_aside.items()):
            if not self.free_slots():
                break
            del self._set_aside[trial_id]
            try:
                self.restore(job, state)
            except jobs.NoFreeSlot:
                self._set_aside[trial_id] = (job, state)
            except OutOfMemory as error:
                place = (state["step"], job.config.total_steps)
                lost.append(StepReport(trial_id, *place, None, 0.0, None, True, str(error)))
        return lost

    def _batch(self, slot_trial: SlotTrial) -> list[SlotRow]:
        assert slot_trial.job is not None
        config, rows = slot_trial.job.config, slot_trial.job.rows
        chosen = [
            rows[i]
            for i in batch_indices(
                config.seed, slot_trial.step, len(rows), config.per_device_train_batch_size
            )
        ]
        tokens = sum(row.answer_length for row in chosen)
        return [SlotRow(slot_trial.slot, row, tokens) for row in chosen]

    def _update(self, slot_trial: SlotTrial, loss: float, norm: float) -> StepReport:
        assert slot_trial.job is not None and slot_trial.optimizer is not None
        config = slot_trial.job.config
        rate = config.learning_rate * lr_factor(
            config.lr_scheduler_type, slot_trial.step, config.warmup_steps, slot_trial.total_steps
        )
        slot_trial.step += 1
        if not math.isfinite(loss) or not math.isfinite(norm):
            what = "loss" if not math.isfinite(loss) else "gradient norm"
            why = f"{what} was not finite at step {slot_trial.step} of {slot_trial.total_steps}"
            return self._lose(slot_trial, why, rate, loss, norm)
        slot_trial.optimizer.step(rate, norm)
        self.pack.refresh(slot_trial.slot)
        return self._report(slot_trial, rate, loss, norm)

    def _lose(self, slot_trial: SlotTrial, why: str, rate: float, loss: float, norm: float) -> StepReport:
        """End a trial that has no usable adapter any more; its slot stays taken until `release`."""
        slot_trial.error, slot_trial.optimizer = why, None
        self.pack.clear(slot_trial.slot)
        return self._report(slot_trial, rate, loss, norm)

    def _report(self, slot_trial: SlotTrial, rate: float, loss: float, norm: float) -> StepReport:
        return StepReport(
            trial_id=slot_trial.trial_id,
            step=slot_trial.step,
            total_steps=slot_trial.total_steps,
            loss=loss if math.isfinite(loss) else None,
            learning_rate=rate,
            grad_norm=norm if math.isfinite(norm) else None,
            finished=not slot_trial.training,
            error=slot_trial.error,
        )

    def _weights_of(self, requests: Sequence[GenerateRequest | ScoreRequest | DriftRequest]) -> list[int]:
        """Weights of each request's adapter, 0 for the base and for a copy of it."""
        in_slots = self._slot_trials
        return [in_slots[r.adapter].weights if r.adapter in in_slots else 0 for r in requests]

    def slot_of(self, adapter: str | None) -> int | None:
        return None if adapter is None else self._slot_trial(adapter).slot

    def _place_of(self, adapter: str | None) -> tuple[FlatModel, int | None]:
        """The model and slot that an arm is run with."""
        if adapter in self._full:
            return self._full[adapter].usable().model, None
        return self.model, self.slot_of(adapter)

    def generate(
        self,
        requests: Sequence[GenerateRequest],
        max_new_tokens: int,
        sampling: jobs.Sampling = jobs.GREEDY,
        told: OnBatch | None = None,
    ) -> list[Completion]:
        """Complete prompts for any mixture of adapters, in the order of the requests.

        Greedy unless told how to sample, and then each request from its own seed. A completion ends at
        an end token (kept, "eos"), at max_new_tokens or at the model's last position ("length"). `told` gets
        the completions of each decoding batch as it ends, by their index in `requests`. Raises
        UnknownAdapter, AdapterUnusable, NoRows for an empty prompt, RowTooLong for a prompt that leaves
        no position.
        """
        problems = [f"max_new_tokens must be at least 1, not {max_new_tokens}"] if max_new_tokens < 1 else []
        if problems := [*problems, *sampling.problems()]:
            raise jobs.EngineError("; ".join(problems))
        if any(r.adapter in self._full for r in requests):
            found = split(
                self, self._full, requests, lambda one, part: one.generate(part, max_new_tokens, sampling)
            )
            if told is not None:
                told(dict(enumerate(found)))
            return found
        slots = [self.slot_of(r.adapter) for r in requests]
        self._check_lengths([len(r.input_ids) + 1 for r in requests], [len(r.input_ids) for r in requests])
        with self.usage.timed("generate"):
            lengths = [min(len(r.input_ids) + max_new_tokens, self.max_positions) for r in requests]
            done: dict[int, Completion] = {}
            call = partial(generate, self, requests, slots, max_new_tokens, sampling, done, told)
            within_memory(self, "cache_tokens", lengths, call)
            found = [done[i] for i in range(len(requests))]
        self.usage.generated(requests, found, self._weights_of(requests))
        return found

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """Summed log-probability (nats, at most 0) of each continuation after its prompt, under its adapter.

        Raises like `generate`; a continuation needs at least one token.
        """
        if any(r.adapter in self._full for r in requests):
            return split(self, self._full, requests, lambda one, part: one.score(part))
        slots = [self.slot_of(r.adapter) for r in requests]
        self._check_lengths(
            [len(r.input_ids) + len(r.continuation_ids) for r in requests],
            [min(len(r.input_ids), len(r.continuation_ids)) for r in requests],
        )
        with self.usage.timed("read"):
            lengths = [len(r.input_ids) + len(r.continuation_ids) for r in requests]
            found = within_memory(
                self, "pass_tokens", lengths, lambda: score(self.model, requests, slots, self.pass_tokens)
            )
        self.usage.scored(requests, self._weights_of(requests))
        return found

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
        with self.usage.timed("read"):
            lengths = [len(r.input_ids) + len(r.continuation_ids) for r in requests]
            found = within_memory(
                self,
                "pass_tokens",
                lengths,
                lambda: drift(self.model, requests, places, self.pass_tokens, self.base_passes),
            )
        self.usage.drifted(requests, self._weights_of(requests))
        return found

    def _check_lengths(self, lengths: list[int], parts: list[int]) -> None:
        if any(part < 1 for part in parts):
            raise jobs.NoRows("a prompt or continuation is empty")
        if lengths and max(lengths) > self.max_positions:
            raise jobs.RowTooLong(
                f"{max(lengths)} tokens are needed; the model has {self.max_positions} positions"
            )

    def state_dict(self, trial_id: str) -> dict[str, Any]:
        """Everything a trial needs to go on in any slot of any engine on the same base.

        {"step": steps taken, "weights": ..., "moments": (first, second)}, the last three each layer name
        -> A (r, in) and B (out, r) on the CPU; no moments for an adapter that is not being trained.
        """
        if trial_id in self._set_aside:
            return self._set_aside[trial_id][1]
        slot_trial = self._slot_trial(trial_id)
        state: dict[str, Any] = {
            "step": slot_trial.step,
            "weights": self.pack.read(slot_trial.slot),
            "moments": None,
        }
        if slot_trial.optimizer is not None:
            state["moments"] = tuple(
                self.pack.read_row(m, slot_trial.slot) for m in slot_trial.optimizer.moments
            )
        return state

    def restore(self, job: AdapterJob, state: dict[str, Any]) -> None:
        """Attach a trial where `state_dict` left it; the steps that follow are those it would have taken.

        A state without moments is that of a trial that was parked after its last step; it comes back into a
        slot all the same. Raises like `attach`, and EngineError for a state of other layers, shapes or
        length.
        """
        self.attach(job)
        slot_trial = self._slot_trial(job.trial_id)
        assert slot_trial.optimizer is not None
        moments = state["moments"] or ()
        try:
            least = 0 if moments else slot_trial.total_steps
            if not least <= state["step"] <= slot_trial.total_steps:
                raise jobs.EngineError(
                    f"the state is no training at a step from {least} to {slot_trial.total_steps}"
                )
            self.pack.write(slot_trial.slot, state["weights"])
            rows = [torch.zeros_like(slot_trial.optimizer.row.data) for _ in moments]
            for row, tensors in zip(rows, moments, strict=True):
                self.pack.fill_row(row, slot_trial.slot, tensors)
        except jobs.EngineError:
            self.release(job.trial_id)
            raise
        if rows:
            slot_trial.optimizer.resume(state["step"], *rows)
        slot_trial.step = state["step"]
