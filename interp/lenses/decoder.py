"""The parts of a decoder that a lens needs: its blocks, its last norm, its head."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn


# Llama and most others, LFM2, Phi
_LAST_NORM = ("norm", "embedding_norm", "final_layernorm")


@dataclass(frozen=True)
class Decoder:
    """`blocks` in order, the norm behind the last of them, and the output head."""

    blocks: tuple[nn.Module, ...]
    norm: nn.Module
    head: nn.Module


def decoder_of(model: Any) -> Decoder:
    """The parts of a transformers model for causal language modelling.

    Raises:
        UserError: the model keeps them elsewhere, or changes its logits behind the head (soft-capping, a
            scale): norm and head alone would then not be what it predicts with.
    """
    config = model.config.get_text_config()
    for name, neutral in (("final_logit_softcapping", None), ("logit_scale", 1.0), ("logits_scaling", 1.0)):
        value = getattr(config, name, None)
        if value is not None and value != neutral:
            raise UserError(
                f"the model's config has {name} = {value}: its logits are not those of its head, which the "
                "lens reads; take a model without it"
            )
    inner = model.get_decoder()
    blocks, norm, head = (
        getattr(inner, "layers", None),
        next((getattr(inner, name) for name in _LAST_NORM if hasattr(inner, name)), None),
        model.get_output_embeddings(),
    )
    if blocks is None or norm is None or head is None:
        raise UserError(
            f"a {type(model).__name__} keeps its blocks, last norm or head where the lens does not find "
            "them; it knows decoders with `layers` and `norm`, such as Qwen3, Llama and Gemma"
        )
    return Decoder(tuple(blocks), norm, head)


@contextlib.contextmanager
def hooked(decoder: Decoder, see: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within the block a forward pass gives its entries 0..N to `see`, in order, and goes on with what that
    returns: (1, tokens, hidden), what each block reads (resid_pre) and what the last one writes (resid_post).
    """

    def before(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (see(given[0]), *given[1:])

    def behind(module: Any, given: Any, out: Any) -> Any:
        return (see(out[0]), *out[1:]) if isinstance(out, tuple) else see(out)

    handles = [block.register_forward_pre_hook(before) for block in decoder.blocks]
    handles.append(decoder.blocks[-1].register_forward_hook(behind))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
