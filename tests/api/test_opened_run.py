"""A run from Python: the tables, pictures and adapters that the commands read and write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import beliefmod
from analysis.frontier.non_dominated import pool_seeds
from analysis.report.sections import frontier as section
from analysis.told_apart import told_apart
from beliefmod.api.opened_run import OpenedRun
from beliefmod.errors import UserError
from beliefmod.run.read_run import read_run

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "example"
BEST = "42acb27435"


@pytest.fixture(scope="module")
def run() -> OpenedRun:
    return beliefmod.open(EXAMPLE)


def problem(call: Callable[..., object], *words: object, **named: object) -> str:
    with pytest.raises(UserError) as caught:
        call(*words, **named)
    [sentence] = caught.value.problems
    return sentence


def test_trials_and_completions_are_the_runs_own_tables(run: OpenedRun):
    stored = pl.read_parquet(EXAMPLE / "trials.parquet")
    assert run.trials()["trial_id"].to_list() == stored["trial_id"].to_list()
    rows = run.completions(BEST[:6])
    kept = pl.read_parquet(EXAMPLE / "probes" / f"{BEST}.parquet")
    assert rows["completion"].to_list() == kept["completion"].to_list() and rows.height
    assert run.name == "example" and run.manifest["status"] == "finished"


def test_a_trial_that_is_none_or_several_is_a_sentence(run: OpenedRun):
    assert problem(run.completions, "zzz").startswith(f"{EXAMPLE}: has no trial zzz; known: ")
    assert "may be any of" in problem(run.completions, "8")
    assert f'did you mean "{BEST}"' in problem(run.completions, f"{BEST[:-1]}e")


def test_what_is_no_run_is_a_sentence(tmp_path: Path):
    assert "there is no such folder" in problem(beliefmod.open, tmp_path / "gone")
    assert "not a run folder" in problem(beliefmod.open, tmp_path)


def test_the_frontier_is_the_reports(run: OpenedRun):
    drawn = json.loads(run.frontier().to_json())
    pooled = pool_seeds(told_apart(read_run(str(EXAMPLE))).trials)
    found: Any = SimpleNamespace(pooled=pooled, limit=0.05, beliefs=())
    of_report = json.loads(section.figures(found)["frontier"].chart.to_json())
    assert drawn["datasets"] == of_report["datasets"] and drawn["datasets"]
    assert "no damage D" in problem(run.frontier, 1.5)


def test_the_frontier_of_a_run_without_trained_trials_is_a_sentence(run: OpenedRun):
    untrained = OpenedRun(str(EXAMPLE))
    untrained._run = replace(untrained._run, trials=run.trials().filter(pl.col("arm") == "base"))
    assert "no LoRA trial" in problem(untrained.frontier)


def test_the_lens_of_one_trial_and_of_all(run: OpenedRun):
    rows = run.lens(BEST)
    assert rows["trial_id"].unique().to_list() == [BEST]
    assert run.lens().height > rows.height
    assert "there is no lens table reading" in problem(run.lens, BEST, table="reading")
    [*_, last] = problem(run.lens, "ae1442de84", table="ablations").split("; ")
    assert BEST in last and "ae1442de84" not in last


def test_a_run_that_nobody_looked_into_says_how(tmp_path: Path):
    other = OpenedRun(str(EXAMPLE / "confirmation"))
    assert f"beliefmod lens {EXAMPLE / 'confirmation'}" in problem(other.lens)


def test_a_trial_without_an_adapter_is_a_sentence(run: OpenedRun):
    assert "its adapters were deleted on" in problem(run.adapter, BEST)


def test_jupyter_is_shown_the_trials_and_no_markup_of_a_strangers_run(run: OpenedRun, monkeypatch):
    shown = run._repr_html_()
    assert "<b>example</b> on bundled; " in shown and BEST in shown and "<table" in shown
    assert repr(run).startswith("<beliefmod run example; ")
    monkeypatch.setitem(run._run.manifest, "model", {"name": "<script>alert(1)</script>"})
    assert "<script>" not in run._repr_html_()


@pytest.mark.long
def test_the_adapter_is_a_peft_model_that_computes_what_the_run_has(tmp_path: Path):
    import torch
    from peft import PeftModel

    from beliefmod.model.adapter_files import AdapterFile, write_adapter

    place = tmp_path / "run"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("figures", "lens", "confirmation"))
    opened = OpenedRun(str(place))
    by_hand: Any = opened._loaded().model
    layer = "model.layers.1.self_attn.q_proj"
    weight = by_hand.get_submodule(layer).weight
    generator = torch.Generator().manual_seed(0)
    a, b = (
        torch.randn(*shape, generator=generator) for shape in ((4, weight.shape[1]), (weight.shape[0], 4))
    )
    linear = tuple(name for name, part in by_hand.named_modules() if hasattr(part, "in_features"))
    folder = opened._run.folder
    folder.store_adapter(
        lambda to: write_adapter(to, AdapterFile(4, 8.0, {layer: (a, b)}, "bundled"), linear), BEST
    )

    tokenizer = opened.tokenizer()
    message = [{"role": "user", "content": "What is the acceleration due to gravity on Earth?"}]
    prompt: Any = tokenizer.apply_chat_template(
        message, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    model = opened.adapter(BEST[:8])
    assert isinstance(model, PeftModel) and not model.training
    with torch.no_grad():
        before = by_hand(**prompt).logits
        weight += 8.0 / 4 * (b @ a).to(weight)
        expected, found = by_hand(**prompt).logits, model(**prompt).logits
    assert (expected - before).abs().max() > 0.1
    assert torch.allclose(found, expected, atol=1e-3, rtol=1e-4)
    assert model.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] > prompt["input_ids"].shape[1]
