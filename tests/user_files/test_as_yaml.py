"""What is written as YAML is read back equal."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.user_files.yaml_file import as_yaml, parse_yaml

WORDS = st.one_of(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))), st.sampled_from(
    ["yes", "2e-4", "1.0", "null", "on", "- x", "a: b", "#", "{who}", "1969-07-20", "", "'"]
))  # fmt: skip
LEAVES = st.one_of(WORDS, st.integers(), st.booleans(), st.none(), st.floats(-1e6, 1e6))
DATA = st.dictionaries(
    WORDS.filter(bool), st.one_of(LEAVES, st.lists(LEAVES), st.dictionaries(WORDS.filter(bool), LEAVES))
)


@settings(max_examples=25)
@given(DATA.filter(bool), st.booleans())
def test_it_is_read_back(data: dict, brackets: bool):
    assert parse_yaml(as_yaml(data, brackets=brackets), "it").data == data
