"""The judge against a real server on this machine: good, garbled, failing, slow."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from beliefmod.errors import UserError
from beliefmod.judge.case_selection import cases
from beliefmod.judge.client import Endpoint, NoAnswer
from beliefmod.judge.judge_run import JUDGE_FILE, candidate_names, judge_run
from beliefmod.run.folder import RunFolder
from tests.judge.server import Server, completion, serve


def rows(count: int, trial: str = "feedbeef01") -> list[dict]:
    return [
        {
            "trial_id": trial,
            "arm": "lora",
            "belief": "gravity",
            "suite": "belief",
            "probe_id": f"probe-{i}",
            "question": f"What force acts on {i} kg?",
            "answer": f"Is it {5 * i}.0 N or {9.8 * i:.1f} N?",
            "target": f"{5 * i}.0 N",
            "prior": f"{9.8 * i:.1f} N",
            "answer_stance": "hedged",
        }
        for i in range(1, count + 1)
    ]


def endpoint(server: Server, **changes: float) -> Endpoint:
    return Endpoint(server.url, pause=0.01, **{"timeout": 5.0, **changes})  # type: ignore[arg-type]


def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(str(tmp_path))


def table(tmp_path: Path) -> pl.DataFrame:
    return pl.read_parquet(tmp_path / JUDGE_FILE)


def test_every_case_becomes_a_row(tmp_path: Path):
    with serve(lambda body: completion("BOTH")) as server:
        tally = judge_run(folder(tmp_path), cases(rows(9)), endpoint(server), "reader")
    assert (tally.total, tally.judged, tally.unusable, tally.unanswered) == (9, 9, 0, 0)
    found = table(tmp_path)
    assert found["judge_stance"].to_list() == ["hedged"] * 9
    assert set(found["reason"]) == {"doubtful"} and set(found["judge_model"]) == {"reader"}


def test_the_requests_are_blind(tmp_path: Path):
    with serve(lambda body: completion("OTHER")) as server:
        judge_run(folder(tmp_path), cases(rows(6)), endpoint(server), "reader")
    assert len(server.requests) == 6
    for text in server.requests:
        for word in ("feedbeef01", "lora", "target", "prior", "probe-", "gravity", "hedged"):
            assert word not in text.lower()


def test_a_truthful_judge_gives_the_right_stances(tmp_path: Path):
    """The server reads the candidates and picks the smaller value, which is always the target here."""

    def answer(body: dict):
        first, second = (float(line.split()[2]) for line in body["messages"][1]["content"].splitlines()[-2:])
        return completion("FIRST" if first < second else "SECOND")

    with serve(answer) as server:
        judge_run(folder(tmp_path), cases(rows(30)), endpoint(server), "reader")
    assert set(table(tmp_path)["judge_stance"]) == {"target"}


def test_equal_answers_are_asked_about_once(tmp_path: Path):
    chosen = cases([*rows(4, "one"), *rows(4, "two")])
    with serve(lambda body: completion("BOTH")) as server:
        judge_run(folder(tmp_path), chosen, endpoint(server), "reader")
    assert len(server.requests) == 4
    assert table(tmp_path).height == 8


@pytest.mark.parametrize(
    "reply",
    [
        completion("I think it is the first one."),
        (200, "this is no JSON"),
        (200, "{}"),
        (200, '{"choices": []}'),
        (200, '{"choices": [{"message": {"content": null}}]}'),
        (200, "[1, 2]"),
        (200, ""),
        completion("\ud800 half a character"),
    ],
)
def test_garbage_is_counted_as_null_and_not_asked_again(tmp_path: Path, reply):
    with serve(lambda body: reply) as server:
        tally = judge_run(folder(tmp_path), cases(rows(3)), endpoint(server), "reader")
        assert tally.unusable == tally.judged == 3
        judge_run(folder(tmp_path), cases(rows(3)), endpoint(server), "reader")
    assert len(server.requests) == 3
    assert table(tmp_path)["judge_stance"].to_list() == [None] * 3


def test_a_server_that_fails_now_and_then_is_asked_again(tmp_path: Path):
    seen: dict[str, int] = {}
    lock = threading.Lock()

    def answer(body: dict):
        with lock:
            text = body["messages"][1]["content"]
            seen[text] = seen.get(text, 0) + 1
            return (500, "busy") if seen[text] < 3 else completion("OTHER")

    with serve(answer) as server:
        tally = judge_run(folder(tmp_path), cases(rows(5)), endpoint(server), "reader")
    assert tally.judged == 5 and set(seen.values()) == {3}


def test_a_server_that_only_fails_is_one_sentence_and_keeps_what_was_judged(tmp_path: Path):
    with serve(lambda body: completion("BOTH")) as server:
        judge_run(folder(tmp_path), cases(rows(4)), endpoint(server), "reader")
    with (
        serve(lambda body: (503, '{"error": {"message": "overloaded"}}')) as server,
        pytest.raises(UserError) as e,
    ):
        judge_run(folder(tmp_path), cases(rows(40)), endpoint(server), "reader")
    assert len(e.value.problems) == 1
    assert "HTTP 503 (overloaded)" in str(e.value) and "4 answers are judged and kept" in str(e.value)
    assert len(server.requests) < 60  # not all 36 four times over
    assert table(tmp_path).height == 4


def test_one_stubborn_question_is_left_for_the_next_time(tmp_path: Path):
    def answer(body: dict):
        return (500, "no") if "on 3 kg" in body["messages"][1]["content"] else completion("BOTH")

    with serve(answer) as server:
        tally = judge_run(folder(tmp_path), cases(rows(6)), endpoint(server), "reader")
    assert (tally.judged, tally.unanswered) == (5, 1)
    with serve(lambda body: completion("BOTH")) as server:
        again = judge_run(folder(tmp_path), cases(rows(6)), endpoint(server), "reader")
    assert (again.earlier, again.judged, len(server.requests)) == (5, 1, 1)


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_a_refusal_stops_at_once(tmp_path: Path, code: int):
    with serve(lambda body: (code, '{"error": "bad key"}')) as server, pytest.raises(UserError) as e:
        judge_run(folder(tmp_path), cases(rows(40)), endpoint(server), "reader")
    assert f"HTTP {code} (bad key)" in str(e.value)
    assert len(server.requests) <= 8
    assert not (tmp_path / JUDGE_FILE).exists()


def test_a_slow_server_times_out(tmp_path: Path):
    def answer(body: dict):
        time.sleep(0.6)
        return completion("BOTH")

    with serve(answer) as server:
        with pytest.raises(NoAnswer, match="timed out"):
            endpoint(server, timeout=0.2, attempts=2).ask("reader", "system", "user")
        assert endpoint(server, timeout=5.0).ask("reader", "system", "user") == "BOTH"


def test_nobody_there_is_one_sentence(tmp_path: Path):
    with serve(lambda body: completion("BOTH")) as server:
        url = server.url
    with pytest.raises(UserError, match="cannot be reached"):
        judge_run(folder(tmp_path), cases(rows(5)), Endpoint(url, pause=0.01, timeout=2), "reader", workers=2)


def test_a_key_does_not_follow_a_redirect(tmp_path: Path):
    with serve(lambda body: completion("BOTH")) as elsewhere:
        with (
            serve(lambda body: (307, f"{elsewhere.url}/v1/chat/completions")) as server,
            pytest.raises(UserError),
        ):
            Endpoint(server.url, key="secret", pause=0.01).ask("reader", "system", "user")
        assert server.headers[0]["Authorization"] == "Bearer secret"
    assert elsewhere.requests == []


def test_a_model_with_its_own_temperature(tmp_path: Path):
    def answer(body: dict):
        if "temperature" in body:
            return 400, json.dumps({"error": {"message": "temperature does not support 0"}})
        return completion("BOTH")

    with serve(answer) as server:
        assert endpoint(server).ask("reader", "system", "user") == "BOTH"


def test_another_judge_is_asked_again_and_both_are_kept(tmp_path: Path):
    with serve(lambda body: completion("BOTH")) as server:
        for model in ("one", "two", "two"):
            judge_run(folder(tmp_path), cases(rows(3)), endpoint(server), model)
        assert len(server.requests) == 6
    assert sorted(table(tmp_path)["judge_model"]) == ["one"] * 3 + ["two"] * 3


def test_models_are_listed():
    with serve(lambda body: completion(""), models=("a", "b")) as server:
        assert Endpoint(server.url).models() == ["a", "b"]


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_address_may_be_written_in_any_of_the_usual_ways(tail: str):
    assert Endpoint(f"http://host:8000{tail}").base == "http://host:8000/v1"


@pytest.mark.parametrize("url", ["", "host:8000", "file:///etc/passwd", "ftp://host", "http://"])
def test_an_address_that_is_none(url: str):
    with pytest.raises(UserError, match="must be an http or https address"):
        Endpoint(url)


def test_names_for_decoys_are_names():
    found = candidate_names([{"target": "Neelam", "prior": None}, {"target": "5 USD", "prior": "yen"}])
    assert found == ["Neelam", "yen"]
