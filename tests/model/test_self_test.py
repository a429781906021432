"""The doctor's NF4 test sees wrong products, and the repacking on CPUs with AVX512-BF16."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from beliefmod.model import self_test
from beliefmod.model.self_test import Nf4Test, nf4_test


def test_nf4_works_here():
    found = nf4_test()
    assert found.works
    assert max(found.forward, found.gradient, found.answers, found.after_eval) < 1e-6


def test_nf4_works_here_in_bf16_too():
    found = nf4_test(dtype="bfloat16")
    assert found.right and 0 < found.answers < 1e-2


def test_the_guard_is_needed_exactly_where_bitsandbytes_would_repack():
    from bitsandbytes.nn.modules import Linear4bit

    assert nf4_test().guard_needed == bool(Linear4bit(64, 64).support_avx512bf16_for_cpu)


def test_without_the_guard_the_test_fails_where_it_is_needed(monkeypatch: pytest.MonkeyPatch):
    if not nf4_test().guard_needed:
        pytest.skip("this CPU has no AVX512-BF16")
    monkeypatch.setattr(self_test, "guard_cpu_repacking", lambda model: None)
    assert not nf4_test().works


def test_a_layer_that_computes_something_else_is_seen(monkeypatch: pytest.MonkeyPatch):
    right = self_test._layer

    class Wrong(nn.Module):
        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            self.layer, self.weight = layer, layer.weight

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.layer(x) * 1.01

    monkeypatch.setattr(self_test, "_layer", lambda *where: Wrong(right(*where)))
    found = nf4_test()
    assert found.forward == pytest.approx(0.01, rel=1e-2)
    assert not found.works


@pytest.mark.parametrize("rows", [1, 8])
def test_a_kernel_for_products_without_gradients_that_differs_is_seen(rows, monkeypatch: pytest.MonkeyPatch):
    """Answers are written with kernels of their own, which are chosen by the number of rows."""
    right = self_test._layer

    class Fused(nn.Module):
        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            self.layer, self.weight = layer, layer.weight

        def forward(self, x):  # type: ignore[no-untyped-def]
            differs = not torch.is_grad_enabled() and len(x) == rows
            return self.layer(x) * (1.01 if differs else 1.0)

    monkeypatch.setattr(self_test, "_layer", lambda *where: Fused(right(*where)))
    found = nf4_test()
    assert found.forward < 1e-6 and found.answers == pytest.approx(0.01, rel=1e-2)
    assert not found.right and not found.works


def test_verdicts():
    assert Nf4Test(0, 0, 0, 0, 1).works and Nf4Test(0, 0, 0, 0, 1).guard_needed
    assert not Nf4Test(0, 0, 0, 1, 1).works and Nf4Test(0, 0, 0, 1, 1).right
    assert not Nf4Test(0, 0, 1, 0, 1).right
    assert not Nf4Test(0, 0, 0, 0, 0).guard_needed
