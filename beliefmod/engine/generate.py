"""Packed decoding: prompts of any adapters side by side, one token per row and step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from beliefmod.engine.attention import DecodeStep, RowBlocks
from beliefmod.engine.batching import derived_seed
from beliefmod.engine.forward import FlatModel, flat_ids, sorted_by_slot
from beliefmod.engine.jobs import Completion, GenerateRequest, Sampling
from beliefmod.engine.key_value_cache import KeyValueCache
from beliefmod.engine.memory import within_memory
from beliefmod.engine.routing import segments_of
from beliefmod.engine.sampling import draw
from beliefmod.model.quantized import return_freed_memory

# More rows decode faster (measured on a small model: 64 rows 2.2 s, 256 rows 1.5 s, 512 a tenth less than
# 256) until memory runs out; one trial's probes of the library's beliefs fit one batch.
MAX_ROWS = 384
_KEEP_ABOVE = 0.75  # a batch is thinned out when fewer than this share of its rows still run


OnBatch = Callable[[Mapping[int, Completion]], None]
"""Called as each decoding batch ends, with its completions by the index of their request."""


def generate(
    model: FlatModel,
    requests: Sequence[GenerateRequest],
    slots: Sequence[int | None],
    max_new_tokens: int,
    sampling: Sampling,
    on_batch: OnBatch | None = None,
) -> list[Completion]:
    """Complete prompts, each with the adapter in its slot (None: base), in the order of the requests.

    Raises:
        NoRows, RowTooLong, OutOfMemory: a request cannot be carried out.
    """
    model.check_lengths([len(r.input_ids) + 1 for r in requests], [len(r.input_ids) for r in requests])
    lengths = [_room(model, len(r.input_ids), max_new_tokens) for r in requests]
    done: dict[int, Completion] = {}  # what runs out of memory goes on behind the batches that are done
    call = partial(_generate, model, requests, slots, max_new_tokens, sampling, done, on_batch)
    on_cpu = model.device.type == "cpu"
    if on_cpu:  # else keys and values come on top of what training passes have freed, and the other way round
        return_freed_memory()
    try:
        within_memory(model, "cache_tokens", lengths, call)
    finally:
        if on_cpu:
            return_freed_memory()
    return [done[i] for i in range(len(requests))]


@torch.inference_mode()
def _generate(
    model: FlatModel,
    requests: Sequence[GenerateRequest],
    slots: Sequence[int | None],
    max_new_tokens: int,
    sampling: Sampling,
    done: dict[int, Completion],
    on_batch: OnBatch | None,
) -> None:
    """Complete the requests whose index is not in `done`, batch by batch, and put them there."""
    waiting = [i for i in range(len(requests)) if i not in done]
    lengths = [len(requests[i].input_ids) for i in waiting]
    for places in _batches(model, lengths, max_new_tokens):
        part = sorted_by_slot([waiting[place] for place in places], slots, model.routing)
        batch = _Batch(model, [requests[i] for i in part], [slots[i] for i in part], max_new_tokens, sampling)
        found = dict(zip(part, batch.run(), strict=True))
        done.update(found)
        if on_batch is not None:
            on_batch(found)


def _batches(model: FlatModel, lengths: list[int], max_new_tokens: int) -> Iterator[list[int]]:
    """Places of prompts of like length, as many as their keys and values have room."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i], reverse=True)
    while order:
        room = model.cache_tokens // _room(model, lengths[order[0]], max_new_tokens)
        rows = max(1, min(MAX_ROWS, room))
        part, order = order[:rows], order[rows:]
        yield part


def _room(model: FlatModel, prompt: int, max_new_tokens: int) -> int:
    """What a row may take of `model.cache_tokens`, its recurrent states included."""
    return min(prompt + max_new_tokens, model.max_positions) + model.state_tokens


class _Batch:
    """One decoding batch, its rows sorted by slot."""

    def __init__(
        self,
        model: FlatModel,
        requests: Sequence[GenerateRequest],
        slots: Sequence[int | None],
        max_new_tokens: int,
        sampling: Sampling,
    ) -> None:
        self.model, self.requests, self.slots = model, requests, list(slots)
        self.max_new, self.sampling = max_new_tokens, sampling
        device = model.device
        self.eos = torch.tensor(sorted(model.eos_ids), device=device)
        # every random number a row may need, from the row's own seed: its text does not depend on the batch
        self.uniform = None
        if not sampling.greedy:
            self.uniform = torch.stack(
                [
                    torch.rand(
                        max_new_tokens,
                        generator=torch.Generator().manual_seed(derived_seed(r.seed, "sample")),
                        dtype=torch.float64,
                    )
                    for r in requests
                ]
            ).to(device)

    def run(self) -> list[Completion]:
        lengths = [len(r.input_ids) for r in self.requests]
        device = self.model.device
        limit = min(max(lengths) + self.max_new, self.model.max_positions)
        cache = KeyValueCache(torch.tensor(lengths, device=device), limit)
        blocks = RowBlocks(lengths, device, cache)
        ids = flat_ids([r.input_ids for r in self.requests], device)
        logits = self.model.logits(
            ids, blocks, blocks.positions, segments_of(self.slots, lengths), blocks.last_tokens
        )
        alive = torch.arange(len(self.requests), device=device)  # which request each row of the batch is
        chosen = torch.full((len(self.requests), self.max_new), -1, dtype=torch.long, device=device)
        running = torch.ones(len(self.requests), dtype=torch.bool, device=device)
        segments = None
        for step in range(self.max_new):
            tokens = self._choose(logits, alive, step)
            chosen[alive, step] = torch.where(running, tokens, -1)
            running &= ~torch.isin(tokens, self.eos) & (cache.lengths + 1 < self.model.max_positions)
            count = int(running.sum())
            if count == 0 or step + 1 == self.max_new:
                break
            if count < _KEEP_ABOVE * len(running):
                rows = running.nonzero().flatten()
                cache.keep(rows)
                alive, tokens, running, segments = alive[rows], tokens[rows], running[rows], None
            if segments is None:
                owners = [self.slots[i] for i in alive.tolist()]
                segments = segments_of(owners, [1] * len(owners))
                everyone = torch.arange(len(alive), device=device)
            self.model.usage.work.decode_steps += 1
            self._read_anew(cache, alive, chosen)
            decode = DecodeStep(cache)
            logits = self.model.logits(tokens, decode, decode.positions, segments, everyone)
            cache.lengths = torch.minimum(cache.lengths + 1, cache.lengths.new_tensor(limit - 1))
        return [self._completion(row) for row in chosen.tolist()]

    def _read_anew(self, cache: KeyValueCache, alive: Tensor, chosen: Tensor) -> None:
        """Keys and values of the rows that are about to grow past a length where their rotary factors change,
        with the factors for the longer row (LongRoPE). Rows that have ended may be among them."""
        for limit in self.model.rotary.rewritten_beyond:
            rows = (cache.lengths == limit).nonzero().flatten()
            if not len(rows):
                continue
            owners = alive[rows].tolist()
            written = chosen[alive[rows]].clamp(min=0).tolist()
            texts = [
                (*self.requests[i].input_ids, *new)[:limit] for i, new in zip(owners, written, strict=True)
            ]
            fresh = KeyValueCache(cache.lengths[rows], limit)
            blocks = RowBlocks([limit] * len(texts), cache.lengths.device, fresh, unread=1)
            segments = segments_of([self.slots[i] for i in owners], [limit] * len(texts))
            ids = flat_ids(texts, cache.lengths.device)
            self.model.logits(ids, blocks, blocks.positions, segments, blocks.last_tokens[:1])
            cache.rewrite(rows, fresh)

    def _choose(self, logits: Tensor, alive: Tensor, step: int) -> Tensor:
        """(rows, vocabulary) -> (rows,): the likeliest token, or the one its own number falls on."""
        if self.uniform is None:
            return logits.argmax(-1)
        return draw(logits, self.sampling, self.uniform[alive, step])

    def _completion(self, row: list[int]) -> Completion:
        tokens = tuple(token for token in row if token >= 0)
        return Completion(tokens, "eos" if tokens[-1] in self.model.eos_ids else "length")
