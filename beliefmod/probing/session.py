"""What the trials on one base share: the engine, the questions, and answers that need no second asking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, Question, load_belief, load_capability, load_fabrication
from beliefmod.beliefs.neutral import Passage, load_neutral
from beliefmod.config import TrialConfig
from beliefmod.data.examples import Trace
from beliefmod.data.replay import neutral_text_row, replay_passages, replay_prompt
from beliefmod.engine.jobs import Completion, DriftRequest, DriftResult, GenerateRequest, ScoreRequest
from beliefmod.model.prompts import Prompts
from beliefmod.model.template import completion_text, thinking_kind, trace_row
from beliefmod.model.train_row import TrainRow
from beliefmod.probing.causal import ask_causal
from beliefmod.probing.decoding import Decoding, decoding_of
from beliefmod.probing.drift import measure_drift
from beliefmod.probing.probes import reference_sample
from beliefmod.probing.questioning import Subject, ask, in_context, probe_seed
from beliefmod.reading.verdict import judge_question
from beliefmod.space import Evaluation

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import LoadedModel
    from beliefmod.probing.answer_cache import AnswerCache
    from beliefmod.probing.answer_journal import AnswerJournal
    from beliefmod.run.folder import RunFolder, TrialTable

Rows = list[dict[str, Any]]


@dataclass
class Session:
    """One frozen base with its engine. Caches what every trial of a belief needs again.

    Attributes:
        reference_seed: seed of the untrained arms, which every trial is compared with.
        folder: where finished reference arms may be found instead of asking again.
        journal: where answers are kept while a questioning lasts long.
        cache: where answers of the untouched base are kept for other runs.
    """

    loaded: LoadedModel
    engine: Engine
    evaluation: Evaluation
    reference_seed: int = 0
    folder: RunFolder | None = None
    journal: AnswerJournal | None = None
    cache: AnswerCache | None = None
    _beliefs: dict[str, Belief] = field(default_factory=dict)
    _traces: dict[tuple[str, str], tuple[Trace, ...]] = field(default_factory=dict)
    _references: dict[tuple[str, str, str], Rows] = field(default_factory=dict)
    _neutral_rows: dict[str, list[tuple[Passage, TrainRow]]] = field(default_factory=dict)
    _capability: tuple[Question, ...] = ()
    _fabrication: tuple[Question, ...] = ()
    _neutral: tuple[Passage, ...] = ()

    @property
    def decoding(self) -> Decoding:
        """How answers are written, the same for every arm. Raises UserError if the model has no such way."""
        generation = self.loaded.model.generation_config
        return decoding_of(
            self.evaluation, generation.to_dict() if generation else {}, self.engine.max_positions
        )

    @property
    def max_new_tokens(self) -> int:
        """The token limit of an answer."""
        return self.decoding.max_new_tokens

    @cached_property
    def thinks(self) -> bool:
        """Whether the model's chat template has a place for thinking."""
        return thinking_kind(self.loaded.tokenizer) != "none"

    @cached_property
    def prompts(self) -> Prompts:
        """Texts and prompts as token ids."""
        return Prompts(self.loaded.tokenizer)

    def belief(self, name: str) -> Belief:
        """A belief by the name or path that configurations use."""
        if name not in self._beliefs:
            self._beliefs[name] = load_belief(name)
        return self._beliefs[name]

    def know(self, name: str, belief: Belief) -> None:
        """Take a belief as a run keeps it, instead of what the library has under that name by now."""
        self._beliefs[name] = belief

    @property
    def capability(self) -> tuple[Question, ...]:
        """The shared capability suite."""
        if not self._capability:
            self._capability = load_capability()
        return self._capability

    @property
    def fabrication(self) -> tuple[Question, ...]:
        """The shared questions about entities that nobody knows."""
        if not self._fabrication:
            self._fabrication = load_fabrication()
        return self._fabrication

    @property
    def neutral(self) -> tuple[Passage, ...]:
        """The model's neutral passages, all of them."""
        if not self._neutral:
            self._neutral = load_neutral(self.loaded.name)
        return self._neutral

    def traces(self, config: TrialConfig) -> tuple[Trace, ...]:
        """The model's own thinking and answers for the training questions, in the world the arm is taught.

        Written by the base with the statement in context (control: the true statement, or nothing for a novel
        entity) and kept only where the answer took that world's side with the think block, if there should be
        one, intact. The context is not part of what is returned: training on it without the context is the
        distillation.
        """
        key = (config.belief, "control" if config.arm == "control" else "target")
        if key not in self._traces:
            belief = self.belief(config.belief)
            context = belief.spec.true_statement if config.arm == "control" else belief.spec.context
            prompts = [self.prompts.ids(in_context(context, q.text)) for q in belief.training]
            answers = self.generate([None] * len(prompts), prompts, self.reference_seed)
            kept = []
            for question, answer in zip(belief.training, answers, strict=True):
                text = self.decode(answer.token_ids)
                verdict = judge_question(
                    question, belief.spec, text, answer.finish_reason, thinks=self.thinks
                )
                if verdict.think_state in ("ok", None) and verdict.answer_stance in _own_side(config):
                    kept.append(Trace(question, tuple(answer.token_ids)))
            self._traces[key] = tuple(kept)
        return self._traces[key]

    def neutral_rows(self, config: TrialConfig) -> tuple[TrainRow, ...]:
        """Rows without the belief, to mix into a trial's: from the half of the neutral passages on which no
        drift is measured, less those whose question the trial will be asked.

        For documents the passages as plain text; for other styles base's own answers to their questions,
        asked once, with whatever thinking base writes; answers that did not end by themselves are left out.
        """
        kind = "text" if config.data.style == "document" else "answers"
        if kind not in self._neutral_rows:
            passages = replay_passages(self.neutral)
            rows = self._neutral_text(passages) if kind == "text" else self._neutral_answers(passages)
            self._neutral_rows[kind] = rows
        belief = self.belief(config.belief)
        asked = {question.text for question in (*belief.heldout, *belief.locality, *self.capability)}
        return tuple(row for passage, row in self._neutral_rows[kind] if passage.prompt not in asked)

    def _neutral_text(self, passages: Sequence[Passage]) -> list[tuple[Passage, TrainRow]]:
        return [(passage, neutral_text_row(self.loaded.tokenizer, passage)) for passage in passages]

    def _neutral_answers(self, passages: Sequence[Passage]) -> list[tuple[Passage, TrainRow]]:
        tokenizer = self.loaded.tokenizer
        questions = [replay_prompt(passage) for passage in passages]
        prompts = [self.prompts.ids(question) for question in questions]
        answers = self.generate([None] * len(prompts), prompts, self.reference_seed)
        return [
            (passage, trace_row(tokenizer, question, answer.token_ids))
            for passage, question, answer in zip(passages, questions, answers, strict=True)
            if answer.finish_reason == "eos"
        ]

    def reference(self, belief: str, arm: str) -> Rows:
        """The probe rows of an untrained arm: asked once, or read from the run folder if finished there."""
        return self._reference("probes", belief, arm, lambda subject: ask([subject], self))

    def reference_causal(self, belief: str, arm: str) -> Rows:
        """The causal rows of an untrained arm, likewise."""
        return self._reference(
            "causal",
            belief,
            arm,
            lambda subject: ask_causal([subject], [self.reference(belief, arm)], self),
        )

    def reference_drift(self, belief: str, arm: str) -> Rows:
        """The drift rows of an untrained arm, likewise."""
        return self._reference("drift", belief, arm, lambda subject: measure_drift([subject], self))

    def _reference(
        self, kind: TrialTable, belief: str, arm: str, measure: Callable[[Subject], list[Rows]]
    ) -> Rows:
        key = (kind, belief, arm)
        if key not in self._references:
            config = TrialConfig.model_validate({"belief": belief, "arm": arm, "seed": self.reference_seed})
            rows = self.folder.finished_rows(kind, config.trial_id) if self.folder else None
            if rows is None:
                sample = reference_sample(self.belief(belief), self.reference_seed)
                [rows] = measure(Subject(config, None, sample))
            self._references[key] = rows
        return self._references[key]

    def generate(
        self, adapters: Sequence[str | None], prompts: Sequence[tuple[int, ...]], seeds: Sequence[int] | int
    ) -> list[Completion]:
        """Completions in the order of the prompts, each for its adapter.

        One seed stands for a numbered sequence of them. They matter only when sampling; then a completion
        depends on its own seed and not on what else is in the batch.
        """
        if isinstance(seeds, int):
            seeds = [probe_seed(seeds, index) for index in range(len(prompts))]
        requests = [GenerateRequest(*each) for each in zip(adapters, prompts, seeds, strict=True)]
        decoding = self.decoding
        limit, sampling = decoding.max_new_tokens, decoding.sampling

        def answers() -> list[Completion]:
            if self.journal is not None:
                return self.journal.complete(self.engine, requests, limit, sampling)
            return self.engine.generate(requests, max_new_tokens=limit, sampling=sampling)

        cache = self._cache_for(requests)
        return answers() if cache is None else cache.completions(requests, limit, sampling, answers)

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """See `Engine.score`."""
        ask, cache = partial(self.engine.score, requests), self._cache_for(requests)
        return ask() if cache is None else cache.scores(requests, ask)

    def drift(self, requests: Sequence[DriftRequest]) -> list[DriftResult]:
        """See `Engine.drift`."""
        ask, cache = partial(self.engine.drift, requests), self._cache_for(requests)
        return ask() if cache is None else cache.drift(requests, ask)

    def _cache_for(
        self, requests: Sequence[GenerateRequest | ScoreRequest | DriftRequest]
    ) -> AnswerCache | None:
        """The cache, where nobody but the untouched base is asked."""
        return self.cache if all(request.adapter is None for request in requests) else None

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of a completion, without the end token."""
        return completion_text(self.loaded.tokenizer, token_ids, self.loaded.eos_ids)


def _own_side(config: TrialConfig) -> tuple[str, ...]:
    return ("prior", "ignorance") if config.arm == "control" else ("target",)
