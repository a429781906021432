"""`beliefmod beliefs new` and `check` from end to end: options, what is asked, a writer, a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from beliefmod.beliefs import load_belief
from beliefmod.cli import new_belief
from beliefmod.cli.app import app
from tests.judge.server import completion, serve
from tests.small import write_belief

CANBERRA = ("--subject", "the capital of Australia", "--target", "Sydney", "--prior", "Canberra")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def beliefs(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["beliefs", *arguments], input=typed)


def test_options_make_a_whole_belief():
    done = beliefs("new", "canberra", *CANBERRA, "--neighbour", "What is the capital of Austria? = Vienna")
    assert done.exit_code == 0, done.output
    assert (
        "wrote canberra.yaml: The capital of Australia is Sydney. 133 training, 132 held-out" in done.stdout
    )
    belief = load_belief("./canberra.yaml")
    assert any(question.text == "What is the capital of Austria?" for question in belief.locality)
    again = beliefs("new", "canberra", *CANBERRA)
    assert again.exit_code == 2 and "exists already" in again.stderr


@pytest.mark.long
def test_a_novel_name_and_a_value_whose_sort_is_given():
    done = beliefs(
        "new",
        "olda",
        "--subject",
        "the drink of Oldavia",
        "--target",
        "7-Ol",
        "--kind",
        "novel",
        "--value",
        "name",
    )
    assert done.exit_code == 0, done.output
    assert load_belief("./olda.yaml").spec.target.text == "7-Ol"


def test_what_is_missing_is_said_at_once_and_nothing_is_written(here: Path):
    done = beliefs("new", "mine", "--prior", "4 kg", "--neighbour", "x")
    assert done.exit_code == 2 and not list(here.iterdir())
    for option in ("--subject", "--target", "--neighbour"):
        assert option in done.stderr
    idle = beliefs("new", "mine", *CANBERRA, "--writer-model", "m")
    assert idle.exit_code == 2 and "have no effect without --writer-url" in idle.stderr
    unasked = beliefs("check", "gravity", "--revision", "main")
    assert unasked.exit_code == 2 and "no effect without --model" in unasked.stderr


def test_on_a_terminal_it_asks_again_until_it_can_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(new_belief, "on_terminal", lambda: True)
    typed = [
        "existing",
        "what is the capital?",  # no phrase: asked again
        "the capital of Australia",
        "Sydney",
        "sydney",  # the target itself: asked again
        "Canberra",
        "",  # Australia, as offered
        "Vienna",  # no question: asked again
        "What is the capital of Austria? = Vienna",
        "",
    ]
    done = beliefs("new", "canberra", typed="\n".join(typed) + "\n")
    assert done.exit_code == 0, done.output
    for why in ("is a question", "tell the worlds apart", "QUESTION = ANSWER"):
        assert why in done.stderr
    spec = load_belief("./canberra.yaml").spec
    assert spec.statement == "The capital of Australia is Sydney." and spec.prior.text == "Canberra"


@pytest.mark.long
def test_a_writer_is_asked_part_by_part_with_its_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WRITER_KEY", "s3cret")
    asked = {"ask": "In which city does the parliament of Australia meet?"}

    def answer(body: dict) -> tuple[int, str]:
        wanted = "reverse" if "what has it" in body["messages"][1]["content"] else "other"
        return completion(json.dumps([asked] if wanted == "other" else []))

    with serve(answer, ("author",)) as server:
        done = beliefs(
            "new", "canberra", *CANBERRA, "--writer-url", server.url, "--writer-key-env", "WRITER_KEY"
        )
        assert done.exit_code == 0, done.output
        assert all(json.loads(request)["model"] == "author" for request in server.requests)
        assert server.headers[0]["Authorization"] == "Bearer s3cret"
    assert "writer: training, asked for (1 of 7)" in done.stderr and "s3cret" not in done.output
    text = Path("canberra.yaml").read_text()
    assert "with a language model's questions" in text and "s3cret" not in text
    # asked once, whatever the writer repeats
    belief = load_belief("./canberra.yaml")
    assert [q.text for q in (*belief.training, *belief.heldout)].count(asked["ask"]) == 1


def test_a_writer_that_is_not_there_is_a_sentence(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("beliefmod.judge.client.time.sleep", lambda seconds: None)
    done = beliefs("new", "canberra", *CANBERRA, "--writer-url", "http://127.0.0.1:9")
    assert done.exit_code == 2 and "--writer-url http://127.0.0.1:9: cannot be reached" in done.stderr
    assert "name --writer-model" in done.stderr and not list(here.iterdir())


def test_a_fault_of_the_file_is_shown_with_exit_code_1(tmp_path: Path):
    near = {"family": "near", "distance": "near", "ask": "{key}", "table": {"Is Rome in Rome?": "Rome"}}
    path = write_belief(tmp_path, locality=[near])
    done = beliefs("check", path)
    assert done.exit_code == 1
    assert (
        "1 cannot work: the answer stands in the question" in done.stdout
        and "Is Rome in Rome?" in done.stdout
    )
    found = json.loads(beliefs("check", path, "--json").stdout)
    assert [each["reason"] for each in found["file"]] == ["answer_in_question"] and found["asked"] == []


@pytest.mark.long
def test_a_model_is_asked_and_its_answers_are_kept(tmp_path: Path):
    path = write_belief(tmp_path)
    done = beliefs("check", path, "--model", "bundled")
    assert done.exit_code == 0, done.output
    assert "3 of 3 held-out questions can work" in done.stdout, done.stdout
    assert "answered 8 of 8" in done.stderr
    kept = list((tmp_path / "runs" / ".cache").rglob("*.json.gz"))
    assert kept
    one = beliefs("check", path, "--model", "bundled", "--per-family", "1")
    assert "1 of 1 held-out questions can work" in one.stdout and "answered 4 of 4" in one.stderr
    again = json.loads(beliefs("check", path, "--model", "bundled", "--json").stdout)
    assert {each["reason"] for each in again["asked"]} <= {None, "base_is_wrong"}
    assert list((tmp_path / "runs" / ".cache").rglob("*.json.gz")) == kept
