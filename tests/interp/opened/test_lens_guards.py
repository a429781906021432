"""What would give numbers that mean nothing is refused, in a sentence that says what to do."""

from __future__ import annotations

import shutil
import warnings

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from peft import PeftModel
from torch import nn

from beliefmod.engine.jobs import EngineError
from beliefmod.errors import UserError
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter
from interp.lenses.decoder import decoder_of
from interp.lenses.lens_head import LensHead
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.opened.lens_guards import guard_packed, refuse_merged, refuse_null, unchanged
from tests.engine.conftest import tiny_model
from tests.interp.worlds import World, make_world, questions


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("packed"), "nf4")


def with_peft(world: World) -> PeftModel:
    return PeftModel.from_pretrained(world.theirs(), str(world.folder / "lora")).eval()


def changed(adapter: AdapterFile, **tensors) -> AdapterFile:
    return AdapterFile(adapter.rank, adapter.alpha, tensors, adapter.base_model)


def test_an_adapter_that_changes_nothing_is_refused(world: World):
    lora = read_adapter(world.folder / "lora")
    refuse_null(lora, "here")
    for silent in (
        {name: (a, torch.zeros_like(b)) for name, (a, b) in lora.tensors.items()},
        {name: (torch.zeros_like(a), b) for name, (a, b) in lora.tensors.items()},
        {},
    ):
        with pytest.raises(UserError, match=r"^here: changes nothing.*train the trial again$"):
            refuse_null(changed(lora, **silent), "here")
    # one layer is enough to be an adapter
    name, pair = next(iter(lora.tensors.items()))
    refuse_null(changed(lora, **{**silent, name: pair}), "here")


def test_an_adapter_for_other_layers_is_refused_where_peft_is_silent(world: World, tmp_path):
    lora = read_adapter(world.folder / "lora")
    foreign = {name.replace("layers", "blocks"): pair for name, pair in lora.tensors.items()}
    with pytest.raises(EngineError, match="blocks"):
        world.ours().put_adapter(changed(lora, **foreign), "foreign")
    # this is what PEFT does: a warning, and a model that is base
    write_adapter(tmp_path / "foreign", changed(lora, **foreign), tuple(foreign))
    config = (tmp_path / "foreign" / "adapter_config.json").read_text()
    (tmp_path / "foreign" / "adapter_config.json").write_text(config.replace("blocks", "layers"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        silent = PeftModel.from_pretrained(world.theirs(), str(tmp_path / "foreign"))
    ids = torch.tensor([questions()[0]])
    with torch.no_grad():
        assert torch.equal(silent(ids).logits, world.theirs()(ids).logits)


def test_a_model_with_an_adapter_of_its_own_is_refused(world: World, packed: World):
    for each in (world, packed):
        refuse_merged(each.theirs())
        refuse_merged(each.ours().model.model)  # an engine's own layers are not PEFT's
        with pytest.raises(UserError, match=r"carries a PEFT adapter of its own, so base would not be base"):
            refuse_merged(with_peft(each).get_base_model())


def test_a_model_folder_with_an_adapter_in_it_is_refused(tmp_path):
    """transformers puts such an adapter on by itself, without a word."""
    world = make_world(tmp_path)
    config = (tmp_path / "lora" / "adapter_config.json").read_text().replace('"tiny"', f'"{world.name}"')
    (tmp_path / "model" / "adapter_config.json").write_text(config)
    shutil.copy(tmp_path / "lora" / "adapter_model.safetensors", tmp_path / "model")
    with pytest.raises(UserError, match="carries a PEFT adapter of its own"):
        refuse_merged(world.theirs())


def test_a_merged_model_is_refused(world: World, packed: World):
    for each in (world, packed):
        model = with_peft(each)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PEFT, about rounding in 4 bits
            model.merge_adapter()
        with pytest.raises(UserError, match=r"layer .*q_proj has adapter default merged into its weights"):
            refuse_merged(model.get_base_model())


def test_a_merge_without_a_trace_is_seen_by_its_weights(world: World):
    model = with_peft(world)
    refuse_merged(model.merge_and_unload())
    with pytest.raises(UserError, match=r"weights of the model changed.*layers\.0\.self_attn\.q_proj"):
        model = world.theirs()
        with unchanged(model):
            for name, (a, b) in read_adapter(world.folder / "lora").tensors.items():
                model.get_submodule(name).weight.data += 2.0 * b @ a


def test_looking_changes_no_weight(world: World, packed: World):
    for each in (world, packed):
        engine = each.ours()
        with unchanged(engine.model.model):
            rows = [
                ProbedRow(row, (0, len(row) - 1), adapter)
                for row in questions()
                for adapter in (None, "lora")
            ]
            head = LensHead(engine.model.model)
            for hidden in residuals(engine, rows):
                head.logits(hidden)


def test_a_merge_into_4_bits_would_have_rounded_the_adapter_away(packed: World):
    """Why merging is refused and not only discouraged: unmerged and merged are two models."""
    ids = torch.tensor([questions((24,))[0]])
    with torch.no_grad():
        unmerged = with_peft(packed)(ids).logits.flatten()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            merged = with_peft(packed).merge_and_unload()(ids).logits.flatten()
    assert torch.nn.functional.cosine_similarity(unmerged, merged, dim=0) < 0.99


def test_4_bit_layers_that_would_repack_are_refused(packed: World):
    guard_packed(packed.theirs())
    guard_packed(packed.ours().model.model)
    model = packed.theirs()
    layer = model.get_submodule("model.layers.1.mlp.up_proj")
    layer.support_avx512bf16_for_cpu = True
    with pytest.raises(UserError, match=r"layer model\.layers\.1\.mlp\.up_proj would repack.*load_model"):
        guard_packed(model)
    layer.support_avx512bf16_for_cpu = False
    layer.weight.quant_state.packing_format_for_cpu = True
    with pytest.raises(UserError, match=r"up_proj has repacked its 4-bit weights.*load the model again"):
        guard_packed(model)


@pytest.mark.skipif(not has_avx512bf16(), reason="this CPU has no AVX512-BF16, so bitsandbytes never repacks")
def test_a_repack_is_seen_by_its_weights(packed: World):
    model = packed.theirs()
    for module in model.modules():
        if type(module).__name__ == "Linear4bit":
            module.support_avx512bf16_for_cpu = True
    with pytest.raises(UserError, match="weights of the model changed"), unchanged(model), torch.no_grad():
        model(torch.tensor([questions()[0]]))


def test_a_model_whose_parts_are_elsewhere_is_refused():
    class Other(nn.Module):
        config = tiny_model().config

        def get_decoder(self):
            return nn.Linear(2, 2)

        def get_output_embeddings(self):
            return nn.Linear(2, 2)

    with pytest.raises(
        UserError, match="a Other keeps its blocks, last norm or head where the lens does not"
    ):
        decoder_of(Other())
