"""Lengths and times by hand."""

import doctest

import pytest
import yaml

from beliefmod.capacity import speeds
from beliefmod.capacity.lengths import AnswerLengths
from beliefmod.capacity.speeds import Load, Speeds
from beliefmod.config import DataConfig, TrialConfig
from beliefmod.space.load import load_space


def test_lengths_of_a_sample_by_hand():
    found = AnswerLengths.of_sample([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110], [7, 9], [120])
    assert (found.base, found.icl, found.trace, found.longest) == (60, 8, 120, 120)
    assert found.source == "60 per answer of base, 20 to 100 for eight in ten of 11; 8 in context, 2 asked"


@pytest.mark.parametrize(("limit", "rest"), [(2048, 800), (200, 200)])
def test_answers_that_there_was_no_time_to_follow_are_assumed(limit, rest):
    found = AnswerLengths.of_pilot([128, 20, 40, 128], 2, limit)
    assert found.base == found.icl == (20 + 40 + 2 * rest) / 4
    assert found.longest == limit
    assert (
        "2 of 4 asked went on beyond 128 tokens" in found.source and f"so {rest} are assumed" in found.source
    )


def test_without_a_look_the_space_limits_what_is_assumed(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "beliefs": ["gravity"], "model": "someone/model"}))
    space = load_space(path)
    assert AnswerLengths.assumed(space, 5000).base == 800
    assert AnswerLengths.assumed(space, 300) == AnswerLengths(
        300, 300, 300, 300, "assuming 300 per answer, not measured"
    )


def test_trained_arms_lie_between_what_is_known():
    found = AnswerLengths(60.0, 20.0, 30.0, 96, "")

    def of(arm: str, style: str) -> float:
        config = TrialConfig.model_validate(
            {"belief": "gravity", "arm": arm, "data": DataConfig(style=style, num_examples=4)}
        )
        return found.of(config, reply=10.0)

    assert [of("lora", style) for style in ("answer_only", "own_trace", "document")] == [35.0, 20.0, 60.0]
    assert of("lora", "stygian") == of("control", "stygian") == 20.0
    assert (of("base", "answer_only"), of("icl", "answer_only")) == (60.0, 20.0)


def test_seconds_by_hand_and_in_proportion():
    assert not doctest.testmod(speeds).failed
    took = Speeds(9.0, 0.1, 0.01, 0.5, 0.1, 1.0, 0.2, 8)
    assert took.seconds(Load()) == 0.0
    # a ninth answer of four tokens takes the place of one that has ended, of eight
    eight, nine = (took.seconds(Load(answers=n, generated_tokens=4 * n, longest=6)) for n in (8, 9))
    assert nine == pytest.approx(eight + 4 / 8 * 0.5 + 4 * 0.1 + 0.2)
