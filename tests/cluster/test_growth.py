"""How many hosts a cluster gets that starts its machines on demand."""

from beliefmod.fleet.cluster import GPUS_TO_COME, within_reach
from beliefmod.fleet.resources import Capacity

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
