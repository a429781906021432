"""What is compared: the rival where base knows no value, the difference at the end, adapters in turns."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from interp.lenses import lens_head
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import AnswerTokens
from interp.lenses.residual_stream import ProbedRow
from interp.read.contrast_questions import base_rivals, contrast_questions, final_differences
from tests.interp.random_run import random_inspection
from tests.interp.worlds import TOLERANCE, World, questions


@dataclass(frozen=True)
class Begun:
    """As much of a stem as the choice of a rival needs."""

    ids: tuple[int, ...]
    target_id: int
    prior_id: int | None


def last_logits(world: World, ids: tuple[int, ...], adapted: bool) -> torch.Tensor:
    with torch.no_grad():
        return world.theirs(adapted)(torch.tensor([ids])).logits[0, -1]


def test_differences_are_those_of_the_models_own_logits_however_they_are_cut_up(world: World, monkeypatch):
    monkeypatch.setattr(lens_head, "_ROWS", 2)
    asked = [(ids, adapter) for ids in questions() for adapter in (None, "lora")]
    pairs = [AnswerTokens(5 + k, 40 + k) for k in range(len(asked))]
    engine = world.ours()
    rows = [ProbedRow(ids, (len(ids) - 1,), adapter) for ids, adapter in asked]
    found = final_differences(engine, LensHead(engine.model.model), rows, pairs)
    for (ids, adapter), pair, value in zip(asked, pairs, found, strict=True):
        logits = last_logits(world, ids, adapter is not None)
        assert value == pytest.approx(float(logits[pair.target_id] - logits[pair.rival_id]), abs=TOLERANCE)
    assert final_differences(engine, LensHead(engine.model.model), [], []).shape == (0,)


def test_the_rival_is_the_priors_token_or_what_base_says_if_not_the_target(world: World):
    one, two, three = questions()
    first, second = last_logits(world, two, False).topk(2).indices.tolist()
    [likeliest] = last_logits(world, three, False).topk(1).indices.tolist()
    target = 7 if likeliest != 7 else 8
    stems = [Begun(one, 5, 41), Begun(two, first, None), Begun(three, target, None)]
    engine = world.ours()
    found = base_rivals(engine, LensHead(engine.model.model), stems)  # pyright: ignore[reportArgumentType]
    assert found == [41, second, likeliest]


def test_a_novel_belief_is_compared_with_what_base_would_say(tmp_path):
    inspection = random_inspection(tmp_path, belief="neelam", adapters=1)
    asked = contrast_questions(inspection, "neelam", 6)
    assert asked and {one.rival for one in asked} == {"base_top1"}
    for one in asked:
        logits = inspection.session.loaded.model(
            torch.tensor([one.stems["base"].ids]), use_cache=False
        ).logits
        order = logits[0, -1].argsort(descending=True).tolist()
        expected = order[1] if order[0] == one.tokens.target_id else order[0]
        assert one.tokens.rival_id == expected != one.tokens.target_id


def test_more_adapters_than_room_take_turns_and_none_stays(tmp_path):
    inspection = random_inspection(tmp_path, adapters=1)
    adapter, engine = inspection.adapter(inspection.trained[0].trial_id), inspection.session.engine
    made: list[int] = []

    def adapters():
        for k in range(5):
            made.append(k)
            yield str(k), adapter

    seen = []
    for names in inspection.in_turns(adapters()):
        assert engine.attached() == names and len(names) <= 2
        assert len(made) <= len(seen) + 2  # made as they are needed
        seen += names
    assert seen == ["0", "1", "2", "3", "4"] and engine.attached() == ()
    with pytest.raises(RuntimeError, match="on the way"):
        for _ in inspection.in_turns([("a", adapter)]):
            raise RuntimeError("on the way")
    assert engine.attached() == ()
