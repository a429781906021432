"""Copies of saved adapters against the pins in the trial table."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from analysis.verify.verify_source_adapters import verify_source_adapters
from beliefmod.run.folder import RunFolder
from beliefmod.run.source_adapters import keep_adapter


def test_a_copy_that_is_gone_or_changed_is_named(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    one, other = (keep_adapter([b"{}", weights], 4, folder) for weights in (b"one", b"other"))
    trials = pl.DataFrame({"adapter.source": [one, None], "lora.start_from": [None, other]})
    assert list(verify_source_adapters(folder, trials)) == []
    assert list(verify_source_adapters(folder, trials.select("adapter.source"))) == []
    path = Path(other.partition("@")[0])
    (path / "adapter_model.safetensors").write_bytes(b"others")
    shutil.rmtree(one.partition("@")[0])
    assert sorted(verify_source_adapters(folder, trials)) == sorted(
        [
            f"source_adapters/{Path(one.partition('@')[0]).name}: is gone; a trial was made of it",
            f"source_adapters/{path.name}: is not the adapter that its trials name",
        ]
    )
