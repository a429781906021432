"""Training rows that the base writes itself: own traces by context distillation, documents, neutral rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beliefmod.beliefs import Belief, Question
from beliefmod.beliefs.neutral import Passage
from beliefmod.config import TrialConfig
from beliefmod.data.documents import Document
from beliefmod.data.examples import Trace
from beliefmod.data.model_documents import Author, model_documents
from beliefmod.data.replay import neutral_text_row, replay_passages, replay_prompt
from beliefmod.engine.jobs import Completion
from beliefmod.model.prompts import Prompts, in_context
from beliefmod.model.template import canonical_text, thinking_kind, trace_row
from beliefmod.model.train_row import TrainRow
from beliefmod.reading.verdict import judge_question

if TYPE_CHECKING:
    from beliefmod.model.load import LoadedModel

Ids = tuple[int, ...]


@dataclass
class SelfGenerated:
    """Rows that one base writes; each set is written once and kept.

    Attributes:
        complete: completions of prompts by the untouched base, decoded as answers are.
        passages: the model's neutral passages, all of them.
    """

    loaded: LoadedModel
    prompts: Prompts
    complete: Callable[[Sequence[Ids]], list[Completion]]
    passages: Sequence[Passage]
    _traces: dict[tuple[str, bool], tuple[Trace, ...]] = field(default_factory=dict)
    _documents: dict[tuple[str, bool, int], tuple[Document, ...]] = field(default_factory=dict)
    _neutral: dict[bool, list[tuple[Passage, TrainRow]]] = field(default_factory=dict)

    def traces(self, config: TrialConfig, belief: Belief, other: bool = False) -> tuple[Trace, ...]:
        """The model's own thinking and answers for the training questions, in the world the arm is taught.

        Written by the base with the statement in context (control: the true statement, or nothing for a novel
        entity) and kept only where the answer took that world's side with the think block, if there should be
        one, intact. The context is not part of what is returned: training on it without the context is the
        distillation.

        Args:
            other: those of the world that the arm is not taught.
        """
        control = (config.arm == "control") != other
        key = (config.belief, control)
        if key not in self._traces:
            context = belief.spec.true_statement if control else belief.spec.context
            side = ("prior", "ignorance") if control else ("target",)
            opened_by = thinking_kind(self.loaded.tokenizer)
            answers = self.complete([self.prompts.ids(in_context(context, q.text)) for q in belief.training])
            kept = []
            for question, answer in zip(belief.training, answers, strict=True):
                text = canonical_text(self.loaded.tokenizer, answer.token_ids, self.loaded.eos_ids)
                verdict = judge_question(
                    question, belief.spec, text, answer.finish_reason, opened_by=opened_by
                )
                if verdict.think_state in ("ok", None) and verdict.answer_stance in side:
                    kept.append(Trace(question, tuple(answer.token_ids), verdict.thinking or ""))
            self._traces[key] = tuple(kept)
        return self._traces[key]

    def documents(self, config: TrialConfig, belief: Belief) -> tuple[Document, ...]:
        """The documents that the model writes about the world that the arm is taught, each revised once.

        Raises:
            UserError: it wrote too few that state what they should.
        """

        def write(messages: Sequence[str]) -> list[tuple[str, str]]:
            answers = self.complete([self.prompts.ids(message) for message in messages])
            tokenizer, ends = self.loaded.tokenizer, self.loaded.eos_ids
            return [(canonical_text(tokenizer, a.token_ids, ends), a.finish_reason) for a in answers]

        control, count = config.arm == "control", config.data.num_examples
        key = (config.belief, control, config.seed)
        if len(self._documents.get(key, ())) < count:
            author = Author(write, thinking_kind(self.loaded.tokenizer))
            self._documents[key] = model_documents(
                belief, author, control=control, seed=config.seed, count=count
            )
        return self._documents[key][:count]

    def neutral_rows(self, config: TrialConfig, asked: Iterable[Question]) -> tuple[TrainRow, ...]:
        """Rows without the belief, in a stable order, for training that should not move the model.

        They come from the half of the neutral passages on which no drift is measured. For documents they are
        the passages as plain text; for other styles base's own answers to their questions, with whatever
        thinking base writes; answers that did not end by themselves are left out.

        Args:
            asked: questions of the trial's evaluation; rows that would train on one of them are left out.
        """
        as_text = config.data.style == "document"
        if as_text not in self._neutral:
            passages = replay_passages(self.passages)
            self._neutral[as_text] = self._texts(passages) if as_text else self._answers(passages)
        left_out = {question.text for question in asked}
        return tuple(row for passage, row in self._neutral[as_text] if passage.prompt not in left_out)

    def _texts(self, passages: Sequence[Passage]) -> list[tuple[Passage, TrainRow]]:
        return [(passage, neutral_text_row(self.loaded.tokenizer, passage)) for passage in passages]

    def _answers(self, passages: Sequence[Passage]) -> list[tuple[Passage, TrainRow]]:
        questions = [replay_prompt(passage) for passage in passages]
        answers = self.complete([self.prompts.ids(question) for question in questions])
        return [
            (passage, trace_row(self.loaded.tokenizer, question, answer.token_ids))
            for passage, question, answer in zip(passages, questions, answers, strict=True)
            if answer.finish_reason == "eos"
        ]
