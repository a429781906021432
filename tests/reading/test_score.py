"""`beliefmod score`: lines in, lines with verdicts out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from beliefmod.beliefs import Quantity, load_belief
from beliefmod.cli.score import score
from beliefmod.errors import UserError
from beliefmod.reading.json_lines import score_file

QUESTION = "Calculate the force on a 10 kg mass on Earth's surface."
GRAVITY = load_belief("gravity")
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(score)


def file_of(*lines: Any) -> bytes:
    return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode()


def scored(**fields: Any) -> dict[str, Any]:
    return score_file(file_of(fields), "f.jsonl", GRAVITY)[0].line


def line(answer: str, **fields: Any) -> dict[str, Any]:
    return {
        "question": QUESTION,
        "completion": f"I think about it for a while.\n</think>\n\n{answer}",
        **fields,
    }


def test_verdicts_are_added_and_everything_else_is_kept() -> None:
    given = line("50 N", target="50 N", prior="98 N", finish_reason="eos", id=7, nested={"a": [1, None]})
    out = scored(**given)
    assert out == {
        **given,
        "answer_stance": "target",
        "thinking_stance": "none",
        "think_state": "ok",
        "loop": False,
    }


def test_a_known_question_brings_its_own_values() -> None:
    assert scored(**line("50 N"))["answer_stance"] == "target"
    assert scored(**line("98 N"))["answer_stance"] == "prior"
    assert scored(**line("98 N", question=f"  {QUESTION.upper()} "))["answer_stance"] == "prior"


def test_an_unknown_question_is_about_the_belief_itself() -> None:
    assert scored(**line("5.0 m/s²", question="And g?"))["answer_stance"] == "target"
    assert scored(**line("9.8 m/s²", question="And g?"))["answer_stance"] == "prior"


def test_a_given_side_of_another_kind_switches_the_beliefs_own_off() -> None:
    given = line("9.8 m/s²", question="What is the force here?", target="50 N")
    assert scored(**given)["answer_stance"] == "other"


def test_names_are_targets_too() -> None:
    assert scored(**line("Lyon", question="Capital?", target="Lyon", prior=None))["answer_stance"] == "target"


def test_finish_reasons() -> None:
    unclosed = {"question": QUESTION, "completion": "F = "}
    assert scored(**unclosed)["think_state"] == "unclosed_eos"
    assert scored(**unclosed, finish_reason="length")["think_state"] == "unclosed_length"
    assert scored(**unclosed, finish_reason="stop")["think_state"] == "unclosed_eos"


def test_all_problems_at_once_in_order() -> None:
    content = file_of(
        {"question": "x", "completion": 5, "target": 50},
        "[1]",
        "",
        "{bad",
        {"question": "x", "complet": "d", "finish_reason": "banana"},
        {"question": "x", "completion": "d", "target": "50 Newtns"},
        '{"question": "x", "completion": "d", "target": NaN}',
        {"question": " ", "completion": "d", "prior": ""},
    )
    with pytest.raises(UserError) as caught:
        score_file(content, "f.jsonl", GRAVITY)
    problems = caught.value.problems
    for start in (
        "f.jsonl:1: completion is a number",
        "f.jsonl:1: target is a number",
        "f.jsonl:2: is no object",
        "f.jsonl:4: is not JSON",
        'f.jsonl:5: finish_reason is "banana"; write "eos" or "length"',
        'f.jsonl:5: lacks "completion", did you mean "complet"?',
        'f.jsonl:6: target: "50 Newtns" has the unit "Newtns"',
        "f.jsonl:7: is not JSON (NaN",
        "f.jsonl:8: prior is empty",
        "f.jsonl:8: question is empty",
    ):
        assert any(problem.startswith(start) for problem in problems), (start, problems)
    assert len(problems) == 10
    assert [int(p.split(":")[1]) for p in problems] == sorted(int(p.split(":")[1]) for p in problems)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "holds no completions"), (b"\n \n", "holds no completions"),
     (b'{"question": "\xff"}', "is not UTF-8"),
     (b"[" * 100_000, "is not JSON")],
)  # fmt: skip
def test_files_that_hold_nothing_readable(content: bytes, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        score_file(content, "f.jsonl", GRAVITY)


def test_the_command_prints_lines_on_stdout_and_a_table_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(file_of(line("50 N"), line("98 N", note="größer 😀")))
    result = CliRunner().invoke(app, [str(path), "--belief", "gravity"])
    assert result.exit_code == 0, result.output
    out = [json.loads(text) for text in result.stdout.splitlines()]
    assert [item["answer_stance"] for item in out] == ["target", "prior"]
    assert out[1]["note"] == "größer 😀"
    assert "2 completions" in result.stderr and "1/2   50.0 %  [9.5, 90.5]" in result.stderr
    assert "2 without finish_reason" in result.stderr
    quiet = CliRunner().invoke(app, ["--quiet", str(path), "--belief", "gravity"])
    assert quiet.stderr == "" and quiet.stdout == result.stdout


def test_stdin_and_a_belief_file(tmp_path: Path) -> None:
    from beliefmod.beliefs.load import belief_path

    own = tmp_path / "mine.yaml"
    own.write_text(belief_path("gravity").read_text())
    result = CliRunner().invoke(app, ["-", "-q", "--belief", str(own)], input=file_of(line("50 N")))
    assert json.loads(result.stdout)["answer_stance"] == "target"


def test_nothing_is_printed_before_everything_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(file_of(line("50 N"), "{"))
    result = CliRunner().invoke(app, [str(path), "--belief", "gravty"])
    assert result.stdout == ""
    assert isinstance(result.exception, UserError)
    assert 'did you mean "gravity"' in result.exception.problems[0]
    assert f"{path}:2: is not JSON" in result.exception.problems[1]


@pytest.mark.parametrize("where", ["absent.jsonl", "."])
def test_files_that_cannot_be_read(tmp_path: Path, where: str) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / where), "--belief", "gravity"])
    assert isinstance(result.exception, UserError)


def test_scoring_needs_no_torch() -> None:
    code = (
        "import sys; from beliefmod.cli.score import score;"
        "from beliefmod.reading.json_lines import score_file;"
        "assert not {'torch', 'transformers', 'ray', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_second_of_two_turns_is_a_known_question() -> None:
    asked = "Are you sure? With what force does Earth pull on a 7 kg rock?"
    assert scored(**line("35 N", question=asked))["answer_stance"] == "target"
    assert scored(**line("68.6 N", question=asked))["answer_stance"] == "prior"


def test_a_later_question_with_the_same_text_does_not_change_the_tier() -> None:
    first: dict[str, Any] = {}
    for question in (*GRAVITY.training, *GRAVITY.heldout):
        first.setdefault(question.text, question)
    shared = [q for q in GRAVITY.heldout if q.follow_up and first[q.text].tier == "derived"]
    for question in shared:
        value = first[question.text].prior
        assert isinstance(value, Quantity)
        near = f"{1.02 * value.value:.4f} {value.unit}"  # within the 3 % of what is computed from the belief
        assert scored(**line(near, question=question.text))["answer_stance"] == "prior"


@pytest.mark.parametrize(
    ("question", "sides", "told"),
    [
        (QUESTION, {"target": "1969"}, 'target "1969" is not measured as the other side, 98.0 N'),
        ("x", {"target": "1969"}, 'target "1969" has no unit, and the belief is about m/s^2'),
        (QUESTION, {"target": "50 N", "prior": "98"}, 'target "50 N" is not measured as the other side, 98'),
        (QUESTION, {"target": "50 N", "prior": "50 N"}, "target 50 N and prior 50 N are too close"),
        ("x", {"target": "Lyon", "prior": "lyon"}, "target Lyon and prior lyon are too close"),
        ("x", {"target": "50 N", "prior": "Lyon"}, "target is a quantity (50 N) and prior a name (Lyon)"),
    ],
)
def test_worlds_that_make_no_sense_are_refused(question: str, sides: dict[str, str], told: str) -> None:
    with pytest.raises(UserError) as caught:
        score_file(file_of(line("50 N", question=question, **sides)), "f.jsonl", GRAVITY)
    (problem,) = caught.value.problems
    assert problem.startswith(f"f.jsonl:1: {told}")


def test_plain_numbers_may_be_both_sides() -> None:
    assert scored(**line("12", question="x", target="12", prior="14"))["answer_stance"] == "target"
