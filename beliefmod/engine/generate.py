"""Packed decoding: prompts of any adapters side by side."""

from collections.abc import Sequence

from beliefmod.engine.decode_loop import Decoding, OnEnd
from beliefmod.engine.drafts import Drafts
from beliefmod.engine.forward import FlatModel
from beliefmod.engine.jobs import Completion, GenerateRequest, Sampling
from beliefmod.engine.memory import within_memory
from beliefmod.model.quantized import return_freed_memory


def generate(
    model: FlatModel,
    requests: Sequence[GenerateRequest],
    slots: Sequence[int | None],
    weights: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling,
    drafts: Drafts | None = None,
    on_end: OnEnd | None = None,
) -> list[Completion]:
    """Complete prompts, each with the adapter in its slot (None: base), in the order of the requests.

    Args:
        weights: how many each request's adapter has, 0 for base; they are counted.
        drafts: earlier answers, from which tokens are drafted; None: none are. Texts are the same.
        on_end: called as answers end, with them by the index of their request.

    Raises:
        NoRows, RowTooLong, OutOfMemory: a request cannot be carried out.
    """
    model.check_lengths([len(r.input_ids) + 1 for r in requests], [len(r.input_ids) for r in requests])
    longest = [
        min(len(r.input_ids) + max_new_tokens, model.max_positions) + model.state_tokens for r in requests
    ]
    decoding = Decoding(model, requests, slots, max_new_tokens, sampling, drafts, on_end)
    on_cpu = model.device.type == "cpu"
    if on_cpu:  # else keys and values come on top of what training passes have freed, and the other way round
        return_freed_memory()
    try:
        # what runs out of memory goes on behind the answers that have ended
        within_memory(model, "cache_tokens", longest, decoding.run)
    finally:
        if on_cpu:
            return_freed_memory()
    found = [decoding.ended[index] for index in range(len(requests))]
    model.usage.generated(requests, found, weights, [decoding.works[i] for i in range(len(requests))])
    return found
