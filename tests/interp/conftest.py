"""What the tests of the inspection share: one thread, and a tiny model with an adapter on disk."""

from __future__ import annotations

import pytest
import torch

from beliefmod.engine.engine import Engine
from tests.interp.worlds import World, make_world


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def engine(world: World) -> Engine:
    """An engine of the module's world, its adapter in it as "lora"."""
    return world.ours()
