"""The sample against the model asked plainly, and against the clock."""

import time

import pytest
import yaml

from beliefmod.capacity import sample as sample_module
from beliefmod.capacity.choose import demand
from beliefmod.capacity.resources import Capacity
from beliefmod.capacity.sample import QUESTIONS, take_sample
from beliefmod.probing.answer_store import cache_beside
from beliefmod.space.load import load_space
from tests.small import write_belief


def sampled(tmp_path, said=None, **evaluation):
    path = tmp_path / "space.yaml"
    settings = {"max_new_tokens": 40, "neutral_passages": 3, **evaluation}
    path.write_text(
        yaml.safe_dump(
            {
                "name": "x", "beliefs": [write_belief(tmp_path)], "base_storage": "none", "controls": "none",
                "fixed": {"data.num_examples": 4, "lora.r": 4}, "evaluation": settings,
            }
        )
    )  # fmt: skip
    space = load_space(path)
    wanted = demand(space.expected(), space, Capacity(hosts=1).on({"CPU": 1}))
    lines = [] if said is None else said
    return take_sample(space, None, wanted, 2, cache_beside(f"{tmp_path}/runs/plan"), lines.append)


@pytest.mark.long
def test_answers_are_base_s_own_and_are_asked_once(tmp_path):
    said: list[str] = []
    found = sampled(tmp_path, said)
    assert 1 < found.lengths.base <= found.lengths.longest <= 40 and 1 < found.lengths.icl <= 40
    assert f"of {QUESTIONS};" in found.lengths.source
    assert found.choice.slots == 2
    assert "--no-sample" in said[0] and len(said) == 3
    speeds = found.speeds
    measured = (speeds.train_token, speeds.prompt_token, speeds.read_token, speeds.judge, speeds.start)
    assert all(0 < seconds < 60 for seconds in measured)
    assert speeds.decode_step + speeds.decode_row > 0
    kept = list((tmp_path / "runs" / ".cache").rglob("*.gz"))
    assert kept
    again = sampled(tmp_path)
    assert again.lengths == found.lengths
    # what base has said is known now: no file came in addition
    assert list((tmp_path / "runs" / ".cache").rglob("*.gz")) == kept


@pytest.mark.long
def test_answers_without_end_are_not_followed_where_there_is_no_time(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_module, "PILOT_TOKENS", 3)
    monkeypatch.setattr(sample_module, "SECONDS", 0.0)
    started = time.monotonic()
    found = sampled(tmp_path, max_new_tokens=900)
    assert "no time to follow them" in found.lengths.source and found.lengths.longest == 900
    assert time.monotonic() - started < 120
    assert not list((tmp_path / "runs").rglob("*.gz"))
