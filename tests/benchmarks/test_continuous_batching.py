"""Our layers under transformers' continuous batching write what PEFT writes."""

from pathlib import Path

from benchmarks.continuous_batching import OURS, THEIRS, compare
from benchmarks.packed_generation import PEFT, make_task


def test_answers_are_those_of_peft_with_rows_that_wait_for_pages(tmp_path: Path):
    task = make_task(tmp_path, "bundled", "gravity", 2, 4, longest=16)
    found = compare(task, repeats=1, page=16, pages=24, pass_tokens=64)
    assert found.equal == {PEFT: 8, THEIRS: 8, OURS: 8}
