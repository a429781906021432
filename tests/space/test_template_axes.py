"""Switches of the chat template as axes: which trials they make, and with which base each is compared."""

from __future__ import annotations

import pytest
import yaml

from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.space.load import check_space, load_space, load_trial
from beliefmod.user_files.yaml_file import YamlFile

ON, OFF = '{"enable_thinking": true}', '{"enable_thinking": false}'
BOTH = "axes:\n  template.enable_thinking: [true, false]\n"


@pytest.fixture
def space(tmp_path):
    def make(more: str = "", overrides=()):
        path = tmp_path / "space.yaml"
        path.write_text("name: switches\nbeliefs: [gravity, neelam]\n" + more)
        return load_space(path, overrides)

    return make


def of_arm(space, arm: str, belief: str = "gravity") -> list[str | None]:
    return [trial.template for trial in space.trials() if (trial.arm, trial.belief) == (arm, belief)]


def test_every_value_of_the_axis_has_trials_and_untrained_arms_of_its_own(space):
    found = space(BOTH + "  learning_rate: [1.0e-4, 1.0e-3]\n")
    for belief in ("gravity", "neelam"):
        assert of_arm(found, "base", belief) == of_arm(found, "icl", belief) == [ON, OFF]
        assert of_arm(found, "control", belief) == [ON, OFF]
        assert of_arm(found, "lora", belief) == [ON, ON, OFF, OFF]
    trials = found.trials()
    assert len({trial.trial_id for trial in trials}) == len(trials) == 20 == found.planned()
    assert found.spec.chat.variants == (ON, OFF)


def test_a_trial_without_switches_of_its_own_is_named_as_it_always_was():
    assert TrialConfig(belief="gravity", arm="base").trial_id == "4f9ce5387a"
    assert TrialConfig(belief="gravity").trial_id == "ff309985bb"
    names = {TrialConfig(belief="gravity", arm="base", template=t).trial_id for t in (None, ON, OFF)}
    assert len(names) == 3


def test_one_set_of_switches_is_one_trial_however_it_is_written():
    pair = {"reasoning_effort": "low", "enable_thinking": True}
    both_orders = (pair, dict(reversed(pair.items())))
    one, two = (TrialConfig.model_validate({"belief": "b", "template": each}) for each in both_orders)
    assert one == two and one.trial_id == two.trial_id
    assert TrialConfig.model_validate(one.model_dump(mode="json")) == one
    assert one.switches == {"template.enable_thinking": True, "template.reasoning_effort": "low"}
    assert "enable_thinking=true,reasoning_effort=low" in one.label
    assert TrialConfig.model_validate({"belief": "b", "template": {}}).template is None


def test_several_switches_are_multiplied_and_blocks_are_dotted_names(space):
    found = space("axes:\n  template:\n    a: [1, 2]\n    b: [low, high]\n")
    assert of_arm(found, "base") == [f'{{"a": {a}, "b": "{b}"}}' for a in (1, 2) for b in ("low", "high")]


def test_points_may_switch_and_those_that_do_not_have_the_plain_base(space):
    found = space(
        "points:\n  - {learning_rate: 1.0e-4}\n  - {template.enable_thinking: false, belief: gravity}\n"
    )
    assert of_arm(found, "base") == [None, OFF] and of_arm(found, "base", "neelam") == [None]
    assert of_arm(found, "lora") == [None, OFF] and of_arm(found, "lora", "neelam") == [None]


@pytest.mark.parametrize("method", ["random", "optuna"])
def test_a_search_knows_every_base_beforehand(space, method):
    found = space(BOTH + f"search: {{method: {method}, num_samples: 3}}\ncontrols: none\n")
    assert of_arm(found, "base") == of_arm(found, "icl") == [ON, OFF]


def test_the_command_line_moves_a_switch_between_sweep_and_axis(space):
    assert of_arm(space("", ["template.enable_thinking=[true, false]"]), "base") == [ON, OFF]
    assert of_arm(space("", ["axes.template.enable_thinking=[true, false]"]), "base") == [ON, OFF]
    moved = space("template: {enable_thinking: true, x: 1}\n", ["template.enable_thinking=[true, false]"])
    assert moved.spec.template == {"x": 1} and of_arm(moved, "base") == [ON, OFF]
    back = space(BOTH, ["template.enable_thinking=false"])
    assert back.spec.template == {"enable_thinking": False} and back.spec.axes == {}
    assert of_arm(back, "base") == [None]


def test_a_stored_space_is_read_back_with_its_switches(space):
    found = space(BOTH)
    stored = yaml.safe_load(yaml.safe_dump(found.spec.model_dump(mode="json")))
    assert [t.trial_id for t in check_space(YamlFile("space.yaml", stored)).trials()] == [
        t.trial_id for t in found.trials()
    ]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("template: {enable_thinking: true}\n" + BOTH, "stands in template: and in axes; keep one"),
        ("fixed: {template.x: 1}\n", "put it into template: at the top of the file"),
        ("axes: {template.x: {uniform: [0.0, 1.0]}}\n", "needs a list, for base is asked with each"),
        ("axes: {template.x: [true, true]}\n", "lists True twice"),
        ("axes: {template.x: []}\n", "is empty"),
        ("axes: {template.x: true}\n", "must be a list"),
        ("axes: {template.x: [[1]]}\n", "x must be true, false, a number or a text"),
        ("axes: {template.no-name: [1, 2]}\n", "'no-name' is no name of a variable"),
        ("axes: {template: [1]}\n", 'needs "setting: value" lines below it'),
        ("points: [{template.x: null}]\n", "x must be true, false, a number or a text"),
    ],
)
def test_what_is_wrong_is_a_sentence_with_its_line(space, more, says):
    with pytest.raises(UserError) as caught:
        space(more)
    assert any(says in problem and "space.yaml:" in problem for problem in caught.value.problems), str(
        caught.value
    )


def test_a_single_trial_takes_what_a_sweep_takes_of_a_chat(tmp_path):
    asked = ["template.enable_thinking=false", "thinking.opened_by=model", "learning_rate=1.0e-4"]
    config, chat = load_trial("gravity", "lora", 0, asked, "{{ messages }}{{ enable_thinking }}")
    assert config == TrialConfig(belief="gravity", learning_rate=1e-4)
    assert (chat.switches, chat.template) == (
        (("enable_thinking", False),),
        "{{ messages }}{{ enable_thinking }}",
    )
    assert chat.thinking is not None and chat.thinking.opened_by == "model"
    for wrong, says in (
        ("template.enable_thinking=[true, false]", "is an axis; a single trial needs one value"),
        ("template.x={a: 1}", "is an axis"),
        ("thinking.opened_by=nobody", "--set thinking.opened_by=nobody: "),
        ("thinking.open=<a>", "open and close are given together"),
        ("chat_template=nowhere.jinja", "--set chat_template=nowhere.jinja: chat template nowhere.jinja"),
        ("seeds=[1]", "belongs to a space file"),
    ):
        with pytest.raises(UserError) as caught:
            load_trial("gravity", "lora", 0, [wrong])
        assert says in str(caught.value), str(caught.value)
    with pytest.raises(UserError, match=r"--chat-template nowhere.jinja: chat template nowhere.jinja cannot"):
        load_trial("gravity", "lora", 0, [], "nowhere.jinja")
