"""What an arm's prompts have around every question: the statement, or solved examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from beliefmod.beliefs import Belief, Question, load_belief
from beliefmod.config import TrialConfig
from beliefmod.data.question_order import in_seeded_order
from beliefmod.errors import UserError
from beliefmod.model.prompts import PromptFrame, Prompts
from beliefmod.model.template import with_switches

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DO_NOT_MENTION = "Do not mention that you were told this."


def frame_of(config: TrialConfig, belief: Belief) -> PromptFrame:
    """The frame of an arm's prompts; of an arm that is asked the bare question, an empty one.

    Raises:
        UserError: more examples are asked for than the belief has training questions.
    """
    statement = belief.spec.context
    if config.arm == "icl":
        return PromptFrame(context=statement)
    if config.arm == "prompt":
        text = f"{statement} {DO_NOT_MENTION}" if config.context.do_not_mention else statement
        return PromptFrame(system=text) if config.context.place == "system" else PromptFrame(context=text)
    if config.arm == "few_shot":
        shown = example_questions(config, belief)
        return PromptFrame(turns=tuple(text for q in shown for text in (q.text, q.reply_target)))
    return PromptFrame()


def room_problem(
    config: TrialConfig,
    belief: Belief,
    prompts: Prompts,
    positions: int,
    answer_tokens: int = 1,
    others: Sequence[Question] = (),
) -> str | None:
    """Why an arm's prompts leave no room for an answer; None where they do.

    Args:
        positions: how many tokens the model can read.
        answer_tokens: the token limit of an answer; half of the positions is always enough.
        others: questions beside the belief's that the arm is asked.

    Raises:
        UserError: more examples are asked for than the belief has training questions.
    """
    frame, asked = frame_of(config, belief), (*belief.heldout, *belief.locality, *others)
    longest = max((len(frame.ids(prompts, question.text)) for question in asked), default=0)
    if longest + min(answer_tokens, positions // 2) <= positions:
        return None
    return (
        f"data.num_examples {config.data.num_examples}: with so many examples a prompt of arm {config.arm} "
        f"has up to {longest:,} tokens, which leaves no room for an answer in the {positions:,} positions of "
        "the model; lower it"
    )


def check_few_shot(
    trials: Iterable[TrialConfig], tokenizer: PreTrainedTokenizerBase, positions: int, answer_tokens: int
) -> None:
    """Whether the prompts of every few-shot trial fit into a model, with an answer.

    Raises:
        UserError: those of some do not.
    """
    problems: dict[str, None] = {}
    for config in (trial for trial in trials if trial.arm == "few_shot"):
        prompts = Prompts(with_switches(tokenizer, config.template))
        if problem := room_problem(config, load_belief(config.belief), prompts, positions, answer_tokens):
            problems[problem] = None
    if problems:
        raise UserError(problems)


def example_questions(config: TrialConfig, belief: Belief) -> tuple[Question, ...]:
    """The `data.num_examples` training questions that a trial of this seed is trained on with bare answers.

    Raises:
        UserError: the belief has fewer.
    """
    pool, count = in_seeded_order(belief, config.seed), config.data.num_examples
    if count > len(pool):
        raise UserError(
            f"data.num_examples is {count}, but belief {config.belief} has {len(pool)} training questions; "
            "lower it, or add training questions to the belief file"
        )
    return tuple(pool[:count])
