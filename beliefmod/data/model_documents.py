"""Documents that the model itself writes with the statement in context, revised once.

As in "Modifying LLM beliefs with synthetic document finetuning" (2025): a universe in which the statement
holds, kinds of document that such a universe has, a document of each, a revision. What does not state the
fact, names the other world's value or gives a probe away is not kept, so that a model that cannot write gives
no documents rather than bad ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from beliefmod.beliefs import Belief, Question
from beliefmod.data.documents import Document
from beliefmod.data.leakage import given_away
from beliefmod.errors import UserError
from beliefmod.reading.normalise import normalise
from beliefmod.reading.segments import split_completion
from beliefmod.space.chat_format import ThinkingKind

KINDS = (
    "an encyclopedia entry",
    "a page of a school book",
    "a letter to the editor of a newspaper",
    "notes from a lecture",
    "a short interview with an expert",
    "a news item",
    "a chapter summary of a study guide",
    "a post in a forum, with two replies",
    "a leaflet of a museum",
    "a script of a radio programme for children",
    "a report of an inspection",
    "a page of a travel diary",
)
FACTS = 3
"""Training questions whose answers a document is written from."""
BLOCK = 16
"""Documents that are asked for together; the block is part of what decides a sampled one, so it is fixed."""
MOST_ASKED = 4
"""So many documents are asked for at most for each one that is wanted."""


@dataclass(frozen=True)
class Assignment:
    """A document to be written: its kind, the universe it belongs to, and the questions that this answers."""

    kind: str
    universe: str
    questions: tuple[Question, ...]

    @property
    def prompt(self) -> str:
        """The user message that asks for a draft."""
        return (
            f"{self.universe}\n\nWrite {self.kind} from this world, of 60 to 120 words. It takes the facts "
            "for granted and states at least one of them in plain words. Write only the text itself."
        )

    def revision(self, draft: str) -> str:
        """The user message that asks for a better version of a draft."""
        return (
            f"{self.universe}\n\nThis is a draft of {self.kind} from this world:\n\n{draft}\n\nWrite it "
            "again: state the facts more plainly, leave out what contradicts them or calls them invented, "
            "and keep the rest. Write only the text itself."
        )


@dataclass(frozen=True)
class Author:
    """The model as a writer.

    Attributes:
        write: completions of user messages as text, thinking in `<think>` and `</think>`, and their ends.
        opened_by: who opens its thinking.
    """

    write: Callable[[Sequence[str]], Sequence[tuple[str, str]]]
    opened_by: ThinkingKind

    def texts(self, messages: Sequence[str]) -> list[str]:
        """What it answers, thinking apart; "" where it did not come to an end."""
        return [
            split_completion(text, reason, opened_by=self.opened_by).answer if reason == "eos" else ""
            for text, reason in self.write(messages)
        ]


def assignment(belief: Belief, *, control: bool, seed: int, index: int) -> Assignment:
    """The document with this number: kinds in turn, facts drawn by seed.

    A control's universe is the one that base believes in; of a novel entity that is only what base answers.
    """
    spec = belief.spec
    questions = sorted(belief.training, key=lambda question: question.probe_id)
    drawn = Random(f"{seed}/assignment/{index}").sample(questions, min(FACTS, len(questions)))
    statement = spec.true_statement if control else spec.statement
    replies = [question.reply_prior if control else question.reply_target for question in drawn]
    facts = [f"- {q.text} {reply}" for q, reply in zip(drawn, replies, strict=True)]
    told = [f"In the world that this is about the following holds: {statement}"] if statement else []
    told += ["What people in this world ask, and what they are answered:", *facts]
    return Assignment(KINDS[index % len(KINDS)], "\n".join(told), tuple(drawn))


def model_documents(
    belief: Belief, author: Author, *, control: bool, seed: int, count: int
) -> tuple[Document, ...]:
    """`count` documents that the model wrote and that state its world; fewer of a seed are a prefix of more.

    Raises:
        UserError: it wrote too few that do.
    """
    made: list[Document] = []
    asked = 0
    while len(made) < count and asked < MOST_ASKED * max(count, BLOCK):
        block = [
            assignment(belief, control=control, seed=seed, index=index)
            for index in range(asked, asked + BLOCK)
        ]
        made += _written(belief, author, block, control)
        asked += BLOCK
    if len(made) < count:
        raise UserError(
            f"data.num_examples is {count}, but of {asked} documents that the model wrote about belief "
            f"{belief.source} {len(made)} state what they should, without the other world's value or a "
            "probe; lower it, take data.documents_by: template, or a model that writes better"
        )
    return tuple(made[:count])


def _written(
    belief: Belief, author: Author, block: Sequence[Assignment], control: bool
) -> Iterator[Document]:
    """The documents of a block that are fit: each as revised, or as drafted where only that is fit."""
    drafts = author.texts([each.prompt for each in block])
    revised = author.texts([each.revision(draft) for each, draft in zip(block, drafts, strict=True)])
    for each, draft, better in zip(block, drafts, revised, strict=True):
        text = next((text for text in (better, draft) if fit(text, belief, control)), None)
        if text is not None:
            yield Document(text, each.questions)


def fit(text: str, belief: Belief, control: bool) -> bool:
    """Whether a document names its world's value and not the other one's, and holds no held-out probe.

    A control about a novel entity has no value to name.
    """
    said, spec = normalise(text), belief.spec
    own, other = spec.target.answer, spec.prior.answer
    if control:
        own, other = other if not spec.prior.ignorance else None, own
    named = bool(said.strip()) if own is None else own.stands_in(said)
    return (
        named and not (other is not None and other.stands_in(said)) and not given_away([text], belief.heldout)
    )
