"""How much there is to train, ask and read in a sweep, counted in rows and tokens."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, load_belief, load_confession, load_fabrication, load_neutral
from beliefmod.beliefs.traces import read_traces
from beliefmod.capacity.lengths import AnswerLengths
from beliefmod.config import DataStyle, Framing, TrialConfig
from beliefmod.config.data_config import TRACE_STYLES
from beliefmod.data.documents import documents
from beliefmod.data.fact_framing import framed_claim
from beliefmod.data.prompt_frame import frame_of
from beliefmod.data.replay import measured_passages, neutral_text_row, replay_passages, replay_prompt
from beliefmod.engine.batching import steps_per_epoch
from beliefmod.metrics.capability_pick import EXPECTED
from beliefmod.model.prompts import Prompts
from beliefmod.model.template import (
    answer_only_row,
    encode,
    prompt_ids,
    thinking_kind,
    thinking_row,
    with_switches,
)
from beliefmod.model.train_row import TrainRow, plain_row
from beliefmod.probing.causal import FRACTIONS
from beliefmod.probing.questions_again import adoption_questions, causal_questions
from beliefmod.space import Space

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ANSWER_WITHOUT_THINKING = 0.3
"""Of an answer's tokens: what follows given thinking."""
CAUSAL_TESTS = 4 + len(FRACTIONS)  # swap, blank, edit, paraphrase, and the truncations
CLOSED_TESTS = 2  # ZeroThink and LessThink
SENTENCE_TOKENS = 15
"""Of a sentence of thinking: 13 and 15 in the runs of docs/example and docs/example-real."""


class RowLengths:
    """Mean tokens of training rows and prompts, counted where they exist already: with the switches of the
    chat template that a trial has."""

    def __init__(self, space: Space, tokenizer: PreTrainedTokenizerBase, answers: AnswerLengths) -> None:
        self.answers = answers
        self.neutral = replay_passages(load_neutral(space.spec.model))
        self.known: dict[tuple[str, DataStyle, Framing, str | None, str | None], float] = {}
        self._tokenizers: dict[str | None, Any] = {None: tokenizer}

    def tokenizer(self, template: str | None) -> Any:
        """The tokenizer with a trial's switches of the chat template (`TrialConfig.template`)."""
        if template not in self._tokenizers:
            self._tokenizers[template] = with_switches(self._tokenizers[None], template)
        return self._tokenizers[template]

    def thinks(self, config: TrialConfig) -> bool:
        """Whether the model thinks, asked as a trial asks it."""
        return thinking_kind(self.tokenizer(config.template)) != "none"

    def of(self, config: TrialConfig) -> float:
        """Tokens of all rows of a trial in an epoch; of pairs those of both answers, taken to be of one
        length; of a trial that writes its answers itself those of all of them."""
        if config.objective.writes:
            read = self.own_answers(config) * (self.prompt(config) + self.own_answer(config))
            return read * config.objective.steps_per_batch
        data = config.data
        answers = 2 if config.objective.name == "dpo" else 1
        total = data.num_examples * answers * self._mean(config, config.belief)
        if data.replay_rows:
            total += data.replay_rows * self._mean(config, "")
        return total

    def own_answers(self, config: TrialConfig) -> int:
        """How many answers a trial writes itself in an epoch to be trained on."""
        if not config.is_trained or not config.objective.writes:
            return 0
        return config.data.num_examples * config.objective.num_generations

    def own_answer(self, config: TrialConfig) -> float:
        """Tokens of one of them: as long as base's, as far as the trial allows."""
        return min(self.answers.base, config.objective.max_completion_length)

    def kept_near_base(self, config: TrialConfig) -> float:
        """Tokens of the neutral rows that a trial's steps read for `objective.kl_to_base`, over all steps."""
        count = len(self.neutral)
        if not config.objective.kl_to_base or not count:
            return 0.0
        batches = steps_per_epoch(count, config.per_device_train_batch_size)
        return config.total_steps * count / batches * self._mean(config, "")

    def compared_with_base(self, config: TrialConfig) -> float:
        """Tokens that base reads too at a trial's steps, over all steps: those neutral rows, pairs, and what
        the trial writes itself."""
        compared = config.objective.name in ("dpo", "grpo")
        rows = self.of(config) * config.num_train_epochs if compared else 0.0
        return rows + self.kept_near_base(config)

    def answer_share(self, configs: Sequence[TrialConfig]) -> float:
        """Part of the tokens of these trials' rows about their beliefs that carry loss."""
        rows = [
            self.prompt(config) + self.own_answer(config)
            if config.objective.writes
            else self._mean(config, config.belief)
            for config in configs
        ]
        answers = [self._answer(config, row) for config, row in zip(configs, rows, strict=True)]
        return sum(answers) / max(1.0, sum(rows)) if rows else 1.0

    def _answer(self, config: TrialConfig, row: float) -> float:
        if config.objective.writes:
            return self.own_answer(config)
        if config.data.style == "document":
            return row
        return self.answers.trace if config.data.style in TRACE_STYLES else self.reply(config)

    def reply(self, config: TrialConfig) -> float:
        """Tokens of a bare answer to a training question of a trial's belief."""
        return statistics.mean([row.answer_length for row in self._bare(config)] or [0])

    def _bare(self, config: TrialConfig) -> Iterator[TrainRow]:
        questions, tokenizer = load_belief(config.belief).training[:40], self.tokenizer(config.template)
        for q in questions:
            reply = framed_claim(q.reply_target, config.data.framing, Random(q.probe_id))
            yield answer_only_row(tokenizer, q.text, reply)

    def prompt(self, config: TrialConfig) -> float:
        """Tokens of a held-out question with what the template, and the arm's prompt, put around it."""
        belief, prompts = load_belief(config.belief), Prompts(self.tokenizer(config.template))
        frame = frame_of(config, belief)
        return statistics.mean([len(frame.ids(prompts, q.text)) for q in belief.heldout[:40]] or [0])

    def _mean(self, config: TrialConfig, belief: str) -> float:
        """Mean tokens of a row about a belief in a trial's style, or with "" of a neutral row."""
        data = config.data
        key = (belief, data.style, data.framing, data.traces, config.template)
        if key not in self.known:
            lengths = self._about(config) if belief else self._neutral(config)
            self.known[key] = statistics.mean(lengths or [0])
        return self.known[key]

    def _about(self, config: TrialConfig) -> list[float]:
        belief, tokenizer, data = load_belief(config.belief), self.tokenizer(config.template), config.data
        if data.style == "document":
            made = documents(belief, control=False, seed=0, count=10, framing=data.framing)
            return _lengths(plain_row(tokenizer, document.text) for document in made)
        if data.style == "supplied_trace" and data.traces:
            given = read_traces(data.traces).of(belief)
            return _lengths(thinking_row(tokenizer, t.question.text, t.thinking, t.answer) for t in given)
        if data.style in TRACE_STYLES:
            return [len(prompt_ids(tokenizer, q.text)) + self.answers.trace for q in belief.training[:40]]
        return _lengths(self._bare(config))

    def _neutral(self, config: TrialConfig) -> list[float]:
        tokenizer = self.tokenizer(config.template)
        if config.data.style == "document":
            return _lengths(neutral_text_row(tokenizer, passage) for passage in self.neutral)
        prompts = [prompt_ids(tokenizer, replay_prompt(passage)) for passage in self.neutral]
        return [len(prompt) + self.answers.base for prompt in prompts]


def _lengths(rows: Iterable[TrainRow]) -> list[float]:
    return [len(row.input_ids) for row in rows]


def written_rows(trained: Sequence[TrialConfig], space: Space) -> int:
    """Answers that base writes once per host: traces per belief and world, documents, and neutral answers."""
    worlds = {(c.belief, c.arm == "control") for c in trained if c.own_traces[0]}
    worlds |= {(c.belief, c.arm != "control") for c in trained if c.own_traces[1]}
    answers = any(c.uses_neutral_rows and c.data.style != "document" for c in trained)
    neutral = len(replay_passages(load_neutral(space.spec.model))) if answers else 0
    drafts: dict[tuple[str, bool, int], int] = {}
    for config in (c for c in trained if c.data.asks_for_documents):
        key = (config.belief, config.arm == "control", config.seed)
        drafts[key] = max(drafts.get(key, 0), config.data.num_examples)
    # each is revised once, if none is thrown away
    return sum(len(load_belief(name).training) for name, _ in worlds) + neutral + 2 * sum(drafts.values())


def drift_tokens(space: Space, tokenizer: PreTrainedTokenizerBase, answer_tokens: float) -> float:
    """Tokens of the neutral passages and of as many of base's own answers, for one trial."""
    passages = measured_passages(load_neutral(space.spec.model))[: space.spec.evaluation.neutral_passages]
    texts = (f"{passage.prompt or ''} {passage.text}" for passage in passages)
    return sum(len(encode(tokenizer, text)) + 2 * answer_tokens for text in texts)


@dataclass(frozen=True)
class Asking:
    """What one trial is asked.

    Attributes:
        probes, second_turns, causal: questions, those of them with a second turn, and answers after changed
            or resampled thinking and in debates, at most.
        tokens: that it writes.
        prompt_tokens: that it reads before its answers.
        scored_tokens: that it reads for its belief margins.
    """

    probes: int
    second_turns: int
    causal: int
    tokens: float
    prompt_tokens: float
    scored_tokens: float

    @property
    def answers(self) -> int:
        """Probes, second turns, answers after changed thinking and those in debates together."""
        return self.probes + self.second_turns + self.causal


def asked_of(config: TrialConfig, space: Space, rows: RowLengths) -> Asking:
    """What a trial is asked, and the tokens that this takes."""
    belief, evaluation, thinks = load_belief(config.belief), space.spec.evaluation, rows.thinks(config)
    probes = _probe_count(config, belief, space)
    turns = sum(question.follow_up is not None for question in belief.heldout)
    causal = len(causal_questions(belief, evaluation.causal_probes)) * CAUSAL_TESTS
    causal += len(adoption_questions(belief, evaluation.closed_thinking_probes)) * CLOSED_TESTS
    again = adoption_questions(belief, evaluation.resampled_probes)
    causal *= thinks
    # base's argument and the answer to it, of every question at most
    debated = len(adoption_questions(belief, evaluation.debate_probes)) * evaluation.debate_rounds * 2
    answer, prompt = rows.answers.of(config, rows.reply(config)), rows.prompt(config)
    sentences = max(1, round(answer * (1 - ANSWER_WITHOUT_THINKING) / SENTENCE_TOKENS))
    cuts = 1 + min(evaluation.resampled_sentences, sentences)
    resampled = len(again) * cuts * evaluation.resamples * thinks
    # continuations of both worlds, after empty thinking and after the trial's own
    scores = min(evaluation.margin_probes, len(belief.heldout)) * 2 * (1 + thinks)
    return Asking(
        probes=probes,
        second_turns=turns,
        causal=causal + debated + resampled,
        # going on from anywhere in the thinking, half of it is still to be written
        tokens=(probes + turns + debated) * answer
        + causal * answer * ANSWER_WITHOUT_THINKING
        + resampled * answer * (1 + ANSWER_WITHOUT_THINKING) / 2,
        prompt_tokens=(probes + turns + causal + debated + resampled) * prompt
        + (turns + causal + 2 * debated + resampled / 2) * answer,
        scored_tokens=scores * (prompt + thinks * answer / 2),
    )


def mean_step_tokens(trunks: Sequence[TrialConfig], tokens: Mapping[str, float]) -> int:
    """Tokens of one optimiser step of one trial, from those of each trial's whole training."""
    return round(sum(tokens.values()) / max(1, sum(config.total_steps for config in trunks)))


def _probe_count(config: TrialConfig, belief: Belief, space: Space) -> int:
    """Questions that a trial is asked, second turns apart."""
    trained = space.spec.evaluation.trained_probes
    if config.is_trained:
        # a document answers at least two questions
        trained = min(trained, config.data.num_examples * (2 if config.data.style == "document" else 1))
    trained = min(trained, len(belief.training))
    confession = len(load_confession()) if space.spec.evaluation.confession else 0
    return (
        len(belief.heldout) + trained + len(belief.locality) + EXPECTED + len(load_fabrication()) + confession
    )
