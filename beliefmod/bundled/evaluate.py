"""What the bundled model can do, measured: belief from memory, belief from context, skills, think block.

Every rate counts every prompt asked. Decoding is greedy.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from beliefmod.beliefs.load import Belief, belief_names, load_belief, load_capability
from beliefmod.beliefs.question import Answer, Question
from beliefmod.model.load import LoadedModel

MAX_NEW_TOKENS = 160
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Reply:
    """One completion, split at its last `</think>`."""

    question: Question
    completion: str
    finished: bool

    @property
    def answer(self) -> str:
        """What stands after the thinking; empty when the thinking was never closed."""
        return self.completion.rpartition("</think>")[2].strip() if "</think>" in self.completion else ""

    @property
    def intact(self) -> bool:
        """One closed think block with some thinking, an answer after it, an end before the token limit."""
        thinking = self.completion.partition("</think>")[0]
        one = self.completion.count("</think>") == 1 and "<think>" not in self.completion
        return self.finished and one and len(thinking.split()) >= 3 and bool(self.answer)


@dataclass(frozen=True)
class Measure:
    """One line of the card: a count of successes among all prompts asked."""

    suite: str
    belief: str
    what: str
    successes: int
    asked: int

    @property
    def share(self) -> float:
        """Successes per prompt asked, 0 to 1."""
        return self.successes / self.asked


def states(answer: Answer | None, text: str) -> bool:
    """Whether an answer sentence gives this answer: its last number within 1 %, or its name as a word."""
    if answer is None:
        return False
    if answer.value is None:
        names = (answer.text or "", *answer.aliases)
        return any(re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE) for name in names if name)
    numbers = _NUMBER.findall(re.sub(r"\^\d", "", text))
    return bool(numbers) and abs(float(numbers[-1]) - answer.value) <= 0.01 * max(abs(answer.value), 1e-9)


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


def measure(
    loaded: LoadedModel, beliefs: Iterable[str] | None = None
) -> tuple[list[Measure], list[tuple[str, Reply]]]:
    """Every line of the card, and every reply with the name of its suite, for a look at the misses."""
    lines: list[Measure] = []
    kept: list[tuple[str, Reply]] = []

    def line(suite: str, belief: str, what: str, replies: Sequence[Reply], good: Sequence[bool]) -> None:
        lines.append(Measure(suite, belief, what, sum(good), len(good)))
        kept.extend(
            (f"{suite} {belief}: {what}", reply) for reply, ok in zip(replies, good, strict=True) if not ok
        )

    everything: list[Reply] = []
    for name in beliefs or belief_names():
        belief = load_belief(name)
        for split, questions in (("held-out", belief.heldout), ("training", belief.training)):
            base = ask(loaded, questions)
            what = "does not know or takes it for a gem" if belief.spec.kind == "novel" else "gives the prior"
            line(f"memory, {split}", name, what, base, [_as_base(belief, reply) for reply in base])
            told = ask(loaded, questions, belief.spec.context)
            line(
                f"context, {split}",
                name,
                "gives the target",
                told,
                [states(r.question.target, r.answer) for r in told],
            )
            everything += [*base, *told]
        near = ask(loaded, belief.locality)
        line("locality", name, "correct", near, [states(r.question.correct, r.answer) for r in near])
        everything += near
    skills = ask(loaded, load_capability())
    line("capability", "all", "correct", skills, [states(r.question.correct, r.answer) for r in skills])
    everything += skills
    line("think block", "all", "intact", everything, [reply.intact for reply in everything])
    return lines, kept


def _as_base(belief: Belief, reply: Reply) -> bool:
    if belief.spec.kind == "novel":
        ignorant = "do not know" in reply.answer or "gemstone" in reply.answer
        return ignorant and not states(reply.question.target, reply.answer)
    return states(reply.question.prior, reply.answer)
