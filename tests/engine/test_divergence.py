"""Drift against torch's kl_div and cross_entropy on plain transformers and PEFT, and its exact zero."""

import copy
import math

import pytest
import torch
from peft import PeftModel
from torch.nn import functional as F

from beliefmod.engine import divergence as drift_module
from beliefmod.engine import jobs
from beliefmod.engine.divergence import BasePasses
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import DriftRequest
from tests.engine.conftest import VOCAB, as_loaded, make_job, random_ids, tiny_model


def texts(count: int, seed: int = 0) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Prompts of 1 to 12 tokens with continuations of 1 to 25."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 13, (count, 2), generator=generator)
    return [(random_ids(generator, int(a)), random_ids(generator, 2 * int(b) + 1)) for a, b in sizes]


def expected(arm, base, request: DriftRequest) -> tuple[float, float, float, float]:
    """KL(base || arm), KL(arm || base), NLL of arm, NLL of base by torch, one text and model at a time."""

    def log_probabilities(model, prompt):
        ids = torch.tensor([(*prompt, *request.continuation_ids)])
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        return logits.double().log_softmax(-1)

    with torch.no_grad():
        log_q = log_probabilities(arm, request.input_ids)
        log_p = log_probabilities(base, request.base_input_ids or request.input_ids)
    labels = torch.tensor(request.continuation_ids)
    return (
        F.kl_div(log_q, log_p, reduction="sum", log_target=True).item(),
        F.kl_div(log_p, log_q, reduction="sum", log_target=True).item(),
        F.cross_entropy(log_q, labels, reduction="sum").item(),
        F.cross_entropy(log_p, labels, reduction="sum").item(),
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance", "pass_tokens"), [(torch.float32, 1e-5, 60), (torch.float64, 1e-9, 2048)]
)
def test_drift_is_torchs_on_peft_models(dtype, tolerance, pass_tokens, tmp_path, monkeypatch, double_norms):
    monkeypatch.setattr(drift_module, "_CHUNK_NUMBERS", 7 * VOCAB)  # chunks that cut through texts
    monkeypatch.setattr(drift_module, "HEAD_NUMBERS", 17 * VOCAB)
    model = tiny_model(dtype=dtype)
    base = copy.deepcopy(model)
    engine = Engine(as_loaded(model), 3, 8, pass_tokens=pass_tokens)
    models: dict[str | None, torch.nn.Module] = {None: base}
    for k, trial_id in enumerate("ab"):
        engine.attach(make_job(trial_id, seed=k, rank=4 * (k + 1), learning_rate=2e-2, num_train_epochs=5))
    while engine.train_step():
        pass
    for trial_id in "ab":
        engine.save_adapter(trial_id, tmp_path / trial_id)
        loaded = PeftModel.from_pretrained(
            copy.deepcopy(base), str(tmp_path / trial_id), autocast_adapter_dtype=False
        )
        models[trial_id] = loaded.to(dtype).eval()
    context = random_ids(torch.Generator().manual_seed(9), 6)
    requests = [DriftRequest(name, *text) for name in ("a", None, "b") for text in texts(6)]
    requests += [DriftRequest("a", (*context, *p), c, base_input_ids=p) for p, c in texts(3, seed=1)]
    requests += [DriftRequest(None, (*context, *p), c, base_input_ids=p) for p, c in texts(3, seed=1)]
    for request, got in zip(requests, engine.drift(requests), strict=True):
        want = expected(models[request.adapter], base, request)
        assert got.tokens == len(request.continuation_ids)
        assert (got.kl, got.kl_reverse, got.nll, got.nll_base) == pytest.approx(
            want, rel=tolerance, abs=tolerance
        )
        assert got.kl >= 0 and got.kl_reverse >= 0
        if request.adapter or request.base_input_ids:
            assert got.kl > 1e-3, "training, or a context, must have moved something"


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_untrained_adapters_and_base_drift_by_exactly_zero(kind, dtype):
    engine = Engine(as_loaded(tiny_model(kind, dtype)), 3, 8, pass_tokens=70)
    for k, trial_id in enumerate("abc"):
        engine.attach(make_job(trial_id, seed=k, rank=2 ** (k + 1), alpha=64.0))
    requests = [DriftRequest(name, *text) for text in texts(9) for name in ("c", None, "a", "b")]
    for got in engine.drift(requests):
        assert (got.kl, got.kl_reverse, got.nll - got.nll_base) == (0.0, 0.0, 0.0)
        assert got.nll > 0
    # one step of training, and it is no longer zero
    engine.release("a")
    engine.attach(make_job("a", seed=5, learning_rate=1e-1))
    engine.train_step()
    moved = engine.drift([DriftRequest("a", *text) for text in texts(4)])
    assert all(got.kl > 0 and got.kl_reverse > 0 for got in moved)


def test_an_untrained_adapter_on_packed_nf4_drifts_by_exactly_zero():
    from beliefmod.model.load import load_model

    loaded = load_model("bundled", base_storage="nf4", device="cpu")
    engine = Engine(loaded, 2, 8, pass_tokens=64)
    for k, trial_id in enumerate("ab"):
        engine.attach(make_job(trial_id, seed=k, rank=8))
    requests = [DriftRequest(name, *text) for text in texts(8) for name in ("a", "b", None)]
    for got in engine.drift(requests):
        assert (got.kl, got.kl_reverse, got.nll - got.nll_base) == (0.0, 0.0, 0.0)


def test_drift_depends_on_the_text_and_not_on_its_company():
    engine = Engine(as_loaded(tiny_model()), 2, 4)
    for k, trial_id in enumerate("ab"):
        engine.attach(make_job(trial_id, seed=k, learning_rate=2e-2))
    while engine.train_step():
        pass
    requests = [DriftRequest(name, *text) for text in texts(7) for name in ("b", "a")]
    together = engine.drift(requests)
    for request, got in zip(requests, together, strict=True):
        [alone] = engine.drift([request])
        assert alone.tokens == got.tokens
        assert alone.kl == pytest.approx(got.kl, rel=1e-4, abs=1e-6)
        assert alone.nll == pytest.approx(got.nll, rel=1e-5)


def test_hand_computed_values_and_probability_zero():
    base = torch.tensor([[math.log(0.5), math.log(0.5), -math.inf]])
    arm = torch.tensor([[math.log(0.25), math.log(0.75), -math.inf]])
    kl, kl_reverse, nll, nll_base = drift_module._compare(base, arm, torch.tensor([1]))[:, 0].tolist()
    assert kl == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-7)
    assert kl_reverse == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), abs=1e-7)
    assert (nll, nll_base) == pytest.approx((-math.log(0.75), math.log(2)), abs=1e-7)


@torch.no_grad()
def test_the_head_leaves_the_decoder_as_it_was():
    model = Engine(as_loaded(tiny_model()), 1, 4).model
    decoder = model.model.get_decoder()
    hidden = model.last_hidden([(5, 6, 7)], [2], [None])
    logits = model.head(hidden)
    assert torch.equal(logits, model.last_logits([(5, 6, 7)], [2], [None]))
    assert "forward" not in vars(decoder)
    decoder.forward = own = decoder.forward  # as accelerate gives an instance one of its own
    assert torch.equal(model.head(hidden), logits) and vars(decoder)["forward"] is own


def test_what_cannot_be_compared_is_refused():
    engine = Engine(as_loaded(tiny_model()), 1, 4)
    assert engine.drift([]) == []
    with pytest.raises(jobs.UnknownAdapter):
        engine.drift([DriftRequest("nobody", (5,), (6,))])
    for request in (
        DriftRequest(None, (), (5,)),
        DriftRequest(None, (5,), ()),
        DriftRequest(None, (5,), (6,), base_input_ids=()),
    ):
        with pytest.raises(jobs.NoRows):
            engine.drift([request])
    with pytest.raises(jobs.RowTooLong):
        engine.drift([DriftRequest(None, (5,), (6,) * 60, base_input_ids=(5,) * 69)])


def counted_passes(engine, monkeypatch) -> list[bool]:
    """Whether each pass of the model from now on is one of an adapter."""
    seen: list[bool] = []
    logits = engine.model.logits

    def counting(ids, rows, positions, segments, keep):
        seen.append(bool(segments))
        return logits(ids, rows, positions, segments, keep)

    monkeypatch.setattr(engine.model, "logits", counting)
    return seen


def test_base_reads_the_same_texts_once(monkeypatch):
    """A later trial is compared with what base made of the texts before, to the same bits."""
    engine = Engine(as_loaded(tiny_model()), 2, 8, pass_tokens=60)
    for k, trial_id in enumerate("ab"):
        engine.attach(make_job(trial_id, seed=k, num_train_epochs=2))
    while engine.train_step():
        pass
    asked = {name: [DriftRequest(name, *text) for text in texts(8)] for name in "ab"}
    fresh = engine.drift(asked["b"])
    engine.base_passes = BasePasses()
    seen = counted_passes(engine, monkeypatch)
    engine.drift(asked["a"])
    assert seen.count(True) == seen.count(False) > 1
    seen.clear()
    assert engine.drift(asked["b"]) == fresh
    assert seen and all(seen), "only the adapter's own passes"
    other = [DriftRequest("b", *text) for text in texts(8, seed=1)]
    engine.drift(other)
    assert False in seen, "other texts are read"


def test_an_untrained_adapter_has_no_drift_from_a_base_that_was_read_before():
    engine = Engine(as_loaded(tiny_model()), 2, 8, pass_tokens=60)
    for k, trial_id in enumerate("ab"):
        engine.attach(make_job(trial_id, seed=k, num_train_epochs=2))
    for trial_id in "ab":
        for got in engine.drift([DriftRequest(trial_id, *text) for text in texts(8)]):
            assert (got.kl, got.kl_reverse, got.nll) == (0.0, 0.0, got.nll_base)


@pytest.mark.parametrize("most_bytes", [0, 5_000])
def test_passes_that_do_not_fit_are_read_again(most_bytes, monkeypatch):
    engine = Engine(as_loaded(tiny_model()), 1, 8, pass_tokens=60)
    engine.attach(make_job("a", num_train_epochs=2))
    engine.train_step()
    requests = [DriftRequest("a", *text) for text in texts(8)]
    expected = engine.drift(requests)
    engine.base_passes = BasePasses(most_bytes)
    engine.drift(requests)
    assert sum(kept.nbytes for kept in engine.base_passes._kept.values()) <= most_bytes
    seen = counted_passes(engine, monkeypatch)
    assert engine.drift(requests) == expected
    assert False in seen
    engine.model.pass_tokens = 1
    engine.drift(requests)
    assert all(len(rows) == 1 for rows, _ in engine.base_passes._kept), "passes of another size are dropped"
