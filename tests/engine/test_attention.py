"""Attention over flat rows against each row by itself, written out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.engine.attention import AttentionOptions, RowBlocks
from beliefmod.engine.routing import Segment, segments_of


def by_hand(query, key, value, scale, window, softcap):
    """(H, L, D) of one row: causal softmax attention from its definition."""
    repeats = query.shape[0] // key.shape[0]
    key, value = key.repeat_interleave(repeats, 0), value.repeat_interleave(repeats, 0)
    out = torch.zeros_like(query)
    for head in range(query.shape[0]):
        for i in range(query.shape[1]):
            first = 0 if window is None else max(0, i - window + 1)
            scores = key[head, first : i + 1] @ query[head, i] * scale
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            out[head, i] = scores.softmax(0) @ value[head, first : i + 1]
    return out


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    window=st.sampled_from([None, 2, 5]),
    softcap=st.sampled_from([None, 3.0]),
)
def test_rows_attend_to_themselves_alone_and_backwards_only(lengths, window, softcap):
    torch.manual_seed(sum(lengths))
    total = sum(lengths)
    query, key, value = (
        torch.randn(1, heads, total, 8, dtype=torch.float64, requires_grad=True) for heads in (4, 2, 2)
    )
    blocks = RowBlocks(lengths, torch.device("cpu"))
    assert blocks.positions.tolist() == [p for n in lengths for p in range(n)]
    got = blocks.attend(None, query, key, value, AttentionOptions(0.4, window, softcap))
    rows, start = [], 0
    for n in lengths:
        part = slice(start, start + n)
        rows.append(by_hand(query[0, :, part], key[0, :, part], value[0, :, part], 0.4, window, softcap))
        start += n
    expected = torch.cat(rows, 1).transpose(0, 1)[None]
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(got)
    mine = torch.autograd.grad((got * weights).sum(), (query, key, value))
    theirs = torch.autograd.grad((expected * weights).sum(), (query, key, value))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_a_nan_stays_in_its_row():
    query, key, value = (torch.randn(1, 2, 9, 4, requires_grad=True) for _ in range(3))
    spoiled = value * torch.where(torch.arange(9) == 1, float("nan"), 1.0)[None, None, :, None]
    out = RowBlocks([3, 6], torch.device("cpu")).attend(
        None, query, key, spoiled, AttentionOptions(None, None, None)
    )
    assert out[0, 1:3].isnan().all() and not out[0, 3:].isnan().any()
    out.sum().backward()
    for tensor in (query, key):
        assert tensor.grad is not None and not tensor.grad[0, :, 3:].isnan().any()


@pytest.mark.parametrize(
    ("owners", "lengths", "expected"),
    [
        ([None, 0, 0, 2], [3, 1, 2, 4], [Segment(0, 3, 6), Segment(2, 6, 10)]),
        ([0, None, 0], [1, 1, 1], [Segment(0, 0, 1), Segment(0, 2, 3)]),
        ([None], [5], []),
    ],
)
def test_segments(owners, lengths, expected):
    assert segments_of(owners, lengths) == expected
