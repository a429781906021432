"""Products of many small matrices against a plain loop over the slots; a NaN stays in its slot."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from beliefmod.engine.grouped import EqualBlocks, Grouped, PaddedBlocks, products

CPU = torch.device("cpu")
RANK, WIDE = 8, 12
COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)


def ways(counts: list[int], dtype: torch.dtype):
    """Every way that takes these counts and this dtype."""
    found = [PaddedBlocks(counts, CPU)]
    if dtype is not torch.float64:
        found.append(Grouped(counts, CPU))
    if len(set(counts)) == 1:
        found.append(EqualBlocks(len(counts)))
    return found


def tensors(counts: list[int], dtype: torch.dtype):
    generator = torch.Generator().manual_seed(sum(counts))

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    tokens = sum(counts)
    # strided as a pack's rows are: the slots' matrices lie far apart
    rights = draw(len(counts), RANK * WIDE + 16)[:, : RANK * WIDE].view(-1, RANK, WIDE)
    return draw(tokens, RANK), draw(tokens, WIDE), rights


@given(counts=COUNTS, dtype=st.sampled_from([torch.float64, torch.float32]))
def test_every_way_is_a_loop_over_the_slots(counts, dtype):
    inner, outer, rights = tensors(counts, dtype)
    bounds = torch.tensor([0, *counts]).cumsum(0).tolist()
    parts = [slice(a, b) for a, b in pairwise(bounds)]
    product = torch.cat([inner[part] @ right for part, right in zip(parts, rights, strict=True)])
    outers = torch.stack([inner[part].T @ outer[part] for part in parts])
    for way in ways(counts, dtype):
        assert_close(way.product(inner, rights), product)
        total = outer.clone()
        way.add_product(total, inner, rights)
        assert_close(total, outer + product)
        for precision in {dtype, torch.float64}:
            sums = torch.ones(len(counts), RANK, WIDE, dtype=precision)
            way.add_outer(sums, inner, outer)
            assert_close(sums.to(dtype), 1 + outers)


@given(counts=COUNTS.filter(lambda counts: len(counts) > 1), data=st.data())
def test_a_nan_stays_in_its_slot(counts, data):
    inner, outer, rights = tensors(counts, torch.float32)
    owners = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    broken = data.draw(st.sampled_from([i for i, count in enumerate(counts) if count]))
    inner[owners == broken] = torch.nan
    for way in ways(counts, torch.float32):
        assert way.product(inner, rights)[owners != broken].isfinite().all()
        sums = torch.zeros(len(counts), RANK, WIDE)
        way.add_outer(sums, inner, outer)
        assert sums.isfinite().all((1, 2)).tolist() == [i != broken for i in range(len(counts))]


@pytest.mark.parametrize(
    ("counts", "rank", "dtype", "expected"),
    [
        ([3, 3], 8, torch.float32, EqualBlocks),
        ([3, 3], 8, torch.float64, EqualBlocks),
        ([3, 4], 8, torch.float32, Grouped),
        ([3, 4], 8, torch.bfloat16, Grouped),
        ([3, 4], 4, torch.bfloat16, PaddedBlocks),  # rows of 8 bytes
        ([3, 0, 4], 8, torch.float64, PaddedBlocks),
    ],
)
def test_the_way_follows_from_counts_and_dtype(counts, rank, dtype, expected):
    assert type(products(counts, rank, dtype, CPU)) is expected
