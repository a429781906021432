"""The lens of every type against TransformerLens 4.3 and nnsight 0.8, entry by entry, where they know it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from beliefmod.bundled import weights_dir
from beliefmod.engine.engine import Engine
from interp.lenses.lens_head import LensHead
from interp.lenses.residual_stream import ProbedRow, residuals
from tests.engine.conftest import as_loaded
from tests.model.architectures import CASES, TOLERANCE, random_rows_of

pytest.importorskip("transformer_lens")
pytest.importorskip("nnsight")

from nnsight import NNsight
from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis import logit_lens

pytestmark = pytest.mark.long

ROWS = random_rows_of((11, 17, 4))
BY_TYPE = {case.type: case for case in CASES}
UNKNOWN = {
    "ministral", "granite_swa", "hyperclovax", "cwm", "helium", "minicpm3", "granitemoeshared", 
    "granitemoe_swa", "cohere2_moe", "exaone_moe", "solar_open", "gemma3n_text",
}  # fmt: skip
"""Types that TransformerLens 4.3 does not know, or (Gemma 3n) that the lens refuses."""


def capped(logits: Tensor, cap: float) -> Tensor:
    return cap * torch.tanh(logits / cap)


# what is set in CASES, written out once more as the models' papers have it
BEHIND = {
    "gemma2": lambda logits: capped(logits, 2.0),
    "gemma4_text": lambda logits: capped(logits, 3.0),
    "vaultgemma": lambda logits: capped(logits, 2.0),
    "nanochat": lambda logits: capped(logits, 2.0),
    "granite": lambda logits: logits / 2.0,
    "granite_swa": lambda logits: logits / 2.0,
    "cohere": lambda logits: logits / 16,
    "cohere2": lambda logits: logits / 16,
    "cohere2_moe": lambda logits: logits * BY_TYPE["cohere2_moe"].config().logit_scale,
    "hyperclovax": lambda logits: logits * 0.5,
    "minicpm3": lambda logits: logits / (64 / 256),  # hidden size over dim_model_base
    "llama": lambda logits: logits,
}


def model(kind: str) -> PreTrainedModel:
    made = BY_TYPE[kind].model()
    made.config.architectures = [type(made).__name__]  # by which TransformerLens knows a type
    return made


def ours(kind: str) -> list[Tensor]:
    """(N + 1, tokens, vocabulary) of each row, all read in one pass."""
    engine = Engine(as_loaded(model(kind)), 1, 4)
    head = LensHead(engine.model.model)
    found = residuals(engine, [ProbedRow(row, tuple(range(len(row)))) for row in ROWS])
    return [head.logits(hidden) for hidden in found]


def same(found: list[Tensor], expected: list[Tensor]) -> None:
    for got, right in zip(found, expected, strict=True):
        assert got.shape == right.shape
        assert float((got - right).abs().max() / right.abs().max()) < TOLERANCE


@pytest.mark.parametrize("kind", [kind for kind in BY_TYPE if kind not in UNKNOWN])
def test_every_entry_is_transformer_lenss(kind: str, tmp_path: Path):
    assert type(model(kind)).__name__ in SUPPORTED_ARCHITECTURES
    theirs = model(kind)
    theirs.generation_config.eos_token_id = 2
    theirs.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):  # asked for, and not used here
        shutil.copy(Path(weights_dir()) / name, tmp_path)
    bridge = TransformerBridge.boot_transformers(str(tmp_path), hf_model=theirs, tokenizer=None, device="cpu")
    expected = [logit_lens(bridge.eval(), torch.tensor([row]), positions=None).values[:, 0] for row in ROWS]
    same(ours(kind), expected)


@pytest.mark.parametrize("kind", BEHIND)
def test_every_entry_is_nnsights_with_the_formula_by_hand(kind: str):
    expected = []
    for row in ROWS:
        lm = NNsight(model(kind))
        with torch.no_grad(), lm.trace(input_ids=torch.tensor([row])):
            found = list().save()  # noqa: C408 (nnsight sees names, not literals)
            found.append(lm.lm_head(lm.model.norm(lm.model.layers[0].input)))
            for layer in lm.model.layers:
                out = layer.output
                found.append(lm.lm_head(lm.model.norm(out[0] if isinstance(out, tuple) else out)))
            logits = lm.output.logits.save()
        entries = BEHIND[kind](torch.stack(list(found)))[:, 0]
        same([entries[-1]], [logits[0]])  # the formula is the model's
        expected.append(entries)
    same(ours(kind), expected)
