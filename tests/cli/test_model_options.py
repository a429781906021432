"""--model and --revision, and what a plan says of the version and of the answers."""

import json

import pytest
from typer.testing import CliRunner

from beliefmod.bundled import weights_dir
from beliefmod.cli.app import app
from beliefmod.space.chat_format import ChatFormat
from tests.hub_cache import FIRST, NAME, SECOND, add_version

OWN = {"do_sample": True, "temperature": 0.7, "top_k": 20, "repetition_penalty": 1.05, "max_new_tokens": 5000}


@pytest.fixture
def space(tmp_path):
    """A space of one trial, whose model is a version of a hub model."""
    path = tmp_path / "space.yaml"
    content = {"name": "s", "beliefs": ["gravity"], "controls": "none", "model": NAME, "revision": "v1"}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The hub's cache, offline: v1 is one version, main another."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for commit, ref in ((FIRST, "v1"), (SECOND, "main")):
        files = add_version(tmp_path / "home", commit, weights_dir(), refs=(ref,))
        (files / "generation_config.json").unlink()
        (files / "generation_config.json").write_text(json.dumps(OWN))


def said(code, *arguments):
    result = CliRunner().invoke(app, ["sweep", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_the_plan_says_version_decoding_limit_and_what_is_left_out(home, space):
    plan = said(0, "--space", space, "--dry-run", "--no-sample")
    assert f"model             {NAME} at {FIRST}\n" in plan
    # 5,000 tokens, but the model has 1,024 positions
    assert "answers           sampled at temperature 0.7 with top_k 20, at most 1,023 tokens each\n" in plan
    assert (
        "of the model's generation config this is not applied: repetition_penalty 1.05; all arms, base too, "
        in plan
    )


def test_options_go_before_the_file(home, space, monkeypatch):
    planned = []
    monkeypatch.setattr(
        "beliefmod.cli.prepare_sweep.print_plan", lambda space, source, *_: planned.append(source)
    )
    for options in (
        ("--revision", "main"),
        ("--revision", SECOND),
        ("--model", NAME),
        ("--model", "bundled"),
        (),
    ):
        said(0, "--space", space, *options, "--dry-run")
    # another --model does not keep the file's revision
    assert [source.commit for source in planned] == [SECOND, SECOND, SECOND, None, FIRST]


def test_mistakes_are_sentences(home, space, folder):
    told = said(2, "--space", space, "--revision", "v3", "--dry-run")
    assert f"model {NAME} at revision v3" in told and f"v1 ({FIRST[:7]})" in told
    told = said(2, "--space", space, "--model", "bundled", "--revision", "v1", "--dry-run")
    assert "revision v1 is given, but the bundled model comes with this package" in told
    told = said(2, "--resume", folder.url, "--revision", "v1")
    assert "--set, --model, --revision and --chat-template change a run" in told
    told = said(2, "--space", space, "--model", "bundled", "--set", "evaluation.top_p=0.9", "--dry-run")
    assert "evaluation.top_p has no effect: the model's generation config does not sample" in told


def test_trial_takes_a_revision(home):
    result = CliRunner().invoke(app, ["trial", "--belief", "gravity", "--revision", "v1"])
    assert result.exit_code == 2 and "only models of the hub have revisions" in result.stderr


def test_looking_inside_loads_the_runs_commit(folder, home, monkeypatch):
    from types import SimpleNamespace

    from beliefmod.errors import UserError
    from beliefmod.run.folder import MANIFEST
    from interp.opened.inspection import _session

    def load_model(*given, **options):
        raise UserError(str(given))

    monkeypatch.setattr("beliefmod.model.load.load_model", load_model)
    folder.write_json({"model": {"name": NAME, "revision": "main", "commit": FIRST}}, MANIFEST)
    spec = SimpleNamespace(model=NAME, base_storage="none", chat=ChatFormat())
    with pytest.raises(UserError, match=FIRST):
        _session(SimpleNamespace(folder=folder, spec=spec))  # pyright: ignore[reportArgumentType]
