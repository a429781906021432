"""The tuned lens: its loss, what it can recover, and that it is never worse than the logit lens."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from beliefmod.engine.engine import Engine
from beliefmod.errors import UserError
from interp.lenses import tuned_lens as tuned
from interp.lenses.lens_fit import FEWEST, SKIPPED, folds, judged, mean_kl, read_texts
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import AnswerTokens
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.lenses.tuned_lens import Lens, Maps, fit_tuned
from tests.engine.conftest import tiny_model
from tests.interp.worlds import LAYERS, World, make_world, questions

COUNT = 40


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), seed=5)


@pytest.fixture(scope="module")
def texts() -> list[tuple[int, ...]]:
    return questions([10 + number % 7 for number in range(COUNT)], seed=3)


@pytest.fixture(scope="module")
def base(engine: Engine, texts) -> Lens:
    return fit_tuned(engine, texts)


@pytest.fixture(scope="module")
def head() -> LensHead:
    return LensHead(tiny_model(dtype=torch.float64))


def random_residuals(head: LensHead, tokens: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(head.entries, tokens, 32, generator=generator, dtype=torch.float64)


def test_it_is_nearer_to_the_last_entry_than_the_logit_lens_on_texts_it_has_not_seen(base: Lens):
    assert len(base.notes) == 1
    *inner, last = base.held_out
    assert len(inner) == LAYERS
    for found in inner:
        assert 0 < found.kl < found.kl_logit
        assert found.gain_low is not None and found.gain_high is not None
        assert found.gain_low <= found.kl_logit - found.kl <= found.gain_high
        assert found.texts == COUNT // 5
    assert last.kl == last.kl_logit == pytest.approx(0.0, abs=1e-9)


def test_what_it_says_of_itself_is_what_is_measured(engine: Engine, texts, base: Lens):
    """KL over the held-out tokens by scipy, from the rows that the lens head reads."""
    judge = folds(texts, "tuned").judge
    rows = [ProbedRow(ids, tuple(range(SKIPPED, len(ids)))) for ids in judge]
    head = LensHead(engine.model.model)
    hidden = torch.cat(residuals(engine, rows), 1)
    contrasts = [AnswerTokens(0, 1)] * hidden.shape[1]
    with_lens = head.read(hidden, contrasts, None, base.translate)
    without = head.read(hidden, contrasts)
    assert len(contrasts) == base.held_out[0].tokens
    for entry, found in enumerate(base.held_out):
        assert np.mean([r["kl_final"][entry] for r in with_lens]) == pytest.approx(found.kl, abs=1e-5)
        assert np.mean([r["kl_final"][entry] for r in without]) == pytest.approx(found.kl_logit, abs=1e-5)


def test_an_arm_s_own_lens_fits_it_better_than_base_s(engine: Engine, texts, base: Lens):
    """So base's is said to be base's: under an adapter it reads what base would have made of the entry."""
    own = fit_tuned(engine, texts, "lora")
    assert (base.fitted_on, own.fitted_on) == ("base", "lora")
    head = LensHead(engine.model.model)
    judge = read_texts(engine, folds(texts, "tuned").judge, "lora")
    of_base, of_own = mean_kl(head, judge, base.translate), mean_kl(head, judge, own.translate)
    assert all(o < b for o, b in zip(of_own[1:-1], of_base[1:-1], strict=True))
    assert own.notes[0].startswith("tuned lens: fitted on the arm's own residuals")
    assert base.notes[0].startswith("tuned lens: fitted on base's residuals")


def test_the_same_seed_gives_the_same_lens(engine: Engine, texts, base: Lens):
    again = fit_tuned(engine, texts)
    assert isinstance(again.translate, Maps) and isinstance(base.translate, Maps)
    assert torch.equal(again.translate.weight, base.translate.weight) and again.held_out == base.held_out


def test_the_last_entry_is_never_touched(base: Lens):
    values = torch.randn(3, 64)
    assert base.translate(LAYERS, values) is values
    assert not torch.equal(base.translate(LAYERS - 1, values), values)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), tokens=st.integers(1, 6))
def test_the_loss_is_the_kl_of_scipy_but_for_the_last_entry_s_entropy(head: LensHead, seed: int, tokens: int):
    hidden = random_residuals(head, tokens, seed)
    generator = torch.Generator().manual_seed(seed)
    weight = 0.1 * torch.randn(head.entries - 1, 32, 32, generator=generator, dtype=torch.float64)
    bias = 0.1 * torch.randn(head.entries - 1, 32, generator=generator, dtype=torch.float64)
    final = scipy.special.softmax(head.logits(hidden[-1]).numpy(), axis=-1)
    for entry in range(head.entries - 1):
        moved = torch.stack([h + weight[entry] @ h + bias[entry] for h in hidden[entry]])
        q = scipy.special.softmax(head.logits(moved).numpy(), axis=-1)
        kl = [scipy.stats.entropy(p, other) for p, other in zip(final, q, strict=True)]
        got = tuned._loss(head, hidden[entry], torch.tensor(final), weight[entry], bias[entry])
        assert float(got) == pytest.approx(np.mean(kl) + scipy.stats.entropy(final, axis=-1).mean())
    # and the maps are applied as they were fitted
    maps = Maps(weight, bias)
    torch.testing.assert_close(maps(0, hidden[0]), hidden[0] + hidden[0] @ weight[0].T + bias[0])


def test_an_entry_s_slope_is_that_of_its_kl_whatever_the_others():
    """Against differences of `mean_kl`, which the judgement uses."""
    head = LensHead(tiny_model(dtype=torch.float64))
    head.norm = torch.nn.RMSNorm(32, dtype=torch.float64)  # transformers' own rounds to fp32
    hidden = random_residuals(head, 6, 0)
    maps = tuned._identity(hidden, head)
    slope = tuned._slope(head, hidden, maps)
    step = 1e-5
    for name, place in (("weight", (0, 3, 4)), ("weight", (1, 7, 7)), ("bias", (0, 2)), ("bias", (1, 31))):
        ends = []
        for sign in (1, -1):
            moved = getattr(maps, name).clone()
            moved[place] += sign * step
            ends.append(mean_kl(head, [hidden], dataclasses.replace(maps, **{name: moved}))[place[0]])
        by_difference = (ends[0] - ends[1]) / (2 * step)
        assert float(getattr(slope, name)[place]) == pytest.approx(by_difference, rel=1e-4, abs=1e-8)


def test_an_affine_change_of_basis_is_undone(head: LensHead):
    """Entries that are the last one in another basis: the logit lens is lost there, the tuned lens is not."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.eye(32, dtype=torch.float64)
    turn = turn + 0.15 * torch.randn(32, 32, generator=generator, dtype=torch.float64)
    shift = 0.5 * torch.randn(32, generator=generator, dtype=torch.float64)

    def world(seed: int, tokens: int) -> Tensor:
        hidden = random_residuals(head, tokens, seed)
        hidden[0] = (hidden[-1] - shift) @ torch.linalg.inv(turn).T
        return hidden

    known, stop, judge = world(1, 1000), world(2, 200), world(3, 200)
    identity = tuned._identity(known, head)
    maps = tuned._fit(head, known, [stop], identity, torch.Generator().manual_seed(0))
    plain, fitted = mean_kl(head, [judge], identity), mean_kl(head, [judge], maps)
    assert plain[0] > 0.5 and fitted[0] < plain[0] / 20
    # entry 1 is noise that says nothing about the last: the best map there is no good, but no worse either
    assert fitted[1] < plain[1] + 0.05


def test_a_map_that_is_worse_on_held_out_texts_is_refused_and_read_by_the_logit_lens(
    engine: Engine, texts, monkeypatch: pytest.MonkeyPatch
):
    def bad(head, known, stop, begin, generator) -> Maps:
        weight, bias = begin.weight.clone(), begin.bias.clone()
        weight[0] = -2.0 * torch.eye(64)  # turns entry 0 round
        bias[1] = torch.nan
        weight[2] = 0.0
        return Maps(weight, bias)

    monkeypatch.setattr(tuned, "_fit", bad)
    lens = fit_tuned(engine, texts)
    assert all(h.kl == h.kl_logit for h in lens.held_out)
    assert "at entry 0, 1, 2 it was no nearer to the last entry than the logit lens" in lens.notes[1]
    values = torch.randn(2, 64)
    assert all(torch.equal(lens.translate(entry, values), values) for entry in range(LAYERS + 1))


def test_a_fit_that_only_gets_worse_leaves_the_identity(head: LensHead, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tuned, "_RATE", 1e4)
    known, stop = random_residuals(head, 50, 1), random_residuals(head, 20, 2)
    maps = tuned._fit(head, known, [stop], tuned._identity(known, head), torch.Generator().manual_seed(0))
    for entry in range(head.entries):
        assert torch.equal(maps(entry, known[entry]), known[entry])


def test_too_few_texts_are_refused_in_words(engine: Engine):
    with pytest.raises(UserError, match=rf"--lens tuned: 3 neutral texts are too few.*it takes {FEWEST}"):
        fit_tuned(engine, [*questions(), (5,)])


@given(count=st.integers(FEWEST, 60))
def test_no_text_is_in_two_folds(count: int):
    rows = [(number, 1, 2) for number in range(count)]
    split = folds(rows, "tuned")
    parts = (split.fit, split.stop, split.judge)
    assert sorted(ids for part in parts for ids in part) == rows
    assert min(map(len, parts)) >= 2 and len(split.fit) >= count // 2


def test_the_judgement_weighs_tokens_and_draws_texts(head: LensHead):
    hidden = [random_residuals(head, tokens, tokens) for tokens in (1, 2, 30)]
    found = judged(head, hidden, lambda entry, values: values * 1.0, seed=0)
    whole = mean_kl(head, hidden, lambda entry, values: values)
    assert [h.kl for h in found] == pytest.approx(whole)
    assert {(h.texts, h.tokens) for h in found} == {(3, 33)}
    # the same lens on both sides gains exactly nothing, in every draw
    assert all((h.gain_low, h.gain_high) == (0.0, 0.0) for h in found)


def test_the_interval_is_of_the_gain_per_token(head: LensHead):
    """Twenty short texts that a lens spoils and twenty long ones that it mends: per token it mends."""
    short, long = (
        [random_residuals(head, tokens, 100 * tokens + k) for k in range(20)] for tokens in (1, 30)
    )
    for hidden in short:
        hidden[0] = hidden[-1]
    for hidden in long:
        hidden[0] = -hidden[-1]
    found, *_ = judged(head, [*short, *long], lambda entry, values: -values if entry == 0 else values, seed=0)
    assert found.gain_low is not None and found.gain_high is not None
    assert 0 < found.gain_low < found.kl_logit - found.kl < found.gain_high
