"""What an answer that a trial wrote itself is worth, read by the scorer that reads held-out answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from beliefmod.beliefs import Belief, Question
from beliefmod.config import TrialConfig
from beliefmod.engine.jobs import Completion
from beliefmod.model.prompts import Prompts, in_context
from beliefmod.reading.verdict import judge_question
from beliefmod.space.chat_format import ThinkingKind


@dataclass(frozen=True)
class Rewards:
    """The parts of the reward (`config.reward_parts`) of a trial's own answers.

    Attributes:
        questions: the training questions, in the order of the trial's rows.
        text: of a completion, without its end token.
        opened_by: who opens the model's thinking.
    """

    config: TrialConfig
    belief: Belief
    questions: Sequence[Question]
    text: Callable[[Sequence[int]], str]
    opened_by: ThinkingKind

    def prompts_in_context(self, prompts: Prompts) -> tuple[tuple[int, ...], ...]:
        """The questions with the statement of the world that the arm is taught, as token ids; none where no
        answer is written to them."""
        if not self.config.objective.in_context:
            return ()
        spec = self.belief.spec
        statement = spec.true_statement if self.config.arm == "control" else spec.context
        return tuple(prompts.ids(in_context(statement, question.text)) for question in self.questions)

    def of(self, place: int, completion: Completion) -> Mapping[str, float]:
        """The parts of one answer: 1 or 0 for the stance and the thinking, 0 to 1 for the length.

        The stance counts where the final answer takes the target's side; of the control arm base's side,
        which for a novel entity is not knowing.

        Args:
            place: of the answered question among `questions`.
        """
        verdict = judge_question(
            self.questions[place],
            self.belief.spec,
            self.text(completion.token_ids),
            completion.finish_reason,
            opened_by=self.opened_by,
        )
        side = ("prior", "ignorance") if self.config.arm == "control" else ("target",)
        limit = self.config.objective.max_completion_length
        return {
            "reward_stance": float(verdict.answer_stance in side),
            "reward_thinking": float(verdict.think_state in ("ok", None)),
            "reward_length": 1 - len(completion.token_ids) / limit,
        }
