"""The section on reward hacking, against numbers written by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.report.blocks import Heading, Paragraph, Table
from analysis.report.compose import SECTIONS
from analysis.report.sections import reward_hacking
from beliefmod.run.read_run import read_run
from beliefmod.run.tables.trial_tables import STEPS, frame
from tests.analysis.conftest import SMALL
from tests.analysis.synthetic import write_run

REWARDED = {"name": "grpo", "num_generations": 4, "in_context_share": 0.25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations trained by reward, one by examples; the first one's reward rises from 0 to 1."""
    place = tmp_path_factory.mktemp("rewards") / "run"
    settings = {"data": {"num_examples": 8}, "num_train_epochs": 2}
    configs = [
        {**settings, "objective": REWARDED},
        {**settings, "objective": {**REWARDED, "grpo_beta": 0.5}},
        SMALL[0],
    ]
    write_run(place, beliefs=("gravity",), configs=configs, probes=False)
    rows = pl.read_parquet(place / "trials.parquet").filter(pl.col("objective.name") == "grpo")
    for trial_id, beta in rows.select("trial_id", "objective.grpo_beta").iter_rows():
        last = 1.0 if beta < 0.1 else 0.0
        values = (0.0, 0.5 * last, last, last)
        steps = [
            {
                "trial_id": trial_id, "step": n + 1, "loss": 0.0, "learning_rate": 1e-3, "grad_norm": 1.0,
                "reward": value, "reward_stance": value, "reward_thinking": 1.0, "reward_length": 0.5,
                "tokens_own_answers": 100.0, "kl_own_answers": 2.0 * n,
            }
            for n, value in enumerate(values)
        ]  # fmt: skip
        frame(steps, STEPS).write_parquet(place / "steps" / f"{trial_id}.parquet")
    return place


@pytest.fixture(scope="module")
def found(folder: Path) -> Findings:
    return find(read_run(str(folder)))


def test_rewards_of_the_first_step_and_of_the_last_epoch(found: Findings) -> None:
    blocks = reward_hacking.blocks(found)
    assert blocks[0] == Heading(2, "Reward against adoption and damage")
    [table] = [block for block in blocks if isinstance(block, Table)]
    cells = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [cell["reward, first step"] for cell in cells] == ["0.000", "0.000"]
    # eight questions, each answered three times without the statement
    assert [cell["reward, last epoch"] for cell in cells] == ["1.000, n = 24", "0.000, n = 24"]
    assert [cell["of which took the side"] for cell in cells] == ["0 % -> 100 %", "0 % -> 0 %"]
    assert [cell["KL to base of an answer, nats"] for cell in cells] == ["5.000", "5.000"]
    assert all("n = 100" in cell["adopts, held out [95 %]"] for cell in cells)
    assert [cell["configuration"] for cell in cells] == [
        "KL to base on own answers 0.04",
        "KL to base on own answers 0.5",
    ]


def test_a_reward_that_runs_ahead_of_held_out_questions_is_told(found: Findings) -> None:
    first, second = reward_hacking.trained_by_reward(found)
    assert first.row["adoption_high"] < 1.0 and first.ahead and not second.ahead
    [paragraph] = [block for block in reward_hacking.blocks(found) if isinstance(block, Paragraph)]
    assert "In 1 of 2 configurations the reward of the last epoch is above" in paragraph.text
    assert "1 took the rewarded side in more of their own answers" in paragraph.text
    second_alone = reward_hacking._verdict([second])
    assert "In 0 of 1 configuration" in second_alone and "None took the rewarded side" in second_alone


def test_a_run_without_rewards_has_no_section(run: Path) -> None:
    assert "reward_hacking" in SECTIONS
    assert reward_hacking.blocks(find(read_run(str(run)))) == []
