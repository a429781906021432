"""The hash chain: whatever is changed, taken out or put in breaks it; its last hash stands for all of it."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.run.seal.hash_chain import START, digest, lines, link_all, linked, read_chain

FACTS = [
    {"kind": "plan", "trials": 2},
    {"kind": "trial", "trial_id": "a"},
    {"kind": "trial", "trial_id": "b"},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_an_entry_is_hashed_as_the_docstring_says():
    entry = linked(None, {"kind": "plan"})
    assert (entry["n"], entry["previous"]) == (0, START)
    text = '{"kind":"plan","n":0,"previous":"' + START + '"}'
    assert entry["hash"] == sha256(text.encode()).hexdigest()
    assert linked(entry, {})["previous"] == entry["hash"]


@given(st.lists(st.dictionaries(st.text(min_size=5), JSON, max_size=3), min_size=1, max_size=4))
def test_what_is_written_is_read_without_a_problem(facts):
    entries = link_all(None, facts)
    chain = read_chain(lines(entries), "c")
    assert chain.problems == () and chain.torn == 0 and chain.last == entries[-1]["hash"]
    assert [digest(entry) for entry in chain.entries] == [entry["hash"] for entry in entries]


def broken(change) -> tuple[str, ...]:
    entries = link_all(None, FACTS)
    return read_chain(lines(change(entries)), "seal/chain.jsonl").problems


@pytest.mark.parametrize(
    "change, line, words",
    [
        (lambda e: [e[0], {**e[1], "trial_id": "c"}, e[2]], 2, "was changed after it was written"),
        (lambda e: [e[0], e[2]], 2, "does not follow the line before"),
        (lambda e: [e[0], e[2], e[1]], 2, "does not follow the line before"),
        (lambda e: e[1:], 1, "does not follow the line before"),
        (lambda e: [e[0], e[1], e[1], e[2]], 3, "does not follow the line before"),
        (lambda e: [e[0], linked(e[0], {"kind": "x"}), e[2]], 3, "does not follow the line before"),
        (lambda e: [{"kind": "plan"}, *e[1:]], 1, "is no entry of a chain"),
    ],
)
def test_a_chain_that_was_touched_is_found_with_its_line(change, line, words):
    assert f"seal/chain.jsonl, line {line}: {words}" in " | ".join(broken(change))


def test_a_chain_that_was_made_anew_is_whole_and_ends_in_another_hash():
    """What no chain can show by itself: its last hash, known from elsewhere, does."""
    honest, forged = link_all(None, FACTS), link_all(None, FACTS[:2])
    assert read_chain(lines(forged), "c").problems == ()
    assert forged[-1]["hash"] != honest[-1]["hash"]


def test_the_rest_of_an_entry_that_a_crash_cut_off_is_no_entry():
    whole = lines(link_all(None, FACTS))
    chain = read_chain(whole + json.dumps({"n": 3}).encode(), "c")
    assert chain.problems == () and len(chain.entries) == 3 and chain.torn == 8
    assert read_chain(b"", "c").last == START
