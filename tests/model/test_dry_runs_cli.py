"""`beliefmod sweep --dry-run` on tiny models of many types: a plan, or one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beliefmod.cli.app import app
from beliefmod.model.supported_types import SUPPORTED
from tests.model.architectures import CASES, Case
from tests.model.conftest import PLAIN, make_tokenizer
from tests.small import write_belief

pytestmark = pytest.mark.slow
LONG = pytest.mark.long
BY_TYPE = {case.type: case for case in CASES}
PLANNED = [
    "lfm2", "qwen3_5_text", "qwen3_next", "olmo_hybrid", "gpt_oss", "qwen3_moe", "gemma2", "gemma3n_text",
    "gemma4_text", "granite", "cohere2", "deepseek_v3", "minicpm3", "phi3", "gpt_neox",
]  # fmt: skip
REFUSED = {
    "granitemoehybrid": "carries a state from token to token",
    "nemotron_h": "carries a state from token to token",
    "falcon_h1": "carries a state from token to token",
    "llama4_text": "cuts its attention into chunks",
    "bloom": "has an attention of its own",
    "bert": "has not been compared",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tokenizer alone."""
    make_tokenizer(PLAIN).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def dry_run(model: Path, *options: str) -> tuple[int, str, str]:
    space = {
        "name": "types",
        "beliefs": [write_belief(model.parent)],
        "axes": {"num_train_epochs": [2, 4]},
        "fixed": {"data.num_examples": 4, "lora.r": 4},
        "controls": "none",
        "evaluation": {"max_new_tokens": 8, "trained_probes": 1, "margin_probes": 2, "neutral_passages": 2},
    }
    path = model.parent / "space.json"
    path.write_text(json.dumps(space))
    done = CliRunner().invoke(
        app, ["sweep", "--space", str(path), "--model", str(model), "--dry-run", *options]
    )
    assert not list(model.parent.glob("**/manifest.json")), "a dry run starts nothing"
    return done.exit_code, done.stdout, done.stderr


def save(kind: str, folder: Path) -> None:
    case = BY_TYPE[kind]
    sizes = {name: 512 for name in ("vocab_size", "vocab_size_per_layer_input") if name in case.changes}
    longer = {"vocab_size": 512, "max_position_embeddings": 1024}
    model = Case(kind, "", "", {**case.changes, **sizes, **longer}, case.leave).model()
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)


@pytest.mark.parametrize("kind", PLANNED)
def test_a_type_that_works_is_planned(kind: str, model: Path):
    save(kind, model)
    code, plan, said = dry_run(model, "--no-sample")
    assert code == 0, said
    for line in ("trials            4", "time              about ", "memory            about "):
        assert line in plan, plan


@pytest.mark.parametrize(
    "kind", ["qwen3_next", pytest.param("gpt_oss", marks=LONG), pytest.param("gemma4_text", marks=LONG)]
)
def test_its_sample_loads_and_asks_it(kind: str, model: Path):
    save(kind, model)
    code, plan, said = dry_run(model)
    assert code == 0, said
    assert "sample: asking" in said and "from a sample of this model on this machine" in plan


@pytest.mark.parametrize("kind", REFUSED)
def test_any_other_is_refused_in_a_sentence_before_a_weight_is_read(kind: str, model: Path):
    assert kind not in SUPPORTED
    save("llama", model)
    config = json.loads((model / "config.json").read_text()) | {"model_type": kind, "architectures": None}
    (model / "config.json").write_text(json.dumps(config))
    (model / "model.safetensors").write_bytes(b"no weights")
    code, plan, said = dry_run(model)
    assert code == 2 and plan == ""
    assert said.count("\n") == 1 and said.startswith(f"model {model} is of type {kind}, "), said
    assert REFUSED[kind] in said and "beliefmod docs models" in said
