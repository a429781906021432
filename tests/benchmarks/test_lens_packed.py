"""The packed lens against PEFT's loop: both really give the same numbers."""

from pathlib import Path

import pytest
import torch

from benchmarks.lens_packed import NAMES, PACKED, candidates, compare, table
from benchmarks.random_model import SHAPES, write_random_model

ADAPTERS, PROMPTS = 3, 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict:
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("model")
    write_random_model(folder, SHAPES["tiny"])
    return candidates(folder, SHAPES["tiny"], ADAPTERS, PROMPTS, rank=4)


@pytest.mark.long
def test_every_candidate_gives_the_same_statistics(made: dict):
    packed = made[PACKED](ADAPTERS)
    assert packed.shape == (ADAPTERS, PROMPTS, 2, SHAPES["tiny"].num_hidden_layers + 1, len(NAMES))
    ranks = [NAMES.index("rank_target"), NAMES.index("rank_rival")]
    others = [at for at in range(len(NAMES)) if at not in ranks]
    for name, run in made.items():
        found = run(ADAPTERS)
        apart = (found - packed).abs()
        if "NF4" in name:  # bitsandbytes computes on 4-bit weights in bf16
            assert apart[..., others].mean() < 0.05, name
        else:
            assert apart[..., others].max() < 2e-4 and apart[..., ranks].max() <= 1, name
    assert (packed[0] - packed[1])[..., NAMES.index("kl_base")].abs().max() > 1e-4  # adapters differ


@pytest.mark.long
def test_every_candidate_is_timed_in_every_round(made: dict):
    times = compare(made, ADAPTERS, sample=1, repeats=2)
    assert list(times) == list(made) and len(made) == 5
    assert all(len(values) == 2 and min(values) > 0 for values in times.values())


def test_ratios_are_those_of_the_medians():
    times = {"PEFT": [9.0, 12.0, 10.0], PACKED: [2.0, 2.5, 100.0]}
    assert table(times, 200) == [["PEFT", "10.0", "2.0", "4.0"], [PACKED, "2.5", "0.5", "1.0"]]
