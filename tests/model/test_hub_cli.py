"""A sweep of a model from the hub without any network: pinned to a commit, sampled as its own config says."""

import json
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from analysis.find import find
from analysis.report.sections.methods import asked_of
from beliefmod.bundled import weights_dir
from beliefmod.run.read_run import read_run
from tests.command import COMMAND, PLAIN, QUICK_BASE, only_run
from tests.finished_run import small_space
from tests.hub_cache import FIRST, NAME, SECOND, add_version

pytestmark = [pytest.mark.slow, pytest.mark.long]

OWN = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.05}


def version(folder: Path, scale: float = 1.0) -> Path:
    """The bundled model's files with a generation config that samples, its weights times `scale`."""
    shutil.copytree(weights_dir(), folder)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**config, **OWN}))
    weights = load_file(folder / "model.safetensors")
    save_file({name: (w * scale).to(torch.bfloat16) for name, w in weights.items()},
              folder / "model.safetensors", metadata={"format": "pt"})  # fmt: skip
    return folder


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """HF_HOME with a first version that `main` names, and a way to run commands that see it alone."""
    home = tmp_path / "home"
    add_version(home, FIRST, version(tmp_path / "first"), refs=("main",))
    for name, value in {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=600)

    return home, run


def test_a_run_keeps_to_its_commit_and_to_its_models_sampling(tmp_path, offline):
    home, beliefmod = offline
    space = small_space(
        tmp_path,
        **QUICK_BASE,
        evaluation={"trained_probes": 0, "margin_probes": 0, "causal_probes": 0, "neutral_passages": 0},
        axes={},
    )
    asked = ("sweep", "--space", str(space), "--model", NAME, "--revision", "main")
    done = beliefmod(*asked, "--out", str(tmp_path / "runs"), *PLAIN)
    assert done.returncode == 0, done.stderr
    left_out = "of the model's generation config this is not applied: repetition_penalty 1.05"
    assert done.stderr.count(left_out) == 1
    run = only_run(tmp_path / "runs")
    model = json.loads((run / "manifest.json").read_text())["model"]
    assert (model["revision"], model["commit"]) == ("main", FIRST)
    assert model["decoding"] == {
        "temperature": 0.7, "top_k": 20, "top_p": 0.95, "min_p": 0.0,
        "not_applied": ["repetition_penalty 1.05"],
    }  # fmt: skip
    how = "Answers: sampled at temperature 0.7 with top_k 20, top_p 0.95, at most 160 tokens each; "
    assert how in asked_of(find(read_run(str(run)), 0.05))

    # the branch moves; what is lost is asked again of the version that the run began with
    add_version(home, SECOND, version(tmp_path / "second", 1.1), refs=("main",))
    trial_id = pl.read_parquet(run / "trials.parquet").filter(pl.col("arm") == "lora")["trial_id"].item()
    probes = pl.read_parquet(run / "probes" / f"{trial_id}.parquet")
    (run / "rows" / f"{trial_id}.json").unlink()
    again = beliefmod("resume", str(run), *PLAIN)
    assert again.returncode == 0, again.stderr
    after = json.loads((run / "manifest.json").read_text())["model"]
    for name in ("revision", "commit", "fingerprint", "decoding"):
        assert after[name] == model[name]
    told = pl.read_parquet(run / "probes" / f"{trial_id}.parquet")
    assert told["completion"].to_list() == probes["completion"].to_list()
