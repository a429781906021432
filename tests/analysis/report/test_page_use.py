"""How the page is used: the first screen, folding, the side list, widths, print, and what axe-core finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.report.write import ReportPaths, write_report
from tests.analysis.report.browser import Browser, Page, needs_chromium
from tests.analysis.synthetic import grid, write_run
from tests.test_example_run import EXAMPLE, REAL

pytestmark = [needs_chromium, pytest.mark.long]

AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"
REPORT = (EXAMPLE / "report.html").as_uri()
OPEN = "[...document.querySelectorAll('details.part')].filter(one => one.open).map(one => one.id)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


def bottom(page: Page, what: str) -> float:
    return page.ask(f"document.querySelector('{what}').getBoundingClientRect().bottom")


def test_the_first_screen_holds_verdict_figures_and_frontier(browser: Browser) -> None:
    page = browser.open(REPORT, size=(1440, 900))
    assert page.ask("scrollY") == 0
    assert bottom(page, ".sentence") < bottom(page, ".figures") < bottom(page, "#chart-frontier") <= 900
    names = page.ask("[...document.querySelectorAll('.figures .name')].map(one => one.textContent)")
    assert names == ["adoption", "damage", "confirmed?", "how sure of this choice?", "breaks first"]
    # every figure leads into a section, which opens
    for at in range(len(names)):
        page.ask("document.querySelectorAll('details.part').forEach(one => { one.open = false; })")
        page.ask(f"document.querySelectorAll('.figures a')[{at}].click()")
        anchor = page.ask("location.hash.slice(1)")
        page.wait(f"document.getElementById('{anchor}').getBoundingClientRect().top < innerHeight")
        assert page.ask(f"document.getElementById('{anchor}').closest('details.part').open"), anchor
    page.ask("localStorage.clear()")


def test_sections_stay_as_they_were_left(browser: Browser) -> None:
    page = browser.open(REPORT)
    page.ask("localStorage.clear()")
    page = browser.open(REPORT)
    before = page.ask(OPEN)
    assert "tiers" in before and "speed" not in before
    page.ask("document.querySelector('#tiers > summary').click()")
    page.ask("document.querySelector('#speed > summary').click()")
    page.wait("localStorage.length >= 2")
    page = browser.open(REPORT)
    after = page.ask(OPEN)
    assert "tiers" not in after and "speed" in after
    page.ask("localStorage.clear()")


def test_the_side_list_shows_where_one_is(browser: Browser) -> None:
    page = browser.open(REPORT, size=(1440, 900))
    current = "document.querySelector('#contents [aria-current]').textContent"
    assert page.ask(current) == "Verdict"
    page.ask("document.querySelector('#contents a[href=\"#damage\"]').click()")
    page.wait(f"{current} === document.querySelector('#damage h2').textContent")


def test_print_holds_every_section(browser: Browser) -> None:
    page = browser.open(REPORT)
    before = page.ask(OPEN)
    page.ask("dispatchEvent(new Event('beforeprint'))")
    assert page.ask("[...document.querySelectorAll('details.part')].every(one => one.open)")
    page.ask("dispatchEvent(new Event('afterprint'))")
    assert page.ask(OPEN) == before


@pytest.mark.parametrize("size", [(1440, 900), (768, 1024), (390, 844)])
def test_no_width_scrolls_sideways(browser: Browser, size: tuple[int, int]) -> None:
    page = browser.open(REPORT, size=size)
    page.ask("document.querySelectorAll('details.part').forEach(one => { one.open = true; })")
    assert page.ask("document.documentElement.scrollWidth") <= size[0]
    boxes = "[...document.querySelectorAll('.chart')]"
    assert page.ask(f"{boxes}.every(one => ['auto', 'scroll'].includes(getComputedStyle(one).overflowX))")
    if size[0] >= 1440:
        cut = page.ask(f"{boxes}.filter(one => one.scrollWidth > one.clientWidth).map(one => one.id)")
        assert cut == []


@pytest.mark.parametrize("run", [EXAMPLE, REAL])
def test_no_figure_is_wider_than_the_column_of_a_wide_page(run: Path) -> None:
    """Their panels stand in rows where they are many: a page of 1440 pixels has 1165 for a picture."""
    widths = {
        path.name: float(path.read_text(encoding="utf-8").split('width="', 1)[1].split('"', 1)[0])
        for path in sorted((run / "figures").glob("*.svg"))
    }
    assert widths and {name: wide for name, wide in widths.items() if wide > 1165} == {}


def test_a_chart_shrinks_a_little_before_its_box_scrolls(browser: Browser) -> None:
    width = "document.querySelector('#chart-frontier svg').getBoundingClientRect().width"
    drawn = "parseFloat(document.getElementById('chart-frontier').style.getPropertyValue('--drawn'))"
    for wide, shares in ((1440, (1.0, 1.0)), (390, (0.8, 0.8))):
        page = browser.open(REPORT, size=(wide, 900))
        page.wait("document.getElementById('chart-frontier').dataset.live === 'yes'")
        low, high = shares
        assert low - 0.01 <= page.ask(f"{width} / {drawn}") <= high + 0.01


@pytest.mark.long
@pytest.mark.skipif(not AXE.exists(), reason="npm install --no-save axe-core@4 in the repository fetches it")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_axe_finds_nothing_serious(browser: Browser, dark: bool, size: tuple[int, int]) -> None:
    page = browser.open(REPORT, dark=dark, size=size)
    page.wait("document.getElementById('chart-frontier').dataset.live === 'yes'")
    page.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    browser.call("Page.setBypassCSP", {"enabled": True}, page.session)
    page.ask(AXE.read_text(encoding="utf-8") + ";0")
    found = page.ask(
        "axe.run(document, {resultTypes: ['violations']}).then(all => all.violations"
        ".filter(one => one.impact === 'serious' || one.impact === 'critical')"
        ".map(one => one.id + ': ' + one.nodes[0].html.slice(0, 200)))"
    )
    assert found == []


@pytest.mark.long
def test_the_first_screen_of_500_configurations_is_there_before_the_charts(
    browser: Browser, tmp_path: Path
) -> None:
    configs = list(grid(examples=tuple(range(10, 135)), epochs=(3, 10), rates=(2e-4,)))
    assert len(configs) == 500
    run = write_run(tmp_path / "run", beliefs=("gravity",), configs=configs, failed=0)
    written: ReportPaths = write_report(run, tmp_path / "out")
    page = browser.open(Path(written.html).as_uri(), size=(1440, 900))
    painted = page.ask("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    loaded = page.ask("performance.getEntriesByType('navigation')[0].domContentLoadedEventStart")
    print(f"first paint after {painted:.0f} ms, scripts loaded after {loaded:.0f} ms")
    assert painted < loaded
