"""Single positions read under an arm and under base: before a value that a completion names, for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.lenses.lens_head import Contrast, LensHead, Reading, Translate
from interp.lenses.residual_stream import ProbedRow, residuals

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine

_AT_A_TIME = 256
"""Sites in memory at a time: 37 entries of 2,560 numbers in bf16 are 190 KB each, twice."""


@dataclass(frozen=True)
class Site:
    """The last of `ids`, which predicts the next token.

    Attributes:
        ids: what the arm reads.
        base_ids: what base reads to be compared with it: the same without the arm's statement in context.
        adapter: the arm's in the engine, None for an untrained one.
        target_id: the next token in the target's world.
        prior_id: the next token in base's; None: base's likeliest one other than the target's.
        wrote: "target" or "prior": whose value the arm itself wrote there; None where it wrote none.
        borrowed: prior_id is no prior's token but base's likeliest one at the end of the stem.
    """

    ids: tuple[int, ...]
    base_ids: tuple[int, ...]
    adapter: str | None
    target_id: int
    prior_id: int | None
    wrote: str | None = None
    borrowed: bool = False

    @property
    def rival(self) -> str:
        """What the target is compared with, as tables name it."""
        return "base_top1" if self.prior_id is None or self.borrowed else "prior"


@dataclass(frozen=True)
class SiteReading:
    """What the lens reads at a site, and the two tokens compared there."""

    reading: Reading
    contrast: Contrast


def read_sites(
    engine: Engine,
    head: LensHead,
    sites: Sequence[Site],
    translate: Translate | None = None,
    compared: bool = True,
) -> list[SiteReading]:
    """Every entry at every site, in order.

    Args:
        compared: with base (`kl_base`), which must then read every site as well.

    Raises:
        EngineError: an adapter is not in the engine.
    """
    found: list[SiteReading] = []
    for start in range(0, len(sites), _AT_A_TIME):
        part = sites[start : start + _AT_A_TIME]
        hidden, base = _both(engine, part, compared)
        contrasts = _contrasts(head, part, base)
        beside = torch.cat(list(base.values()), dim=1) if compared else None
        readings = head.read(hidden, contrasts, beside, translate)
        found += [SiteReading(*both) for both in zip(readings, contrasts, strict=True)]
    return found


def site_differences(engine: Engine, head: LensHead, sites: Sequence[Site]) -> list[float]:
    """logit(target) - logit(rival) of the last entry at every site, in order; see `read_sites`."""
    found: list[float] = []
    for start in range(0, len(sites), _AT_A_TIME):
        part = sites[start : start + _AT_A_TIME]
        hidden, base = _both(engine, part, False)
        for row, pair in zip(head.logits(hidden[-1]), _contrasts(head, part, base), strict=True):
            found.append(float(row[pair.target_id] - row[pair.rival_id]))
    return found


def _both(engine: Engine, sites: Sequence[Site], compared: bool) -> tuple[Tensor, dict[int, Tensor]]:
    """(N + 1, sites, hidden) under the arms, and by number of the site (N + 1, 1, hidden) under base: of all
    of them, or of those alone whose rival base must tell; each text goes through once."""
    told = [number for number, site in enumerate(sites) if compared or site.prior_id is None]
    wanted = [(site.ids, site.adapter) for site in sites]
    of_base = [(sites[number].base_ids, None) for number in told]
    different = list(dict.fromkeys((*wanted, *of_base)))
    rows = [ProbedRow(ids, (len(ids) - 1,), adapter) for ids, adapter in different]
    known = dict(zip(different, residuals(engine, rows), strict=True))
    base = {number: known[each] for number, each in zip(told, of_base, strict=True)}
    return torch.cat([known[each] for each in wanted], dim=1), base


def _contrasts(head: LensHead, sites: Sequence[Site], base: Mapping[int, Tensor]) -> list[Contrast]:
    found = []
    for number, site in enumerate(sites):
        rival = site.prior_id
        if rival is None:
            logits = head.logits(base[number][-1, 0])
            logits[site.target_id] = -torch.inf
            rival = int(logits.argmax())
        found.append(Contrast(site.target_id, rival))
    return found
