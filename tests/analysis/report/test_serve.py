"""`beliefmod view` over HTTP: what it serves is what the parquet files hold, and it serves nothing else."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import polars as pl
import pytest

from analysis.report.explorer import LEFT_OUT
from analysis.report.serve import RunServer
from analysis.report.served_page import served_copy
from analysis.report.viewed_run import ViewedRun
from beliefmod.run.read_run import read_run
from tests.test_example_run import EXAMPLE

TRIALS = pl.read_parquet(EXAMPLE / "trials.parquet")
BASE = TRIALS.filter(arm="base")["trial_id"][0]
OUTSIDE = "a file outside the run"


def running(run: Path) -> Iterator[RunServer]:
    server = RunServer(ViewedRun(read_run(str(run))), 0)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def example() -> Iterator[RunServer]:
    """The server of docs/example, which has a report."""
    yield from running(EXAMPLE)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunServer]:
    """The server of docs/example without its report, with a file that no request may read beside it."""
    folder = tmp_path_factory.mktemp("viewed")
    (folder / "secret.parquet").write_text(OUTSIDE)
    (folder / "run").mkdir()
    for name in ("probes", "beliefs", "suites"):
        shutil.copytree(EXAMPLE / name, folder / "run" / name)
    for name in ("manifest.json", "space.yaml", "trials.parquet"):
        shutil.copy(EXAMPLE / name, folder / "run")
    yield from running(folder / "run")


def ask(
    server: RunServer, target: str, method: str = "GET", host: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", server.server_port)
    connection.putrequest(method, target, skip_host=host is not None)
    if host:
        connection.putheader("Host", host)
    connection.endheaders()
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, dict(reply.getheaders()), body


def test_answers_are_the_rows_of_the_parquet_file(listed: RunServer) -> None:
    status, headers, body = ask(listed, f"/answers/{BASE}")
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    served = {(row["suite"], row.get("tier"), row["probe_id"]): row for row in json.loads(body)}
    stored = pl.read_parquet(EXAMPLE / "probes" / f"{BASE}.parquet")
    assert len(served) == stored.height > 300
    for row in stored.iter_rows(named=True):
        shown = served[row["suite"], row["tier"], row["probe_id"]]
        for name in (
            "question",
            "prompt",
            "completion",
            "thinking",
            "answer",
            "target",
            "answer_stance",
            "tokens",
        ):
            assert shown.get(name) == row[name], name


def test_the_report_is_served_with_its_answers_left_to_be_asked_for(example: RunServer) -> None:
    status, _, body = ask(example, "/")
    page, written = body.decode(), (EXAMPLE / "report.html").read_text()
    assert status == 200 and "data-answers" in written and 'data-answers="' not in page
    assert '<meta name="served" content="yes">' in page and 'name="served" content' not in written
    policies = [re.findall(r'Security-Policy" content="([^"]+)"', text) for text in (page, written)]
    assert policies[0] == [policies[1][0] + "; connect-src &#x27;self&#x27;"]
    # the rest is the report to the letter
    body_of = re.compile(r"<body>.*?</main>", re.DOTALL)
    assert body_of.findall(page) == body_of.findall(written)
    # it holds its configurations itself
    assert ask(example, "/configurations")[0] == 404


def test_what_a_written_page_leaves_out_is_not_said_where_it_is_served() -> None:
    written = (EXAMPLE / "report.html").read_text()
    note = "with the words marked that the scorer used."
    said = note + LEFT_OUT.format(kept="200", trials="1,234")
    assert note in written and LEFT_OUT[:25] not in written
    assert served_copy(written.replace(note, said)) == served_copy(written)


def test_a_page_by_another_hand_is_not_served(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "trials.parquet", tmp_path)
    page = (EXAMPLE / "report.html").read_text()
    (tmp_path / "report.html").write_text(page.replace("script-src ", "script-src 'unsafe-inline' "))
    viewed = ViewedRun(read_run(str(tmp_path)))
    assert b"written by another version" in viewed.page
    # what is shown instead has the policy of any page, and only scripts of this version
    assert b"unsafe-inline&#x27; &#x27;sha256" not in viewed.page
    assert b"connect-src &#x27;self&#x27;" in viewed.page


def test_configurations_are_filtered_by_the_server(listed: RunServer) -> None:
    trained = TRIALS.filter(arm="lora")
    data = json.loads(re.findall(rb'id="explorer-data">([^<]+)<', ask(listed, "/")[2])[0])
    assert {point["arm"] for point in data["points"]} == {"base", "icl"}
    every = json.loads(ask(listed, "/configurations")[2])
    assert every["count"] == len(every["points"]) == data["total"] and every["drawn"] == []
    assert sorted(t for point in every["points"] for t in point["trials"]) == sorted(TRIALS["trial_id"])
    styles = {axis["name"]: axis["values"] for axis in data["axes"]}["data.style"]
    assert len(styles) > 1
    for style in styles:
        wanted = quote(json.dumps({"data.style": {"values": [style]}, "arm": {"values": ["lora"]}}))
        found = json.loads(ask(listed, f"/configurations?filters={wanted}")[2])
        ids = {t for point in found["points"] for t in point["trials"]}
        assert sorted(found["drawn"]) == sorted(point["id"] for point in found["points"])
        assert ids == set(trained.filter(pl.col("data.style") == style)["trial_id"])
    wanted = quote(json.dumps({"arm": {"values": []}}))
    none = {"count": 0, "points": [], "drawn": []}
    assert json.loads(ask(listed, f"/configurations?filters={wanted}")[2]) == none
    last = json.loads(ask(listed, f"/configurations?start={every['count'] - 1}")[2])
    assert last["points"] == every["points"][-1:]
    one = trained["trial_id"][1]
    assert one in json.loads(ask(listed, f"/configuration/{one}")[2])["trials"]


def test_the_list_has_the_frontier_of_the_report(listed: RunServer) -> None:
    page = ask(listed, "/")[2].decode()
    [data] = re.findall(r'data-chart="frontier">([^<]+)<', page)
    specs = json.loads(data)["datasets"].values()
    drawn = {row["trial_id"] for rows in specs for row in rows if "trial_id" in row}
    first = (
        TRIALS.sort("seed").group_by("arm", "data.style", "data.num_examples", maintain_order=True).first()
    )
    assert drawn == set(first["trial_id"]) and "Drawn are" not in page
    assert '<div class="chart" id="chart-frontier"' in page


@pytest.mark.parametrize(
    "query", ["filters=1", "filters={", "filters={%22no%22:{}}", "start=x", "filters=[[]]"]
)
def test_a_query_that_makes_no_sense_is_refused(listed: RunServer, query: str) -> None:
    assert ask(listed, f"/configurations?{query}")[0] == 400


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:{}", "127.0.0.1", "127.0.0.1:1", "localhost.:{}", ""]
)
def test_another_host_is_refused(listed: RunServer, name: str) -> None:
    status, _, body = ask(listed, f"/answers/{BASE}", host=name.format(listed.server_port) or " ")
    assert status == 403 and b"completion" not in body


def test_both_names_of_this_machine_are_its_own(listed: RunServer) -> None:
    for name in ("127.0.0.1", "localhost"):
        assert ask(listed, "/", host=f"{name}:{listed.server_port}")[0] == 200
    assert listed.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "target",
    [
        "/answers/0000000000",
        "/answers/",
        "/answers/../../secret",
        "/answers/..%2F..%2Fsecret",
        f"/answers/..%2Fprobes%2F{BASE}",
        f"/answers/{BASE}.parquet",
        f"/answers/{BASE}%00",
        "/configuration/..%2Fsecret",
        "/manifest.json",
        "/trials.parquet",
        "/../secret.parquet",
        "//etc/passwd",
        "/%2e%2e/secret.parquet",
    ],
)
def test_nothing_but_trials_of_the_run_is_found(listed: RunServer, target: str) -> None:
    status, _, body = ask(listed, target)
    assert status == 404 and body == b"there is no such page or trial\n"


def test_a_trial_whose_name_leads_out_is_not_followed(tmp_path: Path) -> None:
    """A stranger's table may name any trial; the run folder refuses the path."""
    (tmp_path / "run" / "probes").mkdir(parents=True)
    shutil.copy(EXAMPLE / "probes" / f"{BASE}.parquet", tmp_path / "secret.parquet")
    evil = TRIALS.with_columns(pl.lit("../../secret").alias("trial_id")).head(1)
    evil.write_parquet(tmp_path / "run" / "trials.parquet")
    for server in running(tmp_path / "run"):
        status, _, body = ask(server, "/answers/..%2F..%2Fsecret")
        assert status == 500 and b"leads out of the run folder" in body and b"completion" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_is_read_only(listed: RunServer, method: str) -> None:
    status, headers, _ = ask(listed, f"/answers/{BASE}", method)
    assert status == 405 and headers["Allow"] == "GET, HEAD"


def test_a_method_that_nobody_knows_and_a_head(listed: RunServer) -> None:
    assert ask(listed, "/", "BREW")[0] == 501
    status, headers, body = ask(listed, "/", "HEAD")
    assert (status, body) == (200, b"") and int(headers["Content-Length"]) == len(ask(listed, "/")[2])


def test_no_other_page_may_embed_or_read_it(listed: RunServer) -> None:
    for target in ("/", f"/answers/{BASE}", "/nothing"):
        headers = ask(listed, target)[1]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert "Access-Control-Allow-Origin" not in headers


def test_only_this_machine_can_reach_it(listed: RunServer) -> None:
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", listed.server_port))
