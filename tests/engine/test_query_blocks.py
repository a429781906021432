"""How drafted tokens are laid beside each other."""

from hypothesis import given
from hypothesis import strategies as st

from beliefmod.engine.query_blocks import COPY_COSTS, query_blocks

COUNTS = st.lists(st.integers(1, 16), min_size=1, max_size=40)


@given(COUNTS, st.booleans())
def test_every_token_stands_where_it_is_said_to(counts, split):
    blocks, places = query_blocks(counts, split)
    laid = [token for block in blocks for token in block.tokens]
    assert [laid[place] for place in places] == list(range(sum(counts)))
    assert len(blocks) <= (2 if split else 1)


@given(COUNTS, st.booleans())
def test_a_block_has_each_row_from_its_first_token_on(counts, split):
    starts = [sum(counts[:row]) for row in range(len(counts))]
    for block in query_blocks(counts, split)[0]:
        rows = range(len(counts)) if block.rows is None else block.rows
        assert len(block.tokens) == len(rows) * block.width
        for place, row in enumerate(rows):
            mine = block.tokens[place * block.width : (place + 1) * block.width]
            expected = [min(block.start + n, counts[row] - 1) for n in range(block.width)]
            assert mine == [starts[row] + n for n in expected]


@given(COUNTS)
def test_two_blocks_never_cost_more_than_one(counts):
    blocks, _ = query_blocks(counts, split=True)
    copied = sum(COPY_COSTS * len(block.rows) for block in blocks if block.rows is not None)
    assert sum(len(block.tokens) for block in blocks) + copied <= len(counts) * max(counts)
