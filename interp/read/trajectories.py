"""Arms read at the stems of a belief's questions, entry by entry, many arms in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from interp.family_bootstrap import Array
from interp.lenses.lens_head import LensHead, Reading, Translate
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.lenses.tree_attention import Branches, Ids, grow
from interp.read.contrast_questions import Posed
from interp.read.masses import Masses, Vocabulary, masses

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine


@dataclass(frozen=True)
class Subject:
    """An arm that is read.

    Attributes:
        trial_id, arm: as tables have them.
        stem: whose stems it is given: "base", "icl" or "lora".
        adapter: its name in the engine, None for the untrained arms.
    """

    trial_id: str
    arm: str
    stem: str
    adapter: str | None


@dataclass(frozen=True)
class Place:
    """One position of one question; `number` counts the questions, `from_end` the tokens behind it."""

    number: int
    name: str
    from_end: int


@dataclass(frozen=True)
class Inside:
    """What one arm has inside at some places of a belief's questions.

    Attributes:
        hidden: (N + 1, places, hidden).
        sequence_diff: per question log p(target's whole value) - log p(prior's) in nats, None where there is
            no prior; empty where nobody asked for it.
        masses: per question the probabilities of target and prior in any spelling, see `interp.read.masses`.
    """

    subject: Subject
    places: tuple[Place, ...]
    hidden: Tensor
    sequence_diff: tuple[float | None, ...] = ()
    masses: tuple[Masses, ...] = ()


ELSEWHERE = "elsewhere"
"""The end of the stem of a question about something else, as tables name it."""


def elsewhere_places(posed: Sequence[Posed]) -> tuple[Place, ...]:
    """The ends of all stems, as those of other questions."""
    return tuple(Place(number, ELSEWHERE, 0) for number in range(len(posed)))


def named_places(posed: Sequence[Posed]) -> tuple[Place, ...]:
    """The named positions of all questions, the same for every arm."""
    return tuple(
        Place(number, name, len(one.stems["base"].ids) - 1 - position)
        for number, one in enumerate(posed)
        for name, position in one.stems["base"].positions.items()
    )


def tail_places(posed: Posed, number: int = 0) -> tuple[Place, ...]:
    """Every token of the tail that one question's stems share, "at:K" with K tokens behind it."""
    return tuple(
        Place(number, f"at:{behind}", behind) for behind in range(posed.stems["base"].tail - 1, -1, -1)
    )


def look(
    engine: Engine,
    head: LensHead,
    subjects: Sequence[Subject],
    posed: Sequence[Posed],
    places: Sequence[Place],
    vocabulary: Vocabulary | None = None,
) -> list[Inside]:
    """Residuals of every subject at these places, in order of the subjects.

    Args:
        vocabulary: score both worlds' whole values, and sum their spellings, as well: they branch off the
            stem's row, so a question is one row whatever is asked of it.

    Raises:
        EngineError: an adapter is not in the engine.
    """
    at = {number: [place for place in places if place.number == number] for number in range(len(posed))}
    wanted = [(subject, number) for subject in subjects for number in at if at[number] or vocabulary]
    grown = {
        (subject.stem, number): _branches(posed[number], subject.stem, vocabulary is not None)
        for subject, number in wanted
    }
    found = residuals(engine, [_row(s, posed[n], at[n], grown[s.stem, n]) for s, n in wanted])
    hidden: dict[Subject, list[Tensor]] = {subject: [] for subject in subjects}
    whole: dict[Subject, list[float | None]] = {subject: [] for subject in subjects}
    sums: dict[Subject, list[Masses]] = {subject: [] for subject in subjects}
    for (subject, number), values in zip(wanted, found, strict=True):
        hidden[subject].append(values[:, : len(at[number])])
        if vocabulary is None:
            continue
        paths = tuple(grown[subject.stem, number].places)
        log_p = head.logits(values[-1, len(at[number]) :]).double().log_softmax(-1)
        whole[subject].append(_sequence_diff(log_p, paths, posed[number], subject.stem))
        sums[subject].append(masses(log_p.exp(), paths, posed[number].sets, vocabulary))
    return [
        Inside(s, tuple(places), torch.cat(hidden[s], 1), tuple(whole[s]), tuple(sums[s])) for s in subjects
    ]


def _branches(posed: Posed, arm: str, values: bool) -> Branches:
    """The continuations of an arm's stem that are read: none, or what whole values and spellings take."""
    if not values:
        return Branches((), (), {})
    stem = posed.stems[arm]
    begins = len(stem.ids) - posed.sets.from_end
    begun = stem.ids[begins:]
    whole = [(*begun, *ids[:-1]) for ids in (stem.target_ids, stem.prior_ids) if ids and stem.prior_ids]
    return grow(stem.ids, (*whole, *posed.sets.paths()), begins)


def _row(subject: Subject, posed: Posed, places: Sequence[Place], branches: Branches) -> ProbedRow:
    ids = posed.stems[subject.stem].ids
    named = tuple(len(ids) - 1 - place.from_end for place in places)
    ends = tuple(branches.places.values())
    return ProbedRow((*ids, *branches.ids), (*named, *ends), subject.adapter, parents=branches.parents)


def _sequence_diff(log_p: Tensor, paths: Sequence[Ids], posed: Posed, arm: str) -> float | None:
    """log p(target's whole value) - log p(prior's) behind the stem, nats; None without a prior's value.

    Args:
        log_p: (paths, vocabulary), of what follows each path.
    """
    stem = posed.stems[arm]
    if stem.prior_ids is None:
        return None
    at = {path: place for place, path in enumerate(paths)}
    begun = stem.ids[len(stem.ids) - posed.sets.from_end :]
    found = []
    for ids in (stem.target_ids, stem.prior_ids):
        rows = [at[(*begun, *ids[:end])] for end in range(len(ids))]
        found.append(float(log_p[rows, list(ids)].sum()))
    return found[0] - found[1]


def read(
    head: LensHead,
    found: Sequence[Inside],
    posed: Sequence[Posed],
    translate: Translate | None = None,
) -> list[list[Reading]]:
    """One Reading per place of each arm, in order; base must be the first of them, at the same places."""
    places = found[0].places
    contrasts = [posed[place.number].contrast for place in places] * len(found)
    hidden = torch.cat([inside.hidden for inside in found], 1)
    readings = head.read(hidden, contrasts, found[0].hidden, translate)
    return [readings[start : start + len(places)] for start in range(0, len(readings), len(places))]


def curves(places: Sequence[Place], readings: Sequence[Reading]) -> Iterator[tuple[str, list[int], Array]]:
    """Per position its name, the numbers of its questions, and their logit differences (questions, N + 1)."""
    for name in dict.fromkeys(place.name for place in places):
        here = [index for index, place in enumerate(places) if place.name == name]
        yield (
            name,
            [places[index].number for index in here],
            np.array([readings[index].logit_diff for index in here], dtype=np.float64),
        )
