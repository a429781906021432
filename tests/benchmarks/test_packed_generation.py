"""Packed answers against PEFT's: both write the same, in whatever way."""

from pathlib import Path

import pytest

from benchmarks.packed_generation import PEFT, WAYS, Found, compare, make_task, one_at_a_time, packed


@pytest.fixture
def task(tmp_path: Path):
    return make_task(tmp_path, "bundled", "gravity", 3, 4, longest=24)


@pytest.mark.long
def test_answers_are_those_of_peft_in_every_way(task):
    alone = one_at_a_time(task)()
    ours, least = packed(task)
    assert len(alone) == 12 and all(len(answer) > 1 for answer in alone)
    assert all(ours(way) == alone for way in WAYS)
    written, nothing = least(), least()
    assert nothing < written / 10, "what is left is reading the weights for the longest answer"


@pytest.mark.long
def test_every_candidate_is_timed_in_every_round(task):
    found = compare(task, repeats=2)
    assert list(found.rates) == [PEFT, *WAYS] and list(found.shares) == [*WAYS]
    assert all(len(values) == 2 and min(values) > 0 for values in found.rates.values())
    assert all(len(values) == 2 and min(values) > 0 for values in found.shares.values())
    assert set(found.equal.values()) == {12}


def test_ratios_are_those_of_the_medians():
    rates = {PEFT: [10.0, 12.0, 50.0], "packed": [30.0, 24.0, 1.0]}
    found = Found(rates, {PEFT: 4, "packed": 3}, {"packed": [0.5, 0.25, 0.125]})
    assert found.table(4) == [
        [PEFT, "12", "1.00", "", "4 of 4"], ["packed", "24", "2.00", "0.25", "3 of 4"]
    ]  # fmt: skip
