"""A host tests its engine before it takes trials."""

import asyncio

import pytest
import torch

from beliefmod import drift
from beliefmod.errors import UserError
from beliefmod.fleet.host import HostSettings, PackHost
from beliefmod.space import Evaluation


def host(tmp_path) -> PackHost:
    settings = HostSettings(
        run_url=str(tmp_path / "run"),
        model="bundled",
        revision=None,
        base_storage="dequantized",
        slots=2,
        max_rank=8,
        threads=torch.get_num_threads(),
        evaluation=Evaluation(),
        reference_seed=0,
    )
    return PackHost(settings)


def test_the_self_test_belongs_to_what_a_host_reports(tmp_path):
    async def start() -> dict:
        one = host(tmp_path)
        facts = await one.ready()
        await one.close()
        return facts

    facts = asyncio.run(start())
    assert facts["self_tests"] == {"untrained_drift": 0.0}
    assert facts["name"] == "bundled"


def test_a_failed_self_test_is_the_sentence_that_stops_the_sweep(tmp_path, monkeypatch):
    def fails(lab):
        raise UserError("self-test: wrong")

    monkeypatch.setattr(drift, "self_test", fails)
    with pytest.raises(UserError, match="self-test: wrong"):
        asyncio.run(host(tmp_path).ready())
