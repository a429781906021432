"""One pass of the model over flat rows: the only place that calls it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from beliefmod.engine.attention import FlatAttentionSwitch, FlatRows, RowBlocks
from beliefmod.engine.jobs import EngineError
from beliefmod.engine.routing import Routing, Segment


def sorted_by_slot(indices: Sequence[int], slots: Sequence[int | None], routing: Routing) -> list[int]:
    """Indices in the order of their slots, those that share a product beside each other, the base's (None)
    first; stable."""
    return sorted(indices, key=lambda index: routing.order(slots[index]))


def segments_of(owners: Sequence[int | None], lengths: Sequence[int]) -> list[Segment]:
    """Neighbouring rows of one slot become one segment; rows of the base (None) become none."""
    segments: list[Segment] = []
    start = 0
    for owner, length in zip(owners, lengths, strict=True):
        if owner is not None:
            if segments and segments[-1].slot == owner and segments[-1].stop == start:
                segments[-1] = Segment(owner, segments[-1].start, start + length)
            else:
                segments.append(Segment(owner, start, start + length))
        start += length
    return segments


class FlatModel:
    """A transformers model that is fed flat tokens."""

    def __init__(self, model: nn.Module, routing: Routing) -> None:
        self.model, self.routing = model, routing
        self.attention = FlatAttentionSwitch(model)
        self.device = next(model.parameters()).device

    def logits(
        self, ids: Tensor, rows: FlatRows, positions: Tensor, segments: Sequence[Segment], keep: Tensor
    ) -> Tensor:
        """ids and positions (N,), keep (M,) indices of the tokens whose logits are wanted -> (M, vocabulary).

        The backward pass needs the same segments, but reads none from here: it may run after this returns.
        """
        with self.attention.on(), self.routing.of(segments):
            out = self.model(
                input_ids=ids[None],
                position_ids=positions[None],
                use_cache=False,
                logits_to_keep=keep,
                flat_rows=rows,
            )
        return out.logits[0]

    @torch.inference_mode()
    def verify(self, dtype: torch.dtype) -> None:
        """Raises EngineError unless two rows laid flat give the logits that each gives by itself.

        They do in decoders whose only exchange between tokens is attention through transformers' interface;
        state-space layers, learned absolute positions and attention of a model's own are caught here.
        """
        lengths = [7, 4]
        rows = [tuple(range(1, length + 1)) for length in lengths]
        blocks = RowBlocks(lengths, self.device)
        keep = torch.arange(sum(lengths), device=self.device)
        kind = type(self.model).__name__
        try:
            flat = self.logits(flat_ids(rows, self.device), blocks, blocks.positions, (), keep)
            alone = [
                self.model(input_ids=flat_ids([row], self.device)[None], use_cache=False) for row in rows
            ]
        except (TypeError, AttributeError) as error:
            raise EngineError(f"a {kind} cannot take rows laid behind each other: {error}") from error
        expected = torch.cat([out.logits[0] for out in alone])
        error = float((flat - expected).abs().max() / expected.abs().max())
        tolerance = 0.05 if dtype.itemsize < 4 else 1e-3
        if not error < tolerance:
            raise EngineError(
                f"a {kind} mixes rows that are laid behind each other (logits differ by {error:.1%}); "
                "it is not a plain attention decoder"
            )


def flat_ids(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Rows of token ids behind each other, (N,)."""
    return torch.tensor([token for row in rows for token in row], dtype=torch.long, device=device)
