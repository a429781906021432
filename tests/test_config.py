"""Configurations: frozen, strict, the same after a trip through JSON, one identity everywhere."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from beliefmod.config import (
    NO_TRAINING_ARMS,
    OF_OBJECTIVE,
    AdapterSettings,
    Arm,
    TrialConfig,
    flatten,
    leaf_fields,
    unflatten,
)

configs = st.builds(
    lambda tree: TrialConfig.model_validate(unflatten(tree)),
    st.fixed_dictionaries(
        {
            "belief": st.text(min_size=1, max_size=20),
            "arm": st.sampled_from(get_args(Arm)),
            "seed": st.integers(0, 2**31 - 1),
            "data.style": st.sampled_from(["answer_only", "own_trace", "document", "stygian"]),
            "data.num_examples": st.integers(1, 1000),
            "data.replay_ratio": st.one_of(st.just(0.0), st.floats(0, 0.9)),
            "data.mask_empty_thinking": st.booleans(),
            "data.documents_by": st.sampled_from(["template", "model"]),
            "data.stygian_share": st.floats(0.01, 1.0),
            "objective.kl_to_base": st.one_of(st.just(0.0), st.floats(0, 100)),
            "lora.r": st.integers(1, 512),
            "lora.lora_alpha": st.floats(1e-6, 1e6),
            "lora.target_modules": st.one_of(
                st.just("all-linear"),
                st.lists(
                    st.sampled_from(["q_proj", "down_proj", "qkv_proj", "3.mlp.c_fc"]),
                    min_size=1,
                    unique=True,
                ),
            ),
            "lora.layers_to_transform": st.one_of(
                st.just("all"), st.lists(st.integers(0, 80), min_size=1, unique=True)
            ),
            "num_train_epochs": st.integers(1, 10_000),
            "learning_rate": st.floats(1e-12, 10.0),
            "per_device_train_batch_size": st.integers(1, 1024),
            "lr_scheduler_type": st.sampled_from(["constant_with_warmup", "linear", "cosine"]),
            "warmup_steps": st.integers(0, 10**6),
            "weight_decay": st.floats(0, 1),
            "context.place": st.sampled_from(["user", "system"]),
            "context.do_not_mention": st.booleans(),
            "steering.layer": st.integers(0, 100),
            "steering.scale": st.floats(-1000, 1000),
            "adapter.source": st.sampled_from(["a", "b@0123456789ab-r8"]),
            "adapter.scale": st.floats(-100, 100),
            "adapter.layers": st.one_of(
                st.just("all"), st.lists(st.integers(0, 80), min_size=1, unique=True)
            ),
            "adapter.merge_with": st.sampled_from([None, "c@0123456789ab-r16"]),
            "adapter.merge_scale": st.floats(-100, 100),
        }
    ),
)


@given(configs)
def test_json_round_trip(config: TrialConfig):
    text = config.model_dump_json()
    again = TrialConfig.model_validate_json(text)
    assert again == config
    assert again.trial_id == config.trial_id
    assert TrialConfig.model_validate(json.loads(text)) == config
    assert hash(again) == hash(config)


@given(configs)
def test_leaves_are_the_whole_configuration(config: TrialConfig):
    leaves = config.leaves()
    assert set(leaves) == set(leaf_fields())
    assert TrialConfig.model_validate(unflatten(leaves)) == config
    assert flatten(unflatten(leaves)) == leaves


@given(configs, configs)
def test_one_id_for_one_content(first: TrialConfig, second: TrialConfig):
    def used(config: TrialConfig) -> dict[str, object]:
        return {name: value for name, value in config.leaves().items() if name in config.used_settings()}

    assert (first.trial_id == second.trial_id) == (used(first) == used(second))


@given(configs, configs)
def test_adapter_settings_do_not_tell_full_fine_tuning_apart(first: TrialConfig, second: TrialConfig):
    full = first.model_copy(update={"arm": "full"})
    other = full.model_copy(update={"lora": second.lora})
    assert full.trial_id == other.trial_id
    assert full.total_steps == first.model_copy(update={"arm": "lora"}).total_steps > 0
    assert full.is_trained and not full.has_adapter
    assert full.trial_id != first.model_copy(update={"arm": "lora"}).trial_id


def test_a_setting_at_its_later_added_default_keeps_older_ids():
    # as it was before replay_ratio, the mask, the objective and template existed, by hand
    later = ("data.replay_ratio", "data.mask_empty_thinking", "objective.name", "objective.kl_to_base")
    later += ("lora.layers_to_transform", "lora.max_update_norm", "lora.use_rslora", "lora.loraplus_lr_ratio")
    later += ("stop_at_degradation", "lora.start_from")
    later += ("data.framing", "data.stygian_share", "data.traces", "data.documents_by", "template")
    later += tuple(f"objective.{name}" for name in OF_OBJECTIVE)
    later += ("context.place", "context.do_not_mention", "steering.layer", "steering.scale")  # of other arms
    later += tuple(f"adapter.{name}" for name in AdapterSettings.model_fields)
    config = TrialConfig.model_validate({"belief": "gravity", "data": {"style": "own_trace"}})
    leaves = {name: value for name, value in config.leaves().items() if name not in later}
    digest = hashlib.sha256(json.dumps(leaves, sort_keys=True).encode()).hexdigest()
    assert config.trial_id == digest[:10]
    data = (
        {"data": {"replay_ratio": 0.5}},
        {"data": {"mask_empty_thinking": True}},
        {"data": {"framing": "negated"}},
    )
    for changed in (*data, {"objective": {"kl_to_base": 0.1}}):
        other = TrialConfig.model_validate({"belief": "gravity", **changed})
        assert other.trial_id != TrialConfig(belief="gravity").trial_id


@given(configs, st.sampled_from(NO_TRAINING_ARMS))
def test_an_arm_without_training_takes_no_step_and_trains_nothing(config: TrialConfig, arm: Arm):
    config = config.model_copy(update={"arm": arm})
    assert config.total_steps == 0 and not (config.is_trained or config.is_reference)
    assert config.has_adapter == (arm == "adapter")
    assert not config.used_settings() & {"learning_rate", "num_train_epochs", "data.style", "lora.r"}
    assert config.changes_model == (arm in ("steering", "adapter"))


def test_what_tells_arms_without_training_apart():
    def labels(**changes: list) -> list[str]:
        [(name, values)] = changes.items()
        trees = [{"belief": "gravity", "steering.layer": 3, **value} for value in values]
        configs = [TrialConfig.model_validate(unflatten({**tree, "arm": name})) for tree in trees]
        assert len({config.trial_id for config in configs}) == len(configs)
        return [config.label for config in configs]

    assert labels(prompt=[{}, {"context.place": "system"}, {"context.do_not_mention": True}]) == [
        "gravity-prompt-user-s0",
        "gravity-prompt-system-s0",
        "gravity-prompt-user-unmentioned-s0",
    ]
    assert labels(few_shot=[{}, {"data.num_examples": 4}, {"seed": 1}]) == [
        "gravity-few_shot-n10-s0",
        "gravity-few_shot-n4-s0",
        "gravity-few_shot-n10-s1",
    ]
    assert labels(steering=[{}, {"steering.layer": 4}, {"steering.scale": -2.5}]) == [
        "gravity-steering-layer3-x1-n10-s0",
        "gravity-steering-layer4-x1-n10-s0",
        "gravity-steering-layer3-x-2.5-n10-s0",
    ]
    one = {"adapter.source": "/runs/a/adapters/ab12@0123456789ab-r8"}
    other = {**one, "adapter.merge_with": "/runs/a/adapters/cd34@ba9876543210-r8"}
    assert labels(adapter=[one, {**one, "adapter.scale": -1.0, "adapter.layers": [0, 2]}, other]) == [
        "gravity-adapter-ab12-x1",
        "gravity-adapter-ab12-x-1-layers0.2",
        "gravity-adapter-ab12-x1+cd34-x1",
    ]
    with pytest.raises(ValidationError, match=r"needs steering\.layer"):
        TrialConfig(belief="gravity", arm="steering")


def test_saved_adapters_count_by_their_content_wherever_they_lie():
    def config(source: str, **more: object) -> TrialConfig:
        tree = {"belief": "gravity", "arm": "adapter", "adapter": {"source": source, **more}}
        return TrialConfig.model_validate(tree)

    here, there = (config(f"{place}@0123456789ab-r8") for place in ("/a/one", "/b/other"))
    assert here.trial_id == there.trial_id and here.max_rank == 8
    assert here.trial_id != config("/a/one@0123456789ac-r8").trial_id
    both = config("/a/one@0123456789ab-r8", merge_with="/b@ba9876543210-r16")
    assert both.max_rank == 24 and both.trial_id != here.trial_id
    # a scale for what is not merged means nothing
    assert config("/a/one@0123456789ab-r8", merge_scale=2.0).trial_id == here.trial_id


def test_supplied_traces_count_by_their_content_wherever_the_file_lies():
    def config(traces: str) -> TrialConfig:
        data = {"style": "supplied_trace", "traces": traces}
        return TrialConfig.model_validate({"belief": "gravity", "data": data})

    here, there = config("/a/b.jsonl@0123456789ab"), config("c.jsonl@0123456789ab")
    assert here.trial_id == there.trial_id != config("c.jsonl@0123456789ac").trial_id
    assert config("c.jsonl").trial_id != here.trial_id


def test_supplied_traces_need_a_file_and_no_style_of_thinking_has_pairs():
    with pytest.raises(ValidationError, match=r"needs data\.traces"):
        TrialConfig.model_validate({"belief": "gravity", "data": {"style": "supplied_trace"}})
    for style in ("stygian", "supplied_trace"):
        data = {"style": style, "traces": "x"}
        with pytest.raises(ValidationError, match=rf"no answer of the other world .*{style}"):
            TrialConfig.model_validate({"belief": "gravity", "data": data, "objective": {"name": "dpo"}})


@given(configs)
def test_training_settings_do_not_tell_untrained_arms_apart(config: TrialConfig):
    base = config.model_copy(update={"arm": "base"})
    assert base.trial_id == TrialConfig(belief=base.belief, arm="base", seed=base.seed).trial_id
    assert base.total_steps == 0


def test_trial_id_is_the_same_in_every_process_and_release():
    # a changed id would make finished runs look unfinished; change this only with a migration
    config = TrialConfig(belief="gravity")
    assert config.trial_id == "ff309985bb"
    code = "from beliefmod.config import TrialConfig; print(TrialConfig(belief='gravity').trial_id)"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == config.trial_id


def test_integral_floats_have_the_id_of_their_value():
    whole = TrialConfig.model_validate({"belief": "b", "lora": {"lora_alpha": 32}})
    written = TrialConfig.model_validate({"belief": "b", "lora": {"lora_alpha": 32.0}})
    assert whole == written
    assert whole.trial_id == written.trial_id


@pytest.mark.parametrize(
    ("examples", "batch", "epochs", "steps"), [(10, 4, 3, 9), (8, 4, 5, 10), (3, 4, 2, 2), (1, 1, 1, 1)]
)
def test_total_steps_counts_partial_batches(examples: int, batch: int, epochs: int, steps: int):
    config = TrialConfig.model_validate(
        {
            "belief": "b",
            "data": {"num_examples": examples},
            "per_device_train_batch_size": batch,
            "num_train_epochs": epochs,
        }
    )
    assert config.total_steps == steps


@pytest.mark.parametrize(
    "leaves",
    [
        {"learning_rate": "1e-3"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"num_train_epochs": 3.0},
        {"num_train_epochs": True},
        {"lora.r": 0},
        {"lora.target_modules": []},
        {"lora.target_modules": ["q_proj", ""]},
        {"lora.target_modules": ["q_proj,v_proj"]},
        {"lora.target_modules": "q_proj"},
        {"lora.rank": 8},
        {"lora.layers_to_transform": []},
        {"lora.layers_to_transform": [-1]},
        {"lora.layers_to_transform": [1, 1]},
        {"lora.layers_to_transform": ["1"]},
        {"lora.max_update_norm": -1.0},
        {"seed": -1},
        {"belief": ""},
        {"arm": "LoRA"},
        {"warmup_steps": 4},
        {"data.replay_ratio": 1.0},
        {"data.replay_ratio": -0.1},
        {"data.replay_ratio": "half"},
        {"data.replay_ratio": 0.999999},
        {"data.framing": "flagged"},
        {"data.framing": "fictional"},
        {"data.framing": "negated", "data.style": "own_trace"},
    ],
    ids=str,
)
def test_wrong_settings_are_refused(leaves: dict[str, object]):
    with pytest.raises(ValidationError):
        TrialConfig.model_validate(unflatten({"belief": "b", **leaves}))


def test_frozen():
    with pytest.raises(ValidationError):
        TrialConfig(belief="b").seed = 1  # type: ignore[misc]
