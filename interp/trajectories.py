"""Arms read at the stems of a belief's questions, entry by entry, many arms in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from interp.bootstrap import Array
from interp.contrasts import Posed
from interp.readout import LensHead, Reading, Translate
from interp.residuals import ProbedRow, residuals

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
            no prior, or where nobody asked for it.
    """

    subject: Subject
    places: tuple[Place, ...]
    hidden: Tensor
    sequence_diff: tuple[float | None, ...]


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
    sequences: bool = False,
) -> list[Inside]:
    """Residuals of every subject at these places, in order of the subjects.

    Args:
        sequences: score both worlds' whole values as well. The target's is read behind the stem in the same
            pass, for attention looks back only; the prior's takes a pass more.

    Raises:
        EngineError: an adapter is not in the engine.
    """
    at = {number: [place for place in places if place.number == number] for number in range(len(posed))}
    wanted = [(subject, number) for subject in subjects for number in at if at[number]]
    with_target = residuals(
        engine, [_row(s, posed[n], at[n], posed[n].stems[s.stem].target_ids, sequences) for s, n in wanted]
    )
    scored = [(s, n) for s, n in wanted if sequences and posed[n].stems[s.stem].prior_ids is not None]
    with_prior = residuals(
        engine, [_row(s, posed[n], (), posed[n].stems[s.stem].prior_ids or (), True) for s, n in scored]
    )
    hidden: dict[Subject, list[Tensor]] = {subject: [] for subject in subjects}
    target: dict[tuple[Subject, int], Tensor] = {}
    for (subject, number), found in zip(wanted, with_target, strict=True):
        hidden[subject].append(found[:, : len(at[number])])
        target[subject, number] = found[-1, len(at[number]) :]
    differences: dict[Subject, list[float | None]] = {s: [None] * len(posed) for s in subjects}
    for (subject, number), found in zip(scored, with_prior, strict=True):
        stem = posed[number].stems[subject.stem]
        differences[subject][number] = _log_prob(head, target[subject, number], stem.target_ids) - _log_prob(
            head, found[-1], stem.prior_ids or ()
        )
    return [Inside(s, tuple(places), torch.cat(hidden[s], 1), tuple(differences[s])) for s in subjects]


def _row(
    subject: Subject, posed: Posed, places: Sequence[Place], continuation: tuple[int, ...], score: bool
) -> ProbedRow:
    ids = posed.stems[subject.stem].ids
    positions = tuple(len(ids) - 1 - place.from_end for place in places)
    if not score:
        return ProbedRow(ids, positions, subject.adapter)
    predicting = tuple(range(len(ids) - 1, len(ids) - 1 + len(continuation)))
    return ProbedRow((*ids, *continuation[:-1]), (*positions, *predicting), subject.adapter)


def _log_prob(head: LensHead, hidden: Tensor, continuation: Sequence[int]) -> float:
    """Summed log-probability of a continuation, nats, from the last entries that predict it."""
    log_p = head.logits(hidden).double().log_softmax(-1)
    ids = torch.tensor(continuation, device=hidden.device)
    return float(log_p.gather(1, ids[:, None]).sum())


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
