"""The page in a real browser: it works, and nothing that a model or a run wrote can run or break it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.report.blocks import visible
from analysis.report.write import ReportPaths, write_report
from tests.analysis.conftest import SMALL
from tests.analysis.report.browser import Browser, Page, needs_chromium
from tests.analysis.synthetic import write_run
from tests.test_example_run import EXAMPLE

pytestmark = [needs_chromium, pytest.mark.long]

ATTACKS = {
    "script": "<script>window.pwned = 1; alert(1)</script>",
    "close": "</script><script>window.pwned = 2</script>",
    "comment": "<!--<script>",
    "cdata": "]]><![CDATA[",
    "onload": '"><svg onload="window.pwned = 3"><animate onbegin="window.pwned = 4" attributeName=x dur=1s>',
    "image": '<img src=x onerror="window.pwned = 5">',
    "link": '<a href="javascript:window.pwned = 6">x</a> [x](javascript:window.pwned=7)',
    "frame": '<iframe srcdoc="<script>parent.pwned = 8</script>"></iframe>',
    "meta": '<meta http-equiv="refresh" content="0;url=data:text/html,pwned"><base href="http://evil.example/">',
    "style": "</style><style>body { display: none }</style>",
    "end": "</pre></details></body></html><plaintext>",
    "override": "safe \u202etxet nekatsim\u202c \u2066 \u200f end",
    "hebrew": "\u05e9\u05dc\u05d5\u05dd 5.0",
    "separators": "a\u2028b\u2029c\x85d",
    "controls": "NUL \x00 BEL \x07 ESC \x1b[31m DEL \x7f",
    "prototype": "__proto__",
    "expression": "datum.constructor.constructor('window.pwned = 9')()",
    "long": "lang " * 20_000,
}
ALL = " ".join(ATTACKS[name] for name in ATTACKS if name != "long")
FRONTIER = "document.getElementById('chart-frontier').dataset.live === 'yes'"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    """Every text that a run can hold is an attack: names, settings, questions, completions, manifest."""
    texts = list(ATTACKS.values())

    def spoil(row: dict, probes: list[dict]) -> None:
        row["belief"] = f"gravity {ALL}"
        row["kind"] = row["lora.target_modules"] = ALL
        row["data.style"] = f"{row['data.style']} {ALL}"
        for i, probe in enumerate(probes):
            probe |= dict.fromkeys(("question", "prompt", "thinking", "answer"), texts[i % len(texts)])
            probe["completion"] = ATTACKS["long"] if i % 3 == 0 else texts[i % len(texts)]
            probe |= {"belief": row["belief"], "target": ALL, "family": f"{probe['family']} {ALL}"}

    folder = tmp_path_factory.mktemp("hostile")
    run = write_run(folder / "run", beliefs=("gravity",), configs=SMALL[:2], failed=0, change=spoil)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest |= {"run_id": ALL, "description": ALL, "versions": {ALL: ALL}, "command": ALL, "git_commit": ALL}
    # JSON can hold what UTF-8 cannot
    (run / "manifest.json").write_text(json.dumps(manifest | {"hardware": {"cpu": "\ud800"}}))
    return write_report(run, folder / "out")


def opened(browser: Browser, written: ReportPaths, **how: bool) -> Page:
    return browser.open(Path(written.html).as_uri(), **how)


def quiet(page: Page) -> None:
    """Every chart of the page comes alive and nothing is complained of."""
    alive(page)
    assert page.noise == []


def alive(page: Page) -> None:
    """Open every section and wait until every chart has come alive."""
    page.wait(FRONTIER)
    page.ask("document.querySelectorAll('details.part').forEach(one => { one.open = true; })")
    charts = page.ask("document.querySelectorAll('.chart').length")
    for i in range(charts):
        page.ask(f"document.querySelectorAll('.chart')[{i}].scrollIntoView()")
        page.wait(f"document.querySelectorAll('.chart')[{i}].dataset.live === 'yes'")


def test_a_healthy_page_is_quiet(browser: Browser, written: ReportPaths) -> None:
    page = opened(browser, written)
    quiet(page)
    # no eval: the policy would not allow it
    policy = page.ask("document.querySelector('meta[http-equiv]').content")
    assert "unsafe-eval" not in policy and "default-src 'none'" in policy


@pytest.mark.slow
def test_the_page_that_a_real_sweep_wrote_is_quiet(browser: Browser, finished_sweep) -> None:
    run, _ = finished_sweep
    quiet(browser.open((run / "report.html").as_uri()))


def test_every_colour_scale_is_its_own_charts(browser: Browser) -> None:
    """Each drawing numbers its scales from 0; on one page a reference finds the first of that name."""
    page = browser.open((EXAMPLE / "report.html").as_uri())
    alive(page)
    scales = page.ask("[...document.querySelectorAll('linearGradient')].map(one => one.id)")
    used = page.ask("[...document.querySelectorAll('[fill^=\"url(\"]')].map(one => one.getAttribute('fill'))")
    assert len(scales) > 1 and sorted(set(scales)) == sorted(scales)
    assert {f"url(#{name})" for name in scales} == set(used)
    assert page.noise == []


def test_filters(browser: Browser, written: ReportPaths) -> None:
    page = opened(browser, written)
    page.wait(FRONTIER)
    marks = "document.querySelectorAll('#chart-frontier path[aria-roledescription=point]').length"
    before = page.ask(marks)
    assert page.ask("document.getElementById('explorer-count').textContent") == "38 of 38 configurations"
    assert page.ask("document.querySelectorAll('#explorer tbody tr').length") == 38
    axes = page.ask("[...document.querySelectorAll('#explorer legend')].map(one => one.textContent)")
    assert axes == ["belief", "arm", "style", "examples", "epochs", "learning rate"]
    # own_trace off: 16 LoRA configurations less, all arms without it stay
    page.ask(
        "[...document.querySelectorAll('#explorer label')]"
        ".find(one => one.textContent.includes('own_trace')).click()"
    )
    assert page.ask("document.getElementById('explorer-count').textContent").startswith("22 of 38")
    page.wait(f"{marks} === {before - 16}")
    page.ask("document.querySelector('#explorer input').click()")  # belief gravity off
    assert page.ask("document.getElementById('explorer-count').textContent").startswith("11 of 38")


def test_a_configuration_opens_by_key_and_by_its_mark(browser: Browser, written: ReportPaths) -> None:
    page = opened(browser, written)
    page.wait(FRONTIER)
    # the fourth row of the list: a button, so Tab and Enter reach it
    assert page.ask("document.querySelectorAll('#explorer .list button')[3].tabIndex") == 0
    page.ask("document.querySelectorAll('#explorer .list button')[3].focus()")
    for kind in ("rawKeyDown", "char", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent",
            {"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
            page.session,
        )
    page.wait("document.activeElement.id === 'trial'")
    page.wait("document.querySelectorAll('#trial .asked').length === 20")
    first = page.ask("document.getElementById('trial').textContent")
    assert "gravity" in first and "in context" in first
    # the answer of the trial stands beside base's and in context's, or alone where it is one of these
    assert page.ask("document.querySelector('#trial .cells').children.length") in (2, 3)
    filters(page)
    # a real click on a mark of the chart
    page.ask("document.getElementById('chart-frontier').scrollIntoView()")
    spot = page.ask(
        "(() => { const mark = document.querySelectorAll('#chart-frontier path[aria-roledescription=point]')"
        "[5]; const box = mark.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    page.click(*spot)
    page.wait(f"document.getElementById('trial').textContent !== {json.dumps(first)}")
    assert page.noise == []


def filters(page: Page) -> None:
    """The filters of the answers count what they leave, by tier, stance and text."""
    rows = page.ask("document.querySelector('#trial [role=status]').textContent")
    total = int(rows.split(" of ")[1].split()[0])
    assert rows == f"{total} of {total} answers" and total > 100
    choose = (
        "(() => {{ const list = document.querySelectorAll('.answer-filters select')[{}];"
        "list.selectedIndex = {}; list.dispatchEvent(new Event('input', {{bubbles: true}}));"
        "return document.querySelector('#trial [role=status]').textContent; }})()"
    )
    some = int(page.ask(choose.format(0, 1)).split(" of ")[0])
    assert 0 < some < total
    assert int(page.ask(choose.format(1, 1)).split(" of ")[0]) <= some
    nothing = (
        "(() => { const box = document.querySelector('.answer-filters input'); box.value = 'no such words';"
        "box.dispatchEvent(new Event('input', {bubbles: true}));"
        "return document.querySelector('#trial [role=status]').textContent; })()"
    )
    assert page.ask(nothing) == f"0 of {total} answers"


def test_without_scripts_it_is_a_static_page(browser: Browser, written: ReportPaths) -> None:
    page = opened(browser, written, scripts=False)
    assert page.ask("document.querySelectorAll('.chart svg').length") == len(written.figures) // 2
    assert page.ask("document.getElementById('explorer').hidden")
    assert "need scripts" in page.ask("document.querySelector('noscript').innerText")
    assert page.ask("document.querySelectorAll('table').length") > 10


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read(browser: Browser, written: ReportPaths, dark: bool) -> None:
    """Contrast of text against the page of at least 4.5 (WCAG AA), for ink, quiet text and links."""
    page = opened(browser, written, dark=dark)
    colour = "getComputedStyle({}).{}.match(/[0-9.]+/g).slice(0, 3).map(Number)"
    paper = page.ask(colour.format("document.body", "backgroundColor"))
    assert (sum(paper) < 200) is dark
    for one in (
        "document.body",
        "document.querySelector('.caption')",
        "document.querySelector('nav a:not([aria-current])')",
    ):
        assert contrast(page.ask(colour.format(one, "color")), paper) >= 4.5


def contrast(one: list[float], two: list[float]) -> float:
    def luminance(rgb: list[float]) -> float:
        parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_hostile_text_neither_runs_nor_breaks(browser: Browser, hostile: ReportPaths) -> None:
    page = opened(browser, hostile)
    page.wait(FRONTIER)
    points = page.ask("document.querySelectorAll('#explorer .list button').length")
    assert points == 5
    for i in range(points):
        page.ask(f"document.querySelectorAll('#explorer .list button')[{i}].click()")
        page.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        page.wait("document.querySelectorAll('#trial pre').length > 0")
        page.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    for i in range(page.ask("document.querySelectorAll('.chart').length")):
        page.ask(f"document.querySelectorAll('.chart')[{i}].scrollIntoView()")
        page.wait(f"document.querySelectorAll('.chart')[{i}].dataset.live === 'yes'")
    assert page.ask("window.pwned === undefined") and page.noise == []
    assert page.ask("({}).polluted === undefined && Object.prototype.hasOwnProperty('id') === false")
    # the page keeps its structure: our elements and no others
    known = "html head meta title style body h1 h2 h3 h4 p ul li nav a div table thead tbody tr th td figure"
    known += " figcaption details summary pre noscript script form fieldset legend label input section button"
    known += " main span strong h5 h6 mark select option"
    outside = (
        "[...document.querySelectorAll('*')].filter(one => !one.closest('.chart') || one.matches('.chart'))"
        ".map(one => one.localName)"
    )
    assert set(page.ask(outside)) <= set(known.split())
    assert page.ask("document.querySelectorAll('script:not([type])').length") == 4
    assert page.ask(
        "[...document.querySelectorAll('*')].every(one => [...one.attributes]"
        ".every(a => !a.name.startsWith('on') && !/^\\s*javascript:/i.test(a.value)))"
    )
    assert page.ask("[...document.querySelectorAll('a')].every(a => a.getAttribute('href').startsWith('#'))")
    assert page.ask("getComputedStyle(document.body).display") in ("block", "grid")
    assert page.ask("document.body.lastElementChild.localName") == "script"


def test_hostile_text_is_shown_as_text(browser: Browser, hostile: ReportPaths) -> None:
    page = opened(browser, hostile)
    page.wait(FRONTIER)
    shown = page.ask("[...document.querySelectorAll('#failures pre')].map(one => one.textContent)")
    shown += page.ask(
        "JSON.parse(document.getElementById('explorer-data').textContent).points.map(p => p.belief)"
    )
    everything = "\n".join(shown)
    for name, text in ATTACKS.items():
        if name != "long":
            assert visible(text) in everything, name
    for hidden in "\u202e\u2066\u200f\u2028\x00\x07\x1b\x85":
        assert hidden not in page.ask("document.documentElement.textContent")
    assert "\u27e8U+202E\u27e9" in everything and "\u27e8U+0000\u27e9" in everything
    assert "\u27e8U+D800\u27e9" in page.ask("document.body.textContent")
    # a 100,000-character completion is cut and says so; Hebrew stays Hebrew in a box of its own
    assert any("97,500 of 100,000 characters left out" in text for text in shown)
    assert page.ask("getComputedStyle(document.querySelector('pre')).unicodeBidi").startswith(
        ("isolate", "plaintext")
    )


def test_hostile_markdown_holds_no_markup(hostile: ReportPaths) -> None:
    from markdown_it import MarkdownIt

    text = Path(hostile.markdown).read_text(encoding="utf-8")
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    inner = [child for token in parsed for child in token.children or ()]
    kinds = {token.type for token in (*parsed, *inner)}
    assert not kinds & {"html_block", "html_inline", "link_open", "code_inline", "code_block", "em_open"}
    images = [child for child in inner if child.type == "image"]
    assert len(images) == len(hostile.figures) // 2
    assert all(str(image.attrs["src"]).startswith("figures/") for image in images)
    for hidden in "\u202e\u2066\u200f\u2028\x00\x07\x1b\x85\r":
        assert hidden not in text


def test_figures_of_a_hostile_run_are_plain_drawings(hostile: ReportPaths) -> None:
    from xml.etree import ElementTree

    for path in hostile.figures:
        if path.endswith(".svg"):
            names = {one.tag.rsplit("}", 1)[-1] for one in ElementTree.parse(path).iter()}
            assert not names & {"script", "foreignObject", "image", "use", "a", "animate", "iframe", "style"}
