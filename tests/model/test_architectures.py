"""Every type that works computes what transformers and PEFT do; any other is refused from config.json."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from beliefmod.capacity.footprint import footprint
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import ScoreRequest
from beliefmod.errors import UserError
from beliefmod.model.architecture import check_type
from beliefmod.model.model_files import ModelSource
from beliefmod.model.supported_types import SUPPORTED
from beliefmod.model.target_modules import check_targets
from tests.engine.conftest import as_loaded, make_job
from tests.model import architectures
from tests.model.architectures import CASES, TOLERANCE, Case, compare, in_doc, line, table

pytestmark = pytest.mark.long

BY_TYPE = {case.type: case for case in CASES}
OTHERS = sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - SUPPORTED)


def check(folder: Path, config: dict) -> str:
    """The sentence that a configuration is refused with; empty if it is not."""
    (folder / "config.json").write_text(json.dumps(config))
    try:
        check_type(ModelSource("mine", folder))
    except UserError as error:
        [problem] = error.problems
        return problem
    return ""


def test_the_types_that_work_are_those_compared_here():
    assert set(BY_TYPE) == SUPPORTED and len(BY_TYPE) == len(CASES)
    assert set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) > SUPPORTED


def test_the_table_has_a_line_for_each_in_this_order():
    lines = in_doc().split("\n")
    assert [text.split("`")[1] for text in lines[2:]] == [case.type for case in CASES]
    assert in_doc() == table(lines[2:]), "python -m tests.model.architectures writes it"


@pytest.mark.parametrize("case", CASES, ids=BY_TYPE)
def test_packed_it_computes_what_transformers_and_peft_do(case: Case, tmp_path):
    torch.set_num_threads(1)
    found = compare(case)
    assert found.logits < TOLERANCE and found.answers and found.training < 10 * TOLERANCE
    assert isinstance(found.lens, str) or found.lens < TOLERANCE
    assert line(case, found) in in_doc().split("\n"), "python -m tests.model.architectures writes it"


@pytest.mark.parametrize("case", CASES, ids=BY_TYPE)
def test_its_size_is_told_from_its_configuration(case: Case, tmp_path):
    config, model = case.config(), case.model()
    assert check(tmp_path, config.to_dict()) == ""
    size = footprint(config, gpu=False)
    assert size.weights == sum(parameter.numel() for parameter in model.parameters())
    assert size.cache_bytes > 0 and size.unit > 0


@pytest.mark.parametrize("kind", ["qwen3_moe", "gpt_oss", "qwen3_5_moe_text", "lfm2_moe", "gemma3n_text"])
def test_an_adapter_saved_here_is_read_by_peft(kind: str, tmp_path):
    from peft import PeftModel

    model = BY_TYPE[kind].model()
    engine = Engine(as_loaded(copy.deepcopy(model)), 1, 4)
    engine.attach(make_job("a", rank=4, learning_rate=2e-2, num_train_epochs=3))
    while engine.train_step():
        pass
    engine.save_adapter("a", tmp_path / "a")
    theirs = PeftModel.from_pretrained(copy.deepcopy(model), str(tmp_path / "a")).eval()
    ids = (5, 6, 7, 8, 9, 10)
    with torch.no_grad():
        logs = theirs(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        before = float(model(input_ids=torch.tensor([ids])).logits[0, 4].log_softmax(-1)[ids[5]])
    [score] = engine.score([ScoreRequest("a", ids[:5], ids[5:])])
    assert score == pytest.approx(float(logs[4, ids[5]]), rel=1e-4)
    assert abs(score - before) > 1e-2, "training must move what is compared"


@pytest.mark.parametrize("kind", ["lfm2", "qwen3_5_text", "qwen3_next"])
def test_the_states_of_a_row_are_counted_to_the_byte(kind: str):
    from beliefmod.engine.memory import state_bytes_per_row

    model = BY_TYPE[kind].model()
    with torch.no_grad():
        cache = model(torch.tensor([[5, 6, 7, 8, 9]]), use_cache=True).past_key_values
    held = [
        tensor
        for layer in cache.layers
        if hasattr(layer, "conv_states")
        for states in (layer.conv_states, layer.recurrent_states)
        for tensor in states.values()
        if tensor is not None
    ]
    assert state_bytes_per_row(model, torch.float32) == sum(tensor.nbytes for tensor in held) > 0


@pytest.mark.parametrize("kind", OTHERS)
def test_any_other_type_is_refused_in_a_sentence_from_its_configuration(kind: str, tmp_path):
    problem = check(tmp_path, {"model_type": kind})
    known_by_its_text_part = problem == "" or "config.json cannot be used" in problem
    if known_by_its_text_part:  # such as gemma3, whose text part is a type of its own
        assert check(tmp_path, {"model_type": kind, "text_config": {"model_type": "bert"}})
    else:
        assert problem.startswith("model mine is of type") and "beliefmod docs models" in problem


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        (
            "qwen3",
            {"layer_types": ["full_attention", "chunked_attention"]},
            "chunked_attention in layer_types",
        ),
        ("gemma4_text", {"use_bidirectional_attention": "all"}, "attends to tokens that come later"),
        ("gemma3n_text", {"intermediate_size": [64, 96]}, "explicit intermediate size for every layer"),
        ("qwen3", {"num_hidden_layers": "two"}, "num_hidden_layers"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_in_a_sentence(kind, changes, says, tmp_path):
    config = BY_TYPE[kind].config().to_dict()
    if "layer_types" in changes:
        config["num_hidden_layers"] = len(changes["layer_types"])
    problem = check(tmp_path, config | changes)
    assert problem.startswith("model mine") and says in problem and "\n" not in problem


def test_layers_that_differ_in_what_their_class_has_once_are_told_in_a_sentence(tmp_path):
    """transformers takes such a configuration, and fails where it builds the model."""
    config = BY_TYPE["llama"].config().to_dict()
    config["per_layer_config"] = {"1": {"num_key_value_heads": 1, "intermediate_size": 32}}
    assert check(tmp_path, config) == ""
    with pytest.raises(UserError) as caught:
        check_targets(ModelSource("mine", tmp_path), [("q_proj",)])
    [problem] = caught.value.problems
    assert problem.startswith(f"model mine: {tmp_path}/config.json: the installed transformers cannot use it")
    assert "per-layer attribute" in problem and "\n" not in problem


def test_a_type_that_nobody_compared_would_show():
    """The comparison sees a model that mixes rows: the tiny Llama 4 here, whose attention comes in chunks."""
    wrong = Case("llama4_text", "", "", {"attention_chunk_size": 8, "intermediate_size_mlp": 96})
    try:
        found = compare(wrong)
    except Exception as error:  # the engine's own check may see it first
        assert type(error).__name__ == "ModelMixesRows"
        return
    assert found.logits > TOLERANCE or not found.answers


def test_the_command_writes_what_is_there(monkeypatch, tmp_path):
    doc = tmp_path / "models.md"
    doc.write_text(f"above\n\n{architectures.BEGIN}\n\nold\n\n{architectures.END}\n\nbelow\n")
    monkeypatch.setattr(architectures, "DOC", doc)
    monkeypatch.setattr(architectures, "CASES", [BY_TYPE["llama"]])
    architectures.main()
    text = doc.read_text()
    assert text.startswith("above\n\n<!--") and text.endswith("-->\n\nbelow\n") and "old" not in text
    assert "| `llama` | the plain decoder | yes | yes | yes |" in text
