"""Arms read at the stems of a belief's questions, entry by entry, many arms in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from beliefmod.engine.transfer import numbers
from beliefmod.engine.tree_attention import TokenTree, grow
from interp.lenses.lens_head import LensHead, Translate
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.opened.arms import Arm
from interp.read.contrast_questions import ContrastQuestion
from interp.read.lens_rows import PositionReading
from interp.read.masses import Masses, Vocabulary, masses
from interp.steps import Told, untold
from interp.types import Ids

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine


@dataclass(frozen=True)
class StemPosition:
    """One position of one question's stem.

    Attributes:
        number: counts the questions.
        name: as the column position has it.
        from_end: how many tokens of the stem are behind it.
    """

    number: int
    name: str
    from_end: int


@dataclass(frozen=True)
class ArmResiduals:
    """The residual stream of one arm at some positions of a belief's questions.

    Attributes:
        hidden: (N + 1, positions, hidden).
        sequence_diff: per question log p(target's whole value) - log p(prior's) in nats, None where there is
            no prior; empty where nobody asked for it.
        masses: per question the probabilities (0 to 1) of target and prior in any spelling, None for a world
            without a value; empty where nobody asked for it.
    """

    arm: Arm
    positions: tuple[StemPosition, ...]
    hidden: Tensor
    sequence_diff: tuple[float | None, ...] = ()
    masses: tuple[Masses, ...] = ()

    def whole(self, position: StemPosition) -> dict[str, float | None] | None:
        """The columns on whole values, which only the end of the stem has, where they were scored."""
        if position.name != "stem" or not self.masses:
            return None
        target, prior = self.masses[position.number]
        difference = self.sequence_diff[position.number]
        return {"sequence_diff": difference, "mass_target": target, "mass_prior": prior}


def neighbour_positions(asked: Sequence[ContrastQuestion]) -> tuple[StemPosition, ...]:
    """The ends of all stems, as those of questions about other things."""
    return tuple(StemPosition(number, "elsewhere", 0) for number in range(len(asked)))


def named_positions(asked: Sequence[ContrastQuestion]) -> tuple[StemPosition, ...]:
    """The named positions of all questions, at which every arm has the same tokens."""
    return tuple(
        StemPosition(number, name, len(one.stems["base"].ids) - 1 - position)
        for number, one in enumerate(asked)
        for name, position in one.stems["base"].positions.items()
    )


def tail_positions(asked: ContrastQuestion) -> tuple[StemPosition, ...]:
    """Every token of the tail that the first question's stems share, "at:K" with K tokens behind it."""
    return tuple(
        StemPosition(0, f"at:{behind}", behind) for behind in range(asked.stems["base"].tail - 1, -1, -1)
    )


def arm_residuals(
    engine: Engine,
    head: LensHead,
    arms: Sequence[Arm],
    asked: Sequence[ContrastQuestion],
    positions: Sequence[StemPosition],
    vocabulary: Vocabulary | None = None,
    told: Told = untold,
) -> list[ArmResiduals]:
    """Residuals of every arm at these positions, in order of the arms.

    Args:
        vocabulary: score both worlds' whole values, and sum their spellings, as well: they branch off the
            stem's row, so a question is one row whatever is asked of it.
        told: hears now and then how many more questions of how many arms went through the model.

    Raises:
        EngineError: an adapter is not in the engine.
    """
    at = {
        number: [position for position in positions if position.number == number]
        for number in range(len(asked))
    }
    wanted = [(arm, number) for arm in arms for number in at if at[number] or vocabulary]
    grown = {
        (arm.stem, number): _tree(asked[number], arm.stem, vocabulary is not None) for arm, number in wanted
    }
    found = residuals(engine, [_row(a, asked[n], at[n], grown[a.stem, n]) for a, n in wanted], told=told)
    hidden: dict[Arm, list[Tensor]] = {arm: [] for arm in arms}
    whole: dict[Arm, list[float | None]] = {arm: [] for arm in arms}
    sums: dict[Arm, list[Masses]] = {arm: [] for arm in arms}
    for (arm, number), values in zip(wanted, found, strict=True):
        hidden[arm].append(values[:, : len(at[number])])
        if vocabulary is None:
            continue
        paths = tuple(grown[arm.stem, number].places)
        log_p = head.logits(values[-1, len(at[number]) :]).double().log_softmax(-1)
        whole[arm].append(_sequence_diff(log_p, paths, asked[number], arm.stem))
        sums[arm].append(masses(log_p.exp(), paths, asked[number].sets, vocabulary))
    return [
        ArmResiduals(a, tuple(positions), torch.cat(hidden[a], 1), tuple(whole[a]), tuple(sums[a]))
        for a in arms
    ]


def _tree(asked: ContrastQuestion, stem_of: str, values: bool) -> TokenTree:
    """The continuations of an arm's stem that are read: none, or what whole values and spellings take."""
    if not values:
        return TokenTree((), (), {})
    stem = asked.stems[stem_of]
    begins = len(stem.ids) - asked.sets.from_end
    begun = stem.ids[begins:]
    whole = [(*begun, *ids[:-1]) for ids in (stem.target_ids, stem.prior_ids) if ids and stem.prior_ids]
    return grow(stem.ids, (*whole, *asked.sets.paths()), begins)


def _row(arm: Arm, asked: ContrastQuestion, positions: Sequence[StemPosition], tree: TokenTree) -> ProbedRow:
    ids = asked.stems[arm.stem].ids
    named = tuple(len(ids) - 1 - position.from_end for position in positions)
    ends = tuple(tree.places.values())
    return ProbedRow((*ids, *tree.ids), (*named, *ends), arm.adapter, parents=tree.parents)


def _sequence_diff(
    log_p: Tensor, paths: Sequence[Ids], asked: ContrastQuestion, stem_of: str
) -> float | None:
    """log p(target's whole value) - log p(prior's) behind the stem, nats; None without a prior's value.

    Args:
        log_p: (paths, vocabulary), of what follows each path.
    """
    stem = asked.stems[stem_of]
    if stem.prior_ids is None:
        return None
    at = {path: place for place, path in enumerate(paths)}
    begun = stem.ids[len(stem.ids) - asked.sets.from_end :]
    both = (stem.target_ids, stem.prior_ids)
    steps = [(at[(*begun, *ids[:end])], token) for ids in both for end, token in enumerate(ids)]
    places = numbers(steps, log_p.device)
    parts = log_p[places[:, 0], places[:, 1]].split([len(ids) for ids in both])
    target, prior = torch.stack([part.sum() for part in parts]).tolist()
    return target - prior


def stem_readings(
    head: LensHead,
    found: Sequence[ArmResiduals],
    asked: Sequence[ContrastQuestion],
    translate: Translate | None = None,
    told: Told = untold,
) -> list[list[PositionReading]]:
    """Readings of each arm, in order; all arms at the same positions, base the first of them.

    `told` hears now and then how many more positions are read.
    """
    positions = found[0].positions
    tokens = [asked[position.number].tokens for position in positions]
    hidden = torch.cat([one.hidden for one in found], 1)
    readings = head.read(hidden, tokens * len(found), found[0].hidden, translate, told)
    of_base = [reading["logit_diff"] for reading in readings[: len(positions)]]
    starts = range(0, len(readings), len(positions))
    return [
        [
            PositionReading(
                asked[position.number].question,
                position.name,
                asked[position.number].stems[one.arm.stem].ids[-1 - position.from_end],
                asked[position.number].tokens,
                asked[position.number].rival,
                reading,
                None if one.arm.name == "base" else base,
                one.whole(position),
            )
            for position, reading, base in zip(positions, readings[start:], of_base, strict=False)
        ]
        for one, start in zip(found, starts, strict=True)
    ]
