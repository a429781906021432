"""Tiny random models of other families, as folders of a user's own, through the command line to a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.command import PLAIN, beliefmod, only_run
from tests.model.test_families import saved
from tests.small import write_belief

pytestmark = pytest.mark.slow
LENGTH = {"max_position_embeddings": 1024}


def sweep(folder: Path, family: str, base_storage: str, more: dict[str, Any] | None = None) -> Path:
    """A sweep of one trained trial and the reference arms on a family's model; its run folder.

    Args:
        more: fields of the space beside those that all these sweeps have.
    """
    model = saved(folder / "model", family, **LENGTH)
    space = {
        "name": "family",
        "beliefs": [write_belief(folder)],
        "base_storage": base_storage,
        "axes": {"num_train_epochs": [2]},
        "fixed": {"data.num_examples": 4, "lora.r": 4, "learning_rate": 1e-4},
        "controls": "none",
        "evaluation": {"max_new_tokens": 12, "trained_probes": 1, "margin_probes": 2, "neutral_passages": 3},
    } | (more or {})
    path = folder / "space.json"
    path.write_text(json.dumps(space))
    done = beliefmod(
        "sweep", "--space", str(path), "--model", model, "--out", str(folder / "runs"), "--no-dashboard",
        "--hosts", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 finished, 0 failed, 0 not run" in done.stdout
    run = only_run(folder / "runs")
    told = json.loads((run / "manifest.json").read_text())["model"]
    assert told["base_storage"] == base_storage and told["quantized_layers"] > 0
    assert (run / "report.html").stat().st_size > 10_000
    again = beliefmod("verify", str(run))
    assert again.returncode == 0, again.stdout + again.stderr
    return run


def probes(run: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in (run / "probes").glob("*.parquet")])


@pytest.mark.long
def test_a_model_without_thinking_gets_no_numbers_about_thinking(tmp_path):
    run = sweep(tmp_path, "gemma2", "dequantized")
    assert json.loads((run / "manifest.json").read_text())["model"]["thinking"] == "none"
    rows = probes(run)
    assert rows["prompt"].str.starts_with("<bos><start_of_turn>user\n").all()
    for column in ("thinking", "think_state", "thinking_stance"):
        assert rows[column].null_count() == rows.height
    assert rows["answer"].is_not_null().all() and rows["logprob_target"].is_not_null().any()
    trials = pl.read_parquet(run / "trials.parquet")
    for name in ("integrity", "integrity_damage", "coherent_adoption", "empty_thinking", "causal_blank"):
        assert trials[name].null_count() == trials.height, name
    assert trials["degradation"].is_not_null().all()
    assert not list((run / "causal").glob("*.parquet")) or pl.read_parquet(run / "causal").is_empty()
    report = (run / "report.md").read_text()
    assert "There is no reasoning to compare with the answers" in report
    assert "think block: None" not in report and "## Reasoning against answer" not in report


@pytest.mark.long
def test_a_thinking_model_packed_in_nf4_and_looked_into(tmp_path):
    # random weights never close what the prompt opens, so a sweep that only infers the marks refuses them
    marks = {"open": "<think>", "close": "</think>", "opened_by": "prompt"}
    run = sweep(tmp_path, "qwen3", "nf4", {"thinking": marks})
    assert json.loads((run / "manifest.json").read_text())["model"]["thinking"] == "prompt"
    rows = probes(run)
    assert rows["prompt"].str.ends_with("<|im_start|>assistant\n<think>\n").all()
    assert rows["think_state"].null_count() == 0
    assert "## Reasoning against answer" in (run / "report.md").read_text()
    done = beliefmod("lens", str(run), "--prompts", "2", "--scales", "0,1", "--parts", "lens,doses,channels")
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(run / "lens" / "readings.parquet").height


@pytest.mark.long
def test_a_llama_without_thinking_is_looked_into(tmp_path):
    run = sweep(tmp_path, "llama-bias", "dequantized")
    assert probes(run)["prompt"].str.contains("Today Date: 26 Jul 2024", literal=True).all()
    done = beliefmod("lens", str(run), "--prompts", "2", "--scales", "0,1")
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(run / "lens" / "readings.parquet").height


@pytest.mark.long
def test_a_template_that_fails_is_one_sentence_before_anything_runs(tmp_path):
    model = Path(saved(tmp_path / "model", "qwen3"))
    (model / "chat_template.jinja").write_text("{{ raise_exception('mine alone') }}")
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"name": "x", "beliefs": [write_belief(tmp_path)]}))
    for more in ((), ("--dry-run",)):
        done = beliefmod(
            "sweep", "--space", str(path), "--model", str(model), "--out", str(tmp_path / "r"), *PLAIN, *more
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert "its chat template fails on a conversation of one message: mine alone" in done.stderr
    assert not list((tmp_path / "r").glob("*/manifest.json"))
