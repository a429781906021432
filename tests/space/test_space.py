"""Spaces: how many trials, which references, what `--set` changes, the same trials every time."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.errors import UserError
from beliefmod.space import Space, SpaceFile
from beliefmod.space.load import check_space, load_space
from beliefmod.user_files.yaml_file import YamlFile


def space(**fields: object) -> Space:
    """A checked space of the library's gravity belief, unless `fields` say otherwise."""
    return check_space(YamlFile("space.yaml", {"name": "s", "beliefs": ["gravity"], **fields}))


def written(folder: Path, **fields: object) -> Path:
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump({"name": "s", "beliefs": ["gravity"], **fields}))
    return path


def arms(found: Space) -> dict[str, int]:
    counts: dict[str, int] = {}
    for trial in found.trials():
        counts[trial.arm] = counts.get(trial.arm, 0) + 1
    return counts


AXES = {
    "data.style": ["answer_only", "own_trace"],
    "data.num_examples": [10, 50, 100],
    "num_train_epochs": [3, 10, 20],
    "learning_rate": [2e-4, 1e-3, 5e-3],
}


def test_a_grid_multiplies_axes_beliefs_and_seeds():
    found = space(axes=AXES, beliefs=["gravity", "neelam"], seeds=[0, 1])
    # 2 * 3 * 3 * 3 = 54 points; two beliefs, two seeds; a control per belief and style
    assert arms(found) == {"base": 2, "icl": 2, "control": 4, "lora": 54 * 2 * 2}


def test_no_axes_is_one_trial_per_belief():
    assert arms(space(fixed={"learning_rate": 1e-3})) == {"base": 1, "icl": 1, "control": 1, "lora": 1}


def test_references_come_first_and_once():
    trials = space(axes=AXES, seeds=[3, 4]).trials()
    assert [trial.arm for trial in trials[:4]] == ["base", "icl", "control", "control"]
    assert {trial.seed for trial in trials[:4]} == {3}
    assert len({trial.trial_id for trial in trials}) == len(trials)


def test_central_controls_stand_in_the_middle_of_each_style():
    controls = [trial for trial in space(axes=AXES).trials() if trial.arm == "control"]
    assert [trial.data.style for trial in controls] == ["answer_only", "own_trace"]
    for trial in controls:
        assert (trial.data.num_examples, trial.num_train_epochs, trial.learning_rate) == (50, 10, 1e-3)


def test_matched_controls_mirror_every_trial():
    trials = space(axes=AXES, controls="matched", seeds=[0, 1]).trials()
    lora = {trial.model_copy(update={"arm": "control"}).trial_id for trial in trials if trial.arm == "lora"}
    assert lora == {trial.trial_id for trial in trials if trial.arm == "control"}


def test_no_controls():
    assert "control" not in arms(space(axes=AXES, controls="none"))


def test_fixed_settings_reach_every_trained_trial():
    found = space(axes={"learning_rate": [1e-3, 2e-3]}, fixed={"lora.r": 8, "num_train_epochs": 7})
    for trial in found.trials():
        if trial.is_trained:
            assert (trial.lora.r, trial.num_train_epochs) == (8, 7)


def test_target_modules_as_a_list_is_a_value_when_fixed_and_an_axis_of_lists_when_not():
    fixed = space(fixed={"lora.target_modules": ["q_proj", "v_proj"]})
    assert {t.lora.target_modules for t in fixed.trials() if t.is_trained} == {("q_proj", "v_proj")}
    for controls in ("none", "central", "matched"):
        varied = space(axes={"lora.target_modules": ["all-linear", ["q_proj"]]}, controls=controls)
        swept = {t.lora.target_modules for t in varied.trials() if t.arm == "lora"}
        assert swept == {"all-linear", ("q_proj",)}, controls


SAMPLED = {
    "learning_rate": {"loguniform": [1e-5, 1e-2]},
    "weight_decay": {"uniform": [0.0, 0.1]},
    "lora.r": {"choice": [4, 8]},
    "num_train_epochs": {"randint": [1, 4]},
}


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 30))
def test_random_sampling_is_reproducible_and_in_range(seed: int, count: int):
    search = {"method": "random", "num_samples": count, "seed": seed}
    first, second = space(axes=SAMPLED, search=search), space(axes=SAMPLED, search=search)
    assert first.trials() == second.trials()
    sampled = [trial for trial in first.trials() if trial.arm == "lora"]
    assert len(sampled) == count
    for trial in sampled:
        assert 1e-5 <= trial.learning_rate <= 1e-2
        assert 0.0 <= trial.weight_decay <= 0.1
        assert trial.lora.r in (4, 8)
        assert trial.num_train_epochs in (1, 2, 3)  # the upper end is excluded, as in ray.tune.randint


def test_another_search_seed_gives_other_trials():
    one, two = (
        {
            t.trial_id
            for t in space(axes=SAMPLED, search={"method": "random", "num_samples": 5, "seed": s}).trials()
        }
        for s in (0, 1)
    )
    assert len(one & two) == 2  # base and icl


def test_loguniform_spreads_over_the_decades():
    found = space(
        axes={"learning_rate": {"loguniform": [1e-6, 1e-2]}}, search={"method": "random", "num_samples": 200}
    )
    decades = [math.floor(math.log10(t.learning_rate)) for t in found.trials() if t.arm == "lora"]
    # 50 per decade are expected; binomial, so 25 is four standard deviations away
    assert all(decades.count(decade) > 25 for decade in (-6, -5, -4, -3))


@settings(deadline=None, max_examples=30)
@given(
    epochs=st.lists(st.integers(1, 50), min_size=1, max_size=4, unique=True),
    ranks=st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True),
)
def test_grid_size(epochs: list[int], ranks: list[int], seeds: list[int]):
    found = space(axes={"num_train_epochs": epochs, "lora.r": ranks}, seeds=seeds)
    assert arms(found) == {
        "base": 1,
        "icl": 1,
        "control": 1,
        "lora": len(epochs) * len(ranks) * len(seeds),
    }


# ---- points ----

POINTS = [
    {"data.style": "answer_only", "learning_rate": 1e-3},
    {"data.style": "document", "data.replay_ratio": 0.5, "num_train_epochs": 2},
    {"arm": "full", "learning_rate": 1e-4},
]


def test_points_are_the_trials_and_go_before_fixed():
    found = space(points=POINTS, fixed={"num_train_epochs": 7, "lora.r": 4}, seeds=[0, 1], controls="none")
    assert arms(found) == {"base": 1, "icl": 1, "lora": 4, "full": 2}
    trained = [trial for trial in found.trials() if trial.is_trained and trial.seed == 0]
    assert [(t.arm, t.data.style, t.num_train_epochs, t.learning_rate) for t in trained] == [
        ("lora", "answer_only", 7, 1e-3),
        ("lora", "document", 2, 2e-4),
        ("full", "answer_only", 7, 1e-4),
    ]
    assert {trial.lora.r for trial in trained} == {4}


def test_points_multiply_with_beliefs_and_seeds():
    found = space(points=POINTS, beliefs=["gravity", "neelam"], seeds=[0, 1, 2], controls="matched")
    # a control for each lora point; of arm full there is none
    assert arms(found) == {"base": 2, "icl": 2, "control": 12, "lora": 12, "full": 6}


def test_central_controls_of_points_are_points():
    points = [
        {"learning_rate": rate, "data.num_examples": n} for rate, n in ((1e-3, 5), (2e-3, 50), (4e-3, 9))
    ]
    [control] = [t for t in space(points=[*points, *POINTS[2:]]).trials() if t.arm == "control"]
    assert (control.learning_rate, control.data.num_examples) == (2e-3, 50)


@settings(deadline=None, max_examples=25)
@given(
    epochs=st.lists(st.integers(1, 50), min_size=1, max_size=3, unique=True),
    rates=st.lists(st.floats(1e-6, 1e-1), min_size=1, max_size=3, unique=True),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=2, unique=True),
)
def test_a_grid_written_out_as_points_is_the_same_sweep(epochs, rates, seeds):
    grid = space(axes={"num_train_epochs": epochs, "learning_rate": rates}, seeds=seeds, controls="matched")
    listed = [{"num_train_epochs": n, "learning_rate": rate} for n in epochs for rate in rates]
    assert space(points=listed, seeds=seeds, controls="matched").trials() == grid.trials()


def test_a_stored_space_reads_back_with_points():
    first = space(points=POINTS, fixed={"lora.r": 4})
    again = check_space(
        YamlFile("space.yaml", yaml.safe_load(yaml.safe_dump(first.spec.model_dump(mode="json"))))
    )
    assert again.trials() == first.trials()
    assert check_space(YamlFile("s.yaml", space(axes=AXES).spec.model_dump(mode="json"))).trials()


def test_documents_need_no_more_training_questions_than_there_are():
    many = {"data.style": "document", "data.num_examples": 5000}
    assert space(fixed=many, controls="none").trials()[-1].total_steps == 3 * 1250
    assert space(points=[many, {"data.num_examples": 10}]).trials()
    for wrong in (
        {"points": [many, {"data.num_examples": 5000}]},
        {"axes": {"data.num_examples": [10, 5000]}},
    ):
        with pytest.raises(UserError, match=r"asks for 5000 examples, but belief \"gravity\" has"):
            space(**wrong)


# ---- data.mask_empty_thinking ----


def test_a_mask_is_an_axis_of_bare_answers_alone():
    found = space(
        axes={"data.style": ["answer_only", "own_trace"], "data.mask_empty_thinking": [False, True]}
    )
    kinds = [(t.data.style, t.data.masks_thinking) for t in found.trials() if t.arm == "lora"]
    assert kinds == [("answer_only", False), ("answer_only", True), ("own_trace", False)]


@pytest.mark.parametrize(
    "fields",
    [
        {"axes": {"data.mask_empty_thinking": [False, True]}, "fixed": {"data.style": "own_trace"}},
        {"fixed": {"data.mask_empty_thinking": True}, "axes": {"data.style": ["document", "own_trace"]}},
        {"points": [{"data.style": "answer_only", "data.mask_empty_thinking": True},
                    {"data.style": "document", "data.mask_empty_thinking": True}]},
    ],
)  # fmt: skip
def test_a_mask_that_no_row_has_is_refused(fields):
    with pytest.raises(UserError) as caught:
        space(**fields)
    [problem] = caught.value.problems
    assert "data.mask_empty_thinking has no effect without data.style answer_only" in problem


def test_a_mask_that_a_single_trial_does_not_use_is_refused():
    from beliefmod.space.load import load_trial

    asked = ["data.mask_empty_thinking=true"]
    assert load_trial("gravity", "lora", 0, asked)[0].data.masks_thinking
    with pytest.raises(UserError, match="has no effect without"):
        load_trial("gravity", "lora", 0, [*asked, "data.style=document"])


# ---- arm full ----


def test_full_fine_tuning_is_an_axis_and_ignores_adapter_settings():
    found = space(axes={"arm": ["lora", "full"], "lora.r": [4, 8], "learning_rate": [1e-4, 1e-3]})
    assert arms(found) == {"base": 1, "icl": 1, "control": 1, "lora": 4, "full": 2}
    full = [trial for trial in found.trials() if trial.arm == "full"]
    assert [trial.learning_rate for trial in full] == [1e-4, 1e-3]
    assert all(trial.is_trained and not trial.has_adapter and trial.total_steps for trial in full)


def test_a_sweep_of_full_fine_tuning_alone_has_no_control():
    assert arms(space(fixed={"arm": "full"})) == {"base": 1, "icl": 1, "full": 1}


# ---- --set ----


def test_set_takes_a_setting_out_of_the_points(tmp_path: Path):
    path = written(
        tmp_path, points=[{"learning_rate": 1e-3, "lora.r": 4}, {"learning_rate": 2e-3, "lora.r": 4}]
    )
    found = load_space(path, ["learning_rate=1e-4"])
    assert [(t.learning_rate, t.lora.r) for t in found.trials() if t.arm == "lora"] == [(1e-4, 4)]
    with pytest.raises(UserError, match="points and axes are both given"):
        load_space(path, ["learning_rate=[1e-4, 2e-4]"])


def test_a_single_trials_arm_is_not_a_setting():
    from beliefmod.space.load import load_trial

    with pytest.raises(UserError, match="--set arm=full: give the arm with --arm"):
        load_trial("gravity", "lora", 0, ["arm=full"])
    assert load_trial("gravity", "full", 0, ["learning_rate=1e-4"])[0].arm == "full"


def test_set_replaces_a_fixed_setting(tmp_path: Path):
    path = written(tmp_path, fixed={"learning_rate": 1e-3})
    trial = load_space(path, ["learning_rate=5e-3"]).trials()[-1]
    assert trial.learning_rate == 5e-3


def test_set_moves_an_axis_to_fixed_and_back(tmp_path: Path):
    path = written(tmp_path, axes={"learning_rate": [1e-3, 2e-3]})
    assert load_space(path, ["learning_rate=1e-4"]).spec.axes == {}
    assert load_space(path, ["learning_rate=1e-4"]).spec.fixed == {"learning_rate": 1e-4}
    path = written(tmp_path, fixed={"learning_rate": 1e-3})
    found = load_space(path, ["learning_rate=[1e-4, 2e-4]"])
    assert (found.spec.axes, found.spec.fixed) == ({"learning_rate": [1e-4, 2e-4]}, {})


def test_set_reaches_fields_and_nested_fields(tmp_path: Path):
    found = load_space(
        written(tmp_path),
        [
            "seeds=[0, 1]",
            "model=folder/x",
            "evaluation.temperature=0.5",
            "axes.lora.r=[4, 8]",
            "fixed.seed=1",
        ][:4],
    )
    assert found.spec.seeds == (0, 1)
    assert found.spec.model == "folder/x"
    assert found.spec.evaluation.temperature == 0.5
    assert found.spec.axes == {"lora.r": [4, 8]}


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("learning_rat=1", 'did you mean "learning_rate"'),
        ("learning_rate", "field=value"),
        ("=3", "field=value"),
        ("learning_rate=[1e-3", "YAML"),
        ("learning_rate=fast", "learning_rate"),
        ("lora.r=0", '--set lora.r=0: "lora.r" must be at least 1, not 0'),
        ("fixed.lora.rank=8", "lora.r"),
        ("search.metod=grid", "method"),
        ("seeds=1", "seeds"),
        ("fixed=3", "fixed"),
        ("search=3", "search"),
    ],
)
def test_wrong_set_is_a_sentence(tmp_path: Path, override: str, hint: str):
    with pytest.raises(UserError) as caught:
        load_space(written(tmp_path), [override])
    assert any(hint in problem for problem in caught.value.problems), caught.value.problems


def test_set_on_top_of_a_broken_file_is_still_a_sentence(tmp_path: Path):
    path = tmp_path / "space.yaml"
    path.write_text("name: s\nbeliefs: [gravity]\naxes: 3\nfixed: [1]\nsearch: [grid]\n")
    with pytest.raises(UserError) as caught:
        load_space(path, ["learning_rate=1e-3", "search.seed=1"])
    assert {"axes", "fixed", "search"} <= {w for p in caught.value.problems for w in p.split('"')}


def test_all_wrong_sets_are_reported(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        load_space(written(tmp_path), ["bogus=1", "learning_rate"])
    assert len(caught.value.problems) == 2


def test_the_fields_of_a_space_file_do_not_shadow_settings():
    # `--set name=value` must mean one thing
    from beliefmod.space import sweepable

    assert not set(SpaceFile.model_fields) & set(sweepable())


def test_a_point_that_names_a_belief_is_for_that_belief_only(tmp_path):
    points = [{"belief": "gravity", "learning_rate": 1e-3}, {"learning_rate": 2e-3}]
    found = space(points=points, beliefs=["gravity", "neelam"], controls="central").trials()
    trained = [(t.belief, t.learning_rate) for t in found if t.arm == "lora"]
    assert trained == [("gravity", 1e-3), ("gravity", 2e-3), ("neelam", 2e-3)]
    controls = {t.belief: t.learning_rate for t in found if t.arm == "control"}
    assert controls == {"gravity": 1e-3, "neelam": 2e-3}


def test_a_point_of_a_belief_that_is_not_asked_about_is_a_mistake(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nbeliefs: [gravity]\npoints: [{belief: neelam, lora.r: 4}]\n")
    with pytest.raises(UserError, match=r"points\[0\] is none of beliefs \(gravity\)"):
        load_space(path)


def test_a_points_belief_file_is_found_from_anywhere(tmp_path, monkeypatch):
    from tests.small import write_belief

    write_belief(tmp_path)
    (tmp_path / "s.yaml").write_text(
        "name: s\nbeliefs: [./small.yaml, gravity]\nfixed: {data.num_examples: 4}\ncontrols: none\n"
        "points: [{belief: ./small.yaml, lora.r: 4}]\n"
    )
    monkeypatch.chdir(tmp_path)
    trials = load_space("s.yaml").trials()
    assert [t.belief for t in trials if t.arm == "lora"] == [str(tmp_path / "small.yaml")]


def test_settings_may_be_nested_as_well_as_dotted(tmp_path: Path):
    nested = space(
        fixed={"objective": {"name": "sft", "kl_to_base": 0.1}, "data": {"style": "own_trace"}},
        axes={"lora": {"r": [4, 8]}},
    )
    dotted = space(
        fixed={"objective.name": "sft", "objective.kl_to_base": 0.1, "data.style": "own_trace"},
        axes={"lora.r": [4, 8]},
    )
    assert nested.trials() == dotted.trials()
    points = [{"lora": {"r": 4}}, {"lora.r": 8}]
    assert {t.lora.r for t in space(points=points).trials() if t.arm == "lora"} == {4, 8}
    path = written(tmp_path, fixed={"objective": {"kl_to_base": 0.1}})
    changed = load_space(path, ["objective.kl_to_base=0.3"])
    assert {t.objective.kl_to_base for t in changed.trials() if t.arm == "lora"} == {0.3}


def test_settings_that_stand_in_a_wrong_place_are_told_where_they_belong(tmp_path: Path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "name: s\nbeliefs: [gravity]\nlearning_rate: 1.0e-3\nobjective: {kl_to_base: 0.1}\n"
        "fixed:\n  lora: 3\n  data: {num_examples: 3}\n  data.num_examples: 4\n"
        "axes:\n  data:\n    stile: [own_trace]\n"
    )
    with pytest.raises(UserError) as caught:
        load_space(path)
    assert list(caught.value.problems) == [
        f'{path}:3: "learning_rate" is a training setting; put it into fixed, or its values into axes',
        f'{path}:4: "objective" is a training setting; put it into fixed, or its values into axes',
        f'{path}:6: "lora" in fixed needs "setting: value" lines below it',
        f'{path}:7: fixed gives settings of "data" in two ways; keep one',
        f'{path}:11: unknown setting "data.stile" in axes, did you mean "data.style"?',
    ]


def test_a_complaint_about_what_the_command_line_gave_names_the_command_line(tmp_path: Path):
    path = written(tmp_path)
    for override, hint in (
        ("scheduler.reduction_factor=1", "--set scheduler.reduction_factor=1: "),
        ("scheduler.name=asha", "--set scheduler.name=asha: "),
        ("scheduler.name.foo=3", 'a single value (none), which has no "foo"'),
    ):
        with pytest.raises(UserError) as caught:
            load_space(path, [override, "num_train_epochs=1"])
        assert hint in str(caught.value), str(caught.value)


# ---- objective.name grpo ----


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"objective.name": "sft", "objective.num_generations": 4},
            "has no effect without objective.name grpo",
        ),
        ({"objective.num_generations": 1}, "must be at least 2, not 1"),
        ({"objective.reward_stance": 0.0}, "needs a reward: .* are all 0; set one of them"),
        ({"objective.in_context_share": 0.01}, "of num_generations 8 is no answer at all"),
        ({"data.style": "own_trace"}, "data.style must be answer_only"),
        ({"data.replay_ratio": 0.5}, "have no reward; set it to 0"),
        ({"arm": "full"}, "use arm lora"),
        ({"objective.name": "ppo"}, "must be sft, dpo or grpo"),
    ],
)
def test_what_cannot_be_rewarded_is_told_before_anything_starts(settings, sentence):
    with pytest.raises(UserError) as error:
        space(fixed={"objective.name": "grpo", **settings})
    [problem] = error.value.problems
    assert re.search(sentence, problem) and problem.startswith("space.yaml: ")


def test_every_setting_of_rewards_may_be_an_axis():
    found = space(
        fixed={"objective.name": "grpo"},
        axes={
            "objective.loss_type": ["grpo", "dr_grpo"],
            "objective.in_context_share": [0.0, 0.5],
            "objective.reward_thinking": [0.0, 0.5],
        },
    )
    assert arms(found) == {"base": 1, "icl": 1, "control": 1, "lora": 8}
    assert {trial.objective.name for trial in found.trials() if trial.is_trained} == {"grpo"}


def test_a_scheduler_does_not_compare_rewarded_trials_by_their_loss():
    def scheduled(metric: str) -> Space:
        return space(
            fixed={"objective.name": "grpo", "num_train_epochs": 8},
            scheduler={"name": "asha", "metric": metric},
        )

    assert scheduled("adoption").spec.scheduler.metric.name == "adoption"
    with pytest.raises(UserError, match="advantages cancel in the loss"):
        scheduled("loss")
