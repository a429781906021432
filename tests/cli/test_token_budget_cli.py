"""A sweep whose files name no token limit, and one whose model thinks otherwise than its template says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from beliefmod.bundled import weights_dir
from tests.command import PLAIN, QUICK_BASE, beliefmod, only_run
from tests.finished_run import small_space

pytestmark = [pytest.mark.slow, pytest.mark.long]


def space_of(folder: Path, limit: int | None, **changes: object) -> Path:
    """A small sweep of a copy of the bundled model whose generation config names this limit, or none."""
    model = folder / "model"
    shutil.copytree(weights_dir(), model)
    config = model / "generation_config.json"
    facts = json.loads(config.read_text())
    facts |= {"max_new_tokens": limit}
    config.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}))
    evaluation = {"trained_probes": 0, "margin_probes": 0, "causal_probes": 0, "neutral_passages": 0}
    axes = {"num_train_epochs": [1]}
    space = {"axes": axes, "model": str(model), "evaluation": evaluation, **QUICK_BASE, **changes}
    return small_space(folder, **space)


def test_the_limit_follows_from_base_is_written_down_and_kept(tmp_path):
    space = space_of(tmp_path, None)
    planned = beliefmod("sweep", "--space", str(space), "--dry-run", "--out", str(tmp_path / "runs"))
    assert planned.returncode == 0, planned.stderr
    [line] = [line for line in planned.stdout.splitlines() if line.startswith("answers ")]
    done = beliefmod("sweep", "--space", str(space), "--out", str(tmp_path / "runs"), *PLAIN)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "runs")
    manifest = json.loads((run / "manifest.json").read_text())
    found = manifest["token_budget"]
    assert found["limit"] == manifest["model"]["max_new_tokens"] == -(-1.5 * found["needed"] // 32) * 32
    assert found["asked"] == 24 and 0 < found["needed"] < 160
    assert (
        f"answers have at most {found['limit']} tokens, 1.5 times the {found['needed']} that" in done.stderr
    )
    # the plan has asked the same and found the same
    assert f"at most {found['limit']} tokens each (1.5 times the {found['needed']} that 95 % of 24" in line
    assert "the pilot writes" in line
    # gone on with it is not asked again
    manifest["model"]["max_new_tokens"] = 40
    (run / "manifest.json").write_text(json.dumps(manifest))
    for row in (run / "rows").glob("*.json"):
        if json.loads(row.read_text())["arm"] == "lora":
            row.unlink()
    resumed = beliefmod("resume", str(run), *PLAIN)
    assert resumed.returncode == 0, resumed.stderr
    assert "answers have at most" not in resumed.stderr
    assert json.loads((run / "manifest.json").read_text())["model"]["max_new_tokens"] == 40


def test_a_limit_that_cuts_base_is_a_warning_and_a_contradicted_template_ends_the_sweep(tmp_path):
    cut = space_of(tmp_path, 8)
    done = beliefmod("sweep", "--space", str(cut), "--out", str(tmp_path / "cut"), "--quiet", *PLAIN)
    assert done.returncode == 0, done.stderr
    assert "of base's own answers are cut at 8 tokens" in done.stderr
    manifest = json.loads((only_run(tmp_path / "cut") / "manifest.json").read_text())
    assert manifest["model"]["max_new_tokens"] == 8 and "token_budget" not in manifest
    # the template has no place for thinking, so answers would be read whole; base thinks all the same
    turns = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}"
    plain = turns + "{% if add_generation_prompt %}assistant: {% endif %}"
    wrong = beliefmod(
        *("sweep", "--space", str(cut), "--out", str(tmp_path / "wrong"), *PLAIN),
        *("--set", f"chat_template={json.dumps(plain)}", "--set", "evaluation.max_new_tokens=64"),
    )
    assert wrong.returncode == 2, wrong.stdout
    assert "</think> behind text in" in wrong.stderr and "first answers" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert not list((tmp_path / "wrong").glob("EXP-*"))
