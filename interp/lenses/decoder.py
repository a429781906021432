"""The parts of a decoder that a lens needs: its blocks, its last norm, its head and what follows that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn


# Llama and most others, LFM2, Phi, GPT-NeoX
_LAST_NORM = ("norm", "embedding_norm", "final_layernorm", "final_layer_norm")
# what these types' own code does with the field; a field in another type's config.json does nothing
_DIVIDES = {"granite", "granite_swa", "granitemoe", "granitemoe_swa", "granitemoeshared", "minicpm3"}
_MULTIPLIES = {
    "cohere": "logit_scale",
    "cohere2": "logit_scale",
    "cohere2_moe": "logit_scale",
    "hyperclovax": "logits_scaling",
}
_CAPS = {"gemma2", "gemma3_text", "gemma4_text", "nanochat", "vaultgemma"}


@dataclass(frozen=True)
class BehindHead:
    """What a model does with the numbers of its head before they are its logits: `scale` times them, then
    cap x tanh(logits / cap) where there is a `cap`. Both are positive, so the order of tokens stays."""

    scale: float = 1.0
    cap: float | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        """Numbers of the head -> logits, of the same shape."""
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.cap is None else self.cap * (logits / self.cap).tanh()


@dataclass(frozen=True)
class Decoder:
    """`blocks` in order, the norm behind the last of them, the output head, and what follows it."""

    blocks: tuple[nn.Module, ...]
    norm: nn.Module
    head: nn.Module
    behind: BehindHead


def lens_refusal(config: Any) -> str | None:
    """Why the lens cannot read models of this configuration, behind "the model"; None if it can.

    Args:
        config: as transformers reads it; of one that also sees, its text part counts.
    """
    text = config.get_text_config()
    if text.model_type == "gemma3n_text":
        return (
            f"carries {text.altup_num_inputs} streams side by side (altup_num_inputs in its config.json), "
            "mixed behind its last block alone, so no single stream leads to its logits; take another model"
        )
    return None


def behind_head(config: Any) -> BehindHead:
    """What a model of this configuration does with the numbers of its head.

    >>> from transformers import Gemma2Config, GraniteConfig
    >>> behind_head(Gemma2Config()), behind_head(GraniteConfig(logits_scaling=8.0))
    (BehindHead(scale=1.0, cap=30.0), BehindHead(scale=0.125, cap=None))
    """
    text = config.get_text_config()
    kind, scale = text.model_type, 1.0
    if kind in _DIVIDES:
        scale = 1 / text.logits_scaling
    elif kind in _MULTIPLIES:
        scale = getattr(text, _MULTIPLIES[kind])
    return BehindHead(float(scale), text.final_logit_softcapping if kind in _CAPS else None)


def decoder_of(model: Any) -> Decoder:
    """The parts of a transformers model for causal language modelling.

    Raises:
        UserError: the model keeps them elsewhere, or has no single residual stream.
    """
    if why := lens_refusal(model.config):
        raise UserError(f"the model {why}")
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
    return Decoder(tuple(blocks), norm, head, behind_head(model.config))


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
