"""Learning rates against transformers.get_scheduler."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import get_scheduler

from beliefmod.config import TrialConfig
from beliefmod.engine.optimizer import SCHEDULES, lr_factor


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(SCHEDULES),
    warmup=st.integers(0, 30),
    total=st.integers(1, 40),
)
def test_every_step_equals_transformers(kind, warmup, total):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=total)
    for step in range(total):
        factor = lr_factor(kind, step, warmup, total)
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        assert 0.0 <= factor <= 1.0
        optimizer.step()
        scheduler.step()


def test_worked_examples():
    assert [lr_factor("constant_with_warmup", s, 4, 10) for s in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert [lr_factor("linear", s, 0, 4) for s in range(4)] == [1, 0.75, 0.5, 0.25]
    assert lr_factor("cosine", 5, 0, 10) == pytest.approx(0.5)


def test_every_schedule_of_the_configuration_is_known():
    import typing

    assert set(typing.get_args(TrialConfig.model_fields["lr_scheduler_type"].annotation)) == set(SCHEDULES)
    with pytest.raises(ValueError, match="unknown lr_scheduler_type 'wsd'"):
        lr_factor("wsd", 0, 0, 1)
