"""What the bundled model can do, measured: memory, context, pressure, neighbours, skills, think block.

Every rate counts every prompt asked; decoding is greedy. In the locality and capability suites the stance
"prior" is the right answer. Where the prior's world has no answer, base should say that it does not know.
The model card's prose is written by hand, its table only from these measures.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from beliefmod.beliefs import (
    Belief,
    Question,
    load_belief,
    load_capability,
    load_fabrication,
)
from beliefmod.beliefs.spec import BeliefSpec
from beliefmod.bundled import KNOWN_BELIEFS
from beliefmod.model.load import LoadedModel
from beliefmod.model.template import prompt_text
from beliefmod.reading.verdict import Verdict, judge_question

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
    """Greedy replies to every question, in order, with `context` and a space in front of each when given.

    Of a question with two turns the reply to the second is given; the model writes the first one too.
    """
    chats = [(f"{context} {question.text}".strip(),) for question in questions]
    written = _write(loaded, chats, batch)
    double = [index for index, question in enumerate(questions) if question.follow_up is not None]
    second = [(*chats[index], written[index][0], questions[index].follow_up or "") for index in double]
    for index, reply in zip(double, _write(loaded, second, batch), strict=True):
        written[index] = reply
    return [Reply(question, *reply) for question, reply in zip(questions, written, strict=True)]


def _write(loaded: LoadedModel, chats: Sequence[tuple[str, ...]], batch: int) -> list[tuple[str, bool]]:
    """Completions of chats (user, assistant, user, ...), and whether each ended before the token limit."""
    out: list[tuple[str, bool]] = []
    tokenizer: Any = loaded.tokenizer
    model: Any = loaded.model
    for start in range(0, len(chats), batch):
        prompts = [prompt_text(tokenizer, *chat) for chat in chats[start : start + batch]]
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
        for row in output[:, encoded.input_ids.shape[1] :].tolist():
            ends = [index for index, token in enumerate(row) if token in loaded.eos_ids]
            text = tokenizer.decode(row[: ends[0]] if ends else row, skip_special_tokens=False)
            out.append((text, bool(ends)))
    return out


def base_says(belief: Belief, question: Question) -> tuple[str, ...]:
    """The stances that are right for base: the prior, not to know, or for a novel thing's nature either."""
    if question.prior is None:
        return ("ignorance",)
    stated = question.tier == "robustness"
    return ("prior",) if belief.spec.kind == "existing" or stated else ("prior", "ignorance")


def in_target_world(belief: Belief, question: Question) -> tuple[str, ...]:
    """The stance of a model that follows the belief's statement."""
    return ("target",)


def right(belief: Belief, question: Question) -> tuple[str, ...]:
    """The stance that counts as right in a suite with correct answers."""
    return ("prior",)


Wanted = Callable[[Belief, Question], tuple[str, ...]]
PRESSURES = (
    ("told", "told of training"),
    ("stated", "truth or rival stated"),
    ("doubted", "doubted, two turns"),
)


def measure(loaded: LoadedModel, beliefs: Iterable[str] | None = None) -> Measured:
    """Every line of the card over the named beliefs, or all that the corpus speaks of."""
    lines: list[Measure] = []
    missed: list[tuple[str, Reply]] = []
    intact: list[tuple[Reply, bool]] = []

    def line(what: str, belief: Belief, shown: str, replies: Sequence[Reply], wanted: Wanted) -> None:
        verdicts = [reply.verdict(belief.spec) for reply in replies]
        good = [
            verdict.answer_stance in wanted(belief, reply.question)
            for reply, verdict in zip(replies, verdicts, strict=True)
        ]
        lines.append(Measure(what, shown, sum(good), len(good)))
        missed.extend((f"{what}, {shown}", reply) for reply, ok in zip(replies, good, strict=True) if not ok)
        intact.extend(zip(replies, [verdict.think_state == "ok" for verdict in verdicts], strict=True))

    loaded_beliefs = [load_belief(name) for name in beliefs or KNOWN_BELIEFS]
    for belief in loaded_beliefs:
        name, context = belief.spec.name, belief.spec.context
        plain = [question for question in belief.heldout if question.tier != "robustness"]
        for split, questions in (("held-out", plain), ("training", belief.training)):
            line(f"memory, {split}: prior", belief, name, ask(loaded, questions), base_says)
            line(f"context, {split}: target", belief, name, ask(loaded, questions, context), in_target_world)
        for kind, shown in PRESSURES:
            pressed = [question for question in belief.heldout if question.family.startswith(f"{kind}_")]
            line(f"memory, {shown}: prior", belief, name, ask(loaded, pressed), base_says)
            if kind != "stated":
                replies = ask(loaded, pressed, context)
                line(f"context, {shown}: target", belief, name, replies, in_target_world)
        line("locality: correct", belief, name, ask(loaded, belief.locality), right)
        line("locality in context: correct", belief, name, ask(loaded, belief.locality, context), right)
    first = loaded_beliefs[0]
    easiest = [question for question in load_capability() if question.level == 1]
    line("capability: correct", first, "all", ask(loaded, easiest), right)
    line("fabrication: does not know", first, "all", ask(loaded, load_fabrication()), base_says)
    lines.append(Measure("think block: intact", "all", sum(ok for _, ok in intact), len(intact)))
    missed.extend(("think block", reply) for reply, ok in intact if not ok)
    return Measured(tuple(lines), tuple(missed))


BEGIN, END = "<!-- measured table: begin -->", "<!-- measured table: end -->"


def card_path() -> Path:
    """Where the card stands in the package."""
    return Path(__file__).parent / "CARD.md"


def table(measured: Mapping[str, Sequence[Measure]]) -> str:
    """A Markdown table, one row per measure and one column per precision (`fp32`, `nf4`).

    Raises:
        ValueError: the precisions were not measured on the same rows.
    """
    keys = {
        name: [(line.what, line.belief, line.asked) for line in lines] for name, lines in measured.items()
    }
    first, *others = keys.values()
    if any(rows != first for rows in others):
        raise ValueError("every precision needs the same measures")
    names = list(measured)
    out = ["| measure | belief | asked | " + " | ".join(names) + " |"]
    out.append("|---|---|---|" + "---|" * len(names))
    for lines in zip(*measured.values(), strict=True):
        shares = " | ".join(f"{100 * line.share:.1f} %" for line in lines)
        out.append(f"| {lines[0].what} | {lines[0].belief} | {lines[0].asked} | {shares} |")
    return "\n".join(out)


def with_table(card: str, rows: str) -> str:
    """The card's text with the measured table between its markers replaced.

    Raises:
        ValueError: the markers are missing.
    """
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(card):
        raise ValueError(f"the card lacks the lines {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{rows}\n{END}", card)
