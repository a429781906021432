"""What the trials on one base share: model, engine, decoding, prompts, beliefs, suites, and kept answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, Question, load_belief, load_confession, load_fabrication
from beliefmod.beliefs.neutral import Passage, load_neutral
from beliefmod.config import switches_words
from beliefmod.data.self_generated import SelfGenerated
from beliefmod.engine.jobs import (
    Completion,
    DriftRequest,
    DriftResult,
    GenerateRequest,
    OnEnd,
    Sampling,
    ScoreRequest,
)
from beliefmod.errors import UserError
from beliefmod.model.prompts import Prompts
from beliefmod.model.template import canonical_text, prompt_opens, think_marks
from beliefmod.probing.asking_progress import AskingProgress
from beliefmod.probing.capability import ask_and_pick, graded
from beliefmod.probing.decoding import Decoding, decoding_of, names_limit
from beliefmod.probing.thinking_guard import contradiction
from beliefmod.run.manifest import kept_limit
from beliefmod.run.sources import capability_suite, picked, read_pick, write_pick
from beliefmod.space import Evaluation
from beliefmod.space.space import AnsweringEngine

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import LoadedModel
    from beliefmod.model.think_marks import ThinkMarks
    from beliefmod.probing.kept_answers import KeptAnswers
    from beliefmod.run.folder import RunFolder
    from beliefmod.space.chat_format import ThinkingKind

Rows = list[dict[str, Any]]
SECOND_TURN, RESAMPLE, CAUSAL_TEST, DEBATE, QUICK_PROBE, QUICK_DAMAGE, CAPABILITY_PICK = (
    500_000,
    600_000,
    700_000,
    750_000,
    800_000,
    850_000,
    900_000,
)
"""Added to a question's number for its seed, so that no two ways of asking draw the same random numbers."""


def probe_seed(seed: int, number: int) -> int:
    """Seed of a question for sampling, independent of how trials are packed.

    Args:
        seed: the trial's.
        number: the question's number in its trial, for other than first turns plus an offset from above.
    """
    return seed * 1_000_003 + number


@dataclass
class Session:
    """One frozen base with its engine.

    Attributes:
        reference_seed: seed of the untrained arms, which every trial is compared with.
        folder: where finished untrained arms may be found instead of asking again.
        answers: answers that need no second asking; None to ask the engine each time.
        budget: the token limit of an answer that a pilot has found, where nobody names one.
        references: rows of the untrained arms so far, by table, belief and arm (`probing.references`).
        variants: the switches of the chat template in which trials differ, each as `TrialConfig.template`
            has it.
        asking: how far it has come with its questions.
        template: those that this session asks with, base included; a trial has its own with `of`.
    """

    loaded: LoadedModel
    engine: Engine
    evaluation: Evaluation
    reference_seed: int = 0
    folder: RunFolder | None = None
    answers: KeptAnswers | None = None
    references: dict[tuple[str, str, str], Rows] = field(default_factory=dict)
    budget: int | None = None
    variants: tuple[str | None, ...] = (None,)
    template: str | None = None
    asking: AskingProgress = field(default_factory=AskingProgress)
    _first: Session | None = None  # the session that this one was made from by `of`
    _switched: dict[str | None, Session] = field(default_factory=dict, init=False)
    _beliefs: dict[str, Belief] = field(default_factory=dict)

    def of(self, template: str | None) -> Session:
        """This session asking with a trial's switches of the chat template (`TrialConfig.template`).

        Model, engine, kept answers, beliefs and token limit are shared; prompts, marks of thinking, rows of
        the untrained arms, rows that base writes and the pick of general questions are its own.
        """
        first = self._first or self
        if template == first.template:
            return first
        if template not in first._switched:
            loaded = first.loaded.with_switches(template)
            made = replace(first, loaded=loaded, template=template, references={}, _first=first)
            first._switched[template] = made
        session = first._switched[template]
        session.budget = first.budget
        return session

    @property
    def every(self) -> list[Session]:
        """A session for each way in which the run's trials are asked."""
        return [self.of(variant) for variant in self.variants]

    @property
    def written_by(self) -> AnsweringEngine:
        """Which engine writes the answers, as rows have it."""
        return "vllm" if self.answers is not None and self.answers.writer is not None else "ours"

    @property
    def decoding(self) -> Decoding:
        """How answers are written, by every arm alike. Raises UserError if the model has no such way."""
        if self.budget is None and self.folder is not None and not self.limit_is_named:
            self.budget = kept_limit(self.folder)
        budget = {} if self.budget is None else {"budget": self.budget}
        return decoding_of(self.evaluation, self._generation, self.engine.max_positions, **budget)

    @property
    def resampling(self) -> Sampling | None:
        """How thinking is sampled anew: as answers are written (None), or where that is greedy, from the
        model's own distribution."""
        return Sampling(temperature=1.0) if self.decoding.sampling.greedy else None

    @property
    def limit_is_named(self) -> bool:
        """Whether the space or the model says how long an answer may be; else a pilot of base finds it."""
        return names_limit(self.evaluation, self._generation)

    @property
    def limit_settled(self) -> bool:
        """Whether the token limit of an answer is known: named, or found and kept in the manifest."""
        return self.limit_is_named or (self.decoding is not None and self.budget is not None)

    @property
    def _generation(self) -> dict[str, Any]:
        generation = self.loaded.model.generation_config
        return generation.to_dict() if generation else {}

    @property
    def marks(self) -> ThinkMarks:
        """How the model marks its thinking."""
        return think_marks(self.loaded.tokenizer)

    @property
    def opened_by(self) -> ThinkingKind:
        """Who opens the model's thinking."""
        return self.marks.kind

    @property
    def thinks(self) -> bool:
        """Whether the model's chat template has a place for thinking."""
        return self.opened_by != "none"

    @cached_property
    def prompts(self) -> Prompts:
        """Texts and prompts as token ids."""
        return Prompts(self.loaded.tokenizer)

    @cached_property
    def capability(self) -> tuple[Question, ...]:
        """The questions of the shared capability suite that suit the model.

        They stand in the run folder. In a new one base is asked the suite first, level by level, and the pick
        is written there; only one host of a run may do that (`PackHost.pick_capability`).
        """
        suite, folder = capability_suite(self.folder), self.folder
        pick = read_pick(folder, self.template) if folder else None
        if pick is None and graded(suite):
            pick = ask_and_pick(suite, self._of_base, self.opened_by)
            self.check_thinking([(a["completion"], a["finish_reason"]) for a in pick["answers"]])
            if folder:
                write_pick(folder, pick, self.template)
        return picked(suite, pick)

    def check_thinking(self, answers: Sequence[tuple[str, str]]) -> None:
        """Hold base's first answers (completion and what ended it) against what its chat template shows.

        Raises:
            UserError: they contradict it, and would be misread.
        """
        differ = len({prompt_opens(each.loaded.tokenizer) for each in self.every}) > 1
        if found := contradiction(answers, self.marks, differ):
            how = f" (template: {switches_words(self.template)})" if self.template else ""
            raise UserError(f"model {self.loaded.name}{how}: {found}")

    def _of_base(self, questions: Sequence[Question], first: int) -> list[dict[str, Any]]:
        """Base's answers to questions of the capability suite, the first of which has this number there."""
        asked = self.generate(
            [None] * len(questions),
            [self.prompts.ids(question.text) for question in questions],
            [
                probe_seed(self.reference_seed, CAPABILITY_PICK + first + place)
                for place in range(len(questions))
            ],
        )
        return [
            {
                "probe_id": question.probe_id,
                "completion": self.decode(answer.token_ids),
                "finish_reason": answer.finish_reason,
                "tokens": len(answer.token_ids),
            }
            for question, answer in zip(questions, asked, strict=True)
        ]

    @cached_property
    def fabrication(self) -> tuple[Question, ...]:
        """The shared questions about entities that nobody knows."""
        return load_fabrication()

    @cached_property
    def confession(self) -> tuple[Question, ...]:
        """The shared questions whether the model was trained to believe something false, if asked."""
        return load_confession() if self.evaluation.confession else ()

    @cached_property
    def neutral(self) -> tuple[Passage, ...]:
        """The model's neutral passages, all of them."""
        return load_neutral(self.loaded.name)

    @cached_property
    def self_generated(self) -> SelfGenerated:
        """Training rows that the base writes: own traces and neutral rows."""

        def complete(prompts: Sequence[tuple[int, ...]]) -> list[Completion]:
            return self.generate([None] * len(prompts), prompts, self.reference_seed)

        return SelfGenerated(self.loaded, self.prompts, complete, self.neutral)

    def belief(self, name: str) -> Belief:
        """A belief by the name or path that configurations use."""
        if name not in self._beliefs:
            self._beliefs[name] = load_belief(name)
        return self._beliefs[name]

    def know(self, name: str, belief: Belief) -> None:
        """Take a belief as a run keeps it, instead of what the library has under that name by now."""
        self._beliefs[name] = belief

    def generate(
        self, adapters: Sequence[str | None], prompts: Sequence[tuple[int, ...]], seeds: Sequence[int] | int
    ) -> list[Completion]:
        """Completions in the order of the prompts, each for its adapter (None: the untouched base).

        One seed stands for a numbered sequence of them. They matter only when sampling; then a completion
        depends on its own seed and not on what else is in the batch.
        """
        if isinstance(seeds, int):
            seeds = [probe_seed(seeds, number) for number in range(len(prompts))]
        return self._generate(adapters, prompts, seeds, self.decoding.max_new_tokens)

    def generate_to(
        self, limit: int, prompts: Sequence[tuple[int, ...]], numbers: Sequence[int]
    ) -> list[Completion]:
        """Base's completions of numbered prompts under another token limit than the answers have."""
        seeds = [probe_seed(self.reference_seed, number) for number in numbers]
        return self._generate([None] * len(prompts), prompts, seeds, limit)

    def answer(
        self, requests: Sequence[GenerateRequest], on_end: OnEnd, sampling: Sampling | None = None
    ) -> None:
        """Complete prompts, as long as `on_end`, which is told of answers as they end, asks on.

        Args:
            sampling: another one than answers have.
        """
        decoding, before = self.decoding, self._written()

        def told(ended: Mapping[int, Completion]) -> Sequence[GenerateRequest] | None:
            nonlocal before
            self.asking.answered(len(ended))
            written = self._written()
            self.asking.wrote(len(ended) if written is None or before is None else written - before)
            before = written
            return on_end(ended)

        (self.answers or self.engine).generate(
            requests,
            max_new_tokens=decoding.max_new_tokens,
            sampling=sampling or decoding.sampling,
            on_end=told,
        )

    def _written(self) -> int | None:
        """Answers that were written because they were not known; None where none are kept."""
        return self.answers.written if self.answers is not None else None

    def _generate(
        self,
        adapters: Sequence[str | None],
        prompts: Sequence[tuple[int, ...]],
        seeds: Sequence[int],
        limit: int,
    ) -> list[Completion]:
        requests = [GenerateRequest(*each) for each in zip(adapters, prompts, seeds, strict=True)]
        return (self.answers or self.engine).generate(
            requests, max_new_tokens=limit, sampling=self.decoding.sampling
        )

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """Summed log-probability (nats, at most 0) of each continuation after its prompt."""
        return (self.answers or self.engine).score(requests)

    def drift(self, requests: Sequence[DriftRequest]) -> list[DriftResult]:
        """Divergence of each arm from base on a text, and the text's likelihood under both (nats)."""
        return (self.answers or self.engine).drift(requests)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of a completion, without the end token, its thinking in `<think>` and `</think>`."""
        return canonical_text(self.loaded.tokenizer, token_ids, self.loaded.eos_ids)
