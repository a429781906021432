"""Families of trials: what may share a run does, nothing else, and no trial is lost."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.config import DataConfig, LoraSettings, TrialConfig
from beliefmod.engine.batching import batch_indices
from beliefmod.engine.optimizer import lr_factor
from beliefmod.space.load import load_space
from beliefmod.space.shared_runs import families, own_steps, run_order, shared_steps, sharing

SWEEPS = Path(__file__).parents[2] / "sweeps"


@st.composite
def configs(draw) -> TrialConfig:
    schedule = draw(st.sampled_from(["constant", "constant_with_warmup", "linear", "cosine"]))
    return TrialConfig(
        belief=draw(st.sampled_from(["gravity", "neelam"])),
        arm=draw(st.sampled_from(["lora", "control", "full", "base", "icl"])),
        seed=draw(st.integers(0, 1)),
        data=DataConfig(num_examples=draw(st.sampled_from([4, 10]))),
        lora=LoraSettings(r=draw(st.sampled_from([4, 8]))),
        num_train_epochs=draw(st.integers(1, 4)),
        lr_scheduler_type=schedule,
        warmup_steps=0 if schedule == "constant" else draw(st.integers(0, 2)),
    )


def distinct(found: list[TrialConfig]) -> list[TrialConfig]:
    return list({config.trial_id: config for config in found}.values())


many = st.lists(configs(), max_size=25).map(distinct)


@settings(max_examples=200)
@given(many)
def test_every_trial_has_one_place_and_every_order_holds_all(trials):
    found = families(trials)
    placed = [config for family in found for config in (family.trunk, *family.branches)]
    ids = Counter(config.trial_id for config in trials)
    assert Counter(config.trial_id for config in placed) == ids
    order = run_order(trials)
    assert Counter(config.trial_id for config in order) == ids
    place = {config.trial_id: index for index, config in enumerate(order)}
    for family in found:
        for branch in family.branches:
            assert place[branch.trial_id] > place[family.trunk.trial_id]
    trained = [config.is_trained for config in order]
    assert trained == sorted(trained)


@settings(max_examples=200)
@given(many)
def test_a_branch_is_its_trunk_cut_short(trials):
    for family in families(trials):
        trunk = family.trunk
        lengths = [*(branch.num_train_epochs for branch in family.branches), trunk.num_train_epochs]
        assert lengths == sorted(set(lengths))
        for branch in family.branches:
            assert branch.arm in ("lora", "control")
            assert branch.model_copy(update={"num_train_epochs": trunk.num_train_epochs}) == trunk
            rows, size = branch.data.total_rows, branch.per_device_train_batch_size
            for step in range(branch.total_steps):
                rates = {
                    lr_factor(c.lr_scheduler_type, step, c.warmup_steps, c.total_steps)
                    for c in (branch, trunk)
                }
                batches = {tuple(batch_indices(c.seed, step, rows, size)) for c in (branch, trunk)}
                assert len(rates) == len(batches) == 1


@settings(max_examples=200)
@given(many)
def test_nothing_that_could_share_runs_apart(trials):
    trunks = [family.trunk for family in families(trials)]
    for first in trunks:
        for second in trunks:
            same = first.model_copy(update={"num_train_epochs": second.num_train_epochs}) == second
            if first is not second and same:
                assert first.arm == "full" or first.lr_scheduler_type in ("linear", "cosine")


@settings(max_examples=200)
@given(many)
def test_steps_add_up(trials):
    total = sum(config.total_steps for config in trials)
    own = own_steps(trials)
    assert own.keys() == {config.trial_id for config in trials}
    assert sum(own.values()) + shared_steps(trials) == total
    # each family still takes as many steps as its longest trial
    assert sum(own.values()) == sum(family.trunk.total_steps for family in families(trials))


def test_by_hand():
    # 10 examples in batches of 4: three steps per epoch
    three, ten, twenty = (TrialConfig(belief="gravity", num_train_epochs=n) for n in (3, 10, 20))
    other = TrialConfig(belief="gravity", num_train_epochs=10, learning_rate=1e-3)
    base = TrialConfig(belief="gravity", arm="base")
    trials = [three, other, twenty, base, ten]
    [family, alone, reference] = families(trials)
    assert (family.trunk, family.branches) == (twenty, (three, ten))
    assert (alone.branches, reference.trunk) == ((), base)
    assert run_order(trials) == [base, twenty, other, ten, three]
    assert shared_steps(trials) == 3 * (3 + 10)
    assert own_steps(trials)[ten.trial_id] == 0
    # where a scheduler may stop any of them, none waits for another
    assert [family.trunk for family in families(trials, share=False)] == trials
    assert run_order(trials, share=False) == [base, twenty, other, ten, three]
    # once the longest is finished, the next longest takes its place
    assert families([three, ten])[0].trunk == ten


def test_the_aggressive_sweep_shares_39_percent_of_its_lora_steps():
    trials = load_space(SWEEPS / "aggressive.yaml").trials()
    lora = [config for config in trials if config.arm == "lora"]
    # 3, 13 or 25 batches of 4 an epoch; 3, 10 and 20 epochs; two beliefs, two styles, three rates
    assert sum(config.total_steps for config in lora) == (3 + 13 + 25) * 33 * 12
    assert shared_steps(lora) == (3 + 13 + 25) * 13 * 12 == 6396
    assert shared_steps(lora) / sum(config.total_steps for config in lora) == pytest.approx(0.39, abs=0.005)
    # a control trial per belief and style is alone in its family
    assert shared_steps(trials) == 6396
    assert sharing(trials) == "10,360 of 16,756 (38 % shared by trials that differ only in epochs)"
    assert (sharing(lora[:1]), sharing(trials, share=False)) == (str(lora[0].total_steps), "16,756")
