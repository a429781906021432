"""A run's copies of the traces that it was given."""

from beliefmod.beliefs import load_belief
from beliefmod.beliefs.traces import read_traces
from beliefmod.run.trace_files import keep_traces, supplied_traces
from tests.small import write_belief, write_traces


def test_a_run_reads_its_copy_after_the_file_has_changed_or_gone(folder, tmp_path):
    belief = load_belief(write_belief(tmp_path))
    name = read_traces(write_traces(tmp_path / "t.jsonl", "As it was.")).pinned
    asked = supplied_traces(name, belief, folder)
    assert {trace.thinking for trace in asked} == {"As it was."}
    keep_traces([None, name, name], folder)
    assert len(list((tmp_path / "run" / "traces").iterdir())) == 1
    write_traces(tmp_path / "t.jsonl", "As it is now.")
    assert supplied_traces(name, belief, folder) == asked
    (tmp_path / "t.jsonl").unlink()
    assert supplied_traces(name, belief, folder) == asked
