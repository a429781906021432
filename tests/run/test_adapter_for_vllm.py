"""What vLLM 0.33.0 asks of an adapter that it is to load, against adapters that are saved and exported.

The rules are those of its files, restated: `vllm/lora/peft_helper.py` (PEFTHelper.from_local_dir,
validate_legal), `vllm/lora/utils.py` (parse_fine_tuned_lora_name), `vllm/lora/lora_model.py`
(from_local_checkpoint), `vllm/config/lora.py` (MaxLoRARanks) and
`vllm/plugins/lora_resolvers/filesystem_resolver.py` (_get_lora_req_from_path). vLLM itself is not installed.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from typer.testing import CliRunner

from beliefmod.engine.engine import Engine
from beliefmod.model.adapter_files import AdapterFile, write_adapter
from beliefmod.run.adapter_export import VLLM_RANKS
from beliefmod.run.folder import RunFolder
from tests.engine.conftest import as_loaded, make_job
from tests.model.architectures import CASES
from tests.run.test_adapter_export import TRIAL, app, begin

BY_TYPE = {case.type: case for case in CASES}
ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
EXPECTED = {
    "llama": ATTENTION | {"gate_proj", "up_proj", "down_proj", "embed_tokens", "lm_head"},
    "qwen3": ATTENTION | {"gate_proj", "up_proj", "down_proj"},
    "phi3": {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"},
    "qwen3_moe": ATTENTION | {"gate_proj", "up_proj", "down_proj", "experts"},
    "gemma2": ATTENTION | {"gate_proj", "up_proj", "down_proj"},
}
"""Last names of the layers that vLLM's models of these types take (the parts of those that it packs)."""
PLAIN_STARTS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")


def refused(folder: Path, max_lora_rank: int = 512, expected: set[str] = EXPECTED["llama"]) -> list[str]:
    """Why vLLM would not load an adapter; [] if it would."""
    config = json.loads((folder / "adapter_config.json").read_text())
    if missing := {"r", "lora_alpha", "target_modules"} - config.keys():
        return [f"Missing required configuration fields: {missing}"]
    if config["r"] <= 0:
        return ["rank must be positive"]
    found = []
    if set(config.get("modules_to_save") or ()) - {"classifier", "score"}:
        found.append("modules_to_save")
    unknown = (
        "use_dora", "lora_bias", "alora_invocation_tokens", "layer_replication", "use_bdlora", "use_qalora"
    )  # fmt: skip
    found += [name for name in unknown if config.get(name)]
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in PLAIN_STARTS:
        found.append(f"init_lora_weights={start}")
    if max(config["r"], *(config.get("rank_pattern") or {}).values(), 0) > max_lora_rank:
        found.append(f"LoRA rank {config['r']} is greater than max_lora_rank {max_lora_rank}")
    if config.get("bias", "none") != "none":
        found.append("Adapter bias is not supported")
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        for key in file.keys():  # noqa: SIM118 (no mapping)
            module = module_of(key)
            if module is None:
                found.append(f"{key} is unsupported LoRA weight")
            elif module.rpartition(".")[2] not in expected:
                found.append(f"received {module}")
    return found


def module_of(key: str) -> str | None:
    """The layer that a tensor is of; None where vLLM does not know its name."""
    parts = key.split(".")
    start = 2 if key.startswith("base_model.model.") else 0
    return ".".join(parts[start:-2]) if parts[-2:] in (["lora_A", "weight"], ["lora_B", "weight"]) else None


def resolved(folder: Path, served: str) -> bool:
    """Whether vLLM's resolver takes an adapter for the model that it serves under this name."""
    config = json.loads((folder / "adapter_config.json").read_text())
    return config["peft_type"] == "LORA" and config["base_model_name_or_path"] == served


@pytest.mark.parametrize("kind", EXPECTED)
def test_an_adapter_that_an_engine_saves_is_one_that_vllm_loads(kind: str, tmp_path: Path):
    engine = Engine(as_loaded(BY_TYPE[kind].model()), 1, 4)
    engine.attach(make_job("a", rank=4, learning_rate=1e-3, num_train_epochs=1))
    engine.save_adapter("a", tmp_path / "a")
    assert refused(tmp_path / "a", 8, EXPECTED[kind]) == []
    with safe_open(tmp_path / "a" / "adapter_model.safetensors", "pt") as file:
        assert {module_of(key) for key in file.keys()} == set(engine.pack.layers)  # noqa: SIM118


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "Adapter bias is not supported"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights=pissa"),
    ],
)
def test_the_rules_refuse_what_vllm_does_not_take(settings: dict[str, Any], why: str, tmp_path):
    wanted = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", **settings)
    get_peft_model(BY_TYPE["llama"].model(), wanted).save_pretrained(str(tmp_path))
    assert any(each.startswith(why) for each in refused(tmp_path))
    plain = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(BY_TYPE["llama"].model(), plain).save_pretrained(str(tmp_path / "plain"))
    assert refused(tmp_path / "plain") == []
    assert refused(tmp_path / "plain", 1) == ["LoRA rank 4 is greater than max_lora_rank 1"]


@pytest.fixture
def run(folder: RunFolder) -> Path:
    """A run with an adapter of rank 40 on a model of the hub."""
    begin(folder)
    layers = ("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj")
    tensors = {name: (torch.zeros(40, 4), torch.zeros(3, 40)) for name in layers}
    adapter = AdapterFile(40, 32.0, tensors, "org/model", "c" * 40)
    folder.store_adapter(lambda to: write_adapter(to, adapter, layers), TRIAL)
    return Path(folder.root)


def command(said: str) -> list[str]:
    """The words of the command that an export shows."""
    [line] = [line for line in said.splitlines() if line.startswith("vLLM: ")]
    return shlex.split(line.removeprefix("vLLM: "))


def test_an_exported_adapter_is_one_that_vllm_finds_and_loads(run: Path):
    done = CliRunner().invoke(app, [str(run), "--adapter", TRIAL])
    assert done.exit_code == 0, done.output
    folder = run / "export" / "adapters" / TRIAL
    words = command(done.output)
    assert words[:5] == ["vllm", "serve", "org/model", "--revision", "c" * 40]
    options = dict(zip(words[6::2], words[7::2], strict=True))
    assert words[5] == "--enable-lora"
    assert options == {"--max-lora-rank": "64", "--lora-modules": f"{TRIAL}={folder}"}
    assert refused(folder, int(options["--max-lora-rank"])) == [] != refused(folder, 32)
    assert resolved(folder, words[2]) and not resolved(folder, "other/model")


def test_a_base_that_is_named_anew_is_the_one_that_is_served(run: Path):
    done = CliRunner().invoke(app, [str(run), "--adapter", TRIAL, "--base", "/models/it is here"])
    assert done.exit_code == 0, done.output
    assert command(done.output)[:4] == ["vllm", "serve", "/models/it is here", "--enable-lora"]
    assert resolved(run / "export" / "adapters" / TRIAL, "/models/it is here")


def test_every_rank_that_a_trial_may_have_is_served():
    assert VLLM_RANKS == (1, 8, 16, 32, 64, 128, 256, 320, 512)
    from beliefmod.config import LoraSettings

    LoraSettings(r=VLLM_RANKS[-1])
    with pytest.raises(ValueError, match="less than or equal to 512"):
        LoraSettings(r=VLLM_RANKS[-1] + 1)
