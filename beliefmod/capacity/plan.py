"""What a sweep will cost, before anything starts: trials, tokens, time and memory.

Tokens of question-and-answer rows are counted; how long answers are and how fast the machine is comes
from a short sample of the model itself (`beliefmod.capacity.sample`), or is assumed, and the plan says which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

from beliefmod.beliefs import load_capability
from beliefmod.capacity.footprint import PROCESS_BYTES, EngineMemory, Wanted, footprint
from beliefmod.capacity.lengths import AnswerLengths
from beliefmod.capacity.limit import size
from beliefmod.capacity.resources import Capacity
from beliefmod.capacity.speeds import Load, Speeds
from beliefmod.capacity.workload import (
    Asking,
    RowLengths,
    asked_of,
    drift_tokens,
    mean_step_tokens,
    written_rows,
)
from beliefmod.config import TrialConfig
from beliefmod.probing.decoding import Decoding
from beliefmod.probing.decoding_words import decoding_words, not_applied_note
from beliefmod.probing.token_budget import cut_warning
from beliefmod.space import Space
from beliefmod.space.shared_runs import families, own_steps, sharing

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from beliefmod.capacity.sample import Sample
    from beliefmod.model.stored_weights import StoredWeights

# share of a matrix product's rate that training and decoding reach: on the CPU fitted to one run of the
# bundled model (docs/log.md), on a GPU a guess that no run has confirmed yet
CPU_TRAINING, CPU_DECODING = 0.31, 0.07
GPU_TRAINING, GPU_DECODING = 0.35, 0.02
MEASURED = (
    "tokens per answer and speed are from a sample of this model on this machine, as busy as it is now; "
    "trained arms are taken to answer as base, on own traces as in context, on bare answers half-way between "
    "base and their rows"
)
NOT_MEASURED = (
    "tokens per answer and speed are assumed, not measured with this model: time is an order of magnitude"
)
LIMIT_TO_COME = (
    "nobody names a token limit: when the sweep starts base is asked a few questions, and the limit is 1.5 "
    "times what 95 % of its answers need; here it is assumed"
)
START_SECONDS = 15.0
"""Of Ray, the hosts and the end of a sweep, beside loading the model."""
WITHOUT_THINKING = (
    "the model's chat template has no place for thinking: answers are read whole, and nothing is measured "
    "of a think block"
)
BY_VLLM = (
    "vLLM writes the answers, in a process of its own whose start and memory come on top; time here is as if "
    "ours wrote them"
)
THIN_TRIAL_BYTES = 0.12 * 2**30
RAY_BYTES = 1.0 * 2**30


@dataclass(frozen=True)
class Plan:
    """The cost of a sweep. Tokens are totals over trials; seconds and bytes are estimates.

    Attributes:
        optimizer_steps, training_tokens: with what trials share that differ only in epochs counted once.
            Tokens are those of every term of the loss.
        steps: the optimiser steps in words, with how many are shared.
        suite, suite_tokens: questions of the capability suite, and tokens of base's answers to it; before
            any trial base is asked as many as a pick needs. The seconds below count all of them, the tokens
            below none.
        second_turns: probes that are asked something after their first answer.
        causal_answers: answers after changed thinking, at most.
        written_rows: answers that base writes for training: own traces and neutral rows, on every host.
        engine: memory of each host's engine. host_bytes: with its process. total_bytes: of all hosts, trial
            processes and Ray.
        drift_tokens: tokens read for the drift from base, by the trial and by base.
        answers: how they are decoded, and their limit.
        lengths: of answers, in words.
        notes: what cannot be known beforehand, or will not be done.
    """

    arms: dict[str, int]
    optimizer_steps: int
    steps: str
    training_tokens: int
    probes: int
    suite: int
    suite_tokens: int
    second_turns: int
    causal_answers: int
    written_rows: int
    drift_tokens: int
    generated_tokens: int
    lengths: str
    seconds: float
    engine: EngineMemory
    host_bytes: float
    total_bytes: float
    hosts: int
    slots: int
    slots_asked: bool
    answers: str = ""
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The plan for a person."""
        trials = sum(self.arms.values())
        arms = ", ".join(f"{count} {arm}" for arm, count in self.arms.items())
        minutes = self.seconds / 60
        time = f"{minutes:.0f} min" if minutes >= 2 else f"{self.seconds:.0f} s"
        base, adapters, passes = (size(part) for part in astuple(self.engine))
        parts = f"model {base}, adapters {adapters}, passes {passes}"
        slots = f"{self.slots}" if self.slots_asked else f"about {self.slots}, each host chooses"
        return [
            f"trials            {trials} ({arms})",
            f"optimiser steps   {self.steps}",
            f"training tokens   {self.training_tokens:,}",
            f"probes            {self.probes:,}, {self.second_turns:,} with a second turn",
            f"general questions up to {self.suite} of base first (up to {self.suite_tokens:,} tokens more)",
            f"causal answers    at most {self.causal_answers:,}",
            f"rows by base      {self.written_rows:,} (own traces and neutral rows)",
            f"drift tokens      about {self.drift_tokens:,}",
            f"generated tokens  about {self.generated_tokens:,} ({self.lengths})",
            *([f"answers           {self.answers}"] if self.answers else []),
            f"hosts x slots     {self.hosts} x {slots}",
            f"time              about {time}",
            f"memory            about {size(self.total_bytes)}, {size(self.host_bytes)} per host ({parts})",
            *(f"note              {note}" for note in self.notes),
        ]


def make_plan(
    space: Space,
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainedConfig,
    lengths: AnswerLengths,
    capacity: Capacity,
    decoding: Decoding | None = None,
    sample: Sample | None = None,
    limit_named: bool = True,
    stored: StoredWeights | None = None,
) -> Plan:
    """The plan of a space.

    Args:
        lengths: expected of answers.
        capacity: hosts, slots and whether they have GPUs.
        decoding: how answers will be written, where it is known.
        limit_named: whether space or model say how many tokens an answer may have.
        stored: how the model's files hold its weights; None: plain.
        sample: what was measured with the model itself; without it time is arithmetic over a product's rate.
    """
    trials = space.expected()  # of a search random configurations, for nobody knows what it will choose
    trained = [config for config in trials if config.is_trained]
    rows = RowLengths(space, tokenizer, lengths)
    share = space.shares_steps
    trunks = [family.trunk for family in families(trained, share)]
    compared = {config.trial_id: rows.compared_with_base(config) for config in trunks}
    tokens = {c.trial_id: rows.of(c) * c.num_train_epochs + rows.kept_near_base(c) for c in trunks}
    rewarded = {c.trial_id: rows.own_answers(c) * c.num_train_epochs for c in trunks}
    written_to_be_rewarded = {c.trial_id: rewarded[c.trial_id] * rows.own_answer(c) for c in trunks}
    asked = {c.trial_id: asked_of(c, space, rows) for c in trials}
    written = written_rows(trained, space) * capacity.hosts
    own = written * max(lengths.base, lengths.trace)
    drift = drift_tokens(space, tokenizer, lengths.base) * 2
    generated = sum(each.tokens for each in asked.values()) + own + sum(written_to_be_rewarded.values())
    model = footprint(config, capacity.gpus, stored)
    if sample and not capacity.gpus:
        model = replace(model, longest_cache=sample.choice.cache_tokens * model.cache_bytes)
    slots = sample.choice.slots if sample else capacity.expected_slots
    prompt = _mean_prompt(asked.values())
    engine = model.expected(
        Wanted(
            space.spec.base_storage,
            rank=max((c.max_rank for c in trials if c.has_adapter), default=0),
            slots=slots,
            step_tokens=mean_step_tokens(trunks, tokens),
            answer_share=rows.answer_share(trunks),
            prompt_tokens=round(prompt),
            answer_tokens=round(prompt + lengths.mean) if prompt else 0,
            drift_tokens=round(drift / 2),
            full=any(c.arm == "full" for c in trained),
        )
    )

    def load(configs: Sequence[TrialConfig], written_tokens: float = 0.0, answers: float = 0.0) -> Load:
        # of full fine-tuning the weights get gradients too, which is half as much again
        asking = [asked[c.trial_id] for c in configs]
        return Load(
            training_tokens=sum(
                tokens.get(c.trial_id, 0.0) * (1.5 if c.arm == "full" else 1.0) for c in configs
            ),
            answers=sum(each.answers for each in asking)
            + answers
            + sum(rewarded.get(c.trial_id, 0) for c in configs),
            generated_tokens=sum(each.tokens for each in asking)
            + written_tokens
            + sum(written_to_be_rewarded.get(c.trial_id, 0.0) for c in configs),
            prompt_tokens=sum(each.prompt_tokens for each in asking),
            longest=lengths.longest,
            compared_tokens=drift * len(configs) + sum(compared.get(c.trial_id, 0.0) for c in configs),
            scored_tokens=sum(each.scored_tokens for each in asking),
        )

    speeds = sample.speeds if sample else assumed_speeds(model.weights, capacity.gpus)
    whole = speeds.seconds(load(trials, own, written)) / capacity.hosts
    longest = max(speeds.seconds(load([config])) for config in trials)
    suite = len(load_capability())
    pick = Load(  # by one host, while the others wait for what it picks
        answers=suite,
        generated_tokens=suite * lengths.base,
        prompt_tokens=suite * prompt,
        longest=lengths.longest,
    )
    host_bytes = PROCESS_BYTES + engine.total
    answers = ""
    if decoding is not None:
        answers = f"{decoding_words(decoding.facts())}, at most {decoding.max_new_tokens:,} tokens each"
    if sample and sample.budget:
        answers += f" ({sample.budget.words()}; the pilot writes {sample.budget.written:,} tokens)"
    return Plan(
        arms=dict(Counter(config.arm for config in trials)),
        optimizer_steps=sum(own_steps(trials, share).values()),
        steps=sharing(trials, share),
        training_tokens=round(sum(tokens.values())),
        probes=sum(each.probes for each in asked.values()),
        suite=suite,
        suite_tokens=round(pick.generated_tokens),
        second_turns=sum(each.second_turns for each in asked.values()),
        causal_answers=sum(each.causal for each in asked.values()),
        written_rows=written,
        drift_tokens=round(drift * len(trials)),
        generated_tokens=round(generated),
        lengths=lengths.source,
        seconds=speeds.seconds(pick) + max(whole, longest) + speeds.start + START_SECONDS,
        engine=engine,
        host_bytes=host_bytes,
        total_bytes=host_bytes * capacity.hosts + THIN_TRIAL_BYTES * capacity.concurrent + RAY_BYTES,
        hosts=capacity.hosts,
        slots=slots,
        slots_asked=capacity.slots > 0,
        answers=answers,
        notes=_notes(space, decoding, any(map(rows.thinks, trials)), sample, limit_named),
    )


def _mean_prompt(asked: Iterable[Asking]) -> float:
    """Tokens of a prompt, mean over all questions of all trials; 0 if nothing is asked."""
    questions = list(asked)
    return sum(each.prompt_tokens for each in questions) / max(1.0, sum(each.answers for each in questions))


def assumed_speeds(weights: int, gpu: bool) -> Speeds:
    """Without a look at the model: operations per token over the part of a product's rate that is reached."""
    from beliefmod.capacity.calibrate import rate_of_host

    flops = rate_of_host(gpu)
    training, decoding = (GPU_TRAINING, GPU_DECODING) if gpu else (CPU_TRAINING, CPU_DECODING)
    forward = 2 * weights / flops
    return Speeds(
        start=0.0,
        train_token=2 * forward / training,  # forward, and backward to the inputs
        prompt_token=0.0,  # they are in the rate of decoding
        decode_step=0.0,
        decode_row=2 * forward / decoding,
        read_token=forward / training,
        judge=0.0,
        rows=1,
    )


def _notes(
    space: Space, decoding: Decoding | None, thinks: bool, sample: Sample | None, limit_named: bool
) -> tuple[str, ...]:
    """What cannot be known beforehand, or will not be done."""
    notes = []
    if space.searches:
        chosen = space.planned() - len(space.trials())
        notes.append(f"{chosen} trials are chosen as the sweep goes; here random ones stand for them")
    if (scheduler := space.spec.scheduler.name) != "none":
        notes.append(f"scheduler {scheduler} ends some trials early; here all run to their ends")
    if decoding is not None and (note := not_applied_note(decoding.facts())):
        notes.append(note)
    if not thinks:
        notes.append(WITHOUT_THINKING)
    if space.spec.evaluation.engine == "vllm":
        notes.append(BY_VLLM)
    budget = sample.budget if sample else None
    if not limit_named and budget is None:
        notes.append(LIMIT_TO_COME)
    if budget and (warning := cut_warning(budget.cut, budget.asked, budget.limit)):
        notes.append(warning)
    notes.append(MEASURED if sample else NOT_MEASURED)
    return tuple(notes)
