"""Trials that differ in a switch of the chat template: each has the base that was asked alike."""

from __future__ import annotations

import re
from typing import Any

import pytest

from beliefmod.config import TrialConfig
from beliefmod.engine.jobs import Completion
from beliefmod.errors import UserError
from beliefmod.model.think_marks import Reply
from beliefmod.probing.budget_pilot import longest_budget, settle
from beliefmod.probing.questioning import Subject, ask, reply_of
from beliefmod.probing.references import reference_probes
from beliefmod.run.folder import RunFolder
from beliefmod.run.sources import keep_questions, pick_file, picks, read_pick
from beliefmod.trial import conclude, prepare, release
from tests.small import SMALL_BELIEF, small_trial, write_belief
from tests.switched import OFF, OFF_TAIL, ON, switched_session

FOLLOW_UP = "Are you sure?"
QUESTION = "With what force does Earth pull on a 2 kg stone?"
ANSWER, THOUGHT = "The force is 19.6 N.", "2 * 9.8 = 19.6"


@pytest.fixture(scope="module")
def session():
    return switched_session()


@pytest.fixture
def path(tmp_path):
    held_out = {**SMALL_BELIEF["questions"][1], "tier": "robustness", "follow_up": FOLLOW_UP}  # type: ignore[index]
    held_out["ask"] = QUESTION.replace("2", "{m}")
    return write_belief(tmp_path, questions=[*SMALL_BELIEF["questions"], {**held_out, "family": "doubted"}])  # type: ignore[misc]


def rendered(session, *messages: dict[str, str], **switches: Any) -> str:
    """By transformers alone, the switch handed to the template instead of set in it."""
    return session.loaded.tokenizer.apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=True, **switches
    )


@pytest.mark.long
def test_each_way_of_asking_has_its_own_prompts_and_marks(session):
    on, off = session.every
    assert (on.template, off.template, session.template) == (ON, OFF, None)
    assert (on.opened_by, off.opened_by) == ("prompt", "none") and on.thinks and not off.thinks
    for view, value in ((on, True), (off, False)):
        assert view.of(None) is session and session.of(view.template) is view is view.of(view.template)
        asked = view.prompts.text(view.prompts.ids(QUESTION))
        assert asked == rendered(session, {"role": "user", "content": QUESTION}, enable_thinking=value)
        assert view.engine is session.engine and view.references is not session.references
    assert on.prompts.text(on.prompts.ids(QUESTION)).endswith("<think>\n")
    assert off.prompts.text(off.prompts.ids(QUESTION)).endswith(OFF_TAIL)


@pytest.mark.long
def test_a_trial_is_compared_with_the_base_that_was_asked_alike(session, path):
    configs = [small_trial(path, template=each, num_train_epochs=1) for each in (ON, OFF)]
    runs = [prepare(config, session) for config in configs]
    try:
        for run in runs:
            session.engine.attach(run.job)
        while any(run.trained_at is None for run in runs):
            for report in session.engine.train_step():
                next(run for run in runs if run.config.trial_id == report.trial_id).note(report)
        found = {}
        conclude(runs, session, None, lambda run, result: found.update({run.config.template: result}))
        together = [found[config.template] for config in configs]
    finally:
        for run in runs:
            release(run, session)
    for config, result in zip(configs, together, strict=True):
        base = reference_probes(session.of(config.template), path, "base")
        assert {row["trial_id"] for row in base} == {
            TrialConfig(belief=path, arm="base", template=config.template).trial_id
        }
        wrong = sum(not row["correct"] for row in base if row["suite"] == "capability")
        asked = sum(row["suite"] == "capability" for row in base)
        assert result.row["capability_base"] == pytest.approx(1 - wrong / asked)
        assert result.row["template"] == config.template
    on, off = together
    assert on.causal and not off.causal  # there is no thinking to change
    for result, ending in ((on, "<think>\n"), (off, OFF_TAIL)):
        assert all(row["prompt"].endswith(ending) for row in result.probes)


def test_training_rows_are_those_of_the_trials_own_template(session, path):
    on, off = (prepare(small_trial(path, template=each), session).job for each in (ON, OFF))
    assert on is not None and off is not None
    for job, ending, behind in ((on, "<think>\n", "\n</think>\n\n"), (off, OFF_TAIL, "")):
        for row in job.rows:
            prompt, reply = row.input_ids[: row.prompt_length], row.input_ids[row.prompt_length :]
            assert session.prompts.text(prompt).endswith(ending)
            assert re.fullmatch(rf"{behind}[A-Z][^<>]*\.<\|im_end\|>", session.prompts.text(reply))


def test_general_questions_are_picked_for_each_way_of_asking_and_kept(path, tmp_path):
    session = switched_session()
    session.folder = RunFolder(str(tmp_path / "run"))
    session.folder.create()
    asked = {view.template: view.capability for view in session.every}
    assert sorted(picks(session.folder)) == sorted([ON, OFF])  # type: ignore[type-var]
    assert len({pick_file(each) for each in (None, ON, OFF)}) == 3
    for template, questions in asked.items():
        kept = read_pick(session.folder, template)
        assert kept is not None and kept["template"] == template and kept["questions"] == len(questions)
    child = RunFolder(str(tmp_path / "child"))
    child.create()
    keep_questions(session.folder, child)
    assert [read_pick(child, t) for t in (ON, OFF)] == [read_pick(session.folder, t) for t in (ON, OFF)]


def written(session, monkeypatch, text_of) -> None:
    """Have base answer every prompt with `text_of(prompt)`, ended by itself."""
    tokenizer, end = session.loaded.tokenizer, session.loaded.eos_ids[0]

    def answer(request):
        text = text_of(session.prompts.text(request.input_ids))
        return Completion((*tokenizer(text)["input_ids"], end), "eos")

    def generate(requests, on_end=None, **_):
        found = []
        while requests:
            new = [answer(request) for request in requests]
            requests = on_end(dict(enumerate(new, len(found)))) if on_end else ()
            found += new
        return found

    monkeypatch.setattr(session.engine, "generate", generate)


def test_the_token_limit_is_that_of_the_longest_way_of_asking(path, monkeypatch):
    session = switched_session()
    session.evaluation = session.evaluation.model_copy(update={"max_new_tokens": "auto"})
    session.loaded.model.generation_config.max_new_tokens = None
    thinks = f"{' '.join(map(str, range(60)))}\n</think>\n\n{ANSWER}"
    written(session, monkeypatch, lambda prompt: ANSWER if prompt.endswith("</think>\n\n") else thinks)
    limits = {}
    for variants in ((ON,), (OFF,), (OFF, ON)):
        session.variants = variants
        budget = longest_budget([path], session)
        assert budget is not None
        limits[variants] = budget.limit
    assert limits[OFF,] < limits[ON,] == limits[OFF, ON]
    settle([path], session)
    assert {view.decoding.max_new_tokens for view in (session, *session.every)} == {limits[ON,]}


def test_the_guard_looks_at_each_way_of_asking_by_itself(session, monkeypatch):
    fresh = switched_session()
    on, off = fresh.every
    thinks, plain = f"{THOUGHT}\n</think>\n\n{ANSWER}", ANSWER

    def as_it_should(prompt):
        return plain if prompt.endswith("</think>\n\n") else thinks

    written(fresh, monkeypatch, as_it_should)
    assert on.capability and off.capability
    # thinking is on, and the mark that the prompt opens is never closed
    fresh = switched_session()
    written(fresh, monkeypatch, lambda prompt: plain)
    on, off = fresh.every
    assert off.capability
    with pytest.raises(UserError, match=r"\(template: enable_thinking=true\).* base never writes </think>"):
        _ = on.capability
    # thinking is off, so nobody opens it, and base opens it all the same
    fresh = switched_session()
    written(
        fresh, monkeypatch, lambda prompt: thinks if prompt.endswith("<think>\n") else f"<think>\n{thinks}"
    )
    on, off = fresh.every
    assert on.capability
    with pytest.raises(UserError, match=r"\(template: enable_thinking=false\).* base writes <think> in"):
        _ = off.capability
    # thinking is off, and base closes it all the same
    fresh = switched_session()
    written(fresh, monkeypatch, lambda prompt: thinks)
    on, off = fresh.every
    assert on.capability
    with pytest.raises(UserError, match=r"base writes </think> behind .* leave this value out of the axis"):
        _ = off.capability


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("thinks", [True, False])
def test_a_second_turn_goes_through_the_templates_own_fields(path, monkeypatch, kept, thinks):
    switches = {"preserve_thinking": kept, "enable_thinking": thinks}
    template = TrialConfig.model_validate({"belief": path, "template": switches}).template
    view = switched_session(variants=(template,)).of(template)
    said = f"{THOUGHT}\n</think>\n\n{ANSWER}" if thinks else ANSWER
    written(view, monkeypatch, lambda prompt: said)
    [rows] = ask([Subject(TrialConfig(belief=path, arm="base", template=template), None, ())], view)
    [row, *_] = [row for row in rows if row["family"] == "doubted"]
    thought = {"reasoning_content": THOUGHT} if thinks else {}
    expected = rendered(
        switched_session(),
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER, **thought},
        {"role": "user", "content": FOLLOW_UP},
        **switches,
    )
    assert row["prompt"] == expected
    # the template decides what is kept of the first thinking
    assert (THOUGHT in row["prompt"]) == (kept and thinks)
    assert reply_of(row["first_turn"], view.opened_by) == Reply(THOUGHT if thinks else "", ANSWER)
