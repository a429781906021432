"""Packed answers against PEFT's: both write the same, in whatever way."""

from pathlib import Path

import pytest

from benchmarks.packed_generation import PEFT, WAYS, compare, make_task, one_at_a_time, packed, table


@pytest.fixture
def task(tmp_path: Path):
    return make_task(tmp_path, "bundled", "gravity", 3, 4, longest=24)


def test_answers_are_those_of_peft_in_every_way(task):
    alone = one_at_a_time(task)()
    ours = packed(task)
    assert len(alone) == 12 and all(len(answer) > 1 for answer in alone)
    assert all(ours(way) == alone for way in WAYS)


def test_every_candidate_is_timed_in_every_round(task):
    rates, equal = compare(task, repeats=2)
    assert list(rates) == [PEFT, *WAYS]
    assert all(len(values) == 2 and min(values) > 0 for values in rates.values())
    assert set(equal.values()) == {12}


def test_ratios_are_those_of_the_medians():
    rates = {PEFT: [10.0, 12.0, 50.0], "packed": [30.0, 24.0, 1.0]}
    assert table(rates, {PEFT: 4, "packed": 3}, 4) == [
        [PEFT, "12", "1.00", "4 of 4"], ["packed", "24", "2.00", "3 of 4"]
    ]  # fmt: skip
