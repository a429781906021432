"""Frozen weights laid out a second time as oneDNN multiplies with them fastest, on a CPU.

torch's own product lays the weights out anew at every call, which costs most where few rows are multiplied,
as in decoding. Of weights of SmolLM2-135M that are not in a cache, one thread, GFLOP/s of torch's product and
of this one: 8 rows 19 to 34 and 31 to 46, 24 rows 43 to 63 and 73 to 79, 80 rows 61 to 85 and 95 to 101,
1,000 rows 61 to 89 and 80 to 105; the lowest of each is mostly the head. The weights take their memory twice,
and sums are rounded 1.5 to 2 times as coarsely (fp32 against fp64), so only answers are written with it: what
is scored, compared with base, trained or looked into is multiplied by torch.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from beliefmod.engine.routing import Routing

LEAST_WEIGHTS = 2**18
"""Of a matrix. Smaller ones gain nothing: they stay in the processor's cache."""
_ROWS = 64  # that the layout is chosen for; others were as fast with it


def pays(weight: Tensor) -> bool:
    """Whether a matrix is one that is laid out twice: a large one in fp32 on a CPU."""
    return (
        weight.device.type == "cpu"
        and weight.dtype is torch.float32
        and weight.numel() >= LEAST_WEIGHTS
        and torch.backends.mkldnn.is_available()
    )


def prepacked(weight: Tensor) -> Tensor | None:
    """A frozen weight (out, in) in oneDNN's layout; None where it is not laid out twice."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS) if pays(weight) else None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, packed: Tensor | None) -> Tensor:
    """x W^T + bias. No gradients where `packed` is the weight as `prepacked` gives it; None: torch's product.

    Args:
        x: (..., in). weight: (out, in). bias: (out,).

    Returns:
        (..., out).
    """
    if packed is None:
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")


class PrepackedLinear(nn.Linear):
    """A frozen linear layer with weights laid out twice; the second serves while answers are written."""

    def __init__(self, layer: nn.Linear, routing: Routing) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.packed, self.routing = prepacked(layer.weight), routing

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return linear(input, self.weight, self.bias, self.packed if self.routing.writing else None)

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Linear:
        """A plain layer, for a copy may be trained."""
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        memo[id(self)] = plain
        plain.weight = copy.deepcopy(self.weight, memo)
        plain.bias = copy.deepcopy(self.bias, memo)
        return plain.train(self.training)


def prepack_head(model: PreTrainedModel, routing: Routing) -> None:
    """Have the model's head multiply with weights that are laid out twice, where that pays."""
    head = model.get_output_embeddings()
    # PrepackedLinear: of a former engine
    if isinstance(head, nn.Linear) and type(head) in (nn.Linear, PrepackedLinear) and pays(head.weight):
        model.set_output_embeddings(PrepackedLinear(head, routing))


def prepacked_bytes(model: PreTrainedModel, four_bits: bool) -> int:
    """Bytes of a model's weights that an engine lays out twice, as if they were on a CPU.

    Args:
        four_bits: whether all linear layers but the head stay packed in 4 bits.
    """
    from beliefmod.model.target_modules import linear_layers

    layers = [] if four_bits else list(linear_layers(model).values())
    head = model.get_output_embeddings()
    if isinstance(head, nn.Linear):
        layers.append(head)
    return sum(layer.weight.nbytes for layer in layers if layer.weight.numel() >= LEAST_WEIGHTS)
