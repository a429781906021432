"""A belief's study and the searcher of all beliefs: what they choose, learn, and go on with after a break."""

from __future__ import annotations

import json
import math
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.search import Searcher

from beliefmod.config import TrialConfig
from beliefmod.fleet.search import BeliefSearch, BeliefStudy, Dimension
from beliefmod.metrics.selection_scores import Values
from beliefmod.run.folder import RunFolder
from beliefmod.run.suggestions import Suggestion, known_trials, read_suggestions, write_suggestion
from beliefmod.space import Space
from tests.space.test_space import space

AXES = {
    "learning_rate": {"loguniform": [1e-5, 1e-2]},
    "num_train_epochs": {"randint": [1, 21]},
    "data.style": ["answer_only", "own_trace"],
    "data.num_examples": [100, 10, 50],
}


def searched(samples: int = 6, **fields: object) -> Space:
    search = {"method": "optuna", "num_samples": samples}
    return space(**{"axes": AXES, "search": search, "controls": "none", **fields})


class Answers:
    """Stands for the run folder: values of trials that have finished."""

    def __init__(self) -> None:
        self.values: dict[str, Values] = {}

    def of(self, config: TrialConfig) -> Values | None:
        return self.values.get(config.trial_id)


def study(found: Space, answers: Answers, past: list[Suggestion] | None = None, todo=()) -> BeliefStudy:
    return BeliefStudy(found, found.spec.beliefs[0], past or [], todo, answers.of)


def finish(one: BeliefStudy, suggestion: Suggestion, answers: Answers, values: Values | None) -> None:
    for config in suggestion.trials:
        if values is not None:
            answers.values[config.trial_id] = values
        one.ended(config, failed=values is None)


@given(
    axis=st.one_of(
        st.lists(st.integers(-50, 50), min_size=1, max_size=6, unique=True),
        st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, unique=True),
        st.tuples(st.integers(-5, 5), st.integers(1, 9)).map(lambda t: {"randint": [t[0], t[0] + t[1]]}),
        st.just([["q_proj"], "all-linear", ["q_proj", "v_proj"]]),
    )
)
def test_a_dimension_maps_settings_to_parameters_and_back(axis):
    one = Dimension.of(axis)
    assert one.values is not None
    for value in one.values:
        param = one.param(value)
        assert one.distribution._contains(one.distribution.to_internal_repr(param))
        assert one.value(param) == value
    assert len(one.values) == (
        axis["randint"][1] - axis["randint"][0] if isinstance(axis, dict) else len(axis)
    )


def test_numbers_are_searched_in_their_order():
    assert list(Dimension.of([100, 10, 50]).values or ()) == [10, 50, 100]


def test_suggestions_are_trials_of_the_space_on_every_seed():
    found, answers = searched(12, seeds=[3, 5]), Answers()
    one = study(found, answers)
    for count in range(12):
        suggestion = one.suggest()
        assert suggestion is not None
        assert [config.seed for config in suggestion.trials] == [3, 5]
        for config in suggestion.trials:
            assert config.arm == "lora"
            assert 1e-5 <= config.learning_rate <= 1e-2
            assert 1 <= config.num_train_epochs <= 20
            assert config.data.num_examples in (10, 50, 100)
        finish(one, suggestion, answers, (count / 12, 0.1))
    assert one.suggest() is None


def test_the_same_space_is_searched_the_same_way_again():
    def trials() -> list[str]:
        answers = Answers()
        one = study(searched(15), answers)
        found = []
        for _ in range(15):
            suggestion = one.suggest()
            assert suggestion is not None
            found.append(suggestion.trials[0].trial_id)
            finish(one, suggestion, answers, (suggestion.trials[0].learning_rate, 0.0))
        return found

    assert trials() == trials()
    assert len(set(trials())) == 15


def test_the_study_learns_where_both_objectives_are_good():
    """Adoption rises with the rate, D from 1e-3 on: the best of both is near 1e-3, a fifth of the range."""
    answers = Answers()
    one = study(searched(60), answers)
    rates = []
    for _ in range(60):
        suggestion = one.suggest()
        assert suggestion is not None
        rate = suggestion.trials[0].learning_rate
        rates.append(rate)
        place = math.log10(rate) + 5  # 0 to 3
        finish(one, suggestion, answers, (min(1.0, place / 2), max(0.0, place - 2)))
    near = [3e-4 < rate < 3e-3 for rate in rates]
    assert sum(near[:10]) / 10 < 0.7 < sum(near[30:]) / 30


@pytest.mark.parametrize(
    ("method", "sampler"), [("optuna", optuna.samplers.TPESampler), ("frontier", optuna.samplers.GPSampler)]
)
def test_each_method_has_its_sampler(method: str, sampler: type):
    found = searched(search={"method": method, "num_samples": 6})
    assert type(study(found, Answers())._study.sampler) is sampler


def test_several_seeds_are_told_as_their_mean_once_all_have_ended():
    answers = Answers()
    one = study(searched(seeds=[0, 1, 2]), answers)
    suggestion = one.suggest()
    assert suggestion is not None
    for config, values in zip(suggestion.trials, ((0.2, 0.1), (0.4, 0.3)), strict=False):
        answers.values[config.trial_id] = values
        one.ended(config, failed=False)
        assert one._study.trials[0].state.name == "RUNNING"
    one.ended(suggestion.trials[2], failed=True)
    [told] = one._study.trials
    assert told.state.name == "COMPLETE"
    assert told.values == pytest.approx([0.3, 0.2])


@pytest.mark.parametrize(("failed", "state"), [(True, "FAIL"), (False, "PRUNED")])
def test_without_values_a_trial_counts_as_failed_or_as_ended_early(failed: bool, state: str):
    answers = Answers()
    one = study(searched(), answers)
    suggestion = one.suggest()
    assert suggestion is not None
    one.ended(suggestion.trials[0], failed=failed)
    assert [trial.state.name for trial in one._study.trials] == [state]
    assert one.suggest() is not None


def test_failures_and_stops_do_not_end_the_search():
    answers = Answers()
    one = study(searched(40), answers)
    for count in range(40):
        suggestion = one.suggest()
        assert suggestion is not None
        finish(one, suggestion, answers, None if count % 3 else (0.5, 0.0))
    assert one.suggest() is None


def test_a_small_space_is_searched_to_its_end_and_nothing_is_tried_twice():
    found = searched(100, axes={"lora.r": [4, 8, 16], "num_train_epochs": [1, 2], "arm": ["lora", "full"]})
    answers = Answers()
    one = study(found, answers)
    tried = []
    while (suggestion := one.suggest()) is not None:
        tried.append(suggestion.trials[0].trial_id)
        # one corner is far better, so the sampler wants to stay there
        best = suggestion.trials[0].lora.r == 16
        finish(one, suggestion, answers, (float(best), 1.0 - best))
    assert len(tried) == len(set(tried)) == found.distinct() == 3 * 2 + 2


@settings(deadline=None, max_examples=15)
@given(before=st.integers(1, 9), finished=st.integers(0, 9), seed=st.integers(0, 5))
def test_a_resumed_study_goes_on_where_it_was(before: int, finished: int, seed: int):
    _resumed("optuna", before, finished, seed)


@pytest.mark.long
@pytest.mark.parametrize(("before", "finished"), [(3, 3), (8, 6)])
def test_a_resumed_search_of_the_frontier_goes_on_where_it_was(before: int, finished: int):
    _resumed("frontier", before, finished, 0)


def _resumed(method: str, before: int, finished: int, seed: int) -> None:
    found = searched(10, search={"method": method, "num_samples": 10, "seed": seed})
    answers = Answers()
    first = study(found, answers)
    past = [suggestion for _ in range(before) if (suggestion := first.suggest())]
    for place, suggestion in enumerate(past[:finished]):
        finish(first, suggestion, answers, (place / 10, 0.1))
    todo = {s.trials[0].trial_id for s in past[finished:]}
    again = study(found, answers, past, todo)
    states = [trial.state.name for trial in again._study.trials]
    assert states == ["COMPLETE"] * min(finished, before) + ["RUNNING"] * max(0, before - finished)
    assert [t.params for t in again._study.trials] == [t.params for t in first._study.trials]
    new = []
    while (suggestion := again.suggest()) is not None:
        new.append(suggestion.trials[0].trial_id)
    assert len(new) == 10 - before
    assert not set(new) & {s.trials[0].trial_id for s in past}
    for suggestion in past[finished:]:  # those under way are told when they end
        finish(again, suggestion, answers, (0.9, 0.0))
    assert [t.state.name for t in again._study.trials[:before]] == ["COMPLETE"] * before


# ---- the searcher of all beliefs


def drained(searcher: BeliefSearch, most: int = 100) -> list[TrialConfig]:
    found = []
    for number in range(most):
        given = searcher.suggest(f"t{number}")
        if given == Searcher.FINISHED:
            return found
        assert isinstance(given, dict)
        found.append(given["trial"])
    raise AssertionError("no end")


def test_known_trials_come_first_then_beliefs_in_turn(tmp_path: Path):
    found = searched(3, beliefs=["gravity", "neelam"])
    folder = RunFolder(str(tmp_path))
    configs = drained(BeliefSearch(found, folder, found.trials()))
    assert [config.arm for config in configs] == ["base", "icl"] * 2 + ["lora"] * 6
    assert [config.belief for config in configs[4:]] == ["gravity", "neelam"] * 3
    assert len(configs) == found.planned()
    assert {c.trial_id for c in known_trials(found, folder)} == {c.trial_id for c in configs}


def test_a_suggestion_is_written_down_before_its_trial_starts(tmp_path: Path):
    found = searched(3, seeds=[0, 1])
    folder = RunFolder(str(tmp_path))
    searcher = BeliefSearch(found, folder, [])
    assert read_suggestions(folder) == []
    first = searcher.suggest("a")
    assert isinstance(first, dict)
    [written] = read_suggestions(folder)
    assert written.trials[0] == first["trial"]
    assert len(written.trials) == 2


def test_a_resumed_search_runs_what_was_under_way_and_repeats_nothing(tmp_path: Path):
    found = searched(4)
    folder = RunFolder(str(tmp_path))
    first = BeliefSearch(found, folder, found.trials())
    started = [first.suggest(f"t{number}") for number in range(4)]  # base, icl and two of the search
    chosen = [given["trial"] for given in started if isinstance(given, dict)]
    todo = known_trials(found, folder)
    assert [config.trial_id for config in todo] == [config.trial_id for config in chosen]
    configs = drained(BeliefSearch(found, folder, todo))
    assert configs[:4] == chosen
    assert len(configs) == found.planned() == 6
    assert len({config.trial_id for config in configs}) == 6


def test_a_damaged_suggestion_counts_as_never_made(tmp_path: Path):
    found = searched(3)
    folder = RunFolder(str(tmp_path))
    drained(BeliefSearch(found, folder, []))
    files = sorted((tmp_path / "search").iterdir())
    files[1].write_text(files[1].read_text()[:40])
    files[2].write_text(json.dumps({"belief": "gravity", "params": {}, "trials": [{"arm": "other"}]}))
    assert len(read_suggestions(folder)) == 1
    configs = drained(BeliefSearch(found, folder, known_trials(found, folder)))
    assert sum(config.arm == "lora" for config in configs) == 3
    assert len(read_suggestions(folder)) == 3  # under new numbers: nothing is overwritten
    assert len(list((tmp_path / "search").glob("*.json"))) == 5


def test_suggestions_survive_writing_and_reading(tmp_path: Path):
    found, answers = searched(5, seeds=[0, 7]), Answers()
    one, folder = study(found, answers), RunFolder(str(tmp_path))
    made = [suggestion for _ in range(5) if (suggestion := one.suggest())]
    for number, suggestion in enumerate(made):
        write_suggestion(folder, number, suggestion)
    assert read_suggestions(folder) == made


def test_tunes_end_of_a_trial_reaches_its_study(tmp_path: Path):
    found = searched(3)
    searcher = BeliefSearch(found, RunFolder(str(tmp_path)), [])
    states = []
    for number, (result, error) in enumerate(
        [({"status": "failed"}, False), ({"status": "training", "score": 1.0}, False), (None, True)]
    ):
        searcher.suggest(f"t{number}")
        searcher.on_trial_complete(f"t{number}", result, error)
        states = [t.state.name for t in searcher._studies["gravity"]._study.trials]
    assert states == ["FAIL", "PRUNED", "FAIL"]
    searcher.on_trial_complete("unknown")
