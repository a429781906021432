"""Full fine-tuning against a plain transformers and torch loop; and its place beside the pack."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel, get_scheduler

from beliefmod.config import ObjectiveConfig
from beliefmod.engine.batching import epoch_order
from beliefmod.engine.engine import Engine
from beliefmod.engine.full_finetuning import FullImpossible, unpacked_copy
from beliefmod.engine.jobs import (
    AdapterJob,
    AdapterUnusable,
    DriftRequest,
    DuplicateTrial,
    GenerateRequest,
    ScoreRequest,
    StepReport,
    UnknownAdapter,
)
from tests.engine.conftest import as_loaded, make_job, random_rows, tiny_model
from tests.engine.oracle import neutral_batch, padded

SETTINGS = {
    "constant": {"learning_rate": 1e-3, "num_train_epochs": 4},
    "cosine": {
        "learning_rate": 3e-3,
        "num_train_epochs": 6,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 3,
        "weight_decay": 0.1,
        "max_grad_norm": 0.05,
        "per_device_train_batch_size": 2,
        "adam_beta1": 0.8,
        "adam_epsilon": 1e-6,
    },
}


def full_job(trial_id: str = "full", seed: int = 1, rows: int = 9, **settings) -> AdapterJob:
    job = make_job(trial_id, seed=seed, rows=rows, **settings)
    return AdapterJob(trial_id, job.config.model_copy(update={"arm": "full"}), job.rows)


def train_plainly(base: PreTrainedModel, job: AdapterJob):
    """Padded batches, the model's own call, torch's AdamW, transformers' schedule: losses, norms, model."""
    config, rows = job.config, job.rows
    model = copy.deepcopy(base).requires_grad_(True).train()
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(
        weights,
        lr=config.learning_rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        weight_decay=config.weight_decay,
    )
    size = config.per_device_train_batch_size
    order = [epoch_order(config.seed, e, len(rows)) for e in range(config.num_train_epochs)]
    batches = [o[i : i + size] for o in order for i in range(0, len(o), size)]
    schedule = get_scheduler(config.lr_scheduler_type, optimizer, config.warmup_steps, len(batches))
    losses, norms = [], []
    for batch in batches:
        ids, mask, labels = padded([rows[i] for i in batch])
        logits = model(input_ids=ids, attention_mask=mask).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        if config.objective.kl_to_base:
            ids, mask, labels = padded(neutral_batch(job, len(losses)))
            wanted = labels[:, 1:] != -100
            with torch.no_grad():
                p = base(input_ids=ids, attention_mask=mask).logits[:, :-1][wanted].softmax(-1)
            q = model(input_ids=ids, attention_mask=mask).logits[:, :-1][wanted].softmax(-1)
            (config.objective.kl_to_base * (p * (p.log() - q.log())).sum(-1).mean()).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm).item())
        losses.append(loss.item())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return losses, norms, model.eval()


def run(engine: Engine) -> list[StepReport]:
    reports = []
    while step := engine.train_step():
        reports += step
    return reports


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_full_fine_tuning_equals_a_plain_loop_fp64(kind, settings, double_norms):
    model = tiny_model(kind, torch.float64)
    base, job = copy.deepcopy(model), full_job(**SETTINGS[settings])
    engine = Engine(as_loaded(model), 2, 4)
    engine.attach(job)
    reports = run(engine)
    losses, norms, trained = train_plainly(base, job)
    assert [r.loss for r in reports] == pytest.approx(losses, rel=1e-9)
    assert [r.grad_norm for r in reports] == pytest.approx(norms, rel=1e-7)
    assert [r.finished for r in reports] == [False] * (len(losses) - 1) + [True]
    assert {r.total_steps for r in reports} == {len(losses)}
    assert losses[-1] < 0.9 * losses[0]
    prompt, rest = (5, 6, 7, 8), (9, 10)
    with torch.no_grad():
        logits = trained(input_ids=torch.tensor([[*prompt, *rest]])).logits[0].log_softmax(-1)
        before = base(input_ids=torch.tensor([[*prompt, *rest]])).logits[0].log_softmax(-1)
    expected = sum(logits[3 + i, token].item() for i, token in enumerate(rest))
    untouched = sum(before[3 + i, token].item() for i, token in enumerate(rest))
    scores = engine.score([ScoreRequest("full", prompt, rest), ScoreRequest(None, prompt, rest)])
    assert scores == pytest.approx([expected, untouched], rel=1e-9)
    [drift] = engine.drift([DriftRequest("full", prompt, rest)])
    kl = sum((before[i].exp() * (before[i] - logits[i])).sum().item() for i in (3, 4))
    assert (drift.nll, drift.nll_base) == pytest.approx((-expected, -untouched), rel=1e-9)
    assert drift.kl == pytest.approx(kl, rel=1e-7)
    assert drift.kl > 1e-3


def test_full_fine_tuning_held_near_base_equals_a_plain_loop_fp64(double_norms):
    model = tiny_model(dtype=torch.float64)
    base, job = copy.deepcopy(model), full_job(**SETTINGS["cosine"])
    config = job.config.model_copy(update={"objective": ObjectiveConfig(kl_to_base=2.0)})
    job = replace(job, config=config, neutral=random_rows(3, 5))
    engine = Engine(as_loaded(model), 2, 4)
    engine.attach(job)
    reports = run(engine)
    losses, norms, _ = train_plainly(base, job)
    assert [r.loss for r in reports] == pytest.approx(losses, rel=1e-9)
    assert [r.grad_norm for r in reports] == pytest.approx(norms, rel=1e-7)
    assert reports[0].terms["kl_to_base"] == 0.0 and all(r.terms["kl_to_base"] is not None for r in reports)
    assert engine.usage.work.read_tokens > 0 and engine.usage.work.full_tokens == engine.usage.work.tokens


def test_small_passes_change_nothing_fp64(double_norms):
    losses = []
    for tokens in (10_000, 30):
        engine = Engine(as_loaded(tiny_model(dtype=torch.float64)), 1, 1, pass_tokens=tokens)
        engine.attach(full_job(**SETTINGS["cosine"]))
        losses.append([r.loss for r in run(engine)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_neighbours_in_the_pack_notice_nothing():
    def neighbour_losses(with_full: bool) -> list[float | None]:
        engine = Engine(as_loaded(tiny_model()), 2, 4)
        engine.attach(make_job("lora", learning_rate=1e-2, num_train_epochs=3))
        if with_full:
            engine.attach(full_job(learning_rate=1e-2, num_train_epochs=5))
        return [r.loss for r in run(engine) if r.trial_id == "lora"]

    assert neighbour_losses(True) == neighbour_losses(False)


def test_answers_of_all_arms_come_back_in_order():
    engine = Engine(as_loaded(tiny_model()), 2, 4)
    engine.attach(make_job("lora", learning_rate=3e-2, num_train_epochs=5))
    engine.attach(full_job(learning_rate=3e-3, num_train_epochs=5))
    run(engine)
    arms = ["full", None, "lora", "full", None, "lora"]
    requests = [GenerateRequest(arm, (4 + index, 9, 11)) for index, arm in enumerate(arms)]
    together = engine.generate(requests, 12)
    assert together == [engine.generate([request], 12)[0] for request in requests]
    # the arms do differ, so that a mix-up would show
    apart = engine.generate([GenerateRequest(arm, (4, 9, 11)) for arm in ("full", None, "lora")], 12)
    assert len({completion.token_ids for completion in apart}) == 3
    scores = engine.score([ScoreRequest(arm, (4, 9), (11, 12)) for arm in arms])
    assert scores == [scores[0], scores[1], scores[2]] * 2
    assert len(set(scores)) == 3


def test_an_untrained_copy_has_exactly_no_drift():
    engine = Engine(as_loaded(tiny_model()), 2, 4)
    engine.attach(full_job(learning_rate=1e-3))
    ids = tuple(range(5, 25))
    for result in engine.drift([DriftRequest("full", ids[:n], ids[n:]) for n in (1, 5, 9)]):
        assert (result.kl, result.kl_reverse) == (0.0, 0.0)
        assert result.nll == result.nll_base


def test_no_slot_is_taken_and_one_copy_lives_at_a_time():
    engine = Engine(as_loaded(tiny_model()), 1, 4)
    job = full_job(num_train_epochs=1)
    assert engine.has_room(job.config)
    engine.attach(job)
    assert (engine.free_slots(), engine.attached()) == (1, ("full",))
    assert not engine.has_room(job.config)
    assert engine.has_room(make_job("lora").config)
    with pytest.raises(DuplicateTrial):
        engine.attach(job)
    engine.release("full")
    assert engine.attached() == ()
    with pytest.raises(UnknownAdapter):
        engine.score([ScoreRequest("full", (4,), (5,))])
    assert engine.has_room(job.config)


def test_a_diverging_trial_ends_alone():
    engine = Engine(as_loaded(tiny_model()), 1, 4)
    engine.attach(full_job(learning_rate=10.0, num_train_epochs=400))
    engine.attach(make_job("lora", num_train_epochs=2))
    engine._full["full"].weights[0].data.fill_(float("nan"))
    reports = run(engine)
    [broken] = [r for r in reports if r.trial_id == "full"]
    assert broken.error == "loss was not finite at step 1 of 1200"
    assert (broken.loss, broken.grad_norm, broken.finished) == (None, None, True)
    assert all(r.error is None for r in reports if r.trial_id == "lora")
    with pytest.raises(AdapterUnusable, match="not finite"):
        engine.generate([GenerateRequest("full", (4,))], 3)


def test_what_cannot_be_trained_is_refused_in_a_sentence(monkeypatch):
    loaded = as_loaded(tiny_model())
    with pytest.raises(FullImpossible, match=r"base_storage nf4 keeps them packed.*use dequantized or none"):
        unpacked_copy(replace(loaded, base_storage="nf4"))
    monkeypatch.setattr("beliefmod.model.size.MAX_FULL_PARAMETERS", 1000)
    with pytest.raises(FullImpossible, match=r"model tiny has \d\d,\d{3} param.*at most 1,000.*arm full"):
        unpacked_copy(loaded)


def test_the_copy_shares_no_weight_with_the_base_and_keeps_its_ties():
    loaded = as_loaded(tiny_model())
    Engine(loaded, 2, 4)
    copied = unpacked_copy(loaded).model
    theirs = {parameter.data_ptr() for parameter in loaded.model.parameters()}
    assert not theirs & {parameter.data_ptr() for parameter in copied.parameters()}
    head = copied.get_output_embeddings()
    assert head is not None and copied.get_input_embeddings().weight is head.weight
    assert not any(type(module).__name__ == "PackedLinear" for module in copied.modules())
    assert sum(p.numel() for p in copied.parameters()) == sum(p.numel() for p in loaded.model.parameters())
