"""What a space says about its search: what is known beforehand, how many there will be, what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.errors import UserError
from beliefmod.space import SpaceFile
from beliefmod.space.load import load_space
from beliefmod.space.search import (
    Adoption,
    Asha,
    Grid,
    Median,
    NoScheduler,
    Optuna,
    Random,
    Scheduler,
    Search,
)
from tests.space.test_space import SAMPLED, arms, space

OPTUNA = {"method": "optuna", "num_samples": 7}


def problems(**fields: object) -> list[str]:
    with pytest.raises(UserError) as caught:
        space(**fields)
    return caught.value.problems


def test_a_search_knows_only_references_and_controls_beforehand():
    found = space(axes=SAMPLED, beliefs=["gravity", "neelam"], seeds=[0, 1], search=OPTUNA)
    assert arms(found) == {"base": 2, "icl": 2, "control": 2}
    assert found.planned() == 6 + 7 * 2 * 2
    expected = [trial for trial in found.expected() if trial.arm == "lora"]
    assert len(expected) == 7 * 2 * 2
    assert found.expected()[:6] == found.trials()


@pytest.mark.parametrize("search", [{}, {"method": "random", "num_samples": 5}])
def test_without_a_search_everything_is_known(search: dict[str, object]):
    found = space(axes={"lora.r": [4, 8]}, search=search)
    assert found.trials() == found.expected()
    assert found.planned() == len(found.trials())


def test_a_search_has_no_more_trials_than_its_axes_have_points():
    axes = {"lora.r": [4, 8], "num_train_epochs": {"randint": [1, 3]}, "learning_rate": {"choice": [1e-3]}}
    found = space(axes=axes, search={"method": "optuna", "num_samples": 50}, controls="none")
    assert found.distinct() == 4
    assert found.planned() == 2 + 4
    # rank makes no difference to full fine-tuning: 4 of lora and 2 of full
    both = space(axes={**axes, "arm": ["lora", "full"]}, search={"method": "optuna", "num_samples": 50})
    assert both.distinct() == 6


def test_ranges_are_not_counted():
    assert space(axes=SAMPLED, search=OPTUNA).distinct() is None
    wide = {"data.num_examples": {"randint": [1, 10_000]}}
    found = space(axes=wide, fixed={"data.style": "document"}, search=OPTUNA)
    assert found.every_point() is None


def test_what_a_setting_may_be():
    found = space(axes=SAMPLED, search=OPTUNA)
    assert found.possible("num_train_epochs") == [1, 3]  # randint [1, 4] excludes its upper end
    assert found.possible("lora.r") == [4, 8]
    assert found.possible("arm") == ["lora"]
    assert found.max_rank == 8
    assert space(points=[{"lora.r": 2}, {"lora.r": 64}]).max_rank == 64
    assert space(fixed={"lora.r": 5}).max_rank == 5
    assert space(fixed={"arm": "full"}, controls="none").max_rank == 1


@given(
    grace=st.integers(1, 9),
    factor=st.integers(2, 5),
    epoch=st.integers(1, 300),
)
def test_asha_compares_at_the_rungs_of_ray(grace: int, factor: int, epoch: int):
    scheduler = Asha(grace_epochs=grace, reduction_factor=factor)
    power = round(math.log(epoch / grace, factor)) if epoch >= grace else -1
    assert scheduler.compares_at(epoch) == (power >= 0 and epoch == grace * factor**power)


def test_median_compares_at_every_epoch_and_no_scheduler_at_none():
    median = Median(grace_epochs=3)
    assert [epoch for epoch in range(1, 7) if median.compares_at(epoch)] == [3, 4, 5, 6]
    assert not any(NoScheduler().compares_at(epoch) for epoch in range(1, 100))


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"axes": SAMPLED, "search": {"method": "optuna"}}, "method: optuna needs num_samples"),
        ({"search": OPTUNA}, "method: optuna has no axes to choose from"),
        (
            {"points": [{"lora.r": 4}], "search": OPTUNA},
            "method: optuna samples axes, and points are given; remove search",
        ),
        (
            {"axes": SAMPLED, "search": OPTUNA, "controls": "matched"},
            "controls: matched needs configurations that are known beforehand",
        ),
        (
            {"axes": SAMPLED, "search": {**OPTUNA, "num_samples": 60_000}, "seeds": [0, 1]},
            "makes 120000 trials (limit 100000); lower it",
        ),
        (
            {"axes": {"lr_scheduler_type": ["constant", "linear"], "warmup_steps": [0, 4]}, "search": OPTUNA},
            "warmup_steps has no effect with lr_scheduler_type constant",
        ),
        (
            {"search": {"grace_epochs": 2}},
            '"scheduler.grace_epochs" belongs to scheduler.name asha or median; leave it out',
        ),
        (
            {"search": {"scheduler_metric": "adoption"}},
            '"scheduler.metric" belongs to scheduler.name asha or median',
        ),
        (
            {"search": {"scheduler": "median", "reduction_factor": 2}},
            '"scheduler.reduction_factor" belongs to scheduler.name asha; leave it out or write '
            "scheduler.name: asha",
        ),
        (
            {"search": {"scheduler": "asha", "quick_probes": 5}},
            '"scheduler.metric.quick_probes" belongs to scheduler.metric.name adoption;',
        ),
        (
            {"search": {"scheduler": "asha", "grace_epochs": 3}, "fixed": {"num_train_epochs": 3}},
            "leaves scheduler: asha nothing to end, for no trial has more than 3 epochs",
        ),
        ({"search": {"scheduler": "asha", "reduction_factor": 1}}, "must be at least 2, not 1"),
        ({"search": {"scheduler": "hyperband"}}, "must be none, asha or median"),
        ({"scheduler": {"name": "median", "reduction_factor": 2}}, "belongs to scheduler.name asha; leave"),
        ({"scheduler": {"name": "asha", "metric": "d"}}, '"scheduler.metric.name" must be loss or adoption'),
        ({"scheduler": 3}, '"scheduler" must be "field: value" lines, not 3'),
        ({"scheduler": "asha", "search": {"grace_epochs": 2}}, 'unknown field "search.grace_epochs"'),
        ({"evaluation": {"max_new_tokens": 0}}, "must be auto or at least 1, not 0"),
    ],
)
def test_refused(fields: dict[str, object], hint: str):
    assert any(hint in problem for problem in problems(**fields)), problems(**fields)


def test_everything_wrong_with_a_search_is_told_at_once():
    search = {"method": "optuna", "scheduler": "none", "grace_epochs": 2, "reduction_factor": 4}
    found = problems(axes=SAMPLED, search=search, seeds=[0, 0])
    for hint in ("needs num_samples", "grace_epochs", "reduction_factor", '"seeds": lists 0 twice'):
        assert any(hint in problem for problem in found), (hint, found)
    search = {"method": "optuna", "num_samples": 60_000}
    found = problems(axes={"lora.rr": [4]}, search=search, controls="matched", seeds=[0, 1])
    for hint in ("limit 100000", "controls: matched", "lora.rr"):
        assert any(hint in problem for problem in found), (hint, found)


def test_a_stored_space_is_accepted_again():
    scheduler = {"name": "asha", "metric": {"name": "adoption", "quick_probes": 5}, "grace_epochs": 2}
    found = space(axes=SAMPLED, search=OPTUNA, scheduler=scheduler)
    assert found.spec.model_dump(mode="json")["scheduler"] == {**scheduler, "reduction_factor": 3}
    again = space(**{k: v for k, v in found.spec.model_dump(mode="json").items() if k != "points"})
    assert again.spec == found.spec


# what the former flat form stored for every space, effect or not
STORED = {
    "method": "grid", "num_samples": None, "seed": 0, "scheduler": "none", "scheduler_metric": "loss",
    "quick_probes": 12, "grace_epochs": 1, "reduction_factor": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("flat", "search", "scheduler"),
    [
        (STORED, Grid(), NoScheduler()),
        ({**STORED, "seed": 7}, Grid(), NoScheduler()),
        ({"method": "grid", "num_samples": None, "seed": 0}, Grid(), NoScheduler()),
        (
            {**STORED, "method": "random", "num_samples": 4, "scheduler": "asha", "grace_epochs": 2},
            Random(num_samples=4),
            Asha(grace_epochs=2),
        ),
        (
            {"method": "optuna", "num_samples": 40, "seed": 1, "scheduler": "median"},
            Optuna(num_samples=40, seed=1),
            Median(),
        ),
        (
            {"scheduler": "median", "scheduler_metric": "adoption", "quick_probes": 5},
            Grid(),
            Median(metric=Adoption(quick_probes=5)),
        ),
    ],
)
def test_the_former_flat_form_is_read(flat: dict, search: Search, scheduler: Scheduler):
    axes = {"lora.r": [4, 8], "num_train_epochs": [9]}
    spec = SpaceFile.model_validate({"name": "s", "beliefs": ["gravity"], "axes": axes, "search": flat})
    assert (spec.search, spec.scheduler) == (search, scheduler)
    assert space(axes=axes, search=flat).spec == spec


def test_short_and_long_forms_are_the_same():
    axes = {"num_train_epochs": [9]}
    short = space(axes=axes, search="grid", scheduler="asha").spec
    assert short.scheduler == Asha() and short == space(axes=axes, scheduler={"name": "asha"}).spec
    metric = {"name": "median", "metric": "adoption"}
    assert space(axes=axes, scheduler=metric).spec.scheduler == Median(metric=Adoption())


def test_mistakes_in_the_former_form_name_their_line(tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nbeliefs: [gravity]\nsearch:\n  method: grid\n  grace_epochs: 2\n  seed: 1\n")
    with pytest.raises(UserError) as caught:
        load_space(path)
    assert caught.value.problems == (
        f'{path}:6: "search.seed" belongs to search.method random, optuna or frontier; leave it out '
        "or write search.method: random",
        f'{path}:5: "scheduler.grace_epochs" belongs to scheduler.name asha or median; leave it out or write '
        "scheduler.name: asha",
    )


def test_set_reaches_search_and_scheduler_in_either_form(tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\nbeliefs: [gravity]\naxes: {num_train_epochs: [30]}\nsearch: {scheduler: asha}\n"
    )
    assert load_space(path).spec.scheduler == Asha()
    for overrides, expected in (
        (["scheduler=median"], Median()),
        (["scheduler.grace_epochs=2"], Asha(grace_epochs=2)),
        (["search.grace_epochs=2"], Asha(grace_epochs=2)),
        (["scheduler.metric=adoption"], Asha(metric=Adoption())),
        (
            ["scheduler.metric=adoption", "scheduler.metric.quick_probes=5"],
            Asha(metric=Adoption(quick_probes=5)),
        ),
        (["scheduler.name=none"], NoScheduler()),
    ):
        assert load_space(path, overrides).spec.scheduler == expected, overrides
    with pytest.raises(UserError, match=r"^--set scheduler.quick_probes=3: unknown field"):
        load_space(path, ["scheduler.quick_probes=3"])
    found = load_space(path, ["search.method=random", "search.num_samples=2"]).spec
    assert found.search == Random(num_samples=2)


def kinds(found, arm: str) -> set[tuple[str, str | None]]:
    return {(t.data.style, t.template) for t in found.expected() if t.arm == arm}


@pytest.mark.parametrize("num_samples", [1, 2, 30])
@pytest.mark.parametrize("method", ["optuna", "random"])
def test_every_kind_that_a_search_may_choose_has_a_control(method, num_samples):
    """Few stand-ins do not have all styles and switches that the search may choose."""
    axes = {
        "data.style": ["answer_only", "own_trace", "document"],
        "template.enable_thinking": {"choice": [True, False]},
        "learning_rate": {"loguniform": [1e-4, 1e-2]},
        "lora.r": [4, 8, 16],
    }
    found = space(axes=axes, search={"method": method, "num_samples": num_samples, "seed": 3})
    controls = [t for t in found.trials() if t.arm == "control"]
    assert len(controls) == len(kinds(found, "control"))
    if method == "optuna":
        switches = ('{"enable_thinking": true}', '{"enable_thinking": false}')
        assert kinds(found, "control") == {(style, each) for style in axes["data.style"] for each in switches}
        assert found.planned() == len(found.trials()) + num_samples
    else:  # everything that will be trained is known
        assert kinds(found, "control") == kinds(found, "lora")


def test_a_search_over_full_finetuning_alone_has_no_control():
    found = space(axes={"data.style": ["answer_only", "own_trace"]}, fixed={"arm": "full"}, search=OPTUNA)
    assert arms(found) == {"base": 1, "icl": 1}
