"""What transformers says of a model's files in its own words is our sentence: file, field, fix."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from beliefmod.cli.app import app
from tests.command import beliefmod
from tests.model.chats import CHATML
from tests.model.test_families import saved
from tests.small import write_belief

FIX = "; correct it"
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "original_max_position_embeddings": 64}
LONG = {**YARN, "rope_type": "longrope", "factor": 2.0}
LLAMA3 = {**YARN, "rope_type": "llama3", "factor": 2.0}
CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "quantization_config, a word": (
        {"quantization_config": "4bit"},
        'quantization_config is "4bit", and must be an object such as {"quant_method": "bitsandbytes"',
    ),
    "quantization_config, a list": (
        {"quantization_config": [4]},
        "quantization_config is [4], and must be an",
    ),
    "activation": (
        {"hidden_act": "gelu_fast2"},
        'hidden_act is "gelu_fast2", which transformers does not know, did you mean "gelu_fast"?',
    ),
    "rope_type": (
        {"rope_parameters": {"rope_type": "yarm", "rope_theta": 1e4}},
        'rope_type of rope_parameters is "yarm", which transformers does not know, did you mean "yarn"?',
    ),
    "rope_type, as older files name it": (
        {"rope_parameters": None, "rope_scaling": {"type": "yarm", "factor": 2.0}},
        'rope_type of rope_scaling is "yarm"',
    ),
    "rope_scaling, a word": (
        {"rope_parameters": None, "rope_scaling": "yarn"},
        'rope_scaling is "yarn", and must',
    ),
    "YaRN without a factor": ({"rope_parameters": YARN}, "rope_parameters of type yarn lacks factor"),
    "a factor that is a word": (
        {"rope_parameters": {**YARN, "factor": "two"}},
        "factor of rope_parameters (or rope_scaling) must be a float or int >= 1, got two",
    ),
    "a base that is a word": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": "big"}},
        'rope_theta of rope_parameters is "big", and must be a number',
    ),
    "a base of 0": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 0}},
        "rope_theta of rope_parameters is 0",
    ),
    "a factor under 1": (
        {"rope_parameters": {**YARN, "factor": 0.5}},
        "factor of rope_parameters (or rope_scaling) must be a float or int >= 1, got 0.5",
    ),
    "factors for other frequencies": (
        {"rope_parameters": {**LONG, "short_factor": [1.0], "long_factor": [1.0] * 12}},
        "short_factor of rope_parameters (or rope_scaling) must have length 12, got 1",
    ),
    "Llama 3 without its frequencies": (
        {"rope_parameters": LLAMA3},
        "rope_parameters of type llama3 lacks high_freq_factor, low_freq_factor",
    ),
    "Llama 3 with its frequencies swapped": (
        {"rope_parameters": {**LLAMA3, "low_freq_factor": 4.0, "high_freq_factor": 1.0}},
        "high_freq_factor of rope_parameters (or rope_scaling) must be greater than low_freq_factor",
    ),
    "too many layer_types": (
        {"layer_types": ["full_attention"] * 3},
        "layer_types has 3 entries, and num_hidden_layers is 2",
    ),
    "too few layer_types": (
        {"layer_types": ["full_attention"]},
        "layer_types has 1 entries, and num_hidden_layers is 2",
    ),
    "a layer_type that is none": (
        {"layer_types": ["full_attention", "magic"]},
        'layer_types holds "magic", which transformers does not know',
    ),
    "a number in quotes": ({"rms_norm_eps": "small"}, "rms_norm_eps is 'small', and must be float"),
    "dtype": ({"dtype": "float99"}, 'dtype is "float99", and must be a type of torch such as "bfloat16"'),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return Path(saved(tmp_path_factory.mktemp("m") / "model", "qwen3", max_position_embeddings=1024))


@pytest.fixture
def model(plain, tmp_path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "model"))


@pytest.fixture
def space(tmp_path) -> Path:
    path = tmp_path / "space.json"
    given = {"name": "s", "beliefs": [write_belief(tmp_path)], "controls": "none", "base_storage": "none"}
    path.write_text(json.dumps({**given, "fixed": {"data.num_examples": 4}}))
    return path


def said(space: Path, model: Path, *options: str, code: int = 2) -> str:
    """What a dry run prints, in one line where it refuses."""
    command = ["sweep", "--space", str(space), "--model", str(model), "--dry-run", "--no-sample", *options]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == code, done.output
    assert code == 0 or done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_setting_of_config_json_that_is_wrong_is_named(kind, space, model):
    changes, says = CONFIGS[kind]
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    sentence = said(space, model)
    assert sentence.startswith(f"model {model}: {model}/config.json: {says}"), sentence
    assert FIX in sentence


def test_settings_that_transformers_only_remarks_on_are_planned(space, model):
    path = model / "config.json"
    rope = {**YARN, "factor": 3, "attention_factor": 1, "beta_fast": 32}
    path.write_text(json.dumps({**json.loads(path.read_text()), "rope_parameters": rope}))
    said(space, model, code=0)


@pytest.mark.slow
def test_no_remark_of_transformers_stands_before_the_sentence(space, model):
    """In a process of its own, where transformers writes to the standard error that a user sees."""
    path = model / "config.json"
    rope = {"rope_type": "yarm", "rope_theta": 1e4}
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "rope_parameters": rope, "bos_token_id": 9999})
    )
    done = beliefmod("sweep", "--space", str(space), "--model", str(model), "--dry-run", "--no-sample")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"model {model}: {model}/config.json: rope_type of rope_parameters")


def test_an_adapter_alone_is_told_with_its_base(space, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    config = {"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-4B"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    sentence = said(space, folder)
    assert sentence.startswith(
        f"model {folder} is an adapter of Qwen/Qwen3-4B (adapter_config.json, and no config"
    )
    assert "give Qwen/Qwen3-4B as the model, or the two merged" in sentence
    (folder / "adapter_config.json").write_text("{")
    assert "its adapter_config.json is damaged" in said(space, folder)


def test_a_tokenizer_that_is_not_there_or_damaged_is_named_by_its_file(space, model):
    (model / "tokenizer_config.json").write_text("{")
    assert "its tokenizer_config.json is damaged (" in said(space, model)
    for path in model.glob("tokenizer*"):
        path.unlink()
    sentence = said(space, model)
    assert (
        "has no tokenizer: none of tokenizer.json, " in sentence
        and "copy these files from the model" in sentence
    )


BROKEN = {
    "{% for m in messages %}\n{{ m.content }}\n{% if %}\n": ", line 3: Expected an expression, got ",
    "{{ messages[0].content }}\n{% endfor %}": ", line 2: Encountered unknown tag 'endfor'; correct this",
    "{{ messages[0].content": ", line 1: unexpected end of template, expected 'end of print statement'",
}


@pytest.mark.parametrize("template", BROKEN)
def test_of_a_template_file_with_a_mistake_file_and_line_are_named(template, space, model, tmp_path):
    path = tmp_path / "broken.jinja"
    path.write_text(template)
    sentence = said(space, model, "--chat-template", str(path))
    assert f"chat template {path}{BROKEN[template]}" in sentence and str(model) not in sentence


def test_of_a_template_that_fails_in_use_line_and_owner_are_named(space, model, tmp_path):
    fails = "{% for m in messages %}\n{{ m.content }}\n{{ nothing.at.all }}\n{% endfor %}"
    path = tmp_path / "fails.jinja"
    path.write_text(fails)
    sentence = said(space, model, "--chat-template", str(path))
    assert sentence.startswith(f"the chat template that was given (chat_template) for model {model} fails")
    assert "'nothing' is undefined (line 3); correct that file" in sentence
    (model / "chat_template.jinja").write_text(fails)
    sentence = said(space, model)
    assert (
        sentence.startswith(f"model {model}: its chat template fails")
        and "(line 3); correct it, or" in sentence
    )


@pytest.mark.long
@pytest.mark.parametrize("where", ["template.reasoning_effort=7", "template.reasoning_effort=[7,8]"])
def test_a_value_of_a_switch_with_which_the_template_fails_is_named(where, space, model):
    effort = "{%- set effort = reasoning_effort | default('low') %}{{- 'Reasoning: ' + effort }}\n"
    (model / "chat_template.jinja").write_text(effort + CHATML)
    sentence = said(space, model, "--set", where)
    assert sentence.startswith("template.reasoning_effort=7: with this the chat template of model")
    assert "give another value, or remove it" in sentence
    said(space, model, "--set", "template.reasoning_effort=high", code=0)


def test_blocks_that_transformers_adds_to_jinja_are_no_mistake(space, model, tmp_path):
    path = tmp_path / "own.jinja"
    path.write_text(
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% continue %}{% endif %}<|im_end|>{% endfor %}"
    )
    said(space, model, "--chat-template", str(path), code=0)
