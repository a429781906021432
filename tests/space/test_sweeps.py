"""Every space file that ships is valid, and says what it is for, what it costs and how to run it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beliefmod.beliefs import load_belief
from beliefmod.cli.app import app
from beliefmod.space.load import load_space

REAL = ("real", "ways", "framing_real", "hypotheses_real", "no_training_real", "pressed_real")
SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=[path.name for path in SWEEPS])
def test_valid(path: Path):
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert result.exit_code == 0, result.output
    space = load_space(path)
    assert space.spec.name == path.stem
    # runs offline on any machine, or with a model that `beliefmod models fetch` brings
    assert space.spec.model == ("smollm2-think" if path.stem in REAL else "bundled")
    # adoption without base, the statement in context and a control beside it says little; `ways` has the
    # model and a belief of `real`, whose controls stand in docs/example-real, and so has `pressed_real`;
    # `hypotheses_real` compares beliefs with each other and LoRA with the statement in context
    uncontrolled = path.stem in ("ways", "hypotheses_real", "pressed_real", "no_training_real")
    references = {"base", "icl"} if uncontrolled else {"base", "icl", "control"}
    if path.stem != "no_training_real":  # LoRA and its control stand in docs/example-real
        references |= {"lora"}
    assert {trial.arm for trial in space.expected()} >= references


@pytest.mark.parametrize("path", SWEEPS, ids=[path.name for path in SWEEPS])
def test_header(path: Path):
    header = "\n".join(
        line.removeprefix("#").strip()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    )
    for word in ("Purpose:", "Cost:", f"beliefmod sweep --space sweeps/{path.name}"):
        assert word in header, f"{path.name}: the header lacks {word!r}"


def test_the_sweeps_of_the_readme_are_there():
    assert {"smoke", "phase2", "aggressive"} <= {path.stem for path in SWEEPS}


def test_the_hypotheses_sweep_is_balanced_and_matched():
    space = load_space(next(path for path in SWEEPS if path.stem == "hypotheses"))
    trials = space.trials()
    kinds = Counter(load_belief(name).spec.kind for name in space.spec.beliefs)
    assert kinds == {"existing": 4, "novel": 4}
    assert "margin" in space.spec.hypotheses.model_fields_set, "the margin is stated before the run"
    assert len(space.spec.seeds) >= 3
    arms = {
        arm: Counter(
            (t.belief, t.seed, t.data.style, t.num_train_epochs, t.learning_rate)
            for t in trials
            if t.arm == arm
        )
        for arm in ("lora", "control")
    }
    assert arms["lora"] == arms["control"]
    # thinking can only follow the answer where thinking is trained, and fail to where it is not
    assert {trial.data.style for trial in trials if trial.arm == "lora"} == {"own_trace", "answer_only"}
    assert sum(trial.arm in ("lora", "control") for trial in trials) <= 250


def test_the_arms_sweep_has_every_way_of_teaching():
    trials = load_space(next(path for path in SWEEPS if path.stem == "arms")).trials()
    ways = {(t.arm, t.data.style, t.data.replay_ratio) for t in trials if t.is_trained}
    assert {way[1:] for way in ways if way[0] == "lora"} == {
        ("answer_only", 0.0),
        ("own_trace", 0.0),
        ("document", 0.0),
        ("document", 0.5),
    }
    assert {style for arm, style, _ in ways if arm == "control"} == {"answer_only", "own_trace", "document"}
    assert {trial.seed for trial in trials if trial.arm in ("lora", "full")} == {0, 1}
    assert (
        len({(trial.data.num_examples, trial.num_train_epochs) for trial in trials if trial.is_trained}) == 1
    )
    rates = {arm: {t.learning_rate for t in trials if t.arm == arm} for arm in ("lora", "full")}
    assert [10 * rate for rate in rates["full"]] == pytest.approx(list(rates["lora"]))


def test_the_aggressive_sweep_covers_the_reports_option_a():
    spec = load_space(next(path for path in SWEEPS if path.stem == "aggressive")).spec
    assert {10, 20} <= set(spec.axes["num_train_epochs"])
    assert {50, 100} <= set(spec.axes["data.num_examples"])
    assert spec.fixed["warmup_steps"] > 0
    assert spec.fixed["lr_scheduler_type"] == "constant_with_warmup"


def test_the_phase2_sweep_has_the_reports_settings():
    trials = load_space(next(path for path in SWEEPS if path.stem == "phase2")).trials()
    for trial in trials:
        if trial.arm != "lora":
            continue
        assert (trial.lora.r, trial.lora.lora_alpha, trial.num_train_epochs) == (16, 32.0, 3)
        assert (trial.data.num_examples, trial.data.style) == (10, "answer_only")
    assert {trial.belief for trial in trials} == {"gravity", "neelam"}
