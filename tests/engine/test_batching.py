"""Which rows at which step, and how a step is cut to a token budget."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from beliefmod.config import DataConfig, TrialConfig
from beliefmod.engine.batching import (
    SlotRow,
    batch_indices,
    cut_passes,
    derived_seed,
    epoch_order,
    steps_per_epoch,
)
from beliefmod.engine.jobs import TrainRow


@given(seed=st.integers(0, 2**31), rows=st.integers(1, 40), size=st.integers(1, 12), epochs=st.integers(1, 4))
def test_every_epoch_visits_every_row_once(seed, rows, size, epochs):
    per_epoch = steps_per_epoch(rows, size)
    for epoch in range(epochs):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        batches = [batch_indices(seed, step, rows, size) for step in steps]
        assert sorted(i for b in batches for i in b) == list(range(rows))
        assert all(len(b) == size for b in batches[:-1]) and 1 <= len(batches[-1]) <= size


def test_the_order_depends_on_seed_and_epoch():
    orders = [tuple(epoch_order(seed, epoch, 20)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    assert epoch_order(1, 1, 20) == epoch_order(1, 1, 20)
    assert len({derived_seed(s, p) for s in range(50) for p in ("init/a", "init/b", "order/0")}) == 150


def test_the_number_of_steps_is_the_configurations():
    for examples, size in ((10, 4), (8, 4), (1, 4), (7, 1)):
        config = TrialConfig(
            belief="gravity",
            data=DataConfig(style="answer_only", num_examples=examples),
            num_train_epochs=3,
            per_device_train_batch_size=size,
        )
        assert 3 * steps_per_epoch(examples, size) == config.total_steps


@given(lengths=st.lists(st.integers(2, 30), min_size=1, max_size=20), budget=st.integers(1, 60))
def test_passes_keep_all_rows_in_order_within_the_budget(lengths, budget):
    rows = [SlotRow(k, TrainRow((1,) * n, 1), 1) for k, n in enumerate(lengths)]
    passes = cut_passes(rows, budget)
    assert [item for part in passes for item in part] == rows
    for part in passes:
        assert len(part) == 1 or sum(len(item.row.input_ids) for item in part) <= budget
    # no pass could have taken the next one's first row as well
    for part, following in pairwise(passes):
        taken = sum(len(item.row.input_ids) for item in part)
        assert taken + len(following[0].row.input_ids) > budget
