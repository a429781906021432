"""Known trials handed to Tune one at a time: each once, in order, with its family."""

import pickle

from hypothesis import given
from hypothesis import strategies as st
from ray.tune.search import Searcher

from beliefmod.config import Arm, TrialConfig
from beliefmod.fleet.tuner import KnownTrials
from beliefmod.space.shared_runs import families, run_order


def config(epochs: int, seed: int = 0, arm: Arm = "lora") -> TrialConfig:
    return TrialConfig(belief="gravity", arm=arm, num_train_epochs=epochs, seed=seed)


def drained(searcher: KnownTrials) -> list[dict]:
    found = []
    while (suggestion := searcher.suggest(str(len(found)))) != Searcher.FINISHED:
        found.append(suggestion)
        searcher.on_trial_complete(str(len(found)))
    return found


def test_a_trunk_comes_with_its_branches_and_each_of_them_later_with_its_trunk():
    base, short, long = config(1, arm="base"), config(3), config(20)
    found = drained(KnownTrials([short, base, long], share=True))
    assert found == [
        {"trial": base, "family": {"trunk": None, "branches": []}},
        {"trial": long, "family": {"trunk": None, "branches": [short]}},
        {"trial": short, "family": {"trunk": long.trial_id, "branches": []}},
    ]


@given(st.lists(st.builds(config, st.integers(1, 4), st.integers(0, 3)), unique=True), st.booleans())
def test_every_trial_is_given_once_in_the_order_of_a_run(configs, share):
    searcher = KnownTrials(configs, share)
    found = drained(searcher)
    assert [one["trial"] for one in found] == run_order(configs, share)
    trunks = {one["family"]["trunk"] for one in found} - {None}
    assert trunks == {family.trunk.trial_id for family in families(configs, share) if family.branches}
    assert searcher.suggest("again") == Searcher.FINISHED


def test_what_tune_pickles_of_it_does_not_grow_with_the_trials():
    sizes = {len(pickle.dumps(KnownTrials([config(1, seed) for seed in range(n)], True))) for n in (1, 50)}
    assert len(sizes) == 1
