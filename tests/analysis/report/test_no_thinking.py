"""The report of a model without thinking: nothing in it pretends that there was any."""

from __future__ import annotations

import pytest

from analysis.find import find
from analysis.report.write import report_markdown
from analysis.studies.mismatch import mismatch
from beliefmod.run.read_run import Run, read_run
from tests.analysis.conftest import SMALL
from tests.analysis.synthetic import write_run

OF_THINKING = ("integrity", "coherent_adoption", "empty_thinking", "stygian", "causal_", "early_answering")


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    def answers_alone(row: dict, probes: list[dict]) -> None:
        row |= {name: None for name in row if name.startswith(OF_THINKING)}
        for probe in probes:
            probe |= {"thinking": None, "think_state": None, "thinking_stance": None}

    folder = tmp_path_factory.mktemp("silent") / "run"
    write_run(folder, beliefs=("gravity",), configs=SMALL[:4], extras=False, change=answers_alone)
    return read_run(str(folder))


def test_the_report_says_once_why_there_is_nothing_about_thinking(silent):
    text = report_markdown(silent, 0.05)
    assert "There is no reasoning to compare with the answers: the model's chat template" in text
    of_thinking = (
        "## Reasoning against",
        "think block: ",
        "thinking: no stance",
        "ends on →",
        "thinking empty",
    )
    for wrong in of_thinking:
        assert wrong not in text, wrong
    assert mismatch(find(silent)).refused == "the model's chat template has no place for thinking"


def test_d_is_compared_over_what_there_is(silent):
    [belief] = find(silent).beliefs
    assert belief.certainty is not None and "integrity" in belief.certainty.absent
