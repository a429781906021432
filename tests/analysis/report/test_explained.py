"""docs/reading.md is what the page folds away, and report.md leaves nothing of a run out with it."""

from __future__ import annotations

from pathlib import Path

from analysis.report import explained
from analysis.report.blocks import Explained, Folded, Paragraph, Table, to_markdown
from analysis.report.html_blocks import html_of
from tests.test_example_run import DOCS


def test_the_page_in_docs_is_that_of_this_version() -> None:
    assert (DOCS / "reading.md").read_text() == explained.reading_page(), (
        "python -m analysis.report.explained > docs/reading.md"
    )


def test_every_text_is_on_the_page_and_is_the_same_for_every_run() -> None:
    texts = {name: text for name, text in vars(explained).items() if name.isupper() and isinstance(text, str)}
    said = " ".join(text for group in explained.PAGE.values() for text in group)
    assert len(texts) > 20 and [name for name, text in texts.items() if text not in said] == []
    sections = Path(explained.__file__).parent / "sections"
    used = "".join(path.read_text() for path in sections.glob("*.py"))
    assert [name for name in texts if f"explained.{name}" not in used] == ["NO_HALVES"]  # within another


def test_explanations_and_long_tables_are_folded_on_the_page_alone() -> None:
    table = Table(("arm", "value"), (("base", "0.25"),), "Of this run.", "For every run.")
    folded = Folded("Every arm", table, "lens/commitments.parquet")
    text = to_markdown([Paragraph("One."), Explained("For every run."), table, folded])
    assert text == (
        "One.\n\n| arm | value |\n| --- | --- |\n| base | 0.25 |\n\nOf this run.\n\n"
        "Every arm: in report.html and lens/commitments.parquet.\n"
    )
    page = html_of(folded, {})
    assert page.startswith("<details><summary>Every arm</summary>") and "0.25" in page
    assert '<details class="how"><summary>How to read this</summary><p>For every run.</p></details>' in page
