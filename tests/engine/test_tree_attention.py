"""Trees of continuations, and what each of their tokens sees."""

import doctest

import torch
from hypothesis import given
from hypothesis import strategies as st

import beliefmod.engine.tree_attention
from beliefmod.engine.tree_attention import TreeAttention, grow


def test_the_doctests():
    assert doctest.testmod(beliefmod.engine.tree_attention).failed == 0


@given(
    trunk=st.lists(st.integers(0, 3), min_size=1, max_size=5).map(tuple),
    paths=st.lists(st.lists(st.integers(0, 3), max_size=4).map(tuple), max_size=5),
    data=st.data(),
)
def test_every_path_can_be_walked_and_no_beginning_is_read_twice(trunk, paths, data):
    start = data.draw(st.integers(1, len(trunk)))
    tree = grow(trunk, paths, start)
    row, parents = (*trunk, *tree.ids), (*range(-1, len(trunk) - 1), *tree.parents)
    assert len(set(tree.places.values())) == len(tree.places)
    beginnings = {path[:end] for path in paths for end in range(len(path) + 1)}
    assert beginnings <= set(tree.places)
    assert len(tree.ids) == len(beginnings - {trunk[start : start + n] for n in range(len(trunk) + 1)})
    for path, place in tree.places.items():
        walked = []
        while place >= 0:
            walked.append(row[place])
            place = parents[place]
        assert tuple(reversed(walked)) == (*trunk[:start], *path)


@given(
    trunk=st.integers(1, 4),
    parents=st.lists(st.integers(0, 20), max_size=12),
)
def test_a_token_stands_behind_what_leads_to_it_and_sees_just_that(trunk: int, parents: list[int]):
    whole = [*range(-1, trunk - 1)]
    for parent in parents:
        whole.append(parent % len(whole))
    rows = TreeAttention([(len(whole), tuple(whole[trunk:])), (2, ())], torch.device("cpu"))
    for place in range(len(whole)):
        path = [place]
        while path[-1] >= 0:
            path.append(whole[path[-1]])
        path.pop()
        assert rows.positions[place] == len(path) - 1
        assert rows._sees[0, place].nonzero().flatten().tolist() == sorted(path)
