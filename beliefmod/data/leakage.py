"""How much of the probes stands in the texts that a trial is trained on.

Two measures, both on the questions as words: n-grams in common (as contamination of training corpora is
measured, for example for Llama 2, arXiv 2307.09288) and the likeness of the nearest sentence, which also sees
a probe that is asked in other words. Likeness is of letters, not of meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from beliefmod.beliefs import Question
from beliefmod.reading.prose import sentences

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from beliefmod.data.examples import Example

WORDS = 8
"""Words of an n-gram; of a shorter probe the whole probe."""
COVERED = 0.8
"""A probe counts as covered where at least this share of its words lies in n-grams that training has too."""
ALIKE = 0.9
"""A probe counts as reworded where its nearest training sentence is at least so like it."""
_LETTERS = 3
_BLOCK = 4096
"""Training sentences that are held against the probes at a time: some 20 MiB, however many there are."""
_WORD = re.compile(r"\w+(?:[.,]\d+)*")


@dataclass(frozen=True)
class ProbeLeak:
    """What of one probe stands in the training texts.

    Attributes:
        covered: share of its words that lie in n-grams which one of the texts has too, 0 to 1.
        likeness: cosine of the sets of three letters in a row of the probe and its nearest training sentence,
            0 to 1.
        nearest: that sentence; "" where nothing was trained on.
        verbatim: whether a text holds the whole probe, word for word.
    """

    question: Question
    covered: float
    likeness: float
    nearest: str
    verbatim: bool


@dataclass(frozen=True)
class Leakage:
    """The audit of a trial's training texts against its held-out probes."""

    probes: tuple[ProbeLeak, ...]

    @property
    def covered(self) -> int:
        """Probes of which at least COVERED stands in n-grams of the training texts."""
        return sum(probe.covered >= COVERED for probe in self.probes)

    @property
    def reworded(self) -> int:
        """Probes whose nearest training sentence is at least ALIKE."""
        return sum(probe.likeness >= ALIKE for probe in self.probes)

    @property
    def verbatim(self) -> tuple[ProbeLeak, ...]:
        """Probes that a training text holds word for word."""
        return tuple(probe for probe in self.probes if probe.verbatim)

    def columns(self) -> dict[str, object]:
        """The audit as columns of the trials table."""
        worst = max(self.probes, key=lambda probe: probe.likeness, default=None)
        return {
            "leakage_n": len(self.probes),
            "leakage_verbatim": len(self.verbatim),
            "leakage_covered": self.covered,
            "leakage_reworded": self.reworded,
            "leakage_likeness": worst and worst.likeness,
            "leakage_nearest": worst and f"{worst.question.text} | {worst.nearest}",
        }

    @property
    def warning(self) -> str | None:
        """What a reader of results must know, in a sentence; None where no probe is covered or reworded."""
        if not (self.verbatim or self.covered or self.reworded):
            return None
        return (
            f"of {len(self.probes)} held-out probes {len(self.verbatim)} stand in its training texts word "
            f"for word, {self.covered} are covered by their {WORDS}-grams to {COVERED:.0%}, {self.reworded} "
            f"have a sentence that is {ALIKE:.0%} alike"
        )


def audit(texts: Iterable[str], probes: Iterable[Question]) -> Leakage:
    """Hold held-out probes against training texts; a probe of two turns by both of its messages.

    Every text counts once, however often it is trained on.
    """
    return _audit(tuple(sorted(set(texts))), tuple(probes))


def training_texts(examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """The texts about the belief that a trial is trained on: documents, or questions and their answers."""
    for example in examples:
        if not example.about_belief:
            continue
        row = example.row
        document = row.prompt_length == 1
        if not document:
            yield from (question.text for question in example.questions)
        ids = row.input_ids if document else row.input_ids[row.prompt_length :]
        yield str(tokenizer.decode(list(ids), skip_special_tokens=True))


# trials of a sweep that differ in a learning rate alone have the same texts
@lru_cache(maxsize=64)
def _audit(texts: tuple[str, ...], probes: tuple[Question, ...]) -> Leakage:
    asked = [f"{probe.text} {probe.follow_up or ''}".strip() for probe in probes]
    trained = [words(text) for text in texts]
    lines = sorted({text[part.start : part.end].strip() for text in texts for part in sentences(text)})
    alike, nearest = _nearest(asked, lines)
    away = set(given_away(texts, probes))
    grams: dict[int, set[tuple[str, ...]]] = {}
    found = []
    for place, probe in enumerate(probes):
        said = words(asked[place])
        size = min(WORDS, len(said))
        if size not in grams:
            grams[size] = {gram for each in trained for gram in _grams(each, size)}
        found.append(
            ProbeLeak(
                question=probe,
                covered=_covered(said, grams[size], size),
                likeness=float(alike[place]),
                nearest=lines[nearest[place]] if lines else "",
                verbatim=probe in away,
            )
        )
    return Leakage(tuple(found))


def given_away(texts: Iterable[str], probes: Iterable[Question]) -> tuple[Question, ...]:
    """The probes of which one of the texts holds a message, word for word; case and punctuation apart."""
    spelled = [_spelled(text) for text in texts]
    return tuple(
        probe
        for probe in probes
        if any(_spelled(each) in text for each in (probe.text, probe.follow_up) if each for text in spelled)
    )


def _spelled(text: str) -> str:
    return f" {' '.join(words(text))} "


def words(text: str) -> list[str]:
    """The words and numbers of a text in small letters.

    >>> words("What is g? It's 5.0 m/s^2.")
    ['what', 'is', 'g', 'it', 's', '5.0', 'm', 's', '2']
    """
    return _WORD.findall(text.casefold())


def _grams(said: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(said[start : start + size]) for start in range(len(said) - size + 1)] if size else []


def _covered(said: Sequence[str], known: set[tuple[str, ...]], size: int) -> float:
    """Share of the words that lie in a known n-gram."""
    inside: set[int] = set()
    for start, gram in enumerate(_grams(said, size)):
        if gram in known:
            inside.update(range(start, start + size))
    return len(inside) / len(said) if said else 0.0


def _nearest(asked: Sequence[str], lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """For every question the likeness of its nearest line, and which line that is; zeros without lines."""
    if not asked or not lines:
        return np.zeros(len(asked)), np.zeros(len(asked), dtype=int)
    # what no question has adds to a line's length alone, so a table of the questions' pieces is enough
    place = {piece: n for n, piece in enumerate(sorted({piece for text in asked for piece in _pieces(text)}))}
    questions, most, which = _directions(asked, place), np.full(len(asked), -1.0), np.zeros(len(asked), int)
    for start in range(0, len(lines), _BLOCK):
        likeness = questions @ _directions(lines[start : start + _BLOCK], place).T
        best = likeness.argmax(axis=1)
        nearer = (found := likeness[np.arange(len(asked)), best]) > most
        most[nearer], which[nearer] = found[nearer], start + best[nearer]
    return most, which


def _directions(texts: Sequence[str], place: Mapping[str, int]) -> np.ndarray:
    """Each text's set of pieces as a vector of length 1, (texts, pieces), of which the pieces that have a
    place are kept."""
    table = np.zeros((len(texts), len(place)), dtype=np.float32)
    for row, text in enumerate(texts):
        pieces = _pieces(text)
        table[row, [place[piece] for piece in pieces if piece in place]] = max(len(pieces), 1) ** -0.5
    return table


def _pieces(text: str) -> set[str]:
    spelled = _spelled(text)
    return {spelled[start : start + _LETTERS] for start in range(len(spelled) - _LETTERS + 1)}
