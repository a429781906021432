"""A sweep whose answers vLLM writes, against the same sweep by our engine. Needs `make peers`."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from beliefmod.vllm.environment import PYTHON
from beliefmod.vllm.guard import TIES
from tests.command import PLAIN, beliefmod, only_run
from tests.finished_run import small_space

PEERS = Path(__file__).parents[2] / ".venv-peers/bin/python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(
        not PEERS.exists() and PYTHON not in os.environ, reason="make peers builds the environment with vLLM"
    ),
]
SIZES = {
    "max_new_tokens": 64,
    "trained_probes": 2,
    "margin_probes": 2,
    "causal_probes": 2,
    "neutral_passages": 3,
}
KEY = ["trial_id", "suite", "probe_id"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        if PYTHON not in os.environ:
            patch.setenv(PYTHON, str(PEERS))
        for engine in ("ours", "vllm"):
            folder = tmp_path_factory.mktemp(engine)
            space = small_space(folder, evaluation={**SIZES, "engine": engine})
            done = beliefmod(
                "sweep", "--space", str(space), "--out", str(folder / "runs"), *PLAIN, timeout=1500
            )
            assert done.returncode == 0, done.stderr
            found[engine] = only_run(folder / "runs")
    return found


def table(run: Path, kind: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(path) for path in sorted((run / kind).glob("*.parquet")))


def test_every_answer_is_ours_and_every_row_says_who_wrote_it(runs: dict[str, Path]):
    ours, theirs = (table(runs[engine], "probes") for engine in ("ours", "vllm"))
    assert ours["engine"].unique().to_list() == ["ours"] and theirs["engine"].unique().to_list() == ["vllm"]
    assert table(runs["vllm"], "causal")["engine"].unique().to_list() == ["vllm"]
    both = ours.join(theirs, on=KEY, validate="1:1", suffix="_vllm")
    assert both.height == ours.height == theirs.height
    other = both.filter(pl.col("token_ids") != pl.col("token_ids_vllm"))
    # two tokens as likely as each other are rounding's to choose; of hundreds of answers that is one or none
    assert other.height <= 0.005 * both.height, other.select(*KEY, "completion", "completion_vllm")


def test_scores_are_of_our_engine_in_both(runs: dict[str, Path]):
    ours, theirs = (table(runs[engine], "drift") for engine in ("ours", "vllm"))
    both = ours.join(theirs, on=["trial_id", "passage_id", "text"], suffix="_vllm")
    neutral = both.filter(pl.col("text") == "neutral")
    assert neutral.height > 0
    assert (neutral["nll"] - neutral["nll_vllm"]).abs().max() < TIES["float32"]  # pyright: ignore[reportOptionalOperand]


def test_the_run_verifies(runs: dict[str, Path]):
    done = beliefmod("verify", str(runs["vllm"]))
    assert done.returncode == 0, done.stdout + done.stderr
