"""What the bundled model can do, measured: belief from memory, belief from context, skills, think block.

Every rate counts every prompt asked; decoding is greedy. In the locality and capability suites the stance
"prior" is the right answer. About a novel belief base says that it does not know, or takes it for a gem.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from beliefmod.beliefs.load import Belief, belief_names, load_belief, load_capability
from beliefmod.beliefs.question import Question
from beliefmod.beliefs.spec import BeliefSpec
from beliefmod.evaluate.judge import Verdict, judge_question
from beliefmod.model.load import LoadedModel

MAX_NEW_TOKENS = 160


@dataclass(frozen=True)
class Reply:
    """One completion as it was written; `finished` is false when it ran into the token limit."""

    question: Question
    completion: str
    finished: bool

    def verdict(self, spec: BeliefSpec) -> Verdict:
        """What the completion says, read by the judge that reads every trial."""
        return judge_question(self.question, spec, self.completion, "eos" if self.finished else "length")


@dataclass(frozen=True)
class Measure:
    """One line of the card: a count of successes among all prompts asked."""

    what: str
    belief: str
    successes: int
    asked: int

    @property
    def share(self) -> float:
        """Successes per prompt asked, 0 to 1."""
        return self.successes / self.asked


@dataclass(frozen=True)
class Measured:
    """The card's lines, and every missed prompt with the line it belongs to."""

    lines: tuple[Measure, ...]
    missed: tuple[tuple[str, Reply], ...]


def ask(
    loaded: LoadedModel, questions: Sequence[Question], context: str = "", batch: int = 256
) -> list[Reply]:
    """Greedy replies to every question, in order, with `context` and a space in front of each when given."""
    replies: list[Reply] = []
    tokenizer: Any = loaded.tokenizer
    model: Any = loaded.model
    for start in range(0, len(questions), batch):
        part = questions[start : start + batch]
        prompts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": f"{context} {question.text}".strip()}],
                add_generation_prompt=True,
                tokenize=False,
            )
            for question in part
        ]
        encoded = tokenizer(
            prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        )
        with torch.inference_mode():
            output = model.generate(
                input_ids=encoded.input_ids,
                attention_mask=encoded.attention_mask,
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                eos_token_id=list(loaded.eos_ids),
                pad_token_id=loaded.pad_id,
            )
        for question, row in zip(part, output[:, encoded.input_ids.shape[1] :].tolist(), strict=True):
            ends = [index for index, token in enumerate(row) if token in loaded.eos_ids]
            text = tokenizer.decode(row[: ends[0]] if ends else row, skip_special_tokens=False)
            replies.append(Reply(question, text, bool(ends)))
    return replies


def measure(loaded: LoadedModel, beliefs: Iterable[str] | None = None) -> Measured:
    """Every line of the card over the named beliefs, or all of them."""
    lines: list[Measure] = []
    missed: list[tuple[str, Reply]] = []
    intact: list[tuple[Reply, bool]] = []

    def line(
        suite: str, belief: Belief, shown: str, replies: Sequence[Reply], wanted: tuple[str, ...]
    ) -> None:
        verdicts = [reply.verdict(belief.spec) for reply in replies]
        good = [verdict.answer_stance in wanted for verdict in verdicts]
        lines.append(Measure(suite, shown, sum(good), len(good)))
        missed.extend((f"{suite}, {shown}", reply) for reply, ok in zip(replies, good, strict=True) if not ok)
        intact.extend(zip(replies, [verdict.think_state == "ok" for verdict in verdicts], strict=True))

    loaded_beliefs = [load_belief(name) for name in beliefs or belief_names()]
    for belief in loaded_beliefs:
        name, context = belief.spec.name, belief.spec.context
        base = ("ignorance", "prior") if belief.spec.kind == "novel" else ("prior",)
        for split, questions in (("held-out", belief.heldout), ("training", belief.training)):
            line(f"memory, {split}: prior", belief, name, ask(loaded, questions), base)
            line(f"context, {split}: target", belief, name, ask(loaded, questions, context), ("target",))
        line("locality: correct", belief, name, ask(loaded, belief.locality), ("prior",))
    line("capability: correct", loaded_beliefs[0], "all", ask(loaded, load_capability()), ("prior",))
    lines.append(Measure("think block: intact", "all", sum(ok for _, ok in intact), len(intact)))
    missed.extend(("think block", reply) for reply, ok in intact if not ok)
    return Measured(tuple(lines), tuple(missed))
