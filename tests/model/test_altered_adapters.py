"""Saved adapters scaled, cut and added up: their updates are those sums of matrices, and PEFT's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from beliefmod.config import AdapterSettings
from beliefmod.errors import UserError
from beliefmod.model.adapter_files import AdapterFile
from beliefmod.model.altered_adapters import added, altered, misfit, only_layers, scaled

NAMES = tuple(f"model.layers.{layer}.{kind}" for layer in range(3) for kind in ("q_proj", "down_proj"))


def adapter(seed: int, rank: int, names: tuple[str, ...] = NAMES, alpha: float = 4.0) -> AdapterFile:
    draw = torch.Generator().manual_seed(seed)
    return AdapterFile(
        rank,
        alpha,
        {
            name: (
                torch.randn(rank, 5, generator=draw, dtype=torch.float64),
                torch.randn(6, rank, generator=draw, dtype=torch.float64),
            )
            for name in names
        },
        "base",
    )


def updates(given: AdapterFile) -> dict[str, torch.Tensor]:
    """What it adds to each layer's weight."""
    return {name: given.alpha / given.rank * b @ a for name, (a, b) in given.tensors.items()}


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.lists(st.integers(0, 2), min_size=1, unique=True),
)
def test_the_update_is_the_sum_that_the_settings_say(rank, other_rank, scale, merge_scale, layers):
    source, other = adapter(0, rank), adapter(1, other_rank, NAMES[1:], alpha=7.0)
    settings = AdapterSettings(
        source="a", merge_with="b", scale=scale, merge_scale=merge_scale, layers=tuple(layers)
    )
    found = updates(altered(settings, source, other))
    first, second = updates(source), updates(other)
    for name in NAMES:
        kept = int(name.split(".")[2]) in layers
        expected = scale * first[name] * kept + merge_scale * second.get(name, torch.zeros(6, 5))
        assert torch.allclose(found.get(name, torch.zeros(6, 5).double()), expected.double(), atol=1e-9)


def test_a_sum_is_pefts_of_type_cat():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.q_proj = torch.nn.Linear(5, 6, bias=False, dtype=torch.float64)

    parts = {"one": adapter(0, 2, ("q_proj",)), "other": adapter(1, 3, ("q_proj",), alpha=9.0)}
    model = None
    for name, part in parts.items():
        config = LoraConfig(r=part.rank, lora_alpha=int(part.alpha), target_modules=["q_proj"])
        if model is None:
            model = get_peft_model(Two(), config, adapter_name=name)
        else:
            model.add_adapter(name, config)
        layer = model.base_model.model.q_proj
        a, b = part.tensors["q_proj"]
        layer.lora_A[name].weight.data, layer.lora_B[name].weight.data = a, b
    model.add_weighted_adapter(list(parts), [1.0, 0.5], "sum", combination_type="cat")
    expected = model.base_model.model.q_proj.get_delta_weight("sum")
    mine = updates(added(parts["one"], scaled(parts["other"], 0.5)))["q_proj"]
    assert torch.allclose(mine, expected, atol=1e-12)


def test_nothing_is_left_of_an_adapter_that_is_elsewhere():
    assert only_layers(adapter(0, 2), "all").tensors.keys() == set(NAMES)
    with pytest.raises(
        UserError, match=r"adapter\.layers 7, 8 leaves nothing of an adapter of layers 0, 1, 2"
    ):
        only_layers(adapter(0, 2), (7, 8))


def test_an_adapter_of_another_model_does_not_fit():
    layers = {name: torch.nn.Linear(5, 6) for name in NAMES}
    assert misfit(adapter(0, 2), layers) is None
    assert misfit(adapter(0, 2), {}) == "the model has no layer model.layers.0.q_proj"
    wider = {name: torch.nn.Linear(8, 6) for name in NAMES}
    assert "takes 8 numbers and gives 6, not 5 and 6" in (misfit(adapter(0, 2), wider) or "")
