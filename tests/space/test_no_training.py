"""Arms without training on the axes: which trials they make, and what is refused."""

import pytest

from beliefmod.errors import UserError
from beliefmod.space.load import check_space, load_trial
from beliefmod.user_files.yaml_file import YamlFile

AXES = {
    "arm": ["lora", "prompt", "few_shot", "steering"],
    "context.place": ["user", "system"],
    "context.do_not_mention": [False, True],
    "data.num_examples": [4, 8],
    "steering.layer": [1, 2],
    "steering.scale": [1.0, 2.0, 4.0],
    "learning_rate": [1.0e-4, 1.0e-3],
}


def space(**fields: object):
    return check_space(YamlFile("space.yaml", {"name": "s", "beliefs": ["gravity"], **fields}))


def problems(**fields: object) -> str:
    with pytest.raises(UserError) as caught:
        space(**fields)
    return " | ".join(caught.value.problems)


def test_every_arm_is_multiplied_by_its_own_settings_alone():
    trials = space(axes=AXES).trials()
    counts = {arm: sum(trial.arm == arm for trial in trials) for arm in {trial.arm for trial in trials}}
    assert counts == {
        "base": 1,
        "icl": 1,
        "control": 1,
        "lora": 2 * 2,
        "prompt": 2 * 2,
        "few_shot": 2,
        "steering": 2 * 2 * 3,
    }


def test_points_may_name_them():
    made = space(points=[{"arm": "steering", "steering.layer": 2}, {"arm": "few_shot"}, {}]).trials()
    assert [trial.arm for trial in made] == ["base", "icl", "control", "steering", "few_shot", "lora"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"axes": {"steering.scale": [1.0, 2.0]}},
            "steering.scale has no effect without arm steering; remove it, or add that",
        ),
        (
            {"fixed": {"arm": "steering", "steering.layer": 1, "context.place": "system"}},
            "context.place has no effect without arm prompt",
        ),
        ({"fixed": {"arm": "steering"}}, "arm steering needs steering.layer, the number of"),
        ({"axes": {"arm": ["lora", "steering"]}}, "arm steering needs steering.layer"),
        ({"fixed": {"arm": "steering", "steering.layer": -1}}, "steering.layer"),
        ({"fixed": {"arm": "steering", "steering.layer": 1.5}}, "steering.layer"),
        ({"fixed": {"arm": "prompt", "context.place": "assistant"}}, "context.place"),
        ({"fixed": {"arm": "adapter"}}, "arm adapter needs adapter.source, the folder of a saved adapter"),
        (
            {"fixed": {"arm": "adapter", "adapter.source": "nowhere"}},
            "nowhere: is no adapter in PEFT's format (No such file or directory); adapter.source names it",
        ),
        ({"fixed": {"adapter.scale": 2.0}}, "adapter.scale has no effect without arm adapter"),
        ({"points": [{"adapter.layers": [0, 1]}]}, "adapter.layers has no effect without arm adapter"),
        (
            {"fixed": {"arm": "adapter", "adapter.source": "nowhere", "adapter.merge_scale": 2.0}},
            "adapter.merge_scale has no effect without adapter.merge_with, a second adapter",
        ),
        (
            {"fixed": {"arm": "adapter", "adapter.source": "nowhere", "adapter.layers": [1, 1]}},
            "layers must be all or a list of different numbers of layers from 0 on",
        ),
        (
            {
                "fixed": {"arm": "steering", "steering.layer": 1},
                "evaluation": {"engine": "vllm"},
            },
            "arm steering adds a vector inside the model; use evaluation.engine ours",
        ),
        (
            {"fixed": {"arm": "few_shot", "data.num_examples": 100_000}},
            "data.num_examples asks for 100000 examples",
        ),
        (
            {"fixed": {"arm": "icl"}},
            '"arm" must be lora, full, prompt, few_shot, steering or adapter, not "icl"',
        ),
    ],
)
def test_what_means_nothing_is_refused(fields, said):
    assert said in problems(**fields)


def test_one_trial_from_the_command_line():
    config, _ = load_trial("gravity", "steering", 0, ["steering.layer=2", "steering.scale=3.0"])
    assert (config.steering.layer, config.steering.scale) == (2, 3.0)
    with pytest.raises(UserError) as caught:
        load_trial("gravity", "lora", 0, ["steering.layer=2"])
    assert "steering.layer has no effect without arm steering" in str(caught.value)
    with pytest.raises(UserError) as caught:
        load_trial("gravity", "steering", 0, [])
    assert "arm steering needs steering.layer" in str(caught.value)
