"""How many hosts a cluster gets, which may start its machines on demand, and what they have of a GPU."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.capacity.resources import Capacity
from beliefmod.fleet.cluster import GPUS_TO_COME, within_reach

HEAD_ALONE = {"node:__internal_head__": 1.0, "memory": 8e9, GPUS_TO_COME: 4.0}


def test_gpus_that_are_not_there_yet_count():
    on = Capacity().on(within_reach(HEAD_ALONE))
    assert (on.hosts, on.gpus) == (4, True)
    assert Capacity(hosts=2).on(within_reach(HEAD_ALONE)).hosts == 2
    grown = within_reach({**HEAD_ALONE, "CPU": 8.0, "GPU": 1.0})
    assert Capacity().on(grown).hosts == 4


def test_a_cluster_that_does_not_grow_is_as_it_is():
    assert within_reach({"CPU": 2.0}) == {"CPU": 2.0}
    assert not Capacity().on(within_reach({"CPU": 2.0})).gpus
    # machines were added by hand
    assert within_reach({GPUS_TO_COME: 4.0, "GPU": 8.0})["GPU"] == 8.0


@pytest.mark.parametrize(
    ("asked", "cluster", "words"),
    [
        (Capacity(hosts=2), {"CPU": 2.0}, None),
        (Capacity(hosts=3), {"CPU": 2.0}, "--hosts 3: there are 2 cores; give --hosts 2 at most"),
        (Capacity(hosts=4), {"CPU": 1.0, "GPU": 4.0}, None),
        (
            Capacity(hosts=8),
            {"CPU": 64.0, "GPU": 4.0},
            "--hosts 8: there are 4 GPUs; give --hosts 4 at most, or --hosts-per-gpu 2 if the model is small",
        ),
        (Capacity(hosts=8, hosts_per_gpu=2), {"GPU": 4.0}, None),
        (
            Capacity(hosts=3, hosts_per_gpu=2),
            {"GPU": 1.0},
            "--hosts 3: there is 1 GPU for 2 engines each; give --hosts 2 at most, or --hosts-per-gpu 3 if "
            "the model is small",
        ),
        (
            Capacity(hosts_per_gpu=2),
            {"CPU": 8.0},
            "--hosts-per-gpu 2: there is no GPU here; leave it out",
        ),
    ],
)
def test_more_than_there_is_is_one_sentence(asked, cluster, words):
    assert asked.excess(cluster) == words


@given(gpus=st.integers(1, 20), hosts=st.integers(0, 60), per_gpu=st.integers(1, 64))
def test_shares_of_a_gpu_never_make_more_than_one(gpus, hosts, per_gpu):
    asked = Capacity(hosts=hosts, hosts_per_gpu=per_gpu)
    on = asked.on({"CPU": 4, "GPU": gpus})
    assert 0 < on.gpu_share * on.hosts_per_gpu <= 1.0 and on.hosts_per_gpu <= per_gpu
    if not hosts:
        assert on.hosts == gpus * per_gpu
    if asked.excess({"GPU": gpus}) is None and on.hosts_per_gpu > 1:
        assert on.hosts > gpus  # else every host has a GPU of its own
    assert Capacity().on({"CPU": 4}).gpu_share == 0.0


def test_every_hosts_own_slots_count():
    on = Capacity(hosts=3).on({"CPU": 4, "GPU": 3})
    facts = [{"engine": {"slots": slots, "parking": parking}} for slots, parking in ((4, 4), (16, 8))]
    chosen = on.chosen(facts)
    assert (chosen.slots, chosen.chosen_slots) == (4, (4, 16))
    assert chosen.places == (4 + 4) + (16 + 8) + 24  # the one that is not ready counts as the largest
    assert chosen.slots_in_words == "4 to 16" and on.chosen(facts[1:]).slots_in_words == "16"
