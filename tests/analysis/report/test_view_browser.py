"""The page of `beliefmod view` in a browser: answers and configurations that it asks the server for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import polars as pl
import pytest

from analysis.report.configuration_list import AT_ONCE
from analysis.report.serve import RunServer
from benchmarks.view import make_run
from tests.analysis.report.browser import Browser, needs_chromium
from tests.analysis.report.test_serve import running
from tests.test_example_run import EXAMPLE

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.long]

MANY = 450
COUNT = "(document.getElementById('explorer-count') || {}).textContent"
ROWS = "document.querySelectorAll('#explorer .list tbody tr').length"
BUTTON = (
    "[...document.querySelectorAll('#explorer > p > button')].find(one => one.textContent.startsWith('{}'))"
)
STATUS = "[...document.querySelectorAll('#trial [role=status]')].map(one => one.textContent).join()"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunServer]:
    folder = tmp_path_factory.mktemp("many") / "run"
    make_run(folder, MANY)
    for file in (EXAMPLE / "probes").iterdir():
        shutil.copy(file, folder / "probes")
    yield from running(folder)


def test_the_report_asks_for_its_answers(browser: Browser) -> None:
    trial = pl.read_parquet(EXAMPLE / "trials.parquet").filter(arm="lora")["trial_id"][0]
    stored = pl.read_parquet(EXAMPLE / "probes" / f"{trial}.parquet")
    for server in running(EXAMPLE):
        page = browser.open(server.url)
        page.wait("document.getElementById('chart-frontier').dataset.live === 'yes'")
        page.ask(f"openTrial('{trial}')")
        page.wait(f"{STATUS} === '{stored.height} of {stored.height} answers'")
        assert page.ask("document.querySelectorAll('#trial .asked').length") == 20
        assert page.noise == []


def test_many_configurations_are_turned_and_filtered(browser: Browser, many: RunServer) -> None:
    page = browser.open(many.url)
    total = MANY + 2  # base and in context
    page.wait(f"{COUNT} === '{total} of {total} configurations; listed are 1 to {AT_ONCE}'")
    assert page.ask(ROWS) == AT_ONCE
    page.ask(BUTTON.format("next") + ".click()")
    page.wait(f"{COUNT}.endsWith('listed are 201 to 400')")
    page.ask(BUTTON.format("next") + ".click()")
    page.wait(f"{COUNT}.endsWith('listed are 401 to {total}')")
    assert page.ask(ROWS) == total - 2 * AT_ONCE and page.ask(BUTTON.format("next") + ".hidden")
    page.ask(BUTTON.format("previous") + ".click()")
    page.wait(f"{COUNT}.endsWith('listed are 201 to 400')")
    # trained arms off: what is left is untrained, from its beginning
    page.ask(
        "[...document.querySelectorAll('#explorer label')].find(one => one.textContent.trim() === 'lora')"
        ".querySelector('input').click()"
    )
    page.wait(f"{COUNT} === '2 of {total} configurations'")
    assert page.ask(ROWS) == 2 and page.noise == []


def test_a_mark_of_the_picture_opens_its_configuration(browser: Browser, many: RunServer) -> None:
    page = browser.open(many.url)
    page.wait("document.getElementById('chart-frontier').dataset.live === 'yes'")
    marks = "[...document.querySelectorAll('#chart-frontier .mark-symbol path')]"
    named = f"{marks}.map(one => (one.__data__.datum || {{}}).trial_id)"
    assert page.ask(f"new Set({named}.filter(Boolean)).size") == MANY + 2
    last = f"t{MANY - 1}"
    at = page.ask(f"{named}.indexOf('{last}')")
    spot = page.ask(
        f"(() => {{ const one = {marks}[{at}]; one.scrollIntoView({{block: 'center'}});"
        "const box = one.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    page.click(*spot)
    page.wait(f"document.getElementById('trial').textContent.includes('{last}')")
    # the filters of the list hold for the picture too
    page.ask(
        "[...document.querySelectorAll('#explorer label')].find(one => one.textContent.trim() === 'lora')"
        ".querySelector('input').click()"
    )
    page.wait(f"{marks}.length < {MANY}")
    assert page.noise == []


def test_a_listed_configuration_opens_beside_base_and_in_context(browser: Browser, many: RunServer) -> None:
    last = f"t{MANY - 1}"
    page = browser.open(many.url)
    page.wait(ROWS)
    page.ask(f"openTrial('{last}')")
    page.wait(f"/^[1-9]\\d* of /.test({STATUS})")
    heads = page.ask(
        "[...document.querySelector('#trial .asked').querySelectorAll('h6')].map(one => one.textContent)"
    )
    assert heads == ["base", "in context", "this one"]
    assert page.noise == []
