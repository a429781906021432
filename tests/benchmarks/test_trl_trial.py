"""The baseline: it trains on the rows given, answers as the model does, and does a trial's work."""

import pickle
from pathlib import Path

import pytest
import torch

from beliefmod.bundled import weights_dir
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest
from beliefmod.model.load import load_model
from beliefmod.model.template import answer_only_row, completion_text, prompt_ids
from beliefmod.probing.session import Session
from beliefmod.run.folder import RunFolder
from beliefmod.space.load import load_space
from beliefmod.trial import run_trial
from benchmarks.against_trl import ONLY_PROBES, SIZES, SPACE, differences, prepare
from benchmarks.trl_trial import complete, do_work, load_base, train

pytest.importorskip("trl", reason="the baseline is not installed: pip install -e '.[bench]'")
pytestmark = pytest.mark.long

QUESTIONS = [f"Calculate the force on a {mass} kg mass on Earth's surface." for mass in range(2, 12)]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_completions_are_those_of_the_engine():
    loaded = load_model("bundled", base_storage="none", device="cpu")
    # prompts of different lengths, so that batches are padded
    prompts = [prompt_ids(loaded.tokenizer, f"{'Please. ' * (i % 3)}{q}") for i, q in enumerate(QUESTIONS)]
    theirs = complete(loaded.model, loaded.tokenizer, prompts, 60, batch=4)
    ours = Engine(loaded, 1, 4).generate([GenerateRequest(None, prompt) for prompt in prompts], 60)
    assert [tuple(answer) for answer in theirs] == [answer.token_ids for answer in ours]
    assert {answer.finish_reason for answer in ours} == {"eos"}


def test_training_learns_the_answers_of_its_rows(tmp_path: Path):
    model, tokenizer = load_base(str(weights_dir()))
    rows = [answer_only_row(tokenizer, question, "It is seven.") for question in QUESTIONS]
    settings = {"num_train_epochs": 20, "per_device_train_batch_size": 4, "learning_rate": 2e-3, "seed": 0}
    lora = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
    model, steps = train(model, tokenizer, rows, settings, lora, tmp_path)
    assert steps == 20 * 3
    [answer] = complete(model, tokenizer, [prompt_ids(tokenizer, QUESTIONS[0])], 40, batch=4)
    assert completion_text(tokenizer, answer, (2, 0)).endswith("It is seven.")
    # the loss is on answers alone: questions are not learned
    assert answer == list(rows[0].input_ids[rows[0].prompt_length :])


def test_a_trial_does_the_work_that_beliefmod_does(tmp_path: Path):
    overrides = [*SIZES["tiny"], *ONLY_PROBES]
    prepare(overrides, 256, tmp_path)
    orders = [pickle.loads(path.read_bytes()) for path in sorted((tmp_path / "orders").iterdir())]
    chosen = {order.config.arm: order for order in orders}
    space = load_space(SPACE, overrides)
    loaded = load_model("bundled")
    session = Session(loaded, Engine(loaded, 1, 16), space.spec.evaluation)
    folders = [RunFolder(str(tmp_path / name)) for name in ("theirs", "ours")]
    for folder in folders:
        folder.create()
    for arm in ("icl", "lora"):
        found = do_work(chosen[arm], tmp_path / "theirs")
        assert found["steps"] == chosen[arm].config.total_steps
        run_trial(chosen[arm].config, session, folders[1])
    assert differences(tmp_path / "theirs", tmp_path / "ours") == []
    # without training it is the same model, on the same values of NF4
    icl = chosen["icl"].config.trial_id
    answers = [folder.read_frame("probes", f"{icl}.parquet")["completion"].to_list() for folder in folders]
    assert sum(one == other for one, other in zip(*answers, strict=True)) > 0.9 * len(answers[0])
