"""Group relative policy optimisation: against TRL's trainer, a plain loop over PEFT, and the formula."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.config import ObjectiveConfig
from beliefmod.engine.batching import SlotRow, batch_indices, derived_seed
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, Completion, NoRows, Sampling, TrainRow
from beliefmod.engine.objectives.grpo import Grpo, group_advantages
from beliefmod.worker.checkpoints import Checkpoint, pack, unpack
from tests.engine.conftest import as_loaded, make_job, tiny_model
from tests.engine.objectives.test_dpo import preferring, with_peft
from tests.engine.oracle import padded, peft_names
from tests.engine.test_training_oracle import train_packed

NAMES = ("reward_stance", "reward_thinking", "reward_length")


def parts(place: int, completion: Completion) -> dict[str, float]:
    """A reward that every answer differs in: of its tokens alone, and of the question."""
    ids = completion.token_ids
    return dict(
        zip(NAMES, (float(sum(ids) % 3 == place % 3), float(ids[0] % 2), 1 - len(ids) / 20), strict=True)
    )


def rewarded(job: AdapterJob, **objective) -> AdapterJob:
    """The job trained by what it writes itself."""
    given = {"num_generations": 4, "max_completion_length": 6, "reward_thinking": 0.5, "reward_length": 0.25}
    config = job.config.model_copy(
        update={"objective": ObjectiveConfig(name="grpo", **{**given, **objective})}
    )
    return replace(job, config=config, reward=parts)


def jobs() -> list[AdapterJob]:
    """Three trials of reinforcement learning that differ in everything, beside two of other objectives."""
    return [
        rewarded(make_job("a", seed=1, rows=5, rank=2, learning_rate=3e-3, num_train_epochs=2)),
        make_job("b", seed=2, rows=5, rank=4, learning_rate=3e-3, num_train_epochs=3),
        rewarded(
            make_job(
                "c", seed=3, rows=4, rank=8, targets=("q_proj", "v_proj"), per_device_train_batch_size=2,
                learning_rate=1e-2, lr_scheduler_type="cosine", num_train_epochs=2,
            ),
            loss_type="dr_grpo", grpo_beta=0.5, num_generations=3, temperature=0.7, num_iterations=3,
            epsilon=0.1,
        ),
        preferring(make_job("d", seed=4, rows=6, rank=2), 0.1),
        rewarded(
            make_job("e", seed=5, rows=3, rank=4, learning_rate=3e-3), max_completion_length=9, grpo_beta=0.0
        ),
    ]  # fmt: skip


class Recorded:
    """What an engine wrote for the trials of a pack, by trial and step."""

    def __init__(self, engine: Engine) -> None:
        self.answers: dict[str, list[list[tuple[tuple[int, ...], Completion]]]] = {}
        self.calls = 0
        self._generate = engine.generate
        engine.generate = self  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(self, requests, limit, sampling):
        self.calls += 1
        found = self._generate(requests, limit, sampling)
        steps = {request.adapter: [] for request in requests}
        for request, completion in zip(requests, found, strict=True):
            steps[request.adapter].append((request.input_ids, completion))
        for adapter, step in steps.items():
            self.answers.setdefault(adapter, []).append(step)
        return found


def log_probs(model, rows, temperature):
    """Log-probability of every answer token, and which are answers, (rows, length), by transformers alone."""
    ids, mask, labels = padded(rows)
    logs = (model(input_ids=ids, attention_mask=mask).logits[:, :-1] / temperature).log_softmax(-1)
    wanted = labels[:, 1:]
    return logs.gather(2, wanted.clamp(min=0)[..., None])[..., 0], (wanted != -100).double()


def train_alone(base, job: AdapterJob, start, answers):
    """Losses and KLs of the steps, and final weights, of a loop over PEFT on answers that are given."""
    config, objective = job.config, job.config.objective
    model, parameters = with_peft(base, job, start)
    optimizer = torch.optim.AdamW(parameters.values(), lr=config.learning_rate, weight_decay=0.0)
    losses, divergences, writers = [], [], torch.empty(0)
    whole = len(answers) * objective.num_iterations
    for step in range(whole):
        batch, again = divmod(step, objective.num_iterations)
        written = answers[batch]
        picked = batch_indices(config.seed, batch, len(job.rows), config.per_device_train_batch_size)
        places = [place for place in picked for _ in range(objective.num_generations)]
        assert [p for p, _ in written] == [job.rows[n].input_ids[: job.rows[n].prompt_length] for n in places]
        gained = torch.tensor(
            [
                sum(getattr(objective, name) * value for name, value in parts(place, answer).items())
                for place, (_, answer) in zip(places, written, strict=True)
            ],
            dtype=torch.float64,
        ).view(-1, objective.num_generations)
        advantages = gained - gained.mean(1, keepdim=True)
        if objective.loss_type == "grpo":
            advantages = advantages / (gained.std(1, keepdim=True) + 1e-4)
        rows = [TrainRow((*prompt, *answer.token_ids), len(prompt)) for prompt, answer in written]
        with torch.no_grad(), model.disable_adapter():
            before, mask = log_probs(model, rows, objective.temperature)
        now, _ = log_probs(model, rows, objective.temperature)
        if not again:
            writers = now.detach()
        ratio = (now - writers).exp()
        divergence = (before - now).exp() - (before - now) - 1
        advantages = advantages.view(-1, 1)
        gains = torch.minimum(
            ratio * advantages, ratio.clamp(1 - objective.epsilon, 1 + objective.epsilon) * advantages
        )
        costs = objective.grpo_beta * ratio * divergence - gains
        lengths = mask.sum(1) if objective.loss_type == "grpo" else objective.max_completion_length
        loss = ((costs * mask).sum(1) / lengths).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), config.max_grad_norm)
        if config.lr_scheduler_type == "cosine":
            rate = (1 + math.cos(math.pi * step / whole)) / 2
            optimizer.param_groups[0]["lr"] = config.learning_rate * rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        divergences.append((divergence * mask).sum(1).mean().item())
    return losses, divergences, {name: p.detach() for name, p in parameters.items()}


@pytest.mark.parametrize("options", [{}, {"pass_tokens": 60}])
def test_a_pack_equals_each_trial_alone(options, double_norms):
    model = tiny_model(dtype=torch.float64)
    base = copy.deepcopy(model)
    engine = Engine(as_loaded(model), 4, 8, **options)
    written = Recorded(engine)
    start, reports, final = train_packed(engine, jobs())
    for job in jobs():
        if job.config.objective.name != "grpo":
            continue
        mine = reports[job.trial_id]
        answers = written.answers[job.trial_id]
        assert len(mine) == len(answers) * job.config.objective.num_iterations == mine[-1].total_steps
        losses, divergences, weights = train_alone(base, job, start[job.trial_id], answers)
        assert [r.loss for r in mine] == pytest.approx(losses, rel=1e-9, abs=1e-12)
        found = [r.own_answers["kl_own_answers"] for r in mine]
        assert found == pytest.approx(divergences, rel=1e-8, abs=1e-12) and max(found) > 1e-4
        for name, end in weights.items():
            moved = (end - start[job.trial_id][name]).norm()
            assert moved > 0 and (final[job.trial_id][name] - end).norm() <= 1e-7 * moved
        steps = [step for step in answers for _ in range(job.config.objective.num_iterations)]
        for step, report in zip(steps, mine, strict=True):
            assert report.own_answers["tokens_own_answers"] == sum(len(a.token_ids) for _, a in step)


def test_all_trials_write_together_and_the_prompt_of_a_group_is_read_once():
    group = [rewarded(make_job(name, seed=n, rows=4, num_train_epochs=1)) for n, name in enumerate("abc")]
    engine = Engine(as_loaded(tiny_model()), 3, 8)
    written = Recorded(engine)
    for job in group:
        engine.attach(job)
    engine.train_step()
    assert written.calls == 1
    [prompts] = {len(steps) for steps in written.answers.values()} and [
        {(name, prompt) for name, [step] in written.answers.items() for prompt, _ in step}
    ]
    assert len(prompts) == 12
    # a beginning that questions share by chance is below the least that is shared
    assert engine.usage.work.prompt_tokens == sum(len(prompt) for _, prompt in prompts)
    assert engine.usage.work.answers == 3 * 4 * 4


@pytest.mark.parametrize("iterations", [1, 3])
def test_a_resumed_trial_ends_in_the_same_weights(iterations, double_norms):
    """Elsewhere, in another slot and beside others, a trial writes the same answers again; between two steps
    on the same ones it has them with it, through a file."""
    job = rewarded(make_job("a", seed=1, rows=5, rank=2, learning_rate=3e-3), num_iterations=iterations)
    whole = Engine(as_loaded(tiny_model(dtype=torch.float64)), 1, 8)
    whole.attach(job)
    for _ in range(4):
        whole.train_step()
    state = whole.state_dict("a")
    assert bool(state.get("written")) == (iterations > 1)
    kept = unpack(pack(Checkpoint(state, [], 0.0), "of a"), "a", "of a").state
    assert {name: kept[name] for name in kept if name not in ("weights", "moments")} == {
        name: state[name] for name in state if name not in ("weights", "moments")
    }
    other = Engine(as_loaded(tiny_model(dtype=torch.float64)), 3, 8)
    other.attach(jobs()[2])
    other.restore(job, kept)
    for engine in (whole, other):
        while [r for r in engine.train_step() if r.trial_id == "a" and not r.finished]:
            pass
    mine, again = (peft_names(engine.state_dict("a")["weights"]) for engine in (whole, other))
    for name, weights in mine.items():
        assert torch.allclose(weights, again[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("objective", "trl_settings"),
    [
        ({"grpo_beta": 0.3}, {"beta": 0.3, "loss_type": "grpo", "scale_rewards": "group"}),
        (
            {
                "loss_type": "dr_grpo",
                "grpo_beta": 0.04,
                "temperature": 0.8,
                "num_iterations": 2,
                "epsilon": 0.1,
            },
            {
                "beta": 0.04,
                "loss_type": "dr_grpo",
                "scale_rewards": "none",
                "temperature": 0.8,
                "num_iterations": 2,
                "epsilon": 0.1,
            },
        ),
    ],
)
def test_losses_and_advantages_are_those_of_trl(tmp_path, objective, trl_settings, double_norms):
    """TRL's own scoring and loss on the same answers, with our weights of each step put into its model."""
    datasets = pytest.importorskip("datasets")
    trl = pytest.importorskip("trl")
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    model = tiny_model(dtype=torch.float64)
    base = copy.deepcopy(model)
    job = rewarded(make_job("a", seed=1, rows=6, rank=4, learning_rate=1e-2, num_train_epochs=2), **objective)
    engine = Engine(as_loaded(model), 1, 8)
    written = Recorded(engine)
    engine.attach(job)
    theirs, parameters = with_peft(base, job, peft_names(engine.state_dict("a")["weights"]))
    words = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({str(n): n for n in range(96)}, unk_token="0")),
        pad_token="0", eos_token="2",
    )  # fmt: skip
    answers: list[tuple[int, tuple[int, ...], Completion]] = []

    def reward(name):
        def of(completion_ids, **_):
            assert [tuple(ids) for ids in completion_ids] == [answer.token_ids for *_, answer in answers]
            return [parts(place, answer)[name] for place, _, answer in answers]

        return of

    trainer = trl.GRPOTrainer(
        theirs,
        reward_funcs=[reward(name) for name in NAMES],
        args=trl.GRPOConfig(
            str(tmp_path), **trl_settings, num_generations=4, per_device_train_batch_size=16,
            max_completion_length=6, reward_weights=[1.0, 0.5, 0.25], report_to=[], use_cpu=True,
            gradient_checkpointing=False, bf16=False,
        ),
        train_dataset=datasets.Dataset.from_list([{"prompt": "5"}] * 16),
        processing_class=words,
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1

    def generated(prompts):
        ids = [list(answer.token_ids) for *_, answer in answers]
        return [list(p) for _, p, _ in answers], ids, None, [str(i) for i in ids], None, {}, None, None

    def in_double(model, input_ids, attention_mask, logits_to_keep, *_, **__):
        # TRL's own are in fp32 whatever the model is in
        logits = model(input_ids=input_ids, attention_mask=attention_mask).logits / trainer.temperature
        wanted = input_ids[:, -logits_to_keep:, None]
        logs = logits[:, -logits_to_keep - 1 : -1].log_softmax(-1).gather(2, wanted)[..., 0]
        return logs, torch.zeros_like(logs), None

    trainer._generate, trainer._get_per_token_logps_and_entropies = generated, in_double
    compared = 0
    for step in range(4 * job.config.objective.num_iterations):
        with torch.no_grad():
            for name, tensor in peft_names(engine.state_dict("a")["weights"]).items():
                parameters[name].copy_(tensor)
        [report] = engine.train_step()
        number, again = divmod(step, job.config.objective.num_iterations)
        if not again:
            size = job.config.per_device_train_batch_size
            picked = batch_indices(job.config.seed, number, len(job.rows), size)
            places = [place for place in picked for _ in range(4)]
            answers[:] = [(n, *each) for n, each in zip(places, written.answers["a"][number], strict=True)]
            trainer.model.train()
            batch = trainer._generate_and_score_completions([{"prompt": "5"} for _ in answers])
            batch["num_items_in_batch"] = batch["completion_mask"].sum()
        weights = job.config.objective.rewards
        gained = [sum(weights[k] * v for k, v in parts(n, answer).items()) for n, _, answer in answers]
        mine = group_advantages(gained, 4, job.config.objective.loss_type)
        assert mine == pytest.approx(batch["advantages"].tolist(), rel=1e-5, abs=1e-6)  # TRL's are fp32
        assert ("old_per_token_logps" in batch) == (job.config.objective.num_iterations > 1)
        batch["advantages"] = torch.tensor(mine, dtype=torch.float64)
        loss = trainer._compute_loss(trainer.model, batch)
        gradient = torch.autograd.grad(loss, list(parameters.values()))
        assert report.loss == pytest.approx(loss.item(), rel=1e-6, abs=1e-12)
        norm = torch.stack([part.norm() for part in gradient]).norm().item()
        assert report.grad_norm == pytest.approx(norm, rel=1e-6)
        compared += 1
    assert compared == report.total_steps == 4 * job.config.objective.num_iterations


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    loss_type=st.sampled_from(["grpo", "dr_grpo"]),
    beta=st.floats(0, 2),
    temperature=st.floats(0.3, 2),
    seed=st.integers(0, 99),
)
def test_costs_and_gradients_are_the_formula(lengths, loss_type, beta, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    objective = ObjectiveConfig(
        name="grpo", loss_type=loss_type, grpo_beta=beta, temperature=temperature, max_completion_length=8
    )
    advantages = torch.randn(len(lengths), generator=generator, dtype=torch.float64).tolist()
    rows = [
        SlotRow(0, TrainRow((7,) * (2 + n), 2), 1.0, 1.0, objective, advantage)
        for n, advantage in zip(lengths, advantages, strict=True)
    ]
    tokens = sum(lengths)
    mine, base = torch.randn(2, tokens, 5, generator=generator, dtype=torch.float64)
    mine.requires_grad_()
    labels = torch.randint(5, (tokens,), generator=generator)
    cost, divergence = Grpo().per_token(mine, labels, base, rows)
    probabilities = [(x / temperature).softmax(1).gather(1, labels[:, None])[:, 0] for x in (mine, base)]
    ratio = probabilities[1] / probabilities[0]
    k3 = ratio - ratio.log() - 1
    per_answer = zip(advantages, lengths, strict=True)
    each = torch.tensor([a for a, n in per_answer for _ in range(n)], dtype=torch.float64)
    counted = torch.tensor([n if loss_type == "grpo" else 8 for n in lengths for _ in range(n)])
    assert torch.allclose(cost, beta * k3 - each) and torch.allclose(divergence, counted * k3)
    assert k3.min() >= 0
    [found] = torch.autograd.grad(cost.sum(), mine, retain_graph=True)
    plain = (beta * k3 + (beta * k3.detach() - each) * probabilities[0].log()).sum()
    assert torch.allclose(found, torch.autograd.grad(plain, mine)[0])


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    epsilon=st.floats(0.01, 0.9),
    seed=st.integers(0, 99),
)
def test_what_has_moved_too_far_towards_its_advantage_is_pushed_no_further(lengths, epsilon, seed):
    generator = torch.Generator().manual_seed(seed)
    objective = ObjectiveConfig(name="grpo", grpo_beta=0.0, num_iterations=2, epsilon=epsilon)
    mine = torch.randn(sum(lengths), 5, generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.randint(5, (sum(lengths),), generator=generator)
    own = mine.log_softmax(1).gather(1, labels[:, None])[:, 0].detach()
    before = own - torch.randn(sum(lengths), generator=generator, dtype=torch.float64)
    advantages = torch.randn(len(lengths), generator=generator, dtype=torch.float64).tolist()
    rows = [
        SlotRow(0, TrainRow((7,) * (2 + n), 2), 1.0, 1.0, objective, advantage, tuple(log_probs.tolist()))
        for n, advantage, log_probs in zip(lengths, advantages, before.split(lengths), strict=True)
    ]
    cost, _ = Grpo().per_token(mine, labels, mine.detach(), rows)
    [gradient] = torch.autograd.grad(cost.sum(), mine)
    per_answer = zip(advantages, lengths, strict=True)
    each = torch.tensor([a for a, n in per_answer for _ in range(n)], dtype=torch.float64)
    ratio = (own - before).exp()
    stopped = torch.where(each > 0, ratio > 1 + epsilon, ratio < 1 - epsilon)
    limit = torch.where(each > 0, 1 + epsilon, 1 - epsilon).double()
    assert torch.allclose(cost, -each * torch.where(stopped, limit, ratio))
    # of a token that goes on the gradient is that of its probability, times advantage over the one before
    assert torch.equal(gradient.abs().sum(1) > 0, ~stopped)


@given(
    rewards=st.lists(st.floats(-2, 2), min_size=6, max_size=6), loss_type=st.sampled_from(["grpo", "dr_grpo"])
)
def test_advantages_cancel_in_every_group_and_ask_for_nothing_where_rewards_are_equal(rewards, loss_type):
    found = torch.tensor(group_advantages(rewards, 3, loss_type), dtype=torch.float64).view(2, 3)
    assert found.sum(1).abs().max() < 1e-9
    assert group_advantages([0.25] * 6, 3, loss_type) == [0.0] * 6


def test_seeds_differ_by_step_question_and_answer(monkeypatch):
    engine = Engine(as_loaded(tiny_model()), 1, 8)
    asked = []
    generate = engine.generate

    def noted(requests, limit, sampling):
        asked.extend((request.seed, limit, sampling) for request in requests)
        return generate(requests, limit, sampling)

    monkeypatch.setattr(engine, "generate", noted)
    engine.attach(rewarded(make_job("a", seed=1, rows=5, num_train_epochs=2), temperature=0.5))
    while engine.train_step():
        pass
    assert len({seed for seed, *_ in asked}) == len(asked) == 2 * 5 * 4
    assert {(limit, sampling) for _, limit, sampling in asked} == {(6, Sampling(0.5))}
    assert asked[0][0] == derived_seed(1, f"own answer/0/{batch_indices(1, 0, 5, 4)[0]}/0")


def test_a_job_whose_answers_nobody_rewards_is_refused():
    with pytest.raises(NoRows, match="nothing that rewards"):
        Engine(as_loaded(tiny_model()), 1, 8).attach(replace(jobs()[0], reward=None))
