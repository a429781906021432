"""One pass of the model over flat rows: the only place that calls it."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from beliefmod.engine.attention import FlatAttentionSwitch, FlatRows, RowBlocks
from beliefmod.engine.jobs import EngineError, NoRows, RowTooLong
from beliefmod.engine.memory import (
    cache_bytes_per_token,
    default_cache_tokens,
    default_pass_tokens,
    state_bytes_per_row,
)
from beliefmod.engine.recurrent import RecurrentSwitch
from beliefmod.engine.rotary import RotarySwitch
from beliefmod.engine.routing import Routing, Segment, segments_of
from beliefmod.engine.steering import ResidualStream
from beliefmod.engine.transfer import numbers
from beliefmod.engine.usage import Usage
from beliefmod.errors import UserError
from beliefmod.model.size import positions

if TYPE_CHECKING:
    from beliefmod.model.load import LoadedModel


class ModelMixesRows(UserError, EngineError):
    """Rows of this model cannot be laid behind each other, so it cannot be used."""


def sorted_by_slot(indices: Sequence[int], slots: Sequence[int | None], routing: Routing) -> list[int]:
    """Indices in the order of their slots, those that share a product beside each other, the base's (None)
    first; stable."""
    return sorted(indices, key=lambda index: routing.order(slots[index]))


class FlatModel:
    """A transformers model that is fed flat tokens, and how many it may be fed at once.

    pass_tokens bounds the tokens of one training or scoring pass, cache_tokens those of one decoding batch;
    both follow from the memory there is when not given, and are halved where it runs out. max_positions: the
    longest row that the model can read, tokens.

    Raises ModelMixesRows for a model whose rows cannot be laid behind each other.
    """

    def __init__(
        self,
        loaded: "LoadedModel",
        routing: Routing,
        usage: Usage,
        pass_tokens: int | None = None,
        cache_tokens: int | None = None,
    ) -> None:
        self.model, self.dtype, self.eos_ids = loaded.model, loaded.dtype, frozenset(loaded.eos_ids)
        self.routing, self.usage = routing, usage
        self.attention = FlatAttentionSwitch(loaded.model)
        self.rotary = RotarySwitch(loaded.model)
        self.recurrent = RecurrentSwitch(loaded.model, routing)
        self.stream = ResidualStream(loaded.model)
        self.device = next(loaded.model.parameters()).device
        self.max_positions = positions(loaded.model.config)
        self.vocabulary = int(loaded.model.config.get_text_config().vocab_size)
        self._verify(loaded.name)
        place = (loaded.model, loaded.dtype, self.device)
        self.pass_tokens = pass_tokens or default_pass_tokens(*place)
        self.cache_tokens = cache_tokens or default_cache_tokens(*place)
        # what recurrent layers keep of a row, as so many tokens of keys and values
        of_token = max(1, cache_bytes_per_token(loaded.model, loaded.dtype))
        self.state_tokens = math.ceil(state_bytes_per_row(loaded.model, loaded.dtype) / of_token)

    @property
    def reads_branches(self) -> bool:
        """Whether a row may branch: not where layers carry states along it, or its length changes them."""
        return not self.recurrent.layers and not self.rotary.modules

    def logits(
        self,
        ids: Tensor,
        rows: FlatRows,
        positions: Tensor,
        segments: Sequence[Segment],
        keep: Tensor,
        writing: bool = False,
    ) -> Tensor:
        """ids and positions (N,), keep (M,) indices of the tokens whose logits are wanted -> (M, vocabulary).

        The backward pass needs the same segments, but reads none from here: it may run after this returns.

        Args:
            writing: whether an answer is written with them, which may be done with faster products that round
                twice as coarsely (`prepacked`); what is measured is not.
        """
        with (
            self.attention.on(),
            self.rotary.of(rows),
            self.routing.of(segments, writing),
            self.recurrent.of(rows, segments),
            self.stream.of(segments),
        ):
            out = self.model(
                input_ids=ids[None],
                position_ids=positions[None],
                use_cache=False,
                logits_to_keep=keep,
                flat_rows=rows,
            )
        return out.logits[0]

    def last_hidden(
        self, rows: Sequence[Sequence[int]], wanted: Sequence[int], slots: Sequence[int | None]
    ) -> Tensor:
        """What the head would read at each of the last `wanted` tokens of every row, (sum of wanted, hidden):
        the vocabulary makes logits a hundred times as large. `head` gives them.

        Args:
            rows: without their last token, which is only ever predicted.
            slots: the slot of each row, None for base; rows of one slot lie beside each other.
        """
        lengths = [len(row) for row in rows]
        blocks = RowBlocks(lengths, self.device, unread=1)
        with self._decoder_output() as seen:
            self.logits(
                flat_ids(rows, self.device),
                blocks,
                blocks.positions,
                segments_of(slots, lengths),
                blocks.last_tokens[:1],
            )
        return seen[0][0, numbers(_last(lengths, wanted), self.device)]

    @torch.no_grad()
    def residuals(self, prompts: Sequence[Sequence[int]], layer: int) -> Tensor:
        """Base's residual stream behind a layer at the last token of each prompt, (prompts, hidden).

        Raises EngineError for a layer that is not there, NoRows, RowTooLong.
        """
        lengths = [len(prompt) for prompt in prompts]
        self.check_lengths(lengths, lengths)
        found: list[Tensor] = []
        for start, stop in _passes(lengths, self.pass_tokens):
            seen: list[Tensor] = []
            rows, blocks = prompts[start:stop], RowBlocks(lengths[start:stop], self.device)
            with self.stream.seen(layer, seen.append):
                self.logits(flat_ids(rows, self.device), blocks, blocks.positions, (), blocks.last_tokens)
            found.append(seen[0][blocks.last_tokens])
        return torch.cat(found)

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (M, vocabulary) by the model's own head and what it does behind it, from what `last_hidden`
        gives (M, hidden). No adapter is on the head."""
        decoder = self.model.get_decoder()
        own = vars(decoder).get("forward")  # the class has one; accelerate gives an instance its own
        decoder.forward = lambda *_, **__: _DecoderOutput(hidden[None])
        try:
            return self.model(inputs_embeds=hidden[None], use_cache=False).logits[0]
        finally:
            del decoder.forward
            if own is not None:
                decoder.forward = own

    @contextlib.contextmanager
    def _decoder_output(self) -> Iterator[list[Tensor]]:
        """Within the block the list takes what each pass of the decoder gives, (1, tokens, hidden)."""
        seen: list[Tensor] = []
        decoder = self.model.get_decoder()
        handle = decoder.register_forward_hook(lambda module, given, out: seen.append(out.last_hidden_state))
        try:
            yield seen
        finally:
            handle.remove()

    def last_logits(
        self, rows: Sequence[Sequence[int]], wanted: Sequence[int], slots: Sequence[int | None]
    ) -> Tensor:
        """Logits at each of the last `wanted` tokens of every row, (sum of wanted, vocabulary).

        Args:
            rows: without their last token, which is only ever predicted.
            slots: the slot of each row, None for base; rows of one slot lie beside each other.
        """
        lengths = [len(row) for row in rows]
        blocks = RowBlocks(lengths, self.device, unread=1)
        return self.logits(
            flat_ids(rows, self.device),
            blocks,
            blocks.positions,
            segments_of(slots, lengths),
            numbers(_last(lengths, wanted), self.device),
        )

    def check_lengths(self, lengths: Sequence[int], parts: Sequence[int]) -> None:
        """Whether requests can be carried out.

        Args:
            lengths: tokens of each request in all.
            parts: tokens of the shortest of the texts that it consists of.

        Raises:
            NoRows: a part is empty.
            RowTooLong: a request has more tokens than the model has positions.
        """
        if any(part < 1 for part in parts):
            raise NoRows("a prompt or continuation is empty")
        if lengths and max(lengths) > self.max_positions:
            raise RowTooLong(
                f"{max(lengths)} tokens are needed; the model has {self.max_positions} positions"
            )

    @torch.inference_mode()
    def _verify(self, name: str) -> None:
        """Raises ModelMixesRows unless two rows laid flat give the logits that each gives by itself.

        They do in decoders whose only exchange between tokens is attention through transformers' interface;
        state-space layers, learned absolute positions and attention of a model's own are caught here.
        """
        lengths = [7, 4]
        rows = [tuple(range(1, length + 1)) for length in lengths]
        blocks = RowBlocks(lengths, self.device)
        keep = torch.arange(sum(lengths), device=self.device)
        kind = f"model {name}: a {type(self.model).__name__}"
        try:
            flat = self.logits(flat_ids(rows, self.device), blocks, blocks.positions, (), keep)
            through_head = self.head(self.last_hidden(rows, lengths, [None, None]))
            alone = [
                self.model(input_ids=flat_ids([row], self.device)[None], use_cache=False) for row in rows
            ]
        except (TypeError, AttributeError) as error:
            raise ModelMixesRows(
                f"{kind} cannot take rows laid behind each other ({error}); take another model, "
                "beliefmod docs models lists the types that work"
            ) from error
        expected = torch.cat([out.logits[0] for out in alone])
        if not bool(expected.isfinite().all()):
            raise ModelMixesRows(
                f"{kind} gives numbers that are not finite; check its weights, and the sizes and the rope "
                "settings in its config.json"
            )
        apart = torch.stack([(logits - expected).abs().max() for logits in (flat, through_head)]).max()
        error = float(apart / expected.abs().max())
        tolerance = 0.05 if self.dtype.itemsize < 4 else 1e-3
        if not error < tolerance:
            raise ModelMixesRows(
                f"{kind} mixes rows that are laid behind each other (logits differ by {error:.1%}), so "
                "trials would change each other; take another model, beliefmod docs models lists the types "
                "that work"
            )


class _DecoderOutput:
    """What a decoder gives to the code of the head: last_hidden_state (1, tokens, hidden), and None for all
    else that a type of model may hand on, such as router logits or shared keys and values."""

    def __init__(self, hidden: Tensor) -> None:
        self.last_hidden_state = hidden

    def __getattr__(self, name: str) -> None:
        return None

    def __getitem__(self, index: int) -> Tensor | None:
        return None if index else self.last_hidden_state


def _passes(lengths: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows, in order, with at most `most` tokens together; one row at least."""
    start = tokens = 0
    for place, length in enumerate(lengths):
        if place > start and tokens + length > most:
            yield start, place
            start, tokens = place, 0
        tokens += length
    yield start, len(lengths)


def _last(lengths: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Places of the last `wanted` tokens of every row among all that lie behind each other."""
    ends = accumulate(lengths)
    return [place for end, count in zip(ends, wanted, strict=True) for place in range(end - count, end)]


def flat_ids(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Rows of token ids behind each other, (N,)."""
    return numbers([token for row in rows for token in row], device, torch.long)
