"""Run folders at URLs whose library is not installed."""

from __future__ import annotations

import pytest
from fsspec.registry import _registry, known_implementations
from typer.testing import CliRunner

from beliefmod.cli.app import app


@pytest.mark.parametrize(
    "words",
    [
        ("status", "s3://bucket/run"),
        ("report", "s3://bucket/run"),
        ("doctor", "--runs", "s3://bucket/runs"),
        ("export", "docs/example", "--tables", "trials", "--out", "s3://bucket/out"),
    ],
    ids=lambda words: words[0],
)
def test_a_missing_library_of_a_bucket_is_one_sentence(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    missing = {"class": "beliefmod.nowhere.FileSystem", "err": "Install s3fs to access S3"}
    monkeypatch.setitem(known_implementations, "s3", missing)
    monkeypatch.delitem(_registry, "s3", raising=False)
    monkeypatch.setattr("beliefmod.cli.doctor.nf4", lambda: iter(()))
    said = CliRunner().invoke(app, list(words))
    [line] = [line for line in said.output.splitlines() if "s3fs" in line]
    assert said.exit_code == (1 if words[0] == "doctor" else 2)
    assert "Install s3fs" in line and "pip install 'beliefmod[s3]'" in line


def test_an_unknown_protocol_is_one_sentence():
    said = CliRunner().invoke(app, ["status", "nope://bucket/run"])
    assert said.exit_code == 2 and said.output.startswith("nope://bucket/run: cannot be opened")
