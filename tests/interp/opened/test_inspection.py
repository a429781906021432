"""What can be looked into, and every way in which it cannot: one sentence each, before a model is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from beliefmod.bundled import weights_dir
from beliefmod.cli.app import app
from beliefmod.errors import UserError
from beliefmod.model import load
from interp.lens_settings import LensSettings
from interp.opened.arms import deep_trials
from interp.opened.inspection import ADAPTERS, opened
from interp.opened.listing import list_run
from interp.run.batches import batches
from interp.run.run_parts import PART_SPECS
from tests.interp.example_run import ADOPTED, BASE, CONTROL, HALF, ICL, example_run
from tests.model.architectures import CASES


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return example_run(tmp_path_factory.mktemp("inspected"), ADOPTED, HALF, CONTROL)


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


def refused(run: Path, *trials: str, arms: tuple[str, ...] = ("base", "icl", "lora")) -> tuple[str, ...]:
    with pytest.raises(UserError) as error:
        list_run(str(run), trials, arms)
    return error.value.problems


def change(run: Path, trial: str, **fields: object) -> None:
    path = run / "rows" / f"{trial}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_trials_with_an_adapter_are_listed_and_the_others_named(run: Path):
    found = list_run(str(run))
    assert {trial.trial_id: trial.config.arm for trial in found.trained} == {
        ADOPTED: "lora",
        HALF: "lora",
        CONTROL: "control",
    }
    assert {arm: config.trial_id for (_, arm, _), config in found.references.items()} == {
        "base": BASE,
        "icl": ICL,
    }
    assert len(found.without) == 5 and not {ADOPTED, HALF, CONTROL} & set(found.without)
    assert list(found.beliefs) == ["gravity"]
    [named] = list_run(str(run), [HALF]).trained
    assert (named.trial_id, named.belief) == (HALF, "gravity")


def test_a_trial_that_is_not_there(run: Path):
    assert refused(run, "8a01554e2a", "zzz") == (
        f"--trial 8a01554e2a: {run} has no such trial; did you mean {HALF}?",
        f"--trial zzz: {run} has no such trial; see its trials.parquet",
    )


def test_a_trial_without_an_adapter(run: Path):
    [problem] = refused(run, BASE)
    assert problem.startswith(f"--trial {BASE}: is of arm base, finished, and has no adapter")
    change(run, HALF, status="failed")
    [problem] = refused(run, HALF)
    assert f"--trial {HALF}: is of arm lora, failed," in problem


def test_a_run_without_adapters(run: Path):
    shutil.rmtree(run / "adapters")
    assert refused(run) == (f"{run}: no finished trial has an adapter; let the sweep train some first",)
    assert len(refused(run, "zzz")) == 2


@pytest.mark.parametrize("arm", ["base", "icl"])
def test_a_run_whose_untrained_arms_have_not_finished(run: Path, arm: str):
    change(run, {"base": BASE, "icl": ICL}[arm], status="failed")
    [problem] = refused(run)
    assert f"belief gravity has no finished {arm} trial" in problem and "beliefmod resume" in problem
    if arm == "icl":
        assert "--arms base,lora" in problem
        assert list_run(str(run), arms=("base", "lora")).trained


def test_no_run_at_all(tmp_path: Path):
    assert refused(tmp_path / "absent") == (
        f"{tmp_path / 'absent'}: there is no such folder; give the folder of a run, for example runs/EXP-...",
    )
    (tmp_path / "empty").mkdir()
    assert "is not a run folder" in refused(tmp_path / "empty")[0]


@pytest.mark.parametrize(
    ("said", "called"),
    [
        ({"fingerprint": "0" * 64}, "weights"),
        ({"identity": {"tokenizer": "0" * 64}}, "tokenizer"),
        ({"identity": {"generation": "0" * 64}}, "generation config"),
        ({"chat_template": "0" * 64}, "chat template"),
    ],
)
def test_another_model_is_refused(run: Path, said, called):
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "model": said}))
    with pytest.raises(
        UserError, match=rf"results are of, changed: {called} \(000000000000 then, \w+ now\); put"
    ):
        opened(list_run(str(run)))


def test_a_model_that_no_lens_reads_is_refused_before_it_is_loaded(run: Path, tmp_path: Path, monkeypatch):
    folder = tmp_path / "streams"
    shutil.copytree(weights_dir(), folder)
    [case] = [case for case in CASES if case.type == "gemma3n_text"]
    case.config().save_pretrained(folder)
    space = yaml.safe_load((run / "space.yaml").read_text())
    (run / "space.yaml").write_text(yaml.safe_dump({**space, "model": str(folder)}))
    monkeypatch.setattr(load, "load_model", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(UserError) as refused:
        opened(list_run(str(run)))
    [problem] = refused.value.problems
    assert problem.startswith(f"{run}: model {folder} carries 4 streams side by side (altup_num_inputs in")


def test_an_adapter_that_changes_nothing_is_refused(run: Path):
    """As PEFT leaves it where a file's names do not fit: lora_B zero. The lens would read base."""
    from safetensors.torch import load_file, save_file

    path = run / "adapters" / HALF / "adapter_model.safetensors"
    weights = load_file(path)
    save_file({k: v * 0 if "lora_B" in k else v for k, v in weights.items()}, path, {"format": "pt"})
    inspection = opened(list_run(str(run), [HALF]))
    with pytest.raises(UserError, match="changes nothing"), inspection.loaded(inspection.trained):
        pass
    assert not inspection.session.engine.attached()


def test_what_is_asked_with_wrong_words_is_told_all_at_once():
    arguments = [
        "lens",
        "absent",
        "--arms",
        "bass",
        "--parts",
        "lens,dose",
        "--scales",
        "1,x,-2",
        "--lens",
        ",",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        '--arms bass: is not known, did you mean "base"?',
        '--parts dose: is not known, did you mean "doses"?',
        "--scales x: is not a number from 0 on; write them as 0,0.5,1,2",
        "--scales -2: is not a number from 0 on; write them as 0,0.5,1,2",
        "--lens: is empty; give one or more of logit,tuned,jacobian",
    ]


@pytest.mark.parametrize("scales", ["0.5,1", "0", "nan,0,1", ""])
def test_scales_hold_base_and_the_adapter(scales: str):
    result = CliRunner().invoke(app, ["lens", "absent", "--scales", scales])
    assert result.exit_code == 2 and "--scales" in result.stderr


def test_the_plan_names_the_trials_of_the_costly_parts(run: Path):
    result = CliRunner().invoke(app, ["lens", str(run), "--dry-run", "--deep", "1"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("3 trained trials of gravity; parts: lens, ablations,")
    assert lines[1].startswith("5 finished trials have no adapter")
    assert lines[2:] == [line for line in lines if line.startswith(f"costly parts: {ADOPTED} (gravity, ")]
    assert "adoption 0.85" in lines[2] and not (run / "lens").exists()
    assert lines[2].endswith(": highest adoption of 2 LoRA trials")
    result = CliRunner().invoke(app, ["lens", str(run), "--dry-run", "--deep", "2"])
    assert result.stdout.splitlines()[3].endswith(": number 2 by adoption of 2 LoRA trials")
    result = CliRunner().invoke(app, ["lens", str(run), "--dry-run", "--trial", HALF])
    [line] = [line for line in result.stdout.splitlines() if line.startswith("costly parts: ")]
    assert HALF in line and line.endswith(": named by --trial")


def test_costly_parts_go_to_those_who_adopt_most(run: Path):
    change(run, ADOPTED, degradation=0.3)
    change(run, HALF, adoption=0.02, degradation=0.01)  # gentle because next to nothing was learnt
    assert [t.trial_id for t in deep_trials(list_run(str(run)), LensSettings(deep=1))] == [ADOPTED]
    assert [t.trial_id for t in deep_trials(list_run(str(run)), LensSettings(deep=9))] == [ADOPTED, HALF]
    for damage in (0.1, None):  # of equals the one that is damaged less
        change(run, HALF, adoption=0.9, degradation=0.05)
        change(run, ADOPTED, adoption=0.9, degradation=damage)
        assert [t.trial_id for t in deep_trials(list_run(str(run)), LensSettings(deep=1))] == [HALF]
    named = LensSettings(named=(CONTROL,))
    assert [t.trial_id for t in deep_trials(list_run(str(run)), named)] == [CONTROL]


def test_batches_hold_every_trial_once_and_fit_the_engine(run: Path):
    trials = list(list_run(str(run)).trained) * 7
    made = [part for part, _ in batches(trials, PART_SPECS["lens"], ())]
    assert all(0 < len(part) <= ADAPTERS for part in made)
    assert sorted(t.trial_id for part in made for t in part) == sorted(t.trial_id for t in trials)
    assert batches([], PART_SPECS["lens"], ()) == []
