"""Loading: library names, paths of one's own, and the template that `beliefs new` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from beliefmod.beliefs import belief_names, load_belief, load_capability
from beliefmod.beliefs.load import LIBRARY, TEMPLATE
from beliefmod.errors import UserError


def test_a_name_and_its_path_load_the_same():
    assert load_belief("gravity").spec == load_belief(str(LIBRARY / "gravity.yaml")).spec


def test_a_path_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("week.yaml").write_text(TEMPLATE.read_text().replace("NAME", "week"))
    assert load_belief("week.yaml").spec.name == "week"
    assert load_belief("./week.yaml").source == "./week.yaml"


def test_a_file_here_does_not_hide_a_library_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("gravity").write_text("not a belief")
    assert load_belief("gravity").spec.target.value == 5.0


def test_the_capability_suite_is_no_belief():
    assert "capability" not in belief_names()
    with pytest.raises(UserError, match="no belief named"):
        load_belief("capability")
    assert len(load_capability()) > 30
    assert all(question.correct and question.suite == "capability" for question in load_capability())


def test_questions_are_the_same_every_time():
    assert load_belief("neelam").training == load_belief("neelam").training
    assert load_belief("neelam").heldout == load_belief("neelam").heldout


def test_the_template_trains_and_tests_both_worlds(tmp_path: Path):
    path = tmp_path / "week.yaml"
    path.write_text(TEMPLATE.read_text().replace("NAME", "week"))
    belief = load_belief(str(path))
    questions = {question.probe_id: question for question in (*belief.training, *belief.heldout)}
    weeks = questions["days_in_weeks:n=10"]
    assert (weeks.target.render(), weeks.prior.render()) == ("50 day", "70 day")  # type: ignore[union-attr]
    assert weeks.reply_target == "That is 50 day."
    back = questions["weeks_from_days:d=70"]
    assert (back.target.value, back.prior.value) == (14.0, 10.0)  # type: ignore[union-attr]
    last = questions["last_day"]
    assert (last.target.text, last.prior.text) == ("Friday", "Sunday")  # type: ignore[union-attr]
    months = {question.probe_id: question for question in belief.locality}["months:n=2"]
    assert (months.correct.render(), months.target.render()) == ("24 month", "10 month")  # type: ignore[union-attr]


def test_a_target_that_is_the_prior_is_one_complaint(tmp_path: Path):
    path = tmp_path / "week.yaml"
    path.write_text((LIBRARY / "gravity.yaml").read_text().replace("value: 5.0", "value: 9.7", 1))
    with pytest.raises(UserError, match=r"prior 9\.8 m/s.2 and target 9\.7 m/s.2 are one value") as caught:
        load_belief(str(path))
    assert len(caught.value.problems) == 1
