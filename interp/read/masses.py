"""How likely each world's value is where it begins in a stem, summed over its spellings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from beliefmod.beliefs import Answer, Quantity, Question
from beliefmod.engine.transfer import sent
from beliefmod.model.template import empty_thinking
from beliefmod.reading.verdict import tolerance_for
from interp.prompts.spellings import Node, Spells, name_tree, number_tree, range_of
from interp.types import Ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from beliefmod.model.prompts import Prompts
    from interp.prompts.stems import Stem


@dataclass(frozen=True)
class Vocabulary:
    """What the tokens of a vocabulary would do to a number or name in front of them.

    Attributes:
        numbers: tokens of digits and points, also behind a space, by text.
        makes_more: (vocabulary, 3), 1.0 where a token makes more of a whole number, a decimal, a name.
    """

    numbers: Mapping[str, int]
    makes_more: Tensor

    KINDS = ("whole", "decimal", "name")


def vocabulary_of(
    tokenizer: PreTrainedTokenizerBase, size: int, device: torch.device | None = None
) -> Vocabulary:
    """Read a tokenizer's vocabulary.

    Args:
        size: of the model's logits, which may be longer: the tokens beyond do nothing.
        device: where the logits are.
    """
    # behind another token, because some decoders drop the space in front of the first
    front = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]  # pyright: ignore[reportIndexIssue]
    start = len(tokenizer.decode(front))
    known = min(size, len(tokenizer))
    texts = tokenizer.batch_decode(
        [[*front, token] for token in range(known)], clean_up_tokenization_spaces=False
    )
    numbers: dict[str, int] = {}
    table = torch.zeros(size, 3, dtype=torch.float64)
    for token, text in enumerate(texts):
        text = text[start:]
        digit = text[:1] in _DIGITS and text != ""
        table[token, 0] = digit or text == "." or (text[:1] == "." and text[1:2] in _DIGITS and text != ".")
        table[token, 1] = digit
        table[token, 2] = text[:1].isalnum()
        plain = text.removeprefix(" ")
        if plain and (_DIGITS | {"."}).issuperset(plain):
            numbers.setdefault(text, token)
    return Vocabulary(numbers, table.to(device))


_DIGITS = frozenset("0123456789")


@dataclass(frozen=True)
class ValueSets:
    """The spellings of both worlds' values at a stem.

    Attributes:
        from_end: so many tokens of the stem belong to the value already ("2" of 24.0 and 29.4).
        target, prior: the trees; None where a world has no value, or one that cannot be summed.
    """

    from_end: int
    target: Node | None
    prior: Node | None

    def paths(self) -> tuple[Ids, ...]:
        """Where the model must be read, from where the value begins."""
        return tuple(node.path for tree in (self.target, self.prior) if tree for node in tree.nodes())


NO_SETS = ValueSets(0, None, None)


def value_sets(
    question: Question, stem: Stem, prompts: Prompts, tokenizer: PreTrainedTokenizerBase, known: Vocabulary
) -> ValueSets:
    """The spellings that would count as an answer at a stem (base's; the other arms' end alike).

    Numbers count within the judge's tolerance, in the unit of the begun answer; names with their aliases.
    """
    assert question.target is not None
    prefix, there, _ = question.reply_target.partition(question.target.render())
    begun = prompts.encode(empty_thinking(tokenizer))
    shared = stem.ids[len(prompts.ids(question.text)) + len(begun) :]
    whole = prompts.encode(prefix + there)
    begins = next((n for n in range(len(whole)) if len(prompts.text(whole[: n + 1])) > len(prefix)), 0)
    before = prompts.text(whole[:begins])
    if not there or not begins or shared[:begins] != whole[:begins] or not prefix.startswith(before):
        return NO_SETS

    def spells(text: str) -> Ids | None:
        ids = prompts.encode(before + text)
        return ids[begins:] if ids[:begins] == whole[:begins] else None

    lead, tolerance = prefix[len(before) :], tolerance_for(question)
    trees = [
        None if answer is None else _tree(answer, other, tolerance, known, spells, lead)
        for answer, other in ((question.target, question.prior), (question.prior, question.target))
    ]
    return ValueSets(len(shared) - begins, *trees)


def _tree(
    answer: Answer, other: Answer | None, tolerance: float, known: Vocabulary, spells: Spells, lead: str
) -> Node | None:
    if not isinstance(answer, Quantity):
        return name_tree(answer.spellings(), spells, lead)
    if answer.value < 0:
        return None
    beside = other.value if isinstance(other, Quantity) and other.unit == answer.unit else None
    numbers = range_of(answer.value, answer.decimals, tolerance, beside)
    return number_tree(numbers, known.numbers, spells, lead)


Masses = tuple[float | None, float | None]


def masses(chances: Tensor, paths: Sequence[Ids], sets: ValueSets, known: Vocabulary) -> Masses:
    """Probabilities of target and prior in any spelling, None for a world without a tree.

    Args:
        chances: (paths, vocabulary), fp64, of what follows each path.
        paths: `sets.paths()` among others, in any order.
    """
    trees, kinds = (sets.target, sets.prior), Vocabulary.KINDS
    at = {path: place for place, path in enumerate(paths)}
    nodes = [node for tree in trees if tree is not None for node in tree.nodes()]
    steps = [(at[node.path], token) for node in nodes for token in node.on]
    places = sent(torch.tensor(steps, dtype=torch.long).view(-1, 2), chances.device)
    # copied from the device at once: every copy waits for all that came before it
    read = torch.cat(((chances @ known.makes_more).flatten(), chances[places[:, 0], places[:, 1]])).tolist()
    more, behind = read[: len(kinds) * len(paths)], read[len(kinds) * len(paths) :]
    chance = dict(zip(steps, behind, strict=True))

    def mass(node: Node) -> float:
        place = at[node.path]
        found = 1.0 - more[len(kinds) * place + kinds.index(node.kind)] if node.ends else 0.0
        for token, after in node.on.items():
            found += chance[place, token] * (1.0 if after is None else mass(after))
        return found

    found = [None if tree is None else mass(tree) for tree in trees]
    return found[0], found[1]
