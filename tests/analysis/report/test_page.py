"""Text from runs and models cannot become markup, in HTML or in Markdown."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from analysis.report.blocks import (
    Bullets,
    Figure,
    Heading,
    Paragraph,
    Sample,
    Table,
    escaped,
    fenced,
    to_markdown,
    visible,
)
from analysis.report.page import embedded_json, to_html

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "]]><!--",
    '"><svg onload=alert(1)>',
    "| a | b |\n| --- | --- |",
    "```\n<b>\n```",
    "[x](javascript:alert(1))",
    "\u2028&amp;<",
    "# no",
    "1. no",
    "- no",
)


class Elements(HTMLParser):
    """Names, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def blocks(text: str) -> list:
    return [
        Heading(1, text),
        Paragraph(text),
        Bullets((text, text)),
        Table((text,), ((text,),), text),
        Sample(text, ((text, text),)),
        Figure("frontier", text),
    ]


def test_hostile_text_stays_text_in_html() -> None:
    for text in HOSTILE:
        page = Elements(to_html(blocks(text), {"frontier": {"title": text}}, {"frontier": "<svg></svg>"}))
        tags = [tag for tag, _ in page.found]
        assert tags.count("script") == 5 and tags.count("svg") == 1 and "img" not in tags and "b" not in tags
        assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
        assert any(visible(text) in shown for shown in page.texts)


@given(st.text(max_size=80) | st.sampled_from(HOSTILE))
def test_embedded_json_comes_back(text: str) -> None:
    embedded = embedded_json({"a": [text]})
    assert "<" not in embedded and json.loads(embedded) == {"a": [visible(text)]}


@given(
    st.sampled_from(HOSTILE)
    | st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=60)
)
def test_hostile_text_stays_text_in_markdown(text: str) -> None:
    shown = MarkdownIt("commonmark").enable("table").parse(to_markdown([Paragraph(text)]))
    kinds = {token.type for token in shown} | {c.type for t in shown for c in (t.children or ())}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    words = "".join(c.content for t in shown for c in (t.children or ()))
    assert words == " ".join(visible(text).split())


@given(st.text(st.sampled_from("`ab\n <"), max_size=40))
def test_fences_hold(text: str) -> None:
    [token] = MarkdownIt("commonmark").parse(fenced(text))
    assert token.type == "fence" and token.content == f"{text}\n"


def test_table_cells_hold() -> None:
    table = to_markdown([Table(("a|b", "c"), (("x | y\nz", "<td>"),))])
    parsed = MarkdownIt("commonmark").enable("table").parse(table)
    cells = [t.children for t in parsed if t.type == "inline"]
    assert ["".join(c.content for c in cell or ()) for cell in cells] == ["a|b", "c", "x | y z", "<td>"]


def test_escaped_is_one_line() -> None:
    assert escaped("a\n\nb") == "a b"


def test_only_our_scripts_may_run() -> None:
    page = to_html([Heading(1, "x")], {}, {})
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert "default-src &#x27;none&#x27;" in policy.group(1)
    assert policy.group(1).count("sha256-") == 4 and "unsafe-inline&#x27; script" not in policy.group(1)
    assert not re.search(r"script-src[^;]*unsafe-inline", policy.group(1))
