"""GGUF files, in which laptops keep models: read once by transformers' own loader, kept as safetensors."""

from __future__ import annotations

import errno
import json
import math
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from beliefmod.catalog.kept_models import cache_folder, check_room, file_sha256, keep, record_of, write_whole
from beliefmod.errors import UserError
from beliefmod.model.architecture import check_type
from beliefmod.model.model_files import ModelSource
from beliefmod.model.quiet import quiet_gguf_bar, quiet_libraries

EXACT = 1_000_000_000
"""Up to so many parameters a model is kept in float32, which holds exactly what the file means; beyond that
in bfloat16."""


def tell(line: str) -> None:
    """A line of progress on standard error."""
    print(line, file=sys.stderr, flush=True)


def gguf_in(folder: Path, name: str) -> Path | None:
    """The GGUF file of a folder that is no transformers folder; None if there is none.

    Raises:
        UserError: there are several.
    """
    if (folder / "config.json").is_file():
        return None
    found = sorted(path for path in folder.glob("*.gguf") if path.is_file())
    if len(found) > 1:
        raise UserError(
            f"model folder {name} holds {len(found)} GGUF files ({found[0].name}, {found[1].name}"
            f"{', ...' if len(found) > 2 else ''}); give one of them as the model"
        )
    return found[0] if found else None


def gguf_folder(path: Path, name: str, say: Callable[[str], None] = tell) -> Path:
    """The folder of the cache that holds a GGUF file as a transformers folder, made if it is not there.

    It is found by the file's SHA-256, and that by path, size and time, so that a large file is read once. A
    file that is no longer there is the one that lay there last.

    Raises:
        UserError: transformers cannot read it, there is no room, or there is no such file; one sentence.
    """
    digest = _hash_of(path.absolute(), name)
    place = cache_folder() / "gguf" / digest
    if record_of(place) is None:
        facts = {"name": check_gguf(path, name), "gguf_sha256": digest}
        say(f"model {name}: reading the GGUF file, once; it is kept in {place}")
        keep(place, f"model {name}", lambda half: convert(path, name, half) | facts, say)
    return place


def _hash_of(path: Path, name: str) -> str:
    """The SHA-256 of a file's content, remembered for its path."""
    note = cache_folder() / "gguf" / "files" / f"{sha256(str(path).encode()).hexdigest()[:32]}.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    try:
        found = path.stat()
    except OSError:
        if "sha256" in known:
            return known["sha256"]
        raise UserError(f"model file {name} does not exist") from None
    state = {"path": str(path), "bytes": found.st_size, "mtime_ns": found.st_mtime_ns}
    if {key: known.get(key) for key in state} != state:
        try:
            known = {**state, "sha256": file_sha256(path)}
        except OSError as error:
            raise UserError(f"model file {name} cannot be read ({error.strerror})") from None
        write_whole(note, json.dumps(known))
    return known["sha256"]


def check_gguf(path: Path, name: str) -> str:
    """What a GGUF file calls its model, or its own name, once the head of the file is known to be readable.

    Raises:
        UserError: it is no GGUF file, is damaged, is one part of several, or a mixture of experts.
    """
    from transformers.integrations.gguf.reader import read_gguf_metadata

    try:
        metadata, _ = read_gguf_metadata(str(path))
    except Exception as error:  # a damaged file is nonsense, and nonsense can fail in any way
        raise UserError(
            f"model {name} is no GGUF file, or a damaged one ({_reason(error)}); fetch it again"
        ) from error
    if (parts := metadata.get("split.count") or 1) > 1:
        raise UserError(
            f"model {name} is one of {parts} parts of a model; join them with `llama-gguf-split --merge` and "
            "give the whole file"
        )
    # which transformers 5.23 does not see in a Llama: it would miss the experts' weights at the very end
    if (
        experts := max([0, *(count for key, count in metadata.items() if key.endswith(".expert_count"))])
    ) > 1:
        raise UserError(f"model {name} is a mixture of {experts} experts; take a dense model")
    title = " ".join(str(metadata.get("general.name") or "").split())
    return title if title and "/" not in title else path.stem


def convert(path: Path, name: str, folder: Path) -> dict[str, Any]:
    """Write config, tokenizer and dequantised weights of a GGUF file into an empty folder.

    Returns:
        What the record is to say of it.

    Raises:
        UserError: transformers does not know its architecture, or cannot read it; the kind cannot be used;
            there is no room.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    quiet_libraries()
    quiet_gguf_bar()
    try:
        config = AutoConfig.from_pretrained(
            path.parent, gguf_file=path.name, trust_remote_code=False, local_files_only=True
        )
        config.save_pretrained(folder)
        check_type(ModelSource(name, folder))
        with torch.device("meta"):
            parameters = AutoModelForCausalLM.from_config(config).num_parameters()
        dtype = torch.float32 if parameters <= EXACT else torch.bfloat16
        check_room(folder, f"model {name}", math.ceil(1.02 * parameters * dtype.itemsize / 10**6) + 20)
        tokenizer = AutoTokenizer.from_pretrained(
            path.parent, gguf_file=path.name, trust_remote_code=False, local_files_only=True
        )
        tokenizer.save_pretrained(folder)
        found: Any = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),  # or weights stay packed where it has kernels
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
        model, report = found
        if missing := sorted(report["missing_keys"]):  # transformers would draw them at random
            raise UserError(f"model {name} lacks {len(missing)} of its weights ({missing[0]})")
        model.save_pretrained(folder)
    except UserError:
        raise
    except Exception as error:  # the loader meets files of every origin, and fails in every way
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if "No space left" in str(error):  # safetensors 0.8 has an exception of its own for it
            raise OSError(errno.ENOSPC, "No space left on device") from error
        raise UserError(f"model {name} cannot be read by transformers ({_reason(error)})") from error
    return {"parameters": parameters}


def _reason(error: Exception) -> str:
    """The first line of what an exception says."""
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]
