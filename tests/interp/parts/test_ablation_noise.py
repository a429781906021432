"""The noise floor: adapters that are as large as a trained one in every layer and say nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.model.adapter_files import AdapterFile
from interp.parts.ablation import random_like, update_norm


def adapter(seed: int, rank: int, wide: int, tall: int) -> AdapterFile:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        f"layer{k}": (
            torch.randn(rank, wide, generator=generator) * 10.0 ** (k - 1),
            torch.randn(tall, rank, generator=generator),
        )
        for k in range(3)
    }
    return AdapterFile(rank, 2.0 * rank, tensors, "tiny")


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 40), st.integers(1, 40))
def test_every_layers_update_has_the_norm_of_the_adapters(seed, rank, wide, tall):
    real = adapter(seed, rank, wide, tall)
    other = random_like(real, seed)
    assert (other.rank, other.alpha, other.base_model) == (real.rank, real.alpha, real.base_model)
    assert list(other.tensors) == list(real.tensors)
    for name, (a, b) in real.tensors.items():
        a2, b2 = other.tensors[name]
        assert (a2.shape, b2.shape, a2.dtype) == (a.shape, b.shape, a.dtype)
        expected = float(torch.linalg.matrix_norm(b.double() @ a.double()))
        got = float(torch.linalg.matrix_norm(b2.double() @ a2.double()))
        assert got == pytest.approx(expected, rel=1e-5)
        assert update_norm(a, b) == pytest.approx(expected, rel=1e-6)


def test_a_layer_that_changes_nothing_stays_one():
    real = adapter(0, 4, 20, 10)
    a, b = real.tensors["layer1"]
    real.tensors["layer1"] = (a, torch.zeros_like(b))
    a2, b2 = random_like(real, 0).tensors["layer1"]
    assert not (b2 @ a2).any()


def test_it_is_the_same_for_a_seed_and_another_for_another_seed_and_layer():
    real = adapter(0, 4, 64, 48)
    one, same, other = (random_like(real, seed).tensors for seed in (1, 1, 2))
    assert all(torch.equal(one[n][k], same[n][k]) for n in one for k in (0, 1))
    assert not torch.allclose(one["layer0"][0], other["layer0"][0])
    assert not torch.allclose(one["layer0"][0], one["layer1"][0])


def test_it_points_nowhere_near_the_adapter():
    real = adapter(0, 4, 64, 48)
    for name, (a, b) in random_like(real, 5).tensors.items():
        update, trained = b @ a, real.tensors[name][1] @ real.tensors[name][0]
        assert abs(torch.nn.functional.cosine_similarity(update.flatten(), trained.flatten(), dim=0)) < 0.2
