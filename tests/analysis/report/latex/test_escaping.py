"""Text stays text: what a reader of LaTeX prints is what was written."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.report.blocks import Bullets, Figure, Heading, Paragraph, Table, visible
from analysis.report.latex.escaping import SIGNS, tex
from analysis.report.latex.paper import document_files
from tests.analysis.report.latex.tex_reader import assert_well_formed, printed

ATTACKS = (
    r"\input{/etc/passwd}",
    r"\end{document}",
    r"}\write18{rm x}{",
    "$x$ 50 % of a_b & c^d # ~ {",
    r"\\[1cm]",
    "*[x]",
    "^^5cinput",
    "-- --- ,, '' ``a'' <<b>> ?` !`",
    "%\nnext",
    "NUL \x00 and \u202e turned",
)
ANY = (
    st.text(max_size=30) | st.text(alphabet=[*SIGNS, *"ab1-,' \n?!"], max_size=30) | st.sampled_from(ATTACKS)
)


def as_read(text: str) -> str:
    """Text on one line as a reader of paper can tell it: letters that fonts lack are their code points."""
    line = " ".join(unicodedata.normalize("NFC", visible(text)).split())
    return re.sub(r"\(U\+([0-9A-F]{4,6})\)", lambda found: chr(int(found[1], 16) % 0x110000), line)


@settings(max_examples=80, deadline=None)
@given(ANY)
@example("".join(SIGNS))
@example("".join(ATTACKS))
@example("Žluťoučký kůň œuvre İstanbul e\u0301 水 ½ µ m s⁻¹ H₂O")
def test_text_is_printed_as_it_is_written(text: str) -> None:
    source = tex(text)
    assert as_read(printed(source)) == as_read(text)
    assert all(ord(one) < 0x180 or one in "–—‘’“”•€™" for one in source)
    assert not source.startswith(("*", "["))  # behind the end of a row these would be read as its options


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_is_a_command(attack: str) -> None:
    assert not re.search(r"\\(input|end|write|\\)|\^\^|(?<!\\)%", tex(attack))


@settings(max_examples=40, deadline=None)
@given(st.lists(ANY, min_size=6, max_size=6))
@example([*ATTACKS[:6]])
def test_a_document_of_any_texts_is_well_formed(texts: list[str]) -> None:
    title, belief, header, cell, caption, told = texts
    blocks = [
        Heading(1, title),
        Bullets((told, cell)),
        Heading(2, title, "frontier"),
        Heading(3, belief),
        Table((header, "n"), ((cell, told), (told, cell)), caption),
        Figure("frontier", caption),
    ]
    files = document_files([*blocks, Paragraph(told)], told)
    assert set(files) == {"main.tex", "methods.tex", "tables.tex"}
    for content in files.values():
        assert_well_formed(content)
    assert len(re.findall(r"\\begin\{table\}", files["tables.tex"])) == 1
