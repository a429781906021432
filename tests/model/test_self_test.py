"""The doctor's NF4 test sees wrong products, and the repacking on CPUs with AVX512-BF16."""

from __future__ import annotations

import pytest
from torch import nn

from beliefmod.model import self_test
from beliefmod.model.self_test import Nf4Test, nf4_test


def test_nf4_works_here():
    found = nf4_test()
    assert found.works
    assert found.forward < 1e-6 and found.gradient < 1e-6 and found.after_eval < 1e-6


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

    monkeypatch.setattr(self_test, "_layer", lambda device: Wrong(right(device)))
    found = nf4_test()
    assert found.forward == pytest.approx(0.01, rel=1e-2)
    assert not found.works


def test_verdicts():
    assert Nf4Test(0, 0, 0, 1).works and Nf4Test(0, 0, 0, 1).guard_needed
    assert not Nf4Test(0, 0, 1, 1).works
    assert not Nf4Test(0, 0, 0, 0).guard_needed
