"""How many hosts a cluster gets that starts its machines on demand."""

import sys

from beliefmod.fleet.cluster import within_reach
from beliefmod.fleet.resources import Capacity

HEAD_ALONE = {"node:__internal_head__": 1.0, "memory": 8e9}
GROWN = {"CPU": 32, "GPU": 4}


def test_gpus_that_are_not_there_yet_count():
    on = Capacity().on(within_reach(HEAD_ALONE, GROWN))
    assert (on.hosts, on.gpus, on.threads) == (4, True, 8)
    assert Capacity(hosts=2).on(within_reach(HEAD_ALONE, GROWN)).hosts == 2


def test_a_cluster_that_does_not_grow_is_as_it_is():
    assert within_reach({"CPU": 2.0}, {}) == {"CPU": 2.0}
    # a machine was added by hand
    assert within_reach({"CPU": 64.0, "GPU": 8.0}, GROWN) == {"CPU": 64.0, "GPU": 8.0}


def test_growth_without_end_is_no_number_of_hosts():
    assert within_reach({"CPU": 2.0}, {"CPU": sys.maxsize, "GPU": 4}) == {"CPU": 2.0, "GPU": 4.0}
