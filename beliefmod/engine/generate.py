"""Packed decoding: prompts of any adapters side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from beliefmod.engine.decode_loop import Decoding
from beliefmod.engine.drafts import Drafts
from beliefmod.engine.forward import FlatModel
from beliefmod.engine.jobs import Completion, GenerateRequest, OnWritten, Sampling
from beliefmod.engine.memory import within_memory
from beliefmod.model.quantized import return_freed_memory


@dataclass(frozen=True)
class Placed:
    """A request with the slot of its adapter (None: base), and how many weights that has (0 for base)."""

    request: GenerateRequest
    slot: int | None
    weights: int


def generate(
    model: FlatModel,
    asked: Sequence[Placed],
    max_new_tokens: int,
    sampling: Sampling,
    drafts: Drafts | None,
    on_end: Callable[[Mapping[int, Completion]], Sequence[Placed]],
    on_written: OnWritten | None = None,
) -> None:
    """Complete prompts, each with the adapter in its slot.

    Args:
        drafts: earlier answers, from which tokens are drafted; None: none are. Texts are the same.
        on_end: called as answers end, with them by the index of their request; what it returns joins, and is
            numbered on.
        on_written: called as tokens are written, with all of an answer's so far.

    Raises:
        NoRows, RowTooLong, OutOfMemory: a request cannot be carried out.
    """
    every: list[Placed] = []
    longest: list[int] = []

    def add(placed: Sequence[Placed]) -> None:
        requests = [each.request for each in placed]
        lengths = [len(request.input_ids) for request in requests]
        model.check_lengths([length + 1 for length in lengths], lengths)
        for length in lengths:
            longest.append(min(length + max_new_tokens, model.max_positions) + model.state_tokens)
        every.extend(placed)
        decoding.add(requests, [each.slot for each in placed])

    decoding = Decoding(model, max_new_tokens, sampling, drafts, lambda ended: add(on_end(ended)), on_written)
    add(asked)
    on_cpu = model.device.type == "cpu"
    if on_cpu:  # else keys and values come on top of what training passes have freed, and the other way round
        return_freed_memory()
    try:
        # what runs out of memory goes on behind the answers that have ended
        within_memory(model, "cache_tokens", longest, decoding.run)
    finally:
        if on_cpu:
            return_freed_memory()
    places = range(len(every))
    model.usage.generated(
        [each.request for each in every],
        [decoding.ended[place] for place in places],
        [each.weights for each in every],
        [decoding.works[place] for place in places],
    )
