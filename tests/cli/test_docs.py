"""`beliefmod docs`: every page, in a form whose links lead somewhere without a checkout."""

from __future__ import annotations

import doctest

import pytest
from typer.testing import CliRunner

from beliefmod.cli import docs
from beliefmod.cli.app import app

PAGES = docs.pages()


def test_the_example_in_its_docstring_is_right():
    assert doctest.testmod(docs).failed == 0


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_printed_without_links_into_a_checkout(name: str):
    said = CliRunner().invoke(app, ["docs", name])
    assert said.exit_code == 0 and len(said.output) > 500
    assert not docs.LINK.findall(said.output)
    named = docs.re.findall(r"`beliefmod docs ([\w-]+)`", said.output)
    assert set(named) <= set(PAGES)


def test_all_pages_are_listed_and_an_unknown_one_is_a_sentence():
    listed = CliRunner().invoke(app, ["docs"]).output.splitlines()
    assert [line.split()[0] for line in listed] == list(PAGES) and {"readme", "models", "rl"} <= set(PAGES)
    wrong = CliRunner().invoke(app, ["docs", "modls"])
    assert wrong.exit_code == 2 and 'did you mean "models"' in wrong.output


def test_what_a_package_index_shows_has_no_link_into_a_checkout():
    assert not docs.LINK.findall(PAGES["package"].read_text(encoding="utf-8"))
