"""Direct preference optimisation: against TRL's trainer, a plain loop over PEFT, and the formula."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.nn import functional as F

from beliefmod.config import ObjectiveConfig
from beliefmod.engine.batching import SlotRow, batch_indices, cut_passes
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, NoRows, TrainRow
from beliefmod.engine.objectives.dpo import Dpo
from tests.engine.conftest import as_loaded, make_job, random_rows, tiny_model
from tests.engine.oracle import padded, peft_names
from tests.engine.test_training_oracle import train_packed


def preferring(job: AdapterJob, beta: float) -> AdapterJob:
    """The job with another random answer behind each prompt, which its own one is preferred to."""
    others = random_rows(2000 + job.config.seed, len(job.rows))
    rejected = tuple(
        TrainRow(
            (*row.input_ids[: row.prompt_length], *other.input_ids[other.prompt_length :]), row.prompt_length
        )
        for row, other in zip(job.rows, others, strict=True)
    )
    objective = ObjectiveConfig(name="dpo", dpo_beta=beta)
    return replace(job, config=job.config.model_copy(update={"objective": objective}), rejected=rejected)


def jobs() -> list[AdapterJob]:
    """Three trials that prefer, of different strength, rank, batch and layers, and one that does not."""
    return [
        preferring(make_job("a", seed=1, rows=9, rank=2, learning_rate=3e-3, num_train_epochs=3), 0.1),
        make_job("b", seed=2, rows=5, rank=4, learning_rate=3e-3, num_train_epochs=3),
        preferring(
            make_job(
                "c", seed=3, rows=5, rank=8, targets=("q_proj", "v_proj"), per_device_train_batch_size=2,
                learning_rate=1e-2, lr_scheduler_type="cosine", num_train_epochs=2,
            ),
            1.0,
        ),
        preferring(make_job("d", seed=4, rows=6, rank=2, per_device_train_batch_size=6), 5.0),
    ]  # fmt: skip


def answer_log_prob(model, rows):
    """Summed log-probability of each row's answer, by transformers alone."""
    ids, mask, labels = padded(rows)
    logs = model(input_ids=ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
    wanted = labels[:, 1:]
    picked = logs.gather(2, wanted.clamp(min=0)[..., None])[..., 0]
    return (picked * (wanted != -100)).sum(1)


def with_peft(base, job: AdapterJob, start):
    """A PEFT model with the job's first weights, and its parameters by PEFT's names."""
    lora = job.config.lora
    targets = lora.target_modules
    config = LoraConfig(
        r=lora.r, lora_alpha=lora.lora_alpha, task_type="CAUSAL_LM",  # pyright: ignore[reportArgumentType]
        target_modules=targets if isinstance(targets, str) else list(targets),
    )  # fmt: skip
    model = get_peft_model(copy.deepcopy(base), config, autocast_adapter_dtype=False)
    parameters = {
        name.replace(".default.weight", ".weight"): p
        for name, p in model.named_parameters()
        if p.requires_grad
    }
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(start[name])
    return model.train(), parameters


def train_alone(base, job: AdapterJob, start):
    """Losses of the steps and final weights of a loop over PEFT, whose loss is written out."""
    config = job.config
    model, parameters = with_peft(base, job, start)
    optimizer = torch.optim.AdamW(parameters.values(), lr=config.learning_rate, weight_decay=0.0)
    losses = []
    whole = config.num_train_epochs * math.ceil(len(job.rows) / config.per_device_train_batch_size)
    for step in range(whole):
        picked = batch_indices(config.seed, step, len(job.rows), config.per_device_train_batch_size)
        sides = [[rows[i] for i in picked] for rows in (job.rows, job.rejected)]
        with torch.no_grad(), model.disable_adapter():
            before = [answer_log_prob(model, side) for side in sides]
        chosen, rejected = (answer_log_prob(model, side) - b for side, b in zip(sides, before, strict=True))
        loss = -F.logsigmoid(config.objective.dpo_beta * (chosen - rejected)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), config.max_grad_norm)
        if config.lr_scheduler_type == "cosine":
            rate = config.learning_rate * (1 + math.cos(math.pi * step / whole)) / 2
            optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, {name: p.detach() for name, p in parameters.items()}


@pytest.mark.parametrize(
    ("dtype", "options", "loss_tolerance", "weight_tolerance"),
    [
        (torch.float64, {}, 1e-9, 1e-8),
        (torch.float64, {"pass_tokens": 90}, 1e-9, 1e-8),
        (torch.float32, {}, 1e-4, 1e-3),
    ],
)
def test_a_pack_equals_each_trial_alone(dtype, options, loss_tolerance, weight_tolerance, double_norms):
    model = tiny_model(dtype=dtype)
    base = copy.deepcopy(model)
    start, reports, final = train_packed(Engine(as_loaded(model), 3, 8, **options), jobs())
    for job in jobs():
        if job.config.objective.name != "dpo":
            continue
        losses, weights = train_alone(base, job, start[job.trial_id])
        mine = [report.loss for report in reports[job.trial_id]]
        assert mine[0] == pytest.approx(math.log(2)) and mine == pytest.approx(losses, rel=loss_tolerance)
        for name, end in weights.items():
            moved = (end - start[job.trial_id][name]).norm()
            assert (final[job.trial_id][name] - end).norm() <= weight_tolerance * moved


def test_losses_are_those_of_trl(tmp_path):
    """TRL's own loss on the same batches, with our weights of each step put into its model."""
    datasets = pytest.importorskip("datasets")
    trl = pytest.importorskip("trl")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    model = tiny_model()
    base = copy.deepcopy(model)
    job = jobs()[0]
    engine = Engine(as_loaded(model), 1, 8)
    engine.attach(job)
    theirs, parameters = with_peft(base, job, peft_names(engine.state_dict("a")["weights"]))
    words = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({str(n): n for n in range(96)}, unk_token="0")),
        pad_token="0", eos_token="1",
    )  # fmt: skip
    some_text = datasets.Dataset.from_list([{"prompt": "5", "chosen": "6", "rejected": "7"}])
    rows = [
        {
            "prompt_ids": list(good.input_ids[: good.prompt_length]),
            "chosen_ids": list(good.input_ids[good.prompt_length :]),
            "rejected_ids": list(bad.input_ids[bad.prompt_length :]),
        }
        for good, bad in zip(job.rows, job.rejected, strict=True)
    ]
    trainer = trl.DPOTrainer(
        theirs,
        args=trl.DPOConfig(
            str(tmp_path), beta=0.1, report_to=[], use_cpu=True, gradient_checkpointing=False, max_length=None
        ),
        train_dataset=some_text,
        processing_class=words,
    )
    compared = 0
    for step in range(job.config.total_steps):
        with torch.no_grad():
            for name, tensor in peft_names(engine.state_dict("a")["weights"]).items():
                parameters[name].copy_(tensor)
        picked = batch_indices(job.config.seed, step, len(rows), job.config.per_device_train_batch_size)
        batch = trainer.data_collator([rows[i] for i in picked])
        loss = trainer.compute_loss(trainer.model.train(), batch).item()
        [report] = engine.train_step()
        assert loss == pytest.approx(report.loss, rel=1e-4)
        compared += 1
    assert compared == 9


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6),
    most=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_pairs_stay_in_one_pass_and_their_costs_are_the_formula(lengths, most, seed):
    generator = torch.Generator().manual_seed(seed)
    pairs = [
        SlotRow(0, TrainRow((7,) * (2 + n), 2), 1.0, 1.0, ObjectiveConfig(name="dpo", dpo_beta=0.1 * (k + 1)))
        for k, pair in enumerate(lengths)
        for n in pair
    ]
    passes = cut_passes(pairs, most, Dpo.together)
    assert [item for part in passes for item in part] == pairs and all(len(part) % 2 == 0 for part in passes)
    for part in passes:
        tokens = sum(item.row.answer_length for item in part)
        mine, base = torch.randn(2, tokens, 5, generator=generator, dtype=torch.float64)
        labels = torch.randint(5, (tokens,), generator=generator)
        gains = (mine.log_softmax(1) - base.log_softmax(1)).gather(1, labels[:, None])[:, 0]
        of_row = [gain.sum() for gain in gains.split([item.row.answer_length for item in part])]
        wanted = [
            -F.logsigmoid(item.settings.dpo_beta * (of_row[at] - of_row[at + 1]))
            for at, item in enumerate(part)
            if at % 2 == 0
        ]
        costs = Dpo().per_token(mine, labels, base, part)
        assert costs.sum().item() == pytest.approx(sum(wanted).item())


def test_a_job_without_the_other_answers_is_refused():
    job = jobs()[0]
    with pytest.raises(NoRows, match="preferred to"):
        Engine(as_loaded(tiny_model()), 1, 8).attach(replace(job, rejected=job.rejected[:-1]))
