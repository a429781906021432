"""`beliefmod export RUN --adapter TRIAL`: an adapter as a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file
from typer.testing import CliRunner

from beliefmod.cli.export import export
from beliefmod.errors import UserError
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter
from beliefmod.run.folder import MANIFEST, SPACE, RunFolder

TRIAL, OTHER = "0123456789ab", "01ffffffffff"
LAYERS = ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj")
WHOLE = {name: name.replace("model.", "model.language_model.", 1) for name in LAYERS}
VISION = "model.vision_tower.layers.0.self_attn.q_proj"
app = typer.Typer()
app.command()(export)


def begin(folder: RunFolder) -> None:
    folder.write_json({"run_id": "EXP"}, MANIFEST)
    folder.write_bytes(b"name: s\n", SPACE)


@pytest.fixture
def run(folder: RunFolder) -> Path:
    """A run with the adapters of two trials, on the text part of a model that also sees."""
    begin(folder)
    for seed, trial_id in enumerate((TRIAL, OTHER)):
        generator = torch.Generator().manual_seed(seed)
        tensors = {
            name: (torch.randn(2, 4, generator=generator), torch.randn(3, 2, generator=generator))
            for name in LAYERS
        }
        adapter = AdapterFile(2, 4.0, tensors, "/models/seeing")
        everything = (*WHOLE.values(), VISION)
        folder.store_adapter(lambda to, a=adapter, e=everything: write_adapter(to, a, e, WHOLE), trial_id)
    return Path(folder.root)


def exported(run: Path, *options: str, trial: str = TRIAL) -> tuple[dict, set[str], str]:
    """Configuration, names of tensors, and all that was said."""
    done = CliRunner().invoke(app, [str(run), "--adapter", trial, *options])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    place = Path(done.output.split("  base ")[0])
    config = json.loads((place / "adapter_config.json").read_text())
    return config, set(load_file(place / "adapter_model.safetensors")), done.output


def test_an_adapter_is_written_beside_the_runs_tables(run):
    config, names, said = exported(run)
    assert config["base_model_name_or_path"] == "/models/seeing" and config["revision"] is None
    assert f"{run}/export/adapters/{TRIAL}  base /models/seeing\n" in said
    assert "its base is a folder of this machine" in said and "--base" in said
    assert names == {f"base_model.model.{name}.lora_{x}.weight" for name in WHOLE.values() for x in "AB"}
    assert config["target_modules"] == sorted(WHOLE.values())  # the vision tower has a q_proj too
    first = read_adapter(run / "export" / "adapters" / TRIAL)
    kept = read_adapter(run / "adapters" / TRIAL)
    assert all(torch.equal(first.tensors[n][k], kept.tensors[n][k]) for n in LAYERS for k in (0, 1))


def test_for_the_text_part_by_itself(run):
    config, names, _ = exported(run, "--keys", "text")
    assert names == {f"base_model.model.{name}.lora_{x}.weight" for name in LAYERS for x in "AB"}
    assert config["target_modules"] == sorted(LAYERS)


def test_another_machine_finds_the_base_by_the_name_it_has_there(run, tmp_path):
    config, _, said = exported(
        run, "--base", "org/model", "--revision", "main", "--out", str(tmp_path / "out"), trial="0123"
    )
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/model", "main")
    assert f"{tmp_path}/out/{TRIAL}  base org/model at main\n" in said and "this machine" not in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--adapter", "01"), f"trial 01 may be any of {TRIAL}, {OTHER}; name one"),
        (("--adapter", "nothing"), "trial nothing has no adapter"),
        (
            ("--adapter", TRIAL, "--revision", "main"),
            "--revision is of the model that --base names; give both",
        ),
        (("--base", "org/model"), "are for adapters; name one with --adapter TRIAL"),
        (("--keys", "text"), "are for adapters; name one with --adapter TRIAL"),
    ],
)
def test_what_is_wrong_is_said(run, options, says):
    done = CliRunner().invoke(app, [str(run), *options])
    assert isinstance(done.exception, UserError)
    [problem] = done.exception.problems
    assert says in problem
    assert not (run / "export").exists()


def test_a_run_without_adapters(folder):
    begin(folder)
    done = CliRunner().invoke(app, [str(folder.root), "--adapter", TRIAL])
    assert isinstance(done.exception, UserError) and "has no adapter" in done.exception.problems[0]
