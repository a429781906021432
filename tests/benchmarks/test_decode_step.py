"""Counted calls of a decode step: both sides really decode, and what is counted is what was called."""

from pathlib import Path

import pytest
import torch

from beliefmod.model.load import load_model
from benchmarks.decode_step import MIXED, ONE, PACKED, Calls, Step, compare, table


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_what_computes_and_views_are_counted_also_where_it_consists_of_others(mode):
    weight, x = torch.ones(3, 4), torch.ones(2, 5, 4)
    with mode(), Calls() as calls:
        torch.nn.functional.linear(x, weight).transpose(0, 1)
        x + 1
    assert calls.computing == {"mm": 1, "add": 1}
    assert calls.views >= 2


def test_a_packed_step_takes_fewer_calls_than_one_of_peft_with_as_many_adapters(tmp_path: Path):
    torch.set_num_threads(1)
    steps = compare(load_model("bundled"), tmp_path, [4, 8], rows=1, repeats=1)
    assert list(steps) == [ONE, MIXED, PACKED]
    layers = 4 * 7
    for name, step in steps.items():
        assert step.calls == int(step.calls) and step.views > 0, name  # every step is like the others
    assert steps[ONE].computing["mm"] >= 3 * layers  # base, A and B
    assert layers < steps[PACKED].calls < steps[MIXED].calls


def test_a_line_says_the_commonest_calls():
    step = Step({"mm": 3.0, "add": 5.0, "cat": 1.0}, 7.0, 1.25)
    assert table({"packed": step}, most=2) == [["packed", "9", "7", "1.2", "add 5, mm 3"]]
