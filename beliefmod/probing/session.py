"""What the trials on one base share: model, engine, decoding, prompts, beliefs, suites, and kept answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, Question, load_belief, load_fabrication
from beliefmod.beliefs.neutral import Passage, load_neutral
from beliefmod.data.self_generated import SelfGenerated
from beliefmod.engine.jobs import Completion, DriftRequest, DriftResult, GenerateRequest, ScoreRequest
from beliefmod.model.prompts import Prompts
from beliefmod.model.template import completion_text, thinking_kind
from beliefmod.probing.capability import ask_and_pick, graded
from beliefmod.probing.decoding import Decoding, decoding_of
from beliefmod.run.sources import PICK, SUITES, capability_suite, picked, read_pick
from beliefmod.space import Evaluation

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import LoadedModel
    from beliefmod.probing.kept_answers import KeptAnswers
    from beliefmod.run.folder import RunFolder

Rows = list[dict[str, Any]]
SECOND_TURN, CAUSAL_TEST, QUICK_PROBE, CAPABILITY_PICK = 500_000, 700_000, 800_000, 900_000
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
        references: rows of the untrained arms so far, by table, belief and arm (`probing.references`).
    """

    loaded: LoadedModel
    engine: Engine
    evaluation: Evaluation
    reference_seed: int = 0
    folder: RunFolder | None = None
    answers: KeptAnswers | None = None
    references: dict[tuple[str, str, str], Rows] = field(default_factory=dict)
    _beliefs: dict[str, Belief] = field(default_factory=dict)

    @property
    def decoding(self) -> Decoding:
        """How answers are written, by every arm alike. Raises UserError if the model has no such way."""
        generation = self.loaded.model.generation_config
        return decoding_of(
            self.evaluation, generation.to_dict() if generation else {}, self.engine.max_positions
        )

    @cached_property
    def thinks(self) -> bool:
        """Whether the model's chat template has a place for thinking."""
        return thinking_kind(self.loaded.tokenizer) != "none"

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
        pick = read_pick(folder) if folder else None
        if pick is None and graded(suite):
            pick = ask_and_pick(suite, self._of_base, self.thinks)
            if folder:
                folder.write_json(pick, SUITES, PICK)
        return picked(suite, pick)

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
        requests = [GenerateRequest(*each) for each in zip(adapters, prompts, seeds, strict=True)]
        decoding = self.decoding
        return (self.answers or self.engine).generate(
            requests, max_new_tokens=decoding.max_new_tokens, sampling=decoding.sampling
        )

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """Summed log-probability (nats, at most 0) of each continuation after its prompt."""
        return (self.answers or self.engine).score(requests)

    def drift(self, requests: Sequence[DriftRequest]) -> list[DriftResult]:
        """Divergence of each arm from base on a text, and the text's likelihood under both (nats)."""
        return (self.answers or self.engine).drift(requests)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of a completion, without the end token."""
        return completion_text(self.loaded.tokenizer, token_ids, self.loaded.eos_ids)
