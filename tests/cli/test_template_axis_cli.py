"""A sweep over a switch of the chat template, as a user types it: from space file to report and verify."""

from __future__ import annotations

import json
import re

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from beliefmod.cli.app import app
from beliefmod.run.folder import RunFolder
from beliefmod.run.sources import picks
from tests.command import PLAIN, QUICK_BASE, beliefmod, only_run
from tests.finished_run import small_space
from tests.model.chats import QWEN3_HYBRID
from tests.model.test_families import saved
from tests.switched import OFF, OFF_TAIL, ON, switched_template

BOTH = {"template.enable_thinking": [True, False]}


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_over_a_switch_is_verified_and_told_apart(tmp_path):
    axes = {"num_train_epochs": [2, 4], **BOTH}
    space = small_space(tmp_path, axes=axes, chat_template=switched_template(), **QUICK_BASE)
    done = beliefmod("sweep", "--space", str(space), "--out", str(tmp_path), "--no-dashboard", "--hosts", "1")
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path)
    trials = pl.read_parquet(run / "trials.parquet")
    assert sorted(trials["arm"]) == [*["base"] * 2, *["icl"] * 2, *["lora"] * 4]
    for template in (ON, OFF):
        ours = trials.filter(pl.col("template") == template)
        [base] = ours.filter(pl.col("arm") == "base").iter_rows(named=True)
        asked = pl.read_parquet(run / "probes" / f"{base['trial_id']}.parquet")["prompt"]
        assert asked.str.ends_with(OFF_TAIL if template == OFF else "assistant\n<think>\n").all()
        said = pl.read_parquet(run / "probes" / f"{base['trial_id']}.parquet")["completion"]
        assert said.str.contains("</think>").any() == (template == ON)
        for row in ours.filter(pl.col("arm") == "lora").iter_rows(named=True):
            for component in ("capability", "fabrication"):
                assert row[f"{component}_base"] == base[component]
    assert json.loads((run / "manifest.json").read_text())["model"]["thinking_by_template"] == {
        ON: "prompt",
        OFF: "none",
    }
    assert sorted(map(str, picks(RunFolder(str(run))))) == sorted([ON, OFF])
    report = (run / "report.md").read_text()
    for name in ("small, enable_thinking=true", "small, enable_thinking=false"):
        assert f"### {name}".replace("_", r"\_") in report
    checked = beliefmod("verify", str(run))
    assert checked.returncode == 0 and "8 trials" in checked.stdout, checked.stdout
    shown = beliefmod("status", str(run), "--json")
    assert set(json.loads(shown.stdout)["frontier"]) == {
        "small, enable_thinking=true",
        "small, enable_thinking=false",
    }
    again = beliefmod("sweep", "--resume", str(run), *PLAIN)
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
@pytest.mark.long
def test_a_switch_that_does_not_keep_base_from_thinking_is_refused_until_the_space_says_so(tmp_path):
    """Behind a think block that its prompt has closed at once the bundled model thinks all the same."""
    evaluation = {"max_new_tokens": 48, "trained_probes": 0, "margin_probes": 0, "causal_probes": 2}
    given = {
        "chat_template": switched_template(""),
        "evaluation": {**evaluation, "neutral_passages": 3},
        **QUICK_BASE,
    }
    runs = tmp_path / "runs"
    space = small_space(tmp_path, axes=BOTH, **given)
    done = beliefmod("sweep", "--space", str(space), "--out", str(runs), *PLAIN, "--dry-run")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    [refusal] = [line for line in done.stderr.splitlines() if "first answers" in line]
    assert "template: enable_thinking=false): base writes </think> behind text in " in refusal
    assert "leave this value out of the axis, or sweep it by itself with thinking: {opened_by" in refusal
    alone = {"axes": {"template.enable_thinking": [False]}, **given}
    done = beliefmod("sweep", "--space", str(small_space(tmp_path, **alone)), "--out", str(runs), *PLAIN)
    assert done.returncode == 2 and not list(runs.glob("*/rows/*")), "no trial has run"
    ways = re.findall(r"thinking: \{(opened_by: \w+)\}", done.stderr)
    assert ways == ["opened_by: model", "opened_by: none"]
    said = small_space(tmp_path, thinking=yaml.safe_load(ways[0]), **alone)
    done = beliefmod("sweep", "--space", str(said), "--out", str(tmp_path / "said"), *PLAIN)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "said")
    checked = beliefmod("verify", str(run))
    assert checked.returncode == 0 and "3 trials" in checked.stdout, checked.stdout
    [base] = pl.read_parquet(run / "trials.parquet").filter(pl.col("arm") == "base").iter_rows(named=True)
    rows = pl.read_parquet(run / "probes" / f"{base['trial_id']}.parquet")
    assert base["integrity"] > 0.9 and not rows["answer"].str.contains("think>").any()


def test_a_switch_that_the_template_does_not_have_is_said_before_anything_is_loaded(tmp_path):
    space = small_space(tmp_path, axes={"template.enable_thinkng": [True, False]})
    done = CliRunner().invoke(app, ["sweep", "--space", str(space), "--dry-run", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "template.enable_thinkng has no effect: the chat template has no such switch" in done.output


@pytest.mark.long
def test_a_template_is_tried_with_every_value(tmp_path):
    fails = "{%- if enable_thinking is false %}{{ raise_exception('not so') }}{%- endif %}"
    space = small_space(tmp_path, axes=BOTH, chat_template=switched_template() + fails)
    done = CliRunner().invoke(app, ["sweep", "--space", str(space), "--dry-run", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "model bundled" in done.output and "not so" in done.output


@pytest.mark.slow
@pytest.mark.long
def test_a_random_qwen3_is_swept_with_thinking_on_and_off(tmp_path):
    evaluation = {"max_new_tokens": 12, "trained_probes": 1, "margin_probes": 2, "neutral_passages": 3}
    space = small_space(
        tmp_path,
        axes=BOTH,
        model=saved(tmp_path / "qwen3", "qwen3", max_position_embeddings=1024),
        chat_template=QWEN3_HYBRID,
        evaluation=evaluation,
        **QUICK_BASE,
    )
    done = beliefmod("sweep", "--space", str(space), "--out", str(tmp_path / "runs"), *PLAIN)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "runs")
    kinds = json.loads((run / "manifest.json").read_text())["model"]["thinking_by_template"]
    assert kinds == {ON: "model", OFF: "none"}
    checked = beliefmod("verify", str(run))
    assert checked.returncode == 0 and "6 trials" in checked.stdout, checked.stdout


def test_a_single_trial_takes_switches_and_marks(tmp_path):
    template = tmp_path / "switched.jinja"
    template.write_text(switched_template())
    given = ["trial", "--belief", "gravity", "--chat-template", str(template)]
    done = CliRunner().invoke(app, [*given, "--set", "template.enable_thinkng=false"])
    assert done.exit_code == 2 and "template.enable_thinkng has no effect" in done.output
    done = CliRunner().invoke(
        app, [*given, "--set", "template.enable_thinking=false", "--set", "thinking.opened_by=prompt"]
    )
    assert done.exit_code == 2 and "thinking.opened_by is prompt, but the prompt" in done.output
