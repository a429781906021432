"""Whether vLLM sees the very weights that training saw: base's first answers, held against our engine's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from beliefmod.engine.jobs import Completion, GenerateRequest, ScoreRequest
from beliefmod.errors import UserError
from beliefmod.vllm.environment import SETTING, WAY_OUT

if TYPE_CHECKING:
    from beliefmod.vllm.writer import VllmWriter

QUESTIONS, TOKENS = 8, 64
"""That are compared, and to how many tokens."""
TIES = {"float32": 1e-3, "bfloat16": 0.25}
"""Two tokens whose log-probabilities (nats) differ by no more are a tie, which rounding decides: fp32 sums of
another order, and in bf16 the spacing of logits around 32."""


class _Engine(Protocol):
    def generate(self, requests: Sequence[GenerateRequest], max_new_tokens: int) -> list[Completion]: ...

    def score(self, requests: Sequence[ScoreRequest]) -> list[float]: ...


def check_same_base(
    engine: _Engine, writer: VllmWriter | _Engine, prompts: Sequence[tuple[int, ...]], dtype: str
) -> int:
    """Have both engines answer prompts as the untouched base, greedily.

    Args:
        dtype: float32 or bfloat16.

    Returns:
        How many of the answers part at a tie.

    Raises:
        UserError: they part where our engine sees no tie.
    """
    requests = [GenerateRequest(None, ids) for ids in prompts]
    ours, theirs = (each.generate(requests, TOKENS) for each in (engine, writer))
    parted = [
        (number, place)
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True))
        if (place := _parting(one, other)) is not None
    ]
    scored = [
        ScoreRequest(
            None, (*prompts[number], *ours[number].token_ids[:place]), (side[number].token_ids[place],)
        )
        for number, place in parted
        for side in (ours, theirs)
        if place < len(side[number].token_ids)
    ]
    if len(scored) < 2 * len(parted):  # one ends where the other goes on without having ended
        raise UserError(_sentence("one of its answers ends where ours goes on"))
    values = engine.score(scored)
    for (number, place), one, other in zip(parted, values[::2], values[1::2], strict=True):
        if abs(one - other) > TIES[dtype]:
            raise UserError(
                _sentence(
                    f"answer {number + 1} of {len(prompts)} parts at token {place + 1}, where the log-"
                    f"probabilities of the two tokens differ by {abs(one - other):.3g} nats, more than a tie "
                    f"({TIES[dtype]:g})"
                )
            )
    return len(parted)


def _parting(one: Completion, other: Completion) -> int | None:
    """The first place in which two answers differ; None if they are the same."""
    if one == other:
        return None
    pairs = zip(one.token_ids, other.token_ids, strict=False)
    shorter = min(len(one.token_ids), len(other.token_ids))
    return next((place for place, (a, b) in enumerate(pairs) if a != b), shorter)


def _sentence(what: str) -> str:
    return (
        f"{SETTING}: vLLM does not answer as the base that is trained does ({what}), so its answers would be "
        f"those of another model; {WAY_OUT[3:]}, or try another version of vLLM"
    )
