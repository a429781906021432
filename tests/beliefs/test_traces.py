"""Files of supplied traces: every fault at once, each with its line; a changed file is another file."""

import hashlib
import json

import pytest

from beliefmod.beliefs import load_belief
from beliefmod.beliefs.traces import parse_traces, read_traces
from beliefmod.config import split_name
from beliefmod.errors import UserError
from tests.small import write_belief, write_traces


def problems(*lines: object) -> list[str]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    with pytest.raises(UserError) as caught:
        parse_traces(text.encode(), "t.jsonl")
    return list(caught.value.problems)


def trace(**changes: object) -> dict[str, object]:
    return {"question": "What is it?", "thinking": "It is 5.", "answer": "5 N.", **changes}


def test_a_file_is_read_line_by_line_and_named_by_its_content(tmp_path):
    belief = load_belief(write_belief(tmp_path))
    path = write_traces(tmp_path / "t.jsonl", "Five for each.")
    file = read_traces(path)
    content = (tmp_path / "t.jsonl").read_bytes()
    assert file.digest == hashlib.sha256(content).hexdigest()[:12] and file.content == content
    assert file.pinned == f"{path}@{file.digest}" and split_name(file.pinned) == (path, file.digest)
    assert read_traces(file.pinned) == file
    found = file.of(belief)
    assert [one.question for one in found] == list(belief.training)
    assert {one.thinking for one in found} == {"Five for each."}
    assert [one.answer for one in found] == [q.reply_target for q in belief.training]
    assert file.of(load_belief("neelam")) == () and list(file.strangers([belief])) == []


def test_a_changed_file_is_refused_under_its_old_digest(tmp_path):
    old = read_traces(write_traces(tmp_path / "t.jsonl")).pinned
    write_traces(tmp_path / "t.jsonl", "Other words.")
    with pytest.raises(UserError, match=r"t\.jsonl: has changed since .*, now [0-9a-f]{12}"):
        read_traces(old)


def test_every_fault_is_told_with_its_line():
    good = trace()
    found = problems(
        good,
        "not json",
        [1],
        "",
        trace(question="a", thinking="  "),
        trace(question="b", answer=5),
        {"question": "c", "thinking": "x"},
        trace(question="d", thinking="It is </think> so."),
        trace(question="e", thinkng="x"),
        good,
    )
    told = [
        ("t.jsonl:2: is not JSON", "one object on each line"),
        ("t.jsonl:3: is no object", '{"question"'),
        ("t.jsonl:5: thinking must be text that is not empty",),
        ("t.jsonl:6: answer must be text",),
        ('t.jsonl:7: lacks "answer"',),
        ("t.jsonl:8: thinking holds <think> or </think>", "leave the marks out"),
        ('t.jsonl:9: has a field "thinkng" that is not known, did you mean "thinking"',),
        ('t.jsonl:10: "What is it?" has a trace in line 1 already; keep one',),
    ]
    assert len(found) == len(told)
    for sentence, parts in zip(found, told, strict=True):
        assert all(part in sentence for part in parts), sentence


def test_an_empty_file_and_one_that_is_not_there_are_sentences(tmp_path):
    assert problems("") == [
        't.jsonl: holds no traces; write one object on each line: {"question": ..., "thinking": ..., '
        '"answer": ...}'
    ]
    with pytest.raises(UserError, match=r"nowhere\.jsonl: cannot be read \(No such file"):
        read_traces(str(tmp_path / "nowhere.jsonl"))


def test_a_question_that_no_belief_trains_on_is_told_with_the_nearest(tmp_path):
    belief = load_belief(write_belief(tmp_path))
    held_out = belief.heldout[0].text
    path = write_traces(tmp_path / "t.jsonl", question=held_out)
    [told] = read_traces(path).strangers([belief])
    assert f't.jsonl:1: "{held_out}" is no training question of small' in told
    near = write_traces(tmp_path / "n.jsonl", question=belief.training[0].text.replace("force", "farce"))
    [told] = read_traces(near).strangers([belief])
    assert f'did you mean "{belief.training[0].text}"?' in told
