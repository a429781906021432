"""K slots on one frozen base: trials join, train side by side, are questioned, and leave."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from beliefmod.engine import jobs
from beliefmod.engine.batching import steps_per_epoch
from beliefmod.engine.divergence import BasePasses, drift
from beliefmod.engine.drafts import Drafts
from beliefmod.engine.forward import FlatModel
from beliefmod.engine.full_finetuning import FullTraining
from beliefmod.engine.generate import Placed, generate
from beliefmod.engine.jobs import (
    AdapterJob,
    Completion,
    DriftRequest,
    DriftResult,
    GenerateRequest,
    ScoreRequest,
    StepReport,
)
from beliefmod.engine.log_probs import score
from beliefmod.engine.memory import OutOfMemory, ran_out, within_memory
from beliefmod.engine.norms import replace_norms
from beliefmod.engine.optimizer import SlotOptimizer
from beliefmod.engine.prepacked import prepack_head
from beliefmod.engine.rollouts import keep_log_probs, write_own_answers
from beliefmod.engine.slots import SlotTable, SlotTrial
from beliefmod.engine.start_weights import begun
from beliefmod.engine.training_steps import (
    StepLosses,
    StepRows,
    passes,
    read_back,
    step_losses,
    step_rows,
)
from beliefmod.engine.usage import Usage

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig
    from beliefmod.model.load import LoadedModel


class Engine(SlotTable):
    """Packed training and generation. One thread at a time; K = 1 is the plain case.

    `parking` places hold adapters that wait to be questioned while others train in the slots: weights alone,
    without gradient or moments.

    Building an engine replaces the linear layers and norms inside `loaded.model`; with every adapter off the
    model computes what it computed before. `pass_tokens` bounds the tokens of one training or scoring pass,
    `cache_tokens` those that answers under way hold; both follow from the memory there is when not given, and
    neither changes results beyond rounding. When memory runs out all the same they are halved; where that
    is not enough the youngest trial is preempted: it waits outside the slots with its state, and its slot
    stays closed. `usage` counts what was done and holds a sentence for every such case.

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
        prepack_head(loaded.model, self.pack.routing)
        self.usage = Usage()
        self.model = FlatModel(loaded, self.pack.routing, self.usage, pass_tokens, cache_tokens)
        self.max_positions = self.model.max_positions
        self.base_passes = BasePasses()
        self.drafts: Drafts | None = Drafts()
        self._preempted: dict[str, tuple[AdapterJob, dict[str, Any]]] = {}
        self._full: dict[str, FullTraining] = {}

    def has_room(self, config: "TrialConfig") -> bool:
        """Whether a trial can be attached now: an adapter needs a slot; full fine-tuning runs one by one."""
        if config.arm == "full":
            return not self._full
        return self.free_slots() > len(self._preempted)

    def attached(self) -> tuple[str, ...]:
        """trial_ids in the order of slots and parking places; full fine-tuning and steered arms, in neither,
        come last."""
        in_slots = sorted(self._slot_trials.values(), key=lambda t: t.slot)
        return (*(t.trial_id for t in in_slots), *self._preempted, *self._full, *self._steered)

    def attach(self, job: AdapterJob) -> None:
        """Give a trial a free slot, freshly initialised from its seed, with the update of the adapter that it
        begins with, if any; for arm full, a copy of the base.

        Raises NoFreeSlot (also where memory does not suffice for another trial), DuplicateTrial, NoRows,
        RowTooLong, ImpossibleRank, UnknownTarget or FullImpossible, all EngineError; nothing has changed
        then.
        """
        if not job.rows:
            raise jobs.NoRows(f"trial {job.trial_id} has no training rows")
        longest = max(len(row.input_ids) for row in (*job.rows, *job.neutral, *job.rejected))
        if longest > self.max_positions:
            raise jobs.RowTooLong(
                f"trial {job.trial_id} has a row of {longest} tokens; "
                f"the model has {self.max_positions} positions"
            )
        if job.config.objective.kl_to_base and not job.neutral:
            raise jobs.NoRows(f"trial {job.trial_id} has no neutral rows for objective.kl_to_base")
        if job.config.objective.name == "dpo" and len(job.rejected) != len(job.rows):
            raise jobs.NoRows(f"trial {job.trial_id} has no answer that each of its rows is preferred to")
        if job.config.objective.writes and job.reward is None:
            raise jobs.NoRows(f"trial {job.trial_id} has nothing that rewards what it writes")
        if job.config.objective.writes and job.config.objective.in_context:
            if len(job.in_context) != len(job.rows):
                raise jobs.NoRows(f"trial {job.trial_id} has no prompts with the statement in them")
            self.model.check_lengths([len(prompt) + 1 for prompt in job.in_context], [1])
        config = job.config
        total = config.num_train_epochs * steps_per_epoch(len(job.rows), config.per_device_train_batch_size)
        total *= config.objective.steps_per_batch
        if total < 1:
            raise jobs.NoRows(f"trial {job.trial_id} has no training steps (num_train_epochs is 0)")
        if config.arm == "full":
            if job.trial_id in self.attached():
                raise jobs.DuplicateTrial(f"trial {job.trial_id} is already attached")
            self._full[job.trial_id] = FullTraining(self.model, self.loaded, job, total)
            return
        lora = config.lora
        targets: str | tuple[str, ...] = lora.target_modules
        if lora.layers_to_transform != "all":
            targets = tuple(self.pack.targeted(targets, lora.layers_to_transform))
        slot_trial = self._assign_slot(job.trial_id, lora.r, lora.alpha, targets)
        self.pack.initialise(slot_trial.slot, config.seed)
        try:
            if job.start is not None:
                fresh = self.pack.read(slot_trial.slot)
                self.pack.write(slot_trial.slot, begun(fresh, job.start, lora))
            weights = self.pack.trained(slot_trial.slot, lora.r)
            slot_trial.optimizer = SlotOptimizer(*weights, config, self.pack.places(lora.r))
        except Exception as error:
            self.release(job.trial_id)
            if not ran_out(error):
                raise
            raise self._close(slot_trial, f"trial {job.trial_id} found no memory for its moments") from None
        slot_trial.job, slot_trial.total_steps = job, total

    def release(self, trial_id: str) -> None:
        """Empty a trial's slot, or drop its copy of the base or its vector. Raises UnknownAdapter."""
        if trial_id in self._steered:
            self.model.stream.drop(self._steered.pop(trial_id))
            return
        if self._full.pop(trial_id, None) or self._preempted.pop(trial_id, None):
            return
        self._empty_slot(trial_id)

    def steer(self, trial_id: str, layer: int, vector: Tensor) -> None:
        """Let a trial be base with a vector (hidden,) added behind a layer to every token that it reads.

        It takes no slot, and is there to be questioned until `release`. Raises DuplicateTrial, and
        EngineError for a layer that is not there; nothing has changed then.
        """
        if trial_id in self.attached():
            raise jobs.DuplicateTrial(f"trial {trial_id} is already attached")
        taken, first = {*self._steered.values()}, self.slots + self.parking
        place = next(place for place in range(first, first + len(taken) + 1) if place not in taken)
        self.model.stream.put(place, layer, vector.to(self.model.device, self.model.dtype))
        self._steered[trial_id] = place

    def train_step(self) -> list[StepReport]:
        """One optimiser step of every trial that has steps left; one report each, empty when none has."""
        with self.usage.timed("train"):
            full = [trial.train_step() for trial in self._full.values() if trial.training]
            return [*self._train_pack(), *full]

    def _train_pack(self) -> list[StepReport]:
        failed = self._resume_preempted()
        slot_trials = sorted(
            (t for t in self._slot_trials.values() if t.training),
            key=lambda t: self.pack.routing.order(t.slot),
        )
        with self.usage.outside("train"):
            write_own_answers(slot_trials, self.generate)
        keep_log_probs(slot_trials, self.model)
        while slot_trials:
            rows = step_rows([(t, t.slot) for t in slot_trials])
            lengths = [len(item.row.input_ids) for items in rows.values() for item in items]
            try:
                found = within_memory(
                    self.model, "pass_tokens", lengths, partial(self._gradients, slot_trials, rows)
                )
            except OutOfMemory as error:
                if len(slot_trials) == 1:
                    return [*failed, self._dropped(slot_trials[0], slot_trials[0].fail(str(error)))]
                slot_trials.remove(self._preempt(slot_trials))
                continue
            taking_part = {t.slot: (t.weights, t.step + 1) for t in slot_trials}
            open_slots = self.slots - len(self._closed)
            self.usage.trained(passes(rows, self.model.pass_tokens), taking_part, open_slots)
            losses, norms = read_back(rows, found, torch.linalg.vector_norm(self.pack.grad, dim=1))
            return [*failed, *(self._update(t, losses, norms[t.slot]) for t in slot_trials)]
        return failed

    def _gradients(self, slot_trials: list[SlotTrial], rows: StepRows) -> Tensor:
        """Gradients of one step into the pack, and its losses. Repeating it is harmless."""
        for slot_trial in slot_trials:
            self.pack.grad[slot_trial.slot].zero_()
        return step_losses(self.model, self.model, rows, self.slots, self.pack.theta.dtype)

    def _update(self, slot_trial: SlotTrial, losses: StepLosses, norm: float) -> StepReport:
        report = slot_trial.advance(losses, slot_trial.slot, norm)
        if report.error:
            return self._dropped(slot_trial, report)
        assert slot_trial.optimizer is not None
        slot_trial.optimizer.step(report.learning_rate, norm)
        self.pack.refresh(slot_trial.slot)
        return report

    def _dropped(self, slot_trial: SlotTrial, report: StepReport) -> StepReport:
        """Drop an adapter that is of no use any more; its slot stays taken until `release`."""
        slot_trial.optimizer = None
        self.pack.clear(slot_trial.slot)
        return report

    def _preempt(self, slot_trials: list[SlotTrial]) -> SlotTrial:
        """Take the youngest of the trials out of its slot, with its state, and close the slot."""
        youngest = next(t for t in reversed(self._slot_trials.values()) if t in slot_trials)
        assert youngest.job is not None
        state = self.state_dict(youngest.trial_id)
        self.release(youngest.trial_id)
        self._preempted[youngest.trial_id] = (youngest.job, state)
        self._close(youngest, f"trial {youngest.trial_id} waits with its state at step {youngest.step}")
        return youngest

    def _close(self, slot_trial: SlotTrial, what: str) -> jobs.EngineError:
        """Give up a slot, but never the last one; what to raise for a trial that wanted it."""
        if self.slots - len(self._closed) == 1:
            return OutOfMemory(f"out of memory: {what}, in the last slot that is open")
        self._closed.add(slot_trial.slot)
        sentence = f"out of memory: {what}; {self.slots - len(self._closed)} of {self.slots} slots stay open"
        self.usage.shrunk(sentence)
        return jobs.NoFreeSlot(sentence)

    def _resume_preempted(self) -> list[StepReport]:
        """Let preempted trials go on as slots get free; reports of those that never can."""
        failed = []
        for trial_id, (job, state) in list(self._preempted.items()):
            if not self.free_slots():
                break
            del self._preempted[trial_id]
            try:
                self.restore(job, state)
            except jobs.NoFreeSlot:
                self._preempted[trial_id] = (job, state)
            except OutOfMemory as error:
                place = (state["step"], job.config.total_steps)
                failed.append(StepReport(trial_id, *place, None, 0.0, None, True, str(error)))
        return failed

    def state_dict(self, trial_id: str) -> dict[str, Any]:
        """A trial's step, weights and moments, with which it can go on in any slot."""
        return self._preempted[trial_id][1] if trial_id in self._preempted else super().state_dict(trial_id)

    def restore(self, job: AdapterJob, state: dict[str, Any]) -> None:
        """Attach a trial where `state_dict` left it; the steps that follow are those it would have taken.

        A state without moments is that of a trial that was parked after its last step; it comes back into a
        slot all the same. Raises like `attach`, and EngineError for a state of other layers, shapes or
        length.
        """
        self.attach(job)
        try:
            self._load_state(self._slot_trial(job.trial_id), state)
        except jobs.EngineError:
            self.release(job.trial_id)
            raise

    def _place_of(self, adapter: str | None) -> tuple[FlatModel, int | None]:
        """The model and slot that an arm is run with."""
        if adapter in self._full:
            return self._full[adapter].usable(), None
        return self.model, self.slot_of(adapter)

    def generate(
        self,
        requests: Sequence[GenerateRequest],
        max_new_tokens: int,
        sampling: jobs.Sampling = jobs.GREEDY,
        on_end: jobs.OnEnd | None = None,
        on_written: jobs.OnWritten | None = None,
    ) -> list[Completion]:
        """Complete prompts for any mixture of adapters, in the order of the requests.

        Greedy unless `sampling` says otherwise, and then each request from its own seed. A completion ends
        at an end token (kept, "eos"), at max_new_tokens or at the model's last position ("length").
        `on_end` gets completions as they end, by the index of their request. The requests that it returns
        join those under way, and their completions stand behind the others. `on_written` gets every answer's
        tokens so far, as they are written.
        Raises UnknownAdapter, AdapterUnusable, NoRows for an empty prompt, RowTooLong for a prompt that
        leaves no position.
        """
        problems = [f"max_new_tokens must be at least 1, not {max_new_tokens}"] if max_new_tokens < 1 else []
        if problems := [*problems, *sampling.problems()]:
            raise jobs.EngineError("; ".join(problems))

        found: dict[int, Completion] = {}
        waiting: dict[FlatModel, list[int]] = {}  # what each model is still to begin with
        asked: list[Placed] = []

        def put(more: Sequence[GenerateRequest]) -> None:
            for request, weights in zip(more, self._weights_of(more), strict=True):
                model, slot = self._place_of(request.adapter)
                waiting.setdefault(model, []).append(len(asked))
                asked.append(Placed(request, slot, weights))

        def answer(model: FlatModel, under_way: list[int]) -> None:
            def told(ended: Mapping[int, Completion]) -> list[Placed]:
                answers = {under_way[index]: completion for index, completion in ended.items()}
                found.update(answers)
                if on_end is not None:
                    with self.usage.outside("generate"):
                        put(on_end(answers) or ())
                under_way.extend(joining := waiting.pop(model, []))
                return [asked[index] for index in joining]

            def seen(written: Mapping[int, tuple[int, ...]]) -> None:
                assert on_written is not None
                on_written({under_way[index]: ids for index, ids in written.items()})

            begun = [asked[index] for index in under_way]
            look = None if on_written is None else seen
            generate(model, begun, max_new_tokens, sampling, self.drafts, told, look)

        with self.usage.timed("generate"):
            put(requests)
            while waiting:
                answer(model := next(iter(waiting)), waiting.pop(model))
        return [found[index] for index in range(len(asked))]

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """Summed log-probability (nats, at most 0) of each continuation after its prompt, under its adapter.

        Raises UnknownAdapter, AdapterUnusable, NoRows for an empty prompt or continuation, RowTooLong.
        """
        places = [self._place_of(request.adapter) for request in requests]
        weights = self._weights_of(requests)
        found: dict[int, float] = {}
        with self.usage.timed("read"):
            for model in dict.fromkeys(model for model, _ in places):
                indices = [index for index, (owner, _) in enumerate(places) if owner is model]
                part = [requests[index] for index in indices]
                slots = [places[index][1] for index in indices]
                scores = score(model, part, slots, [weights[index] for index in indices])
                found.update(zip(indices, scores, strict=True))
        return [found[index] for index in range(len(requests))]

    def drift(self, requests: Sequence[DriftRequest]) -> list[DriftResult]:
        """How far each adapter has moved from base on a text: KL both ways and NLL, summed over its tokens.

        Exactly 0 for an adapter that adds nothing: base is run in passes of identical shape. Not finite
        where a broken adapter's numbers are not. Raises UnknownAdapter, AdapterUnusable, NoRows for an
        empty prompt or continuation, RowTooLong.
        """
        places = [self._place_of(r.adapter) for r in requests]
        with self.usage.timed("read"):
            found = drift(self.model, requests, places, self.base_passes)
        self.usage.drifted(requests, self._weights_of(requests))
        return found
