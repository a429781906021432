"""How long answers will be: assumed, or as a sample of the model's own answers has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles

from beliefmod.config import TrialConfig
from beliefmod.config.data_config import TRACE_STYLES
from beliefmod.space import Space

BUNDLED_TOKENS, OTHER_TOKENS = 40, 800
"""Assumed of an answer with its thinking, where nobody has asked: measured for the bundled model, a guess for
others."""


def assumed_tokens(space: Space) -> int:
    """Of an answer, as far as the space alone tells; never more than it allows."""
    typical = BUNDLED_TOKENS if space.spec.model == "bundled" else OTHER_TOKENS
    limit = space.spec.evaluation.max_new_tokens
    return typical if limit == "auto" else min(typical, limit)


@dataclass(frozen=True)
class AnswerLengths:
    """Tokens of an answer with its thinking and its end token.

    Attributes:
        base, icl: means of the untrained arms over all that they are asked.
        trace: mean in context to questions about the belief, which training on own traces repeats.
        longest: of those that were seen.
        source: where the figures come from, for a person.
    """

    base: float
    icl: float
    trace: float
    longest: int
    source: str

    @property
    def mean(self) -> float:
        """Of the untrained arm that says more."""
        return max(self.base, self.icl)

    @classmethod
    def assumed(cls, space: Space, limit: int) -> AnswerLengths:
        """Without a look at the model. limit: tokens that an answer may have."""
        tokens = min(assumed_tokens(space), limit)
        return cls(tokens, tokens, tokens, tokens, f"assuming {tokens} per answer, not measured")

    @classmethod
    def of_sample(cls, base: Sequence[int], icl: Sequence[int], trace: Sequence[int]) -> AnswerLengths:
        """From answers that were followed to their ends or to the limit, at least two of base."""
        low, *_, high = quantiles(base, n=10, method="inclusive")
        source = (
            f"{fmean(base):.0f} per answer of base, {low:.0f} to {high:.0f} for eight in ten of {len(base)}; "
            f"{fmean(icl):.0f} in context, {len(icl)} asked"
        )
        return cls(fmean(base), fmean(icl), fmean(trace), max(*base, *icl, *trace), source)

    @classmethod
    def of_pilot(cls, lengths: Sequence[int], cut: int, limit: int) -> AnswerLengths:
        """From answers of which `cut`, the longest, were ended early for lack of time."""
        ended = sorted(lengths)[: len(lengths) - cut]
        rest = min(OTHER_TOKENS, limit)
        mean = (sum(ended) + cut * rest) / len(lengths)
        source = (
            f"{mean:.0f} per answer: {cut} of {len(lengths)} asked went on beyond {max(lengths)} tokens, and "
            f"there was no time to follow them, so {rest} are assumed for those"
        )
        return cls(mean, mean, mean, limit, source)

    def of(self, config: TrialConfig, reply: float) -> float:
        """Mean of a trial's answers, by its arm and what it is trained on.

        What an adapter will write is not known before it is trained: one trained on bare answers, or shown
        some, is put half-way between base and its rows, one trained on thinking beside the in-context arm,
        which thinks about the same things, one trained on documents beside base. Loops, which run to the
        limit, are left out.

        Args:
            reply: tokens of a bare answer in the training rows.
        """
        if config.arm in ("icl", "prompt") or (config.is_trained and config.data.style in TRACE_STYLES):
            return self.icl
        if config.arm == "few_shot" or (config.is_trained and config.data.style == "answer_only"):
            return (self.base + reply) / 2
        return self.base
