"""What the README shows exists: commands, options, files, make targets."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beliefmod.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"(?:`|bin/)beliefmod ((?:[a-z]+ )?[a-z]+)(?=[ `])", README)))


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist(line):
    words = line.split()
    shown = CliRunner().invoke(app, [*words, "--help"])
    if shown.exit_code:  # the second word was an argument
        shown = CliRunner().invoke(app, [words[0], "--help"])
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize("option", sorted(set(re.findall(r"beliefmod sweep[^`\n]*?(--[a-z-]+)", README))))
def test_sweep_options_exist(option):
    assert option in CliRunner().invoke(app, ["sweep", "--help"], env={"COLUMNS": "200"}).output


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http)[^)]+)\)", README))))
def test_links_lead_somewhere(target):
    path, _, anchor = target.partition("#")
    assert (ROOT / path).exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bmake ([a-z]+)", README))))
def test_make_targets_exist(name):
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_ci_runs_the_readmes_test_command():
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()
