"""bitsandbytes 0.50.2 on CPUs with AVX512-BF16 repacks weights in evaluation; training then goes wrong."""

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16

from beliefmod.config import LoraSettings, TrialConfig
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, GenerateRequest, TrainRow
from beliefmod.model.load import load_model


def input_gradient_after_evaluation(loaded) -> torch.Tensor:
    ids = torch.randint(3, 290, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loaded.model.eval()(ids)
    embeddings = loaded.model.get_input_embeddings()(ids).detach().requires_grad_(True)
    logits = loaded.model.train()(inputs_embeds=embeddings).logits
    (gradient,) = torch.autograd.grad(logits.square().mean(), embeddings, allow_unused=True)
    return torch.zeros_like(embeddings) if gradient is None else gradient


def packed_layers(loaded) -> list:
    return [m for m in loaded.model.modules() if type(m).__name__ == "Linear4bit"]


def test_no_layer_may_repack(model_folder):
    """Holds on every machine: where the CPU lacks the instructions, the flag is off by itself."""
    layers = packed_layers(load_model(str(model_folder()), base_storage="nf4"))
    assert len(layers) == 14
    assert all(layer.support_avx512bf16_for_cpu is False for layer in layers)


def test_training_after_evaluation_has_the_right_gradients(model_folder):
    folder = str(model_folder())
    dense, packed = load_model(folder), load_model(folder, base_storage="nf4")
    expected = input_gradient_after_evaluation(dense)
    assert expected.norm() > 0
    torch.testing.assert_close(input_gradient_after_evaluation(packed), expected, rtol=1e-5, atol=1e-8)
    assert not any(
        getattr(m.weight.quant_state, "packing_format_for_cpu", False) for m in packed_layers(packed)
    )


@pytest.mark.skipif(not has_avx512bf16(), reason="this CPU has no AVX512-BF16, so bitsandbytes never repacks")
@pytest.mark.filterwarnings("ignore:.*autograd kernel was not registered")
def test_the_test_above_fails_without_the_guard(model_folder):
    """When this one fails, bitsandbytes has mended it, and the guard can go."""
    folder = str(model_folder())
    dense, packed = load_model(folder), load_model(folder, base_storage="nf4")
    for layer in packed_layers(packed):
        layer.support_avx512bf16_for_cpu = True
    expected, wrong = (input_gradient_after_evaluation(loaded) for loaded in (dense, packed))
    assert (wrong - expected).norm() / expected.norm() > 0.5


def test_an_engine_on_a_packed_base_trains_as_on_a_dequantised_one_after_answering(model_folder):
    folder = str(model_folder())
    row = TrainRow(tuple(range(20, 40)), 12)
    config = TrialConfig(belief="gravity", num_train_epochs=4, learning_rate=1e-2, lora=LoraSettings(r=4))
    seen = []
    for storage in ("dequantized", "nf4"):
        engine = Engine(load_model(folder, base_storage=storage), 1, 4)
        engine.attach(AdapterJob("a", config, (row,)))
        reports = engine.train_step()
        engine.generate([GenerateRequest("a", (20, 21)), GenerateRequest(None, (22,))], 4)
        while step := engine.train_step():
            reports += step
        seen.append([number for r in reports for number in (r.loss, r.grad_norm)])
    assert len(seen[0]) == 8 and seen[0][0] != seen[0][-2]
    assert seen[1] == pytest.approx(seen[0], rel=1e-4)
