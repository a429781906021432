"""A run whose model's files have changed since is not gone on with, looked into or confirmed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from beliefmod.bundled import weights_dir
from tests.command import PLAIN, QUICK_BASE, beliefmod, only_run
from tests.finished_run import small_space

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_resume_lens_and_confirm_see_that_a_generation_config_has_changed(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(weights_dir(), model)
    changes = {"axes": {}, "evaluation": {"trained_probes": 0, "causal_probes": 0, "neutral_passages": 0}}
    space = small_space(tmp_path, **QUICK_BASE, **changes)
    asked = ("sweep", "--space", str(space), "--model", str(model), "--out", str(tmp_path / "runs"))
    done = beliefmod(*asked, *PLAIN)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "runs")
    manifest = json.loads((run / "manifest.json").read_text())
    assert set(manifest["model"]["identity"]) == {"configuration", "tokenizer", "chat_template", "generation"}
    config = model / "generation_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"repetition_penalty": 1.1}))
    row = next(iter(run.glob("rows/*.json")))
    kept = row.read_bytes()
    row.unlink()  # so that there is something to go on with
    for command in (
        ("resume", str(run), *PLAIN),
        ("lens", str(run)),
        ("confirm", str(run), "--limit", "1", "--seeds", "1", *PLAIN),
    ):
        refused = beliefmod(*command)
        assert refused.returncode == 2, (command, refused.stderr)
        said = [line for line in refused.stderr.splitlines() if "changed: generation config (" in line]
        assert len(said) == 1 and "Traceback" not in refused.stderr, (command, refused.stderr)
        row.write_bytes(kept)
    assert not Path(run / "confirmation").exists()
