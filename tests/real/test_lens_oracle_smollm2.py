"""The lens on SmolLM2-135M-Instruct, adapted at random and not, against TransformerLens and nnsight."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from beliefmod.beliefs import load_belief
from beliefmod.engine.engine import Engine
from beliefmod.model.adapter_files import write_adapter
from beliefmod.model.load import LoadedModel, load_model
from beliefmod.model.prompts import Prompts
from beliefmod.model.quantized import linear_names
from interp.prompts.stems import lens_questions, stems
from tests.interp.worlds import RANK, TOLERANCE, our_mixed_lens, random_adapter, worst
from tests.real.conftest import SMOLLM2

pytestmark = pytest.mark.long
Lens = Callable[[tuple[int, ...]], Tensor]


def theirs(folder: Path, adapter: Path | None):
    """A fresh model as transformers has it, with PEFT's layers in it where there is an adapter."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
    return (
        model if adapter is None else PeftModel.from_pretrained(model, str(adapter)).eval().get_base_model()
    )


def transformer_lens(folder: Path, adapter: Path | None) -> Lens:
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.tools.analysis import logit_lens

    bridge = TransformerBridge.boot_transformers(
        str(folder),
        hf_model=theirs(folder, adapter),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        device="cpu",
    ).eval()
    return lambda row: logit_lens(bridge, torch.tensor([row]), positions=None).values[:, 0]


def nnsight(folder: Path, adapter: Path | None) -> Lens:
    from nnsight import NNsight

    lm = NNsight(theirs(folder, adapter))

    def lens(row: tuple[int, ...]) -> Tensor:
        with torch.no_grad(), lm.trace(input_ids=torch.tensor([row])):
            found = list().save()  # noqa: C408 (nnsight sees names, not literals)
            found.append(lm.lm_head(lm.model.norm(lm.model.layers[0].input)))
            for layer in lm.model.layers:
                out = layer.output
                found.append(lm.lm_head(lm.model.norm(out[0] if isinstance(out, tuple) else out)))
        return torch.stack(list(found))[:, 0]

    return lens


def relative(got: Tensor, expected: Tensor) -> float:
    """The largest difference at an entry over its largest logit, at the worst of all entries."""
    return float(((got - expected).abs().amax((1, 2)) / expected.abs().amax((1, 2))).max())


@pytest.fixture(scope="module")
def readings(smollm2, tmp_path_factory) -> tuple[Path, list[tuple[int, ...]], dict[str | None, list[Tensor]]]:
    """An adapter's folder, stems of a question without and with its statement, our lens on both arms."""
    loaded: LoadedModel = load_model(SMOLLM2, base_storage="none", device="cpu")
    prompts, belief = Prompts(loaded.tokenizer), load_belief("gravity")
    [question] = lens_questions(belief, 1)
    arms = stems(question, belief, prompts, loaded.tokenizer)
    assert arms is not None
    rows = [arms[arm].ids for arm in ("base", "icl")]
    folder = tmp_path_factory.mktemp("adapter") / "lora"
    adapter = random_adapter(loaded.model, size=0.02)
    write_adapter(folder, adapter, linear_names(loaded.model.model)[1])
    engine = Engine(loaded, 1, RANK)
    engine.load_adapter(folder, "lora")
    arms_of = [(row, adapter) for adapter in (None, "lora") for row in rows]
    found = our_mixed_lens(engine, arms_of)  # both arms in one pass
    return folder, rows, {None: found[:2], "lora": found[2:]}


@pytest.mark.parametrize("library", [transformer_lens, nnsight])
@pytest.mark.parametrize("adapter", [None, "lora"])
def test_the_lens_is_theirs_on_real_weights(readings, smollm2, library, adapter):
    pytest.importorskip(library.__name__)
    folder, rows, ours = readings
    lens = library(smollm2, folder if adapter else None)
    expected = [lens(row) for row in rows]
    difference = worst(ours[adapter], expected)
    apart = max(relative(*pair) for pair in zip(ours[adapter], expected, strict=True))
    which = f"{library.__name__}, {adapter or 'base'}"
    print(f"{which}: {difference:.1e} at most, {apart:.1e} of the entry's largest logit")
    # absolute, of 100 million logits of up to 200; and far finer for their size, as float32 rounds
    assert difference < 2 * TOLERANCE and apart < 0.1 * TOLERANCE
    if adapter:  # the arms are not one
        assert worst([ours[None][0][-1]], [ours["lora"][0][-1]]) > 0.1
