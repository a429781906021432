"""Rows that move between caches: each keeps its tokens, whatever lay beside it."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.engine.key_value_cache import PAGE, KeyValueCache, paged, rearranged

LAYERS, HEADS, SIZE = 2, 2, 3


def filled(lengths: list[int], first: float) -> KeyValueCache:
    """A cache whose numbers are all different, from `first` on."""
    cache = KeyValueCache(lengths)
    count = len(lengths) * HEADS * cache.capacity * SIZE
    for layer in range(LAYERS):
        numbers = first + 2 * count * layer + torch.arange(2 * count, dtype=torch.float64)
        keys, values = numbers.view(2, len(lengths), HEADS, cache.capacity, SIZE)
        cache.layers[layer] = keys.clone(), values.clone()
    return cache


def tokens_of(cache: KeyValueCache, row: int) -> list[torch.Tensor]:
    """Keys and values (Hkv, its tokens, D) of a row, layer by layer."""
    return [each[row, :, : cache.lengths[row]].clone() for pair in cache.layers.values() for each in pair]


lengths = st.lists(st.integers(1, 2 * PAGE + 1), min_size=1, max_size=4)


@given(data=st.data(), given_lengths=st.lists(lengths, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_rows_keep_their_tokens(data: st.DataObject, given_lengths: list[list[int]]) -> None:
    """Rows of several caches in any order, in one group or several, some twice and some left out."""
    caches = [filled(each, 1e6 * number) for number, each in enumerate(given_lengths)]
    every = [(cache, row) for cache in caches for row in range(len(cache.lengths))]
    groups = data.draw(
        st.lists(st.lists(st.sampled_from(every), min_size=1, max_size=6), min_size=1, max_size=3)
    )
    expected = [[tokens_of(*place) for place in rows] for rows in groups]
    found = rearranged(groups)
    for cache, rows in zip(found, expected, strict=True):
        assert cache.capacity == paged(max(cache.lengths))
        for row, tokens in enumerate(rows):
            assert all(map(torch.equal, tokens_of(cache, row), tokens))
        for layer in cache.layers.values():
            assert all(each.shape == (len(rows), HEADS, cache.capacity, SIZE) for each in layer)
    left = {id(cache) for rows in groups for cache, _ in rows}
    assert all(not cache.layers for cache in caches if id(cache) in left)


def test_groups_share_no_tensor() -> None:
    """What is written to one group is not seen in another that has the same row."""
    cache = filled([3, 2], 0)
    first, second = rearranged([[(cache, 0), (cache, 1)], [(cache, 0), (cache, 1)]])
    before = tokens_of(second, 0)
    first.write(0, torch.tensor([0]), torch.tensor([0]), *torch.zeros(2, 1, HEADS, SIZE, dtype=torch.float64))
    assert all(map(torch.equal, tokens_of(second, 0), before))


def test_a_part_leaves_the_cache_as_it_was() -> None:
    """Rows are copied with room for more, and writing there changes nothing here."""
    cache = filled([3, 2], 0)
    before = tokens_of(cache, 0) + tokens_of(cache, 1)
    for rows, more in (([0, 1], [1, 1]), ([1], [PAGE]), ([0, 0], [2 * PAGE, 1])):
        part = cache.part(rows, more)
        assert part.capacity == paged(max(cache.lengths[row] + n for row, n in zip(rows, more, strict=True)))
        assert all(map(torch.equal, tokens_of(part, 0), tokens_of(cache, rows[0])))
        for keys, values in part.layers.values():
            keys.zero_()
            values.zero_()
        assert all(map(torch.equal, tokens_of(cache, 0) + tokens_of(cache, 1), before))
