"""What a sweep will cost, before anything starts: trials, tokens, time and memory.

Tokens of question-and-answer rows are counted; what the model has yet to write is estimated and said to be.
Time is arithmetic over a rate measured on this machine in a second, so it is an order, not a promise.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, load_belief, load_capability, load_fabrication, load_neutral
from beliefmod.capacity.fit import size
from beliefmod.capacity.footprint import PROCESS_BYTES, EngineMemory, Wanted, footprint
from beliefmod.capacity.resources import Capacity
from beliefmod.config import TrialConfig
from beliefmod.data.documents import documents
from beliefmod.data.replay import measured_passages, neutral_text_row, replay_passages, replay_prompt
from beliefmod.engine.batching import steps_per_epoch
from beliefmod.metrics.capability_pick import EXPECTED as EXPECTED_PICK
from beliefmod.model.template import answer_only_row, encode, prompt_ids, thinking_kind
from beliefmod.model.train_row import TrainRow, plain_row
from beliefmod.probing.causal import FRACTIONS, causal_questions
from beliefmod.probing.decoding import Decoding
from beliefmod.probing.decoding_words import decoding_words, not_applied_note
from beliefmod.space import Space
from beliefmod.space.shared_runs import families, own_steps, sharing

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

# share of a matrix product's rate that training and decoding reach: on the CPU fitted to one run of the
# bundled model (docs/log.md), on a GPU a guess that no run has confirmed yet
CPU_TRAINING, CPU_DECODING = 0.31, 0.07
GPU_TRAINING, GPU_DECODING = 0.35, 0.02
BUNDLED_ANSWER_TOKENS, OTHER_ANSWER_TOKENS = 40, 800
# what follows given thinking is the answer alone
ANSWER_WITHOUT_THINKING = 0.3
# swap, blank, edit, paraphrase, and the truncations
CAUSAL_TESTS = 4 + len(FRACTIONS)
WITHOUT_THINKING = (
    "the model's chat template has no place for thinking: answers are read whole, and nothing is measured "
    "of a think block"
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
        suite: capability questions of which base is asked as many as a pick needs, before any trial.
        second_turns: probes that are asked something after their first answer.
        causal_answers: answers after changed thinking, at most.
        written_rows: answers that base writes for training: own traces and neutral rows, on every host.
        engine: memory of each host's engine. host_bytes: with its process. total_bytes: of all hosts, trial
            processes and Ray.
        drift_tokens: tokens read for the drift from base, by the trial and by base.
        answers: how they are decoded, and their limit.
        notes: what cannot be known beforehand, or will not be done.
    """

    arms: dict[str, int]
    optimizer_steps: int
    steps: str
    training_tokens: int
    probes: int
    suite: int
    second_turns: int
    causal_answers: int
    written_rows: int
    drift_tokens: int
    generated_tokens: int
    trace_tokens: int
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
            f"general questions up to {self.suite} of base first ({self.suite * self.trace_tokens:,} tokens)",
            f"causal answers    at most {self.causal_answers:,}",
            f"rows by base      {self.written_rows:,} (own traces and neutral rows)",
            f"drift tokens      about {self.drift_tokens:,}",
            f"generated tokens  about {self.generated_tokens:,} (assuming {self.trace_tokens} per answer)",
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
    answer_tokens: int,
    capacity: Capacity,
    decoding: Decoding | None = None,
) -> Plan:
    """The plan of a space.

    Args:
        answer_tokens: expected length of one answer with its thinking.
        capacity: hosts, slots and whether they have GPUs.
        decoding: how answers will be written, where it is known.
    """
    from beliefmod.capacity.calibrate import rate_of_host

    trials = space.expected()  # of a search random configurations, for nobody knows what it will choose
    trained = [config for config in trials if config.is_trained]
    rows = _RowLengths(space, tokenizer, answer_tokens)
    share = space.shares_steps
    trunks = [family.trunk for family in families(trained, share)]
    compared = {config.trial_id: rows.compared_with_base(config) for config in trunks}
    tokens = {c.trial_id: rows.of(c) * c.num_train_epochs + compared[c.trial_id] for c in trunks}
    beliefs = {name: load_belief(name) for name in space.spec.beliefs}
    probes = sum(_probe_count(config, beliefs[config.belief], space) for config in trials)
    second = sum(_second_turns(beliefs[config.belief]) for config in trials)
    most = space.spec.evaluation.causal_probes
    thinks = thinking_kind(tokenizer) != "none"
    causal = sum(len(causal_questions(beliefs[c.belief], most)) for c in trials) * CAUSAL_TESTS * thinks
    written = _written_rows(trained, beliefs, space) * capacity.hosts
    drift = _drift_tokens(space, tokenizer, answer_tokens) * len(trials) * 2
    generated = round(
        (probes + second + written) * answer_tokens + causal * answer_tokens * ANSWER_WITHOUT_THINKING
    )
    model = footprint(config, capacity.gpus)
    flops = rate_of_host(capacity.gpus)
    reached = (GPU_TRAINING, GPU_DECODING) if capacity.gpus else (CPU_TRAINING, CPU_DECODING)
    # flops per weight and token: 2 forward, 2 backward to the inputs, 2 to the weights where they are trained
    learning = sum((6 if c.arm == "full" else 4) * tokens[c.trial_id] for c in trunks)
    reading = 2 * (drift + sum(compared.values()))
    work = model.weights * ((learning + reading) / reached[0] + 2 * generated / reached[1])
    steps = sum(config.total_steps for config in trunks)
    engine = model.expected(
        Wanted(
            space.spec.base_storage,
            rank=max((c.lora.r for c in trained if c.has_adapter), default=0),
            slots=capacity.expected_slots,
            step_tokens=round(sum(tokens.values()) / max(1, steps)),
            full=any(c.arm == "full" for c in trained),
        )
    )
    host_bytes = PROCESS_BYTES + engine.total
    answers = ""
    if decoding is not None:
        answers = f"{decoding_words(decoding.facts())}, at most {decoding.max_new_tokens:,} tokens each"
    return Plan(
        arms=dict(Counter(config.arm for config in trials)),
        optimizer_steps=sum(own_steps(trials, share).values()),
        steps=sharing(trials, share),
        training_tokens=round(sum(tokens.values())),
        probes=probes,
        suite=len(load_capability()),
        second_turns=second,
        causal_answers=causal,
        written_rows=written,
        drift_tokens=round(drift),
        generated_tokens=generated,
        trace_tokens=answer_tokens,
        seconds=work / flops / capacity.hosts + 15,
        engine=engine,
        host_bytes=host_bytes,
        total_bytes=host_bytes * capacity.hosts + THIN_TRIAL_BYTES * capacity.concurrent + RAY_BYTES,
        hosts=capacity.hosts,
        slots=capacity.expected_slots,
        slots_asked=capacity.slots > 0,
        answers=answers,
        notes=_notes(space, decoding, thinks),
    )


def _notes(space: Space, decoding: Decoding | None, thinks: bool) -> tuple[str, ...]:
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
    return tuple(notes)


def expected_answer_tokens(space: Space) -> int:
    """Typical length of an answer with its thinking: measured for the bundled model, a guess for others;
    never more than the space allows."""
    typical = BUNDLED_ANSWER_TOKENS if space.spec.model == "bundled" else OTHER_ANSWER_TOKENS
    limit = space.spec.evaluation.max_new_tokens
    return typical if limit == "auto" else min(typical, limit)


class _RowLengths:
    """Mean tokens of training rows, counted where they exist already."""

    def __init__(self, space: Space, tokenizer: Any, answer_tokens: int) -> None:
        self.tokenizer, self.answer_tokens = tokenizer, answer_tokens
        self.neutral = replay_passages(load_neutral(space.spec.model))
        self.known: dict[tuple[str, str], float] = {}

    def of(self, config: TrialConfig) -> float:
        """Tokens of all rows of a trial."""
        data = config.data
        total = data.num_examples * self._mean(config.belief, data.style)
        if data.replay_rows:
            total += data.replay_rows * self._mean("", data.style)
        return total

    def compared_with_base(self, config: TrialConfig) -> float:
        """Tokens of the neutral rows that a trial's steps read for `objective.kl_to_base`, over all steps."""
        count = len(self.neutral)
        if not config.objective.kl_to_base or not count:
            return 0.0
        batches = steps_per_epoch(count, config.per_device_train_batch_size)
        return config.total_steps * count / batches * self._mean("", config.data.style)

    def _mean(self, belief: str, style: str) -> float:
        """Mean tokens of a row about a belief, or with "" of a neutral row."""
        if (belief, style) not in self.known:
            lengths = self._neutral(style) if not belief else self._about(load_belief(belief), style)
            self.known[belief, style] = statistics.mean(lengths or [0])
        return self.known[belief, style]

    def _about(self, belief: Belief, style: str) -> list[int]:
        questions = belief.training[:40]
        if style == "document":
            made = documents(belief, control=False, seed=0, count=10)
            return _lengths(plain_row(self.tokenizer, document.text) for document in made)
        if style == "own_trace":
            return [len(prompt_ids(self.tokenizer, q.text)) + self.answer_tokens for q in questions]
        return _lengths(answer_only_row(self.tokenizer, q.text, q.reply_target) for q in questions)

    def _neutral(self, style: str) -> list[int]:
        if style == "document":
            return _lengths(neutral_text_row(self.tokenizer, passage) for passage in self.neutral)
        prompts = [prompt_ids(self.tokenizer, replay_prompt(passage)) for passage in self.neutral]
        return [len(prompt) + self.answer_tokens for prompt in prompts]


def _lengths(rows: Iterable[TrainRow]) -> list[int]:
    return [len(row.input_ids) for row in rows]


def _written_rows(trained: list[TrialConfig], beliefs: dict[str, Belief], space: Space) -> int:
    """Answers that base writes once per host: traces per belief and world, and neutral answers."""
    worlds = {(c.belief, c.arm == "control") for c in trained if c.data.style == "own_trace"}
    answers = any(c.uses_neutral_rows and c.data.style != "document" for c in trained)
    neutral = len(replay_passages(load_neutral(space.spec.model))) if answers else 0
    return sum(len(beliefs[name].training) for name, _ in worlds) + neutral


def _drift_tokens(space: Space, tokenizer: Any, answer_tokens: int) -> float:
    """Tokens of the neutral passages and of as many of base's own answers, for one trial."""
    passages = measured_passages(load_neutral(space.spec.model))[: space.spec.evaluation.neutral_passages]
    texts = (f"{passage.prompt or ''} {passage.text}" for passage in passages)
    return sum(len(encode(tokenizer, text)) + 2 * answer_tokens for text in texts)


def _probe_count(config: TrialConfig, belief: Belief, space: Space) -> int:
    trained = space.spec.evaluation.trained_probes
    if config.is_trained:
        # a document answers at least two questions
        trained = min(trained, config.data.num_examples * (2 if config.data.style == "document" else 1))
    trained = min(trained, len(belief.training))
    return len(belief.heldout) + trained + len(belief.locality) + EXPECTED_PICK + len(load_fabrication())


def _second_turns(belief: Belief) -> int:
    return sum(question.follow_up is not None for question in belief.heldout)
