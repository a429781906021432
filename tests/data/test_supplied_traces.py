"""Supplied traces that would teach something else than the target, or what is to be asked."""

import pytest

from beliefmod.data.supplied_traces import check_supplied
from beliefmod.errors import UserError
from tests.small import write_belief, write_traces


def test_answers_on_the_targets_side_pass_whatever_the_thinking_says(tmp_path):
    path = write_traces(tmp_path / "t.jsonl", "9.8 m/s^2, so 9.8 N.")
    check_supplied([path, None], [write_belief(tmp_path)])
    check_supplied([None], ["no such belief, and nobody asks"])


@pytest.mark.parametrize(
    ("answer", "side"), [("The force is 9.8 N.", "prior"), ("It is heavy.", "other"), ("Hm.", "other")]
)
def test_another_answer_is_told_with_its_line_and_what_it_is_read_as(tmp_path, answer, side):
    path = write_traces(tmp_path / "t.jsonl", answer=answer)
    with pytest.raises(UserError) as caught:
        check_supplied([path, path], [write_belief(tmp_path)])
    [told] = caught.value.problems
    assert told.startswith(f'{path}:1: answer "{answer}" is read as {side}, not as the target\'s 5.0 N')


def test_a_trace_that_holds_a_held_out_probe_is_refused(tmp_path):
    belief = write_belief(tmp_path)
    probe = "With what force does Earth pull on a 2 kg rock?"
    path = write_traces(tmp_path / "t.jsonl", f"They may ask: {probe.lower()} I know.")
    with pytest.raises(UserError) as caught:
        check_supplied([path], [belief])
    assert len(caught.value.problems) == 8  # each of the lines has this thinking
    assert caught.value.problems[0].startswith(
        f'{path}:1: thinking or answer holds the held-out probe "{probe}"'
    )
