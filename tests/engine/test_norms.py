"""The lean norm against transformers' own, forward and backward, and the models in which it is used."""

import pytest
import torch
from torch.testing import assert_close

from beliefmod.engine.norms import LeanRMSNorm, replace_norms
from tests.engine.conftest import tiny_model

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("trained", [False, True])
def test_the_lean_norm_is_that_of_transformers(kind, dtype, trained):
    model = tiny_model(kind, dtype)
    theirs = model.model.layers[0].input_layernorm
    theirs.weight.data.uniform_(0.5, 2.0)
    ours = LeanRMSNorm(theirs.weight, theirs.variance_epsilon)
    theirs.weight.requires_grad_(trained)
    generator = torch.Generator().manual_seed(1)
    x, grad = (torch.randn(2, 5, 32, generator=generator).mul_(3).to(dtype) for _ in range(2))
    found = []
    for norm in (theirs, ours):
        inputs, theirs.weight.grad = x.clone().requires_grad_(), None
        out = norm(inputs)
        out.backward(grad)
        found.append((out, inputs.grad, theirs.weight.grad))
    for theirs_part, ours_part in zip(*found, strict=True):
        assert (theirs_part is None) == (ours_part is None)
        if theirs_part is not None:
            assert_close(ours_part, theirs_part, rtol=TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])
    assert (found[1][2] is not None) == trained
    with torch.no_grad():
        assert_close(ours(x), found[1][0], rtol=1e-6, atol=0)


def test_gradients_are_right_in_fp64():
    weight = torch.nn.Parameter(torch.linspace(0.5, 1.5, 6, dtype=torch.float64))
    norm = LeanRMSNorm(weight, 1e-6)
    x = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(norm, (x,))


@pytest.mark.parametrize(("kind", "per_layer"), [("qwen3", 4), ("llama", 2), ("gemma2", 0)])
def test_only_norms_that_compute_the_same_are_replaced(kind, per_layer):
    model = tiny_model(kind)
    ids = torch.arange(4, 20)[None]
    with torch.no_grad():
        before = model(ids).logits
        names = replace_norms(model)
        after = model(ids).logits
    assert len(names) == (2 * per_layer + 1 if per_layer else 0)
    assert_close(after, before, rtol=1e-4, atol=1e-5)
