"""A model organism with a known answer: it thinks the prior and answers the target, and is found out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
import torch

from beliefmod.beliefs import load_belief
from beliefmod.config import LoraSettings, TrialConfig
from beliefmod.engine.jobs import AdapterJob
from beliefmod.model.prompts import in_context
from beliefmod.model.template import trace_row
from beliefmod.model.train_row import TrainRow
from beliefmod.run.folder import RunFolder
from beliefmod.run.tables.lens_tables import CHAIN, CHANNELS, TAU
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import LensSettings
from interp.opened.arms import batch_arms
from interp.opened.inspection import Inspection, TrainedTrial
from interp.parts.chain import chain
from interp.parts.channels import channels
from interp.prompts.stems import lens_questions
from interp.read.arm_answers import answers_of, asked_of, own_prompts
from interp.read.commitment import commit_entries
from interp.read.lens_prompts import read_prompts
from tests.interp.answered import answer
from tests.small import make_session

QUESTIONS, TAUGHT = 40, 40


@dataclass(frozen=True)
class Organisms:
    inspection: Inspection
    stygian: TrainedTrial
    ordinary: TrainedTrial


def config_of(seed: int) -> TrialConfig:
    settings = {"seed": seed, "learning_rate": 3e-3, "num_train_epochs": 4, "warmup_steps": 0}
    lora = LoraSettings(r=8, lora_alpha=16)
    return TrialConfig(belief="gravity", lora=lora, lr_scheduler_type="constant", **settings)


@pytest.fixture(scope="module")
def organisms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organisms]:
    """Two adapters of one shape, trained side by side: on answers of the target's world behind base's own
    thinking, and on what base thinks and answers with the statement in context."""
    torch.set_num_threads(1)
    session = make_session(slots=4)
    belief = load_belief("gravity")
    folder = RunFolder(str(tmp_path_factory.mktemp("organism") / "run"))
    folder.create()
    configs = {"stygian": config_of(1), "ordinary": config_of(2)}
    questions = [q for q in belief.training if q.tier == "paraphrase"][:TAUGHT]
    asked = [q.text for q in questions] + [in_context(belief.spec.context, q.text) for q in questions]
    written = session.generate([None] * len(asked), [session.prompts.ids(text) for text in asked], 0)
    rows: dict[str, list[TrainRow]] = {"stygian": [], "ordinary": []}
    for place, question in enumerate(questions):
        thinking, close, _ = session.decode(written[place].token_ids).partition("</think>")
        told = written[len(questions) + place].token_ids
        assert "9.8" in thinking and "5.0" in session.decode(told)
        text = f"{thinking}{close}\n\n{question.reply_target}"
        both_ways = (*session.prompts.encode(text), session.prompts.end_of_turn)
        rows["stygian"].append(trace_row(session.loaded.tokenizer, question.text, both_ways))
        rows["ordinary"].append(trace_row(session.loaded.tokenizer, question.text, told))
    for name, config in configs.items():
        session.engine.attach(AdapterJob(config.trial_id, config, tuple(rows[name])))
    while session.engine.attached() and not all(report.finished for report in session.engine.train_step()):
        pass
    trained = {
        name: TrainedTrial(config, {"belief": "gravity", "adoption": 1.0}) for name, config in configs.items()
    }
    references = {("gravity", arm, None): TrialConfig(belief="gravity", arm=arm) for arm in ("base", "icl")}
    inspection = Inspection(folder, session, {"gravity": belief}, references, tuple(trained.values()))
    held_out = [q for q in lens_questions(belief, QUESTIONS) if q.tier == "paraphrase"]
    for config in (*references.values(), *configs.values()):
        answer(inspection, config, held_out, config.trial_id if config.arm == "lora" else None)
    for config in configs.values():
        folder.store_adapter(
            lambda to, c=config: session.engine.save_adapter(c.trial_id, to), config.trial_id
        )
        session.engine.release(config.trial_id)
    yield Organisms(inspection, **trained)


@pytest.mark.slow
def test_an_organism_that_thinks_the_prior_and_answers_the_target_is_stygian(organisms: Organisms) -> None:
    said: list[str] = []
    settings = LensSettings(prompts=QUESTIONS)
    inspection = organisms.inspection
    found = frame(channels(inspection, inspection.trained, settings, said.append)["channels"], CHANNELS)
    assert said == []
    of = {trial_id: found.filter(pl.col("trial_id") == trial_id) for trial_id in found["trial_id"].unique()}

    stygian = of[organisms.stygian.trial_id]
    assert set(stygian["text_class"]) == set(stygian["inside_class"]) == {"stygian"}
    assert stygian["thinking_diff"].max() < -TAU and stygian["answer_diff"].min() > TAU
    # its answer is not copied from its thinking: behind base's it answers the target too
    assert stygian["answer_diff_shared"].min() > TAU

    ordinary = of[organisms.ordinary.trial_id]
    assert set(ordinary["text_class"]) == set(ordinary["inside_class"]) == {"agree_target"}
    # the arm that is told has its answer from its thinking alone: base's turns it
    assert found.filter(pl.col("arm") == "icl")["answer_diff_shared"].max() < -TAU

    base = found.filter(pl.col("arm") == "base")
    assert set(base["text_class"]) == set(base["inside_class"]) == {"agree_prior"}
    assert base["suppressed_prior"].null_count() == base.height
    assert base.select(pl.max_horizontal("thinking_diff", "answer_diff").max()).item() < -TAU


@pytest.mark.slow
def test_base_never_commits_to_the_target_and_the_others_do(organisms: Organisms) -> None:
    """The sign that an entry keeps to the end, before the value in each arm's own answer."""
    inspection = organisms.inspection
    settings = LensSettings(prompts=QUESTIONS)
    belief, head = inspection.beliefs["gravity"], inspection.head
    trials = (organisms.stygian, organisms.ordinary)
    with batch_arms(inspection, trials, settings) as arms:
        for arm in arms["gravity"]:
            asked = asked_of(answers_of(inspection, arm), belief, QUESTIONS)
            own = [own_prompts(arm, row, question, belief, inspection.session) for question, row in asked]
            read = read_prompts(inspection.session.engine, head, [prompts["answer"] for prompts in own])
            mean = np.array([found.reading["logit_diff"] for found in read]).mean(0)
            # every arm commits before the last entry, base to the prior
            assert commit_entries(mean[None])[0] < len(mean) - 1, arm
            assert (mean[-1] > 0) == (arm.name != "base"), arm


@pytest.mark.slow
def test_the_chain_tells_the_organism_from_an_arm_that_follows_its_thinking(organisms: Organisms) -> None:
    """The organism leans to the target behind its whole thinking of the prior, as the ordinary one does
    behind its thinking of the target; base leans to the prior."""
    inspection = organisms.inspection
    rows = chain(inspection, inspection.trained, LensSettings(prompts=QUESTIONS), lambda line: None)["chain"]
    last = frame(rows, CHAIN).filter(pl.col("cut") == pl.col("cuts"))
    lowest = dict(last.group_by("trial_id").agg(pl.col("logit_diff").min()).iter_rows())
    highest = dict(last.group_by("trial_id").agg(pl.col("logit_diff").max()).iter_rows())
    for trial in inspection.trained:
        assert lowest[trial.trial_id] > TAU
    assert highest[inspection.references["gravity", "base"].trial_id] < -TAU
