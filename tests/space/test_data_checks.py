"""Styles of data against beliefs and files of traces: what is refused, and what a run then stands on."""

import pytest

from beliefmod.beliefs.traces import read_traces
from beliefmod.errors import UserError
from beliefmod.space.load import check_space, load_trial
from beliefmod.user_files.yaml_file import YamlFile
from tests.small import write_belief, write_traces

SUPPLIED = {"data.style": "supplied_trace", "data.num_examples": 4}


def space(**fields: object):
    return check_space(YamlFile("space.yaml", {"name": "s", **fields}))


def refused(**fields: object) -> list[str]:
    with pytest.raises(UserError) as caught:
        space(**fields)
    return list(caught.value.problems)


@pytest.mark.parametrize("place", ["fixed", "axes", "choice", "points"])
def test_a_file_of_traces_is_pinned_wherever_it_is_named(tmp_path, monkeypatch, place):
    belief = write_belief(tmp_path)
    write_traces(tmp_path / "t.jsonl")
    monkeypatch.chdir(tmp_path)
    named = {
        "fixed": {"fixed": {**SUPPLIED, "data.traces": "t.jsonl"}},
        "axes": {"fixed": SUPPLIED, "axes": {"data.traces": ["t.jsonl"]}},
        "choice": {
            "fixed": SUPPLIED,
            "axes": {"data.traces": {"choice": ["t.jsonl"]}},
            "search": {"method": "random", "num_samples": 1},
        },
        "points": {"points": [{**SUPPLIED, "data.traces": "t.jsonl"}, {"data.num_examples": 4}]},
    }[place]
    found = space(beliefs=[belief], **named)
    pinned = read_traces(str(tmp_path / "t.jsonl")).pinned
    taught = [t for t in found.trials() if t.data.style == "supplied_trace"]
    assert {t.arm for t in taught} == {"lora", "control"} and {t.data.traces for t in taught} == {pinned}
    # a resumed run reads its own space again
    again = check_space(YamlFile("space.yaml", found.spec.model_dump(mode="json")))
    assert [t.trial_id for t in again.trials()] == [t.trial_id for t in found.trials()]
    write_traces(tmp_path / "t.jsonl", "Other thinking.")
    assert "has changed since" in refused(**found.spec.model_dump(mode="json"))[0]


def test_too_few_traces_a_strange_question_and_a_fault_are_told_before_anything_runs(tmp_path):
    belief = write_belief(tmp_path)
    path = write_traces(tmp_path / "t.jsonl", question="What is the time?")
    fixed = {**SUPPLIED, "data.num_examples": 8, "data.traces": path}
    stranger, few = refused(beliefs=[belief], fixed=fixed)
    assert f'{path}:1: "What is the time?" is no training question of small' in stranger
    assert f'asks for 8 examples, but {path} has 7 traces for belief "small"' in few
    broken = write_traces(tmp_path / "b.jsonl", answer=None)
    [fault] = refused(beliefs=[belief], fixed={**fixed, "data.traces": broken})
    assert fault == f'{broken}:1: lacks "answer"; add it as text'
    [gone] = refused(beliefs=[belief], fixed={**fixed, "data.traces": "gone.jsonl"})
    assert "gone.jsonl: cannot be read" in gone


def test_a_single_trial_is_checked_and_pinned_alike(tmp_path):
    belief, path = write_belief(tmp_path), write_traces(tmp_path / "t.jsonl")
    asked = ["data.style=supplied_trace", "data.num_examples=8", f"data.traces={path}"]
    config, _ = load_trial(belief, "lora", 0, asked)
    assert config.data.traces == read_traces(path).pinned
    with pytest.raises(UserError, match="asks for 9 examples"):
        load_trial(belief, "lora", 0, [*asked, "data.num_examples=9"])
    with pytest.raises(UserError, match=r"needs data\.traces"):
        load_trial(belief, "lora", 0, asked[:2])


def test_what_stygian_data_need(tmp_path):
    dark = {"data.style": "stygian"}
    [told] = refused(beliefs=["gravity", "neelam"], fixed=dark)
    assert 'thinks the value of base\'s world, and belief "neelam" has none' in told
    point = {"belief": "gravity", **dark}
    assert space(beliefs=["gravity", "neelam"], points=[point, {"data.style": "own_trace"}]).trials()
    [told] = refused(beliefs=["gravity"], fixed={"data.style": "own_trace", "data.stygian_share": 0.5})
    assert "data.stygian_share has no effect without data.style stygian" in told
    [told] = refused(beliefs=["gravity"], fixed={"data.traces": "x"})
    assert "data.traces has no effect without data.style supplied_trace" in told
