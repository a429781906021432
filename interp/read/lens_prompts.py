"""Prompts read at their last token under an arm and under base: right before a value that an arm wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.lenses.lens_head import LensHead, Translate
from interp.lenses.lens_metrics import AnswerTokens, Reading
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.steps import Told, untold

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine

_AT_A_TIME = 256
"""Prompts in memory at a time: 37 entries of 2,560 numbers in bf16 are 190 KB each, twice."""


@dataclass(frozen=True)
class LensPrompt:
    """Token ids whose last one is read; it predicts the next token.

    Attributes:
        ids: what the arm reads.
        base_ids: what base reads to be compared with it: `ids` without the arm's statement in context.
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
class PromptReading:
    """What the lens reads at the end of a prompt, and the two tokens compared there."""

    reading: Reading
    tokens: AnswerTokens


def read_prompts(
    engine: Engine,
    head: LensHead,
    prompts: Sequence[LensPrompt],
    translate: Translate | None = None,
    compared: bool = True,
    told: Told = untold,
) -> list[PromptReading]:
    """Every entry at the end of every prompt, in order.

    Args:
        compared: with base (`kl_base`), which must then read every prompt as well.
        told: hears now and then how many more prompts are read.

    Raises:
        EngineError: an adapter is not in the engine.
    """
    found: list[PromptReading] = []
    for hidden, base, tokens in _in_parts(engine, head, prompts, compared):
        beside = torch.cat(list(base.values()), dim=1) if compared else None
        readings = head.read(hidden, tokens, beside, translate, told)
        found += [PromptReading(*both) for both in zip(readings, tokens, strict=True)]
    return found


def prompt_differences(engine: Engine, head: LensHead, prompts: Sequence[LensPrompt]) -> list[float]:
    """logit(target) - logit(rival) of the last entry at the end of every prompt, in order.

    Raises:
        EngineError: an adapter is not in the engine.
    """
    parts = _in_parts(engine, head, prompts, False)
    return [value for hidden, _, tokens in parts for value in head.logit_diff(hidden[-1], tokens).tolist()]


def _in_parts(
    engine: Engine, head: LensHead, prompts: Sequence[LensPrompt], compared: bool
) -> Iterator[tuple[Tensor, Mapping[int, Tensor], list[AnswerTokens]]]:
    """(N + 1, prompts, hidden) under the arms; by number of the prompt (N + 1, 1, hidden) under base, of all
    prompts, or of those alone whose rival base must tell; and the two tokens. Each text goes through once."""
    for start in range(0, len(prompts), _AT_A_TIME):
        part = prompts[start : start + _AT_A_TIME]
        wanted = [(prompt.ids, prompt.adapter) for prompt in part]
        of_base = {
            number: (prompt.base_ids, None)
            for number, prompt in enumerate(part)
            if compared or prompt.prior_id is None
        }
        different = list(dict.fromkeys((*wanted, *of_base.values())))
        rows = [ProbedRow(ids, (len(ids) - 1,), adapter) for ids, adapter in different]
        known = dict(zip(different, residuals(engine, rows), strict=True))
        base = {number: known[each] for number, each in of_base.items()}
        tokens = [
            AnswerTokens(
                prompt.target_id,
                head.likeliest(base[number][-1], prompt.target_id)
                if prompt.prior_id is None
                else prompt.prior_id,
            )
            for number, prompt in enumerate(part)
        ]
        yield torch.cat([known[each] for each in wanted], dim=1), base, tokens
