"""The lens head: precision, and every statistic against scipy and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from beliefmod.engine.engine import Engine
from interp.lenses import lens_head
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import METRICS, AnswerTokens
from interp.lenses.residual_stream import ProbedRow, residuals
from tests.engine.conftest import as_loaded, random_ids, tiny_model
from tests.interp.worlds import HIDDEN, LAYERS, VOCAB, make_world

TARGET, RIVAL = 7, 30


@pytest.fixture(scope="module")
def head() -> LensHead:
    # in fp64, because in fp32 a product of other rows beside these rounds these otherwise
    return LensHead(tiny_model(dtype=torch.float64))


def made(head: LensHead, positions: int, seed: int = 0, size: float = 1.0) -> Tensor:
    """Residuals (N + 1, positions, hidden) that no model wrote."""
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(head.entries, positions, 32, generator=generator)


def distributions(head: LensHead, hidden: Tensor) -> np.ndarray:
    """Probabilities (N + 1, positions, vocabulary) by scipy in fp64."""
    return scipy.special.softmax(head.logits(hidden).double().numpy(), axis=-1)


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_the_last_entry_is_what_the_model_says(kind: str):
    ids = random_ids(torch.Generator().manual_seed(0), 12)
    with torch.no_grad():
        expected = tiny_model(kind)(torch.tensor([ids])).logits[0]
    engine = Engine(as_loaded(tiny_model(kind)), 1, 4)
    [hidden] = residuals(engine, [ProbedRow(ids, tuple(range(12)))])
    got = LensHead(engine.model.model).logits(hidden)[-1]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_a_bf16_model_is_read_in_fp32(tmp_path):
    """Against the same residuals and weights in fp64, by the norm's definition."""
    engine = make_world(tmp_path).ours(torch.bfloat16)
    ids = random_ids(torch.Generator().manual_seed(0), 20)
    [hidden] = residuals(engine, [ProbedRow(ids, tuple(range(20)))])
    assert hidden.dtype == torch.bfloat16
    model = engine.model.model
    wide, norm = hidden.double(), model.get_decoder().norm
    normed = wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight.double()
    expected = normed @ model.get_output_embeddings().weight.double().T
    with torch.no_grad():
        narrow = model.get_output_embeddings()(norm(hidden)).double()
    got = LensHead(model).logits(hidden)
    assert got.dtype == torch.float32
    error = (got - expected).abs().max()
    assert error < 1e-5
    # bf16 norm and head, which this is not, are worse a thousand times over
    assert (narrow - expected).abs().max() > 1000 * error
    # and the model itself is as it was
    assert model.get_output_embeddings().weight.dtype == norm.weight.dtype == torch.bfloat16


def test_fp64_stays_fp64():
    model = tiny_model(dtype=torch.float64)
    assert LensHead(model).logits(torch.randn(3, 32)).dtype == torch.float64


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1e-3, 1.0, 30.0]), positions=st.integers(1, 4))
def test_every_statistic_against_scipy(head: LensHead, seed: int, size: float, positions: int):
    hidden, base = made(head, positions, seed, size), made(head, positions, seed + 1, size)
    p, p_base = distributions(head, hidden), distributions(head, base)
    logits = head.logits(hidden).numpy()
    found = head.read(hidden, [AnswerTokens(TARGET, RIVAL)] * positions, base)
    for place, reading in enumerate(found):
        close = {"rel": 1e-6, "abs": 1e-9}
        assert reading["prob_target"] == pytest.approx(p[:, place, TARGET], **close)
        assert reading["prob_rival"] == pytest.approx(p[:, place, RIVAL], **close)
        assert reading["logit_target"] == pytest.approx(logits[:, place, TARGET], **close)
        assert reading["entropy"] == pytest.approx(scipy.stats.entropy(p[:, place], axis=-1), **close)
        kl_final = [scipy.stats.entropy(p[-1, place], q) for q in p[:, place]]
        assert reading["kl_final"] == pytest.approx(kl_final, **close)
        kl_base = [scipy.stats.entropy(b, q) for b, q in zip(p_base[:, place], p[:, place], strict=True)]
        assert reading["kl_base"] == pytest.approx(kl_base, **close)
        order = scipy.stats.rankdata(-logits[:, place], method="min", axis=-1) - 1
        assert reading["rank_target"] == order[:, TARGET].tolist()
        assert reading["rank_rival"] == order[:, RIVAL].tolist()
        assert reading["top_id"] == logits[:, place].argmax(-1).tolist()
        differences = scipy.special.log_softmax(logits[:, place].astype(float), axis=-1)
        expected = differences[:, TARGET] - differences[:, RIVAL]
        assert reading["logit_diff"] == pytest.approx(expected, abs=1e-5)


def test_kl_is_the_forward_kl_of_tuned_lens_and_torch(head: LensHead):
    """tuned-lens: forward_kl = sum(exp(log_p_model) * (log_p_model - log_p_lens))."""
    hidden = made(head, 2)
    log_p = head.logits(hidden).double().log_softmax(-1)
    expected = torch.nn.functional.kl_div(
        log_p, log_p[-1:].expand_as(log_p), log_target=True, reduction="none"
    ).sum(-1)
    for place, reading in enumerate(head.read(hidden, [AnswerTokens(TARGET, RIVAL)] * 2)):
        assert reading["kl_final"] == pytest.approx(expected[:, place].tolist(), abs=1e-12)
        # not the other way round
        backward = (log_p.exp() * (log_p - log_p[-1:])).sum(-1)[:, place]
        assert abs(reading["kl_final"][0] - float(backward[0])) > 1e-3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([0.0, 1e-30, 1.0, 1e18]))
def test_statistics_keep_their_ranges_whatever_the_residuals(head: LensHead, seed: int, size: float):
    [reading] = head.read(made(head, 1, seed, size), [AnswerTokens(TARGET, RIVAL)], made(head, 1, seed))
    for name in ("entropy", "kl_final", "kl_base", "prob_target", "prob_rival"):
        assert all(math.isfinite(value) and value >= 0 for value in reading[name]), name
    assert max(reading["entropy"]) <= math.log(96) + 1e-9
    assert max(reading["rank_target"]) < 96
    assert reading["kl_final"][-1] == 0.0


def test_a_distribution_with_all_its_mass_on_one_token_has_no_nan():
    model = tiny_model()
    head = LensHead(model)
    head.head.weight.data.mul_(1e5)
    [reading] = head.read(made(head, 1), [AnswerTokens(TARGET, RIVAL)], made(head, 1, 5))
    assert reading["entropy"][0] == pytest.approx(0.0, abs=1e-6)
    assert all(math.isfinite(v) for v in (*reading["kl_final"], *reading["kl_base"]))


def test_a_token_that_the_head_rules_out_counts_for_nothing():
    """Some heads give padding of the vocabulary a logit of minus infinity."""
    head = LensHead(tiny_model(dtype=torch.float64))
    inner = head.head
    head.head = lambda hidden: inner(hidden).index_fill(-1, torch.tensor([90]), -torch.inf)  # pyright: ignore
    hidden = made(head, 1)
    [reading] = head.read(hidden, [AnswerTokens(TARGET, RIVAL)], made(head, 1, 5))
    kept = [token for token in range(96) if token != 90]
    p = scipy.special.softmax(inner(head.norm(hidden.double())).detach().numpy()[..., kept], axis=-1)
    assert reading["entropy"] == pytest.approx(scipy.stats.entropy(p[:, 0], axis=-1))
    assert reading["kl_final"] == pytest.approx([scipy.stats.entropy(p[-1, 0], q) for q in p[:, 0]], abs=1e-9)
    assert all(math.isfinite(value) for value in reading["kl_base"])


def test_base_differs_from_itself_by_nothing(head: LensHead):
    hidden = made(head, 3)
    for reading in head.read(hidden, [AnswerTokens(TARGET, RIVAL)] * 3, hidden):
        assert reading["kl_base"] == [0.0] * head.entries
    assert all("kl_base" not in r for r in head.read(hidden, [AnswerTokens(TARGET, RIVAL)] * 3))


def test_chunks_change_nothing(head: LensHead, monkeypatch: pytest.MonkeyPatch):
    hidden, base = made(head, 7), made(head, 7, 1)
    contrasts = [AnswerTokens(place, 50 + place) for place in range(7)]
    whole = head.read(hidden, contrasts, base)
    monkeypatch.setattr(lens_head, "_CHUNK_NUMBERS", 2 * head.entries * 96)  # two positions
    parts = head.read(hidden, contrasts, base)
    assert len(whole) == len(parts) == 7
    for one, other in zip(whole, parts, strict=True):
        for name in METRICS:
            assert one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-6), name


def test_nothing_is_read_from_nothing(head: LensHead):
    assert head.read(made(head, 0), []) == []


def test_a_translation_stands_before_the_norm_of_arm_and_base(head: LensHead):
    hidden, base = made(head, 2), made(head, 2, 1)
    contrasts = [AnswerTokens(TARGET, RIVAL)] * 2
    seen: list[int] = []

    def turned(entry: int, values: Tensor) -> Tensor:
        seen.append(entry)
        return values if entry == head.entries - 1 else values.flip(-1)

    got = head.read(hidden, contrasts, base, turned)
    by_hand = [torch.cat((h[:-1].flip(-1), h[-1:])) for h in (hidden, base)]
    assert got == head.read(by_hand[0], contrasts, by_hand[1])
    assert seen == [entry for entry in range(head.entries) for _ in range(2)]


def test_a_scaled_residual_reads_the_same_because_its_own_norm_is_taken(head: LensHead):
    """A norm kept from the last entry, as lenses used to have it, would make this fail."""
    hidden = made(head, 2, size=5.0)
    torch.testing.assert_close(head.logits(hidden * 40), head.logits(hidden), rtol=1e-4, atol=1e-4)


def test_transformers_hidden_states_are_already_normed_at_the_end(tmp_path):
    """Why they are not used: their last entry under the lens would be normed twice."""
    world = make_world(tmp_path)
    theirs, engine = world.theirs(), world.ours()
    ids = random_ids(torch.Generator().manual_seed(2), 15)
    with torch.no_grad():
        out = theirs(torch.tensor([ids]), output_hidden_states=True)
    [hidden] = residuals(engine, [ProbedRow(ids, tuple(range(15)))])
    assert hidden.shape == (LAYERS + 1, 15, HIDDEN)
    their = torch.cat(out.hidden_states)
    torch.testing.assert_close(hidden[:-1], their[:-1], rtol=0, atol=1e-5)
    assert not torch.allclose(hidden[-1], their[-1], atol=0.1)
    head = LensHead(engine.model.model)
    torch.testing.assert_close(head.logits(hidden[-1]), out.logits[0], rtol=0, atol=1e-5)
    twice = head.logits(their[-1])
    flips = (twice.argmax(-1) != out.logits[0].argmax(-1)).float().mean()
    assert (twice - out.logits[0]).abs().max() > 0.1 and flips > 0
    assert out.logits.shape[-1] == VOCAB
