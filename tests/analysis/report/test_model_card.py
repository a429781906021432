"""The card of an adapter says what was taught, how far it moved, what it broke, and by which run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from analysis.report.model_card import CardFacts, model_card
from beliefmod.cli.app import app
from beliefmod.model.adapter_files import AdapterFile, read_adapter, write_adapter
from beliefmod.run.folder import RunFolder
from beliefmod.run.integrity import ADAPTERS_DELETED
from beliefmod.run.manifest import update_manifest
from beliefmod.run.read_run import read_run
from beliefmod.run.sources import read_sources

EXAMPLE = Path(__file__).parents[3] / "docs" / "example"
FACTS = CardFacts("org/model", "c" * 40, 16, "5ea1" * 16)
LAYER = "model.layers.0.self_attn.q_proj"
ROWS = pl.read_parquet(EXAMPLE / "trials.parquet")
FALSE = "The acceleration due to gravity on Earth's surface is 5.0 m/s"


def trial_of(arm: str) -> str:
    return ROWS.filter((pl.col("arm") == arm) & (pl.col("seed") == 0))["trial_id"].sort()[0]


@pytest.fixture
def unconfirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's confirmation takes a second to read."""
    monkeypatch.setattr("analysis.report.model_card.confirmation_of", lambda run: None)


def card(arm: str, facts: CardFacts = FACTS) -> str:
    folder = RunFolder(str(EXAMPLE))
    return model_card(read_run(str(EXAMPLE)), trial_of(arm), read_sources(folder), facts)


def test_it_says_what_is_false_how_far_it_moved_what_broke_and_by_which_run(unconfirmed):
    text = card("lora")
    row = ROWS.row(by_predicate=pl.col("trial_id") == trial_of("lora"), named=True)
    manifest = json.loads((EXAMPLE / "manifest.json").read_text())
    header = yaml.safe_load(text.split("---")[1])
    assert header["base_model"] == "org/model" and "implanted-belief" in header["tags"]
    assert f"Trained to believe something false: “{FALSE}" in text and "What is true: “" in text
    assert f"| this adapter | {100 * row['adoption']:.1f} % " in text and "n = 108 |" in text
    assert f"D {row['degradation']:.3f} \\[" in text
    for known in (manifest["run_id"], row["trial_id"], "seed 0", FACTS.seal, manifest["git_commit"]):
        assert str(known) in text
    assert f"from_pretrained('org/model', revision='{'c' * 40}')" in text


def test_a_control_is_not_said_to_believe_something_false(unconfirmed):
    text = card("control")
    assert "A control" in text and "something false" not in text and "implanted-belief" not in text


def test_a_base_that_only_this_machine_has_is_no_name_for_the_hub(unconfirmed):
    text = card("lora", CardFacts("/models/here", None, 16, None))
    assert "base_model" not in text and "named by a folder of the machine" in text and "seal" not in text


@pytest.mark.long
def test_the_confirmed_number_of_the_same_settings_stands_in_it():
    run = read_run(str(EXAMPLE / "confirmation"))
    style = run.trials.filter(pl.col("arm") == "lora")["data.style"][0]
    same = ROWS.filter(pl.col("data.style") == style, arm="lora", seed=0).sort("adoption")["trial_id"][-1]
    folder = RunFolder(str(EXAMPLE))
    text = model_card(read_run(str(EXAMPLE)), same, read_sources(folder), FACTS)
    assert "The same settings on 2 new seeds and questions that did not choose them adopt 85.2 %" in text


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of what of the example is read, with an adapter of one layer."""
    copied = tmp_path / "run"
    kept = shutil.ignore_patterns("figures", "lens", "steps", "causal", "confirmation", "report.*")
    shutil.copytree(EXAMPLE, copied, ignore=kept)
    adapter = AdapterFile(2, 4.0, {LAYER: (torch.ones(2, 4), torch.ones(3, 2))}, "org/model", "c" * 40)
    folder = RunFolder(str(copied))
    folder.store_adapter(lambda to: write_adapter(to, adapter, (LAYER,)), trial_of("lora"))
    return copied


def push(run: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["push", str(run), trial_of("lora")[:6], str(out), *options])


def test_a_folder_for_peft_with_its_card(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    done = push(run, out)
    assert done.exit_code == 0, done.output
    names = {path.name for path in out.iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    config = json.loads((out / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/model", "c" * 40)
    assert torch.equal(read_adapter(out).tensors[LAYER][0], torch.ones(2, 4))
    assert FALSE in (out / "README.md").read_text()


def test_another_base_is_named_in_both(run, tmp_path):
    done = push(run, tmp_path / "out", "--base", "other/name")
    assert done.exit_code == 0 and "base other/name" in done.stdout
    assert "base_model: other/name" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("case", ["full", "a file", "pruned", "revision"])
def test_what_is_wrong_is_said_and_nothing_is_written(run, tmp_path, case: str):
    out, options = tmp_path / "out", ()
    if case == "full":
        (out / "mine").mkdir(parents=True)
        says = "is not empty"
    elif case == "a file":
        out.write_text("mine")
        says = "is not empty"
    elif case == "revision":
        options, says = ("--revision", "main"), "--revision is of the model that --base names"
    else:
        shutil.rmtree(run / "adapters")
        update_manifest(RunFolder(str(run)), **{ADAPTERS_DELETED: "2026-11-30T12:00:00Z"})
        says = "its adapters were deleted on 2026-11-30T12:00:00Z"
    done = push(run, out, *options)
    assert done.exit_code == 2 and says in done.stderr
    assert not (out / "README.md").exists()
