"""Many arms read at once give what each gives alone, however they are cut into chunks."""

from __future__ import annotations

import pytest
import scipy.stats
import torch

import interp.lenses.lens_head
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import AnswerTokens
from tests.engine.conftest import tiny_model

PLACES, ARMS = 5, 3
CONTRASTS = [AnswerTokens(4 + place, 40 + place) for place in range(PLACES)]
LISTS = ("logit_target", "logit_rival", "prob_target", "prob_rival", "entropy", "kl_final", "kl_base")


@pytest.fixture(scope="module")
def head() -> LensHead:
    return LensHead(tiny_model())


def hidden(head: LensHead, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(head.entries, PLACES, 32, generator=generator)


@pytest.mark.parametrize("numbers", [1, 96 * 3 * ARMS * 2, 2**25])
def test_arms_read_together_are_arms_read_alone(head, monkeypatch, numbers):
    base, arms = hidden(head, 0), [hidden(head, seed) for seed in range(1, ARMS + 1)]
    alone = [reading for arm in arms for reading in head.read(arm, CONTRASTS, base)]
    monkeypatch.setattr(interp.lenses.lens_head, "_CHUNK_NUMBERS", numbers)
    together = head.read(torch.cat(arms, 1), CONTRASTS * ARMS, base)
    assert len(together) == ARMS * PLACES
    for one, other in zip(together, alone, strict=True):
        for name in LISTS:
            assert one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-9), name
        assert (one["rank_target"], one["rank_rival"], one["top_id"]) == (
            other["rank_target"],
            other["rank_rival"],
            other["top_id"],
        )


def test_each_place_is_compared_with_bases_same_place(head):
    base, arm = hidden(head, 0), hidden(head, 1)
    together = head.read(torch.cat([base, arm], 1), CONTRASTS * 2, base)
    for reading in together[:PLACES]:
        assert reading["kl_base"] == pytest.approx([0.0] * head.entries, abs=1e-12)
    p, q = (head.logits(each).double().softmax(-1).numpy() for each in (base, arm))
    for place, reading in enumerate(together[PLACES:]):
        expected = [scipy.stats.entropy(p[entry, place], q[entry, place]) for entry in range(head.entries)]
        assert reading["kl_base"] == pytest.approx(expected, rel=1e-9)


def test_bases_places_must_fit(head):
    with pytest.raises(AssertionError, match="do not fit"):
        head.read(hidden(head, 1), CONTRASTS, hidden(head, 0)[:, :2])
    assert head.read(hidden(head, 1)[:, :0], []) == []
