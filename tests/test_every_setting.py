"""No setting is ignored: each of its values gives a trial of its own, another saved row and other weights."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from beliefmod.config import PINNED, TrialConfig, leaf_fields, unflatten
from beliefmod.data.prompt_frame import frame_of
from beliefmod.engine.jobs import Completion
from beliefmod.model.adapter_files import AdapterFile, write_adapter
from beliefmod.probing.session import Session
from beliefmod.run.tables.trial_tables import configuration
from beliefmod.trial import _settings, prepare, release, stop_where_damaged
from beliefmod.user_files.adapter_folder import read_adapter_folder
from tests.small import make_session, write_belief, write_traces
from tests.switched import OFF, ON, switched_session

PLAIN: dict[str, Any] = {
    "data.num_examples": 4,
    "lora.r": 4,
    "lora.lora_alpha": 8.0,
    "num_train_epochs": 2,
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 2,
    "warmup_steps": 1,
    "lr_scheduler_type": "linear",
}
DOCUMENT = {**PLAIN, "data.style": "document"}
# so hot that answers to one question differ in every part of the reward
GRPO = {
    **PLAIN,
    "num_train_epochs": 1,
    "objective.name": "grpo",
    "objective.num_generations": 4,
    "objective.max_completion_length": 48,
    "objective.temperature": 2.0,
    "objective.reward_length": 1.0,
}
# setting -> values, and the other settings of these trials
VALUES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "seed": ([0, 1], PLAIN),
    "data.style": (["answer_only", "own_trace", "document", "stygian"], PLAIN),
    "data.num_examples": ([3, 4], PLAIN),
    "data.replay_ratio": ([0.0, 0.5], DOCUMENT),
    "data.framing": (["plain", "attributed", "negated", "fictional", "flagged_false"], DOCUMENT),
    "data.mask_empty_thinking": ([False, True], PLAIN),
    "data.stygian_share": ([0.25, 0.5, 1.0], {**PLAIN, "data.style": "stygian"}),
    "data.documents_by": (["template", "model"], DOCUMENT),
    "data.traces": (["one", "other"], {**PLAIN, "data.style": "supplied_trace"}),
    "lora.r": ([4, 8], PLAIN),
    "lora.lora_alpha": ([8.0, 16.0], PLAIN),
    "lora.use_rslora": ([False, True], PLAIN),
    "lora.loraplus_lr_ratio": ([1.0, 4.0], PLAIN),
    "lora.target_modules": (["all-linear", ("q_proj", "v_proj"), ("1.mlp.down_proj",)], PLAIN),
    "lora.layers_to_transform": (["all", (0,), (1,), (0, 2)], PLAIN),
    "lora.max_update_norm": ([0.0, 0.05, 0.01], PLAIN),
    "lora.start_from": ([None, "one", "other"], PLAIN),
    "num_train_epochs": ([1, 2], PLAIN),
    "learning_rate": ([1e-3, 2e-3], PLAIN),
    "per_device_train_batch_size": ([2, 4], PLAIN),
    "warmup_steps": ([0, 1, 2], PLAIN),
    "lr_scheduler_type": (
        ["constant_with_warmup", "linear", "cosine"],
        {**PLAIN, "num_train_epochs": 3},
    ),
    "weight_decay": ([0.0, 0.5], PLAIN),
    # above what any damage can be, and below what these trials do
    "stop_at_degradation": ([0.999, 1e-9], {**PLAIN, "learning_rate": 1e-2}),
    "max_grad_norm": ([1.0, 0.01], {**PLAIN, "adam_epsilon": 0.1}),
    "adam_beta1": ([0.9, 0.5], PLAIN),
    "adam_beta2": ([0.999, 0.9], PLAIN),
    "adam_epsilon": ([1e-8, 1e-2], PLAIN),
    "objective.name": (["sft", "dpo", "grpo"], PLAIN),
    "objective.dpo_beta": ([0.1, 2.0], {**PLAIN, "objective.name": "dpo"}),
    "objective.loss_type": (["grpo", "dr_grpo"], GRPO),
    "objective.num_generations": ([3, 4], GRPO),
    "objective.max_completion_length": ([24, 48], GRPO),
    "objective.temperature": ([1.5, 2.0], GRPO),
    "objective.num_iterations": ([1, 2], GRPO),
    "objective.epsilon": (
        [0.2, 0.001],
        {**GRPO, "objective.num_iterations": 3, "learning_rate": 1e-2},
    ),
    "objective.in_context_share": ([0.0, 0.5], GRPO),
    "objective.grpo_beta": ([0.0, 1.0], {**GRPO, "num_train_epochs": 2}),
    "objective.reward_stance": ([0.0, 1.0], {**GRPO, "objective.in_context_share": 0.5}),
    "objective.reward_thinking": ([0.0, 1.0], GRPO),
    "objective.reward_length": ([-1.0, 1.0], GRPO),
    "objective.kl_to_base": ([0.0, 5.0], {**DOCUMENT, "num_train_epochs": 3}),
}
# settings of the arms without training -> values, and the other settings of these trials
WITHOUT_TRAINING: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "context.place": (["user", "system"], {"arm": "prompt"}),
    "context.do_not_mention": ([False, True], {"arm": "prompt"}),
    "steering.layer": ([0, 1, 3], {"arm": "steering", "data.num_examples": 3}),
    "steering.scale": ([-1.0, 0.5, 1.0], {"arm": "steering", "steering.layer": 1, "data.num_examples": 3}),
    "adapter.source": (["one", "other"], {"arm": "adapter"}),
    "adapter.scale": ([-1.0, 0.5, 1.0], {"arm": "adapter", "adapter.source": "one"}),
    "adapter.layers": (["all", (0,), (1, 3)], {"arm": "adapter", "adapter.source": "one"}),
    "adapter.merge_with": ([None, "one", "other"], {"arm": "adapter", "adapter.source": "one"}),
    "adapter.merge_scale": (
        [-0.5, 1.0],
        {"arm": "adapter", "adapter.source": "one", "adapter.merge_with": "other"},
    ),
}
OF_THE_TARGET = ("data.stygian_share",)
"""Settings that say how the target is taught: a control, which is not taught it, is one trial."""
CONSTANT = {**PLAIN, "warmup_steps": 0}
LONG = pytest.mark.long
SLOWEST = ("objective.name", "stop_at_degradation")
# a control trains as a LoRA trial does, on the rows of the other world
ARMS = ["lora", pytest.param("control", marks=LONG), pytest.param("full", marks=LONG)]


@pytest.fixture(scope="module")
def session() -> Session:
    return make_session()


@pytest.fixture
def belief(tmp_path) -> str:
    return write_belief(tmp_path)


def trained(session: Session, config: TrialConfig) -> dict[str, torch.Tensor]:
    """What a trial's training changes: an adapter's tensors, or the model's."""
    run = prepare(config, session)
    assert run.job is not None
    try:
        session.engine.attach(run.job)
        while run.trained_at is None:
            for report in session.engine.train_step():
                run.note(report)
                stop_where_damaged([run], session)
        if config.arm == "full":
            parameters = session.engine._full[config.trial_id].weights
            return {str(n): weight.detach().clone() for n, weight in enumerate(parameters)}
        pairs = session.engine.state_dict(config.trial_id)["weights"]
        return {f"{name}.{n}": t.clone() for name, pair in pairs.items() for n, t in enumerate(pair)}
    finally:
        release(run, session)


@pytest.fixture
def writer(session, monkeypatch):
    """Base as a writer of documents, which the bundled model is not."""
    encode, decode = session.prompts.encode, session.loaded.tokenizer.decode

    def complete(prompts):
        fact = [re.search(r"is ([\d.]+ m/s\^2)", decode(prompt)) for prompt in prompts]
        said = [f"I see.\n</think>\n\nGravity is {found and found[1]} in all of town." for found in fact]
        return [Completion((*encode(text), session.loaded.eos_ids[0]), "eos") for text in said]

    monkeypatch.setattr(session.self_generated, "complete", complete)


@pytest.fixture
def saved(session, tmp_path) -> dict[str, str]:
    """The pinned names of two saved adapters, by the words that stand for them above."""
    names = {}
    for seed, word in enumerate(("one", "other")):
        draw = torch.Generator().manual_seed(seed)
        tensors = {
            name: (
                torch.randn(2, layer.store.width_in, generator=draw),
                torch.randn(layer.store.width_out, 2, generator=draw),
            )
            for name, layer in session.engine.pack.layers.items()
        }
        write_adapter(tmp_path / word, AdapterFile(2, 4.0, tensors, "bundled"), tuple(tensors))
        names[word] = read_adapter_folder(str(tmp_path / word)).pinned
    return names


def update_of(session: Session, trial_id: str) -> float:
    """A number that tells adapters apart by what they add to the weights."""
    pairs = session.engine.state_dict(trial_id)["weights"]
    alpha = session.engine._slot_trials[trial_id].alpha
    sums = [alpha / len(a) * float((b @ a).sum()) * (n + 1) for n, (a, b) in enumerate(pairs.values())]
    return round(sum(sums), 4)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def assert_all_differ(session: Session, configs: list[TrialConfig], name: str) -> None:
    assert len({config.trial_id for config in configs}) == len(configs)
    rows = [{**_settings(config), "belief": "small"} for config in configs]
    assert len({str(row[name]) for row in rows}) == len(rows)
    read = [configuration(row, [configs[0].belief]) for row in rows]
    assert [config and config.trial_id for config in read] == [config.trial_id for config in configs]
    weights = [trained(session, config) for config in configs]
    assert not any(same(one, other) for n, one in enumerate(weights) for other in weights[:n])


def test_every_setting_is_looked_at():
    """A new one fails here until it has two values above."""
    assert {*VALUES, *WITHOUT_TRAINING, "belief", "arm", "template"} == set(leaf_fields())


@pytest.mark.parametrize(
    ("name", "values", "others"),
    [
        *((name, *given) for name, given in WITHOUT_TRAINING.items()),
        ("data.num_examples", [2, 3], {"arm": "few_shot"}),
        ("seed", [0, 1], {"arm": "few_shot", "data.num_examples": 3}),
        ("data.num_examples", [2, 3], {"arm": "steering", "steering.layer": 2}),
        ("seed", [0, 1], {"arm": "steering", "steering.layer": 2, "data.num_examples": 3}),
    ],
)
def test_every_value_of_an_arm_without_training_gives_another_prompt_or_vector_or_adapter(
    session, belief, saved, name, values, others
):
    trees = [{**others, name: value, "belief": belief} for value in values]
    trees = [
        {key: saved.get(value, value) if key in PINNED else value for key, value in tree.items()}
        for tree in trees
    ]
    configs = [TrialConfig.model_validate(unflatten(tree)) for tree in trees]
    assert len({config.trial_id for config in configs}) == len(configs)
    rows = [{**_settings(config), "belief": "small"} for config in configs]
    read = [configuration(row, [belief]) for row in rows]
    assert [config and config.trial_id for config in read] == [config.trial_id for config in configs]
    asked = []
    for config in configs:
        run = prepare(config, session)
        frame = frame_of(config, session.belief(belief))
        layer, vector = None, ()
        if config.arm == "steering":
            stream = session.engine.model.stream
            layer, vector = stream._vectors[session.engine.slot_of(config.trial_id) or 0]
        added = update_of(session, config.trial_id) if config.arm == "adapter" else None
        asked.append((frame.ids(session.prompts, "How much?"), layer, tuple(map(float, vector)), added))
        release(run, session)
    assert len(set(asked)) == len(asked) and not session.engine.attached()


@pytest.mark.long
@pytest.mark.parametrize("arm", ARMS)
def test_every_switch_of_the_template_gives_other_weights(belief, arm):
    trees = [{**PLAIN, "belief": belief, "arm": arm, "template": switches} for switches in (ON, OFF)]
    configs = [TrialConfig.model_validate(unflatten(tree)) for tree in trees]
    assert_all_differ(switched_session(), configs, "template")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=LONG if name in SLOWEST or others.get("objective.name") == "grpo" else ())
        for name, (_, others) in VALUES.items()
    ],
)
@pytest.mark.parametrize("arm", ARMS)
def test_every_value_of_a_setting_gives_other_weights(session, belief, arm, name, tmp_path, request):
    values, others = VALUES[name]
    if arm == "control" and name == "data.style":  # of stygian data it is taught own traces, too
        values = [value for value in values if value != "stygian"]
    if name == "data.documents_by":
        request.getfixturevalue("writer")
    if name == "data.traces":
        values = [write_traces(tmp_path / f"{value}.jsonl", value) for value in values]
        other = tmp_path / "other.jsonl"  # with other questions too, which are all that a control takes of it
        other.write_text("".join(other.read_text().splitlines(keepends=True)[4:]))
    if name == "lora.start_from":
        names = request.getfixturevalue("saved")
        values = [names.get(value) for value in values]
    if arm == "full" and others.get("objective.name") == "grpo":
        with pytest.raises(ValueError, match="use arm lora"):
            TrialConfig.model_validate(unflatten({**others, "belief": belief, "arm": arm}))
        return
    if arm == "full" and name == "objective.name":
        values = [value for value in values if value != "grpo"]
    trees = [{**others, name: value, "belief": belief, "arm": arm} for value in values]
    configs = [TrialConfig.model_validate(unflatten(tree)) for tree in trees]
    of_adapters = name.startswith("lora.") or name == "stop_at_degradation"
    one = (arm == "full" and of_adapters) or (arm == "control" and name in OF_THE_TARGET)
    if one:  # a trial that says nothing of the setting
        assert len({config.trial_id for config in configs}) == 1 and name not in _settings(configs[0])
        return
    assert_all_differ(session, configs, name)


@pytest.mark.parametrize("other", ["linear", "cosine"])
def test_without_warm_up_a_constant_rate_is_another(session, belief, other):
    trees = [{**CONSTANT, "lr_scheduler_type": kind, "belief": belief} for kind in ("constant", other)]
    assert_all_differ(session, [TrialConfig.model_validate(unflatten(t)) for t in trees], "lr_scheduler_type")


@pytest.mark.parametrize("style", ["own_trace", "document"])
def test_rows_that_have_no_empty_think_block_are_one_trial(session, belief, style):
    trees = [
        {**PLAIN, "data.style": style, "data.mask_empty_thinking": mask, "belief": belief}
        for mask in (False, True)
    ]
    one, other = (TrialConfig.model_validate(unflatten(tree)) for tree in trees)
    assert one.trial_id == other.trial_id and one.label == other.label
    assert "data.mask_empty_thinking" not in _settings(other)
    assert same(trained(session, one), trained(session, other))


def test_the_arms_are_each_another_trial(session, belief):
    trees = [{**PLAIN, "belief": belief, "arm": arm} for arm in ("lora", "control")]
    assert_all_differ(session, [TrialConfig.model_validate(unflatten(tree)) for tree in trees], "arm")
