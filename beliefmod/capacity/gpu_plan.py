"""What a sweep's engines need of a GPU, what GPUs of common sizes hold, and whether those at hand will do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beliefmod.capacity.fit import Gpu, Wanted, table_lines, verdict
from beliefmod.capacity.footprint import footprint
from beliefmod.capacity.sizing import demand, longest_row
from beliefmod.space import Space

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

SMALL_BYTES = 2**30
"""Models up to here fit every GPU: without one at hand nobody needs to be told."""


def gpu_lines(
    space: Space,
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainedConfig,
    answer_tokens: int,
    capacity: Any,
    gpus: Sequence[Gpu],
    remarks: Sequence[str] = (),
) -> list[str]:
    """The lines that follow a plan.

    Args:
        answer_tokens: expected length of one answer with its thinking.
        capacity: hosts, slots and whether they have GPUs.
        gpus: those that hosts would be put on; none for a machine or a cluster that has none yet.
        remarks: sentences about GPUs that cannot be used.
    """
    model = footprint(config, gpu=True)
    if not capacity.gpus and model.dense < SMALL_BYTES:
        return []
    wanted = wanted_of(space, tokenizer, answer_tokens, capacity)
    lines = [
        f"on a GPU          adapters of rank {wanted.rank} that memory holds in training, for rows of up to "
        f"about {wanted.row_tokens} tokens:",
        *(f"                  {line}" for line in table_lines(model, wanted)),
        *(f"gpu {gpu.index:<13} {verdict(model, wanted, gpu)}" for gpu in gpus),
        *(f"note              {remark}" for remark in remarks),
    ]
    if capacity.gpus and not gpus:
        lines.append("note              no GPU is there yet; every host checks its own before it loads")
    return lines


def wanted_of(space: Space, tokenizer: PreTrainedTokenizerBase, answer_tokens: int, capacity: Any) -> Wanted:
    """What an engine of a space is to hold."""
    trials = space.expected()
    asked = demand(trials, space, capacity, answer_tokens)
    return Wanted(
        base_storage=space.spec.base_storage,
        rank=space.max_rank,
        row_tokens=longest_row(tokenizer, asked.beliefs) + asked.trace_tokens,
        slots=capacity.slots,
        full=asked.full,
        engines=capacity.hosts_per_gpu if capacity.gpus else 1,
    )
