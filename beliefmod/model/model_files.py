"""A model's files on this machine: whether they can be used, what the model is called, its fingerprint.

Imports no torch.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beliefmod.catalog.entries import CATALOG
from beliefmod.catalog.kept_models import file_sha256, record_of
from beliefmod.errors import UserError
from beliefmod.space.chat_format import OWN, ChatFormat
from beliefmod.space.model_name import is_path

_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# how transformers ends the names of classes that can write text
_WRITES_TEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class ModelSource:
    """A model's name as the user wrote it, and the local folder with its files.

    Attributes:
        commit: of a model from the hub, the version that these files are; None for any other.
        chat: stands in for what these files say of a chat.
    """

    name: str
    folder: Path
    commit: str | None = None
    chat: ChatFormat = OWN

    @property
    def title(self) -> str:
        """What the model is called in results: no path of this disk.

        Of a model from the hub, of the catalogue and of `bundled` the name itself; else what was kept with
        the files, what their configuration calls the model, or the folder's own name.
        """
        if self.name == "bundled" or self.commit or self.name in CATALOG:
            return self.name
        recorded = (record_of(self.folder) or {}).get("name")
        return recorded or _title_in(self.folder, self.name)

    @property
    def base_path(self) -> str:
        """Where transformers and PEFT find the model: its name on the hub, else its folder on this disk."""
        return self.name if self.commit else str(self.folder.absolute())

    def weight_files(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))

    def indexed_files(self) -> list[Path]:
        """The files that the index of the weights names, there or not; none without an index.

        Raises:
            UserError: the index is damaged.
        """
        if not (self.folder / _INDEX).is_file():
            return []
        shards = _read_json(self.folder / _INDEX, self.name).get("weight_map")
        names = {str(shard) for shard in shards.values()} if isinstance(shards, dict) else set()
        return [self.folder / name for name in sorted(names)]

    def generation(self) -> dict[str, Any]:
        """The fields of its generation config, or of the model config of old models, as transformers has it.

        Raises:
            UserError: the file is damaged.
        """
        own = self.folder / "generation_config.json"
        return _read_json(own if own.is_file() else self.folder / "config.json", self.name)

    def fingerprint(self) -> str:
        """sha256 over names and sha256 of the weight files.

        Files of the hub's cache are links to blobs named by their sha256, so those are not read again.

        Raises:
            UserError: files of the cache of converted models are not what they were when they were written.
        """
        digest, recorded = hashlib.sha256(), (record_of(self.folder) or {}).get("files", {})
        for path in self.weight_files():
            target = path.resolve().name
            known = path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", target)
            found = target if known else file_sha256(path)
            if path.name in recorded and recorded[path.name]["sha256"] != found:
                raise UserError(
                    f"model {self.name}: {path} is damaged; delete the folder {self.folder}, and fetch the "
                    "model or give the GGUF file again"
                )
            digest.update(f"{path.name}:{found}\n".encode())
        return digest.hexdigest()


def _title_in(folder: Path, name: str) -> str:
    """What a folder's model is called.

    A slash in its configuration's name is a hub name, of a base that it may have been made from (transformers
    4 wrote that there), or a path of whoever saved it; then it counts only if the folder is called so too.
    """
    folder = folder.absolute()
    if folder.parent.name == "snapshots":  # a version in the hub's cache
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    config = _read_json(folder / "config.json", name)
    for field in ("_model_name_or_path", "_name_or_path"):
        called = " ".join(str(config.get(field) or "").split())
        if called and ("/" not in called or (not is_path(called) and called.endswith(f"/{folder.name}"))):
            return called
    return folder.name if folder.name != "bundled" else "bundled (a folder)"


def check_files(source: ModelSource) -> None:
    """Whether configuration, weights and vocabulary are all there. Raises UserError where they are not."""
    if not (source.folder / "config.json").is_file():
        _refuse_adapter(source)
        raise UserError(
            f"model {source.name} has neither a config.json nor a GGUF file; give a folder in transformers' "
            "format, or a .gguf file"
        )
    config = _read_json(source.folder / "config.json", source.name)
    if not source.weight_files():
        raise UserError(f"model {source.name} has no .safetensors weights; pickled weights are never read")
    if missing := _missing_weights(source):
        raise UserError(
            f"model {source.name} lacks {len(missing)} of its weight files, {missing[0]} first: a download "
            f"that did not end? Fetch it again, or complete {source.folder}"
        )
    # transformers would make an empty tokenizer without a word
    if not any((source.folder / file).is_file() for file in _VOCABULARIES):
        raise UserError(
            f"model {source.name} has no tokenizer: none of {', '.join(_VOCABULARIES)} is in its folder; "
            "copy these files from the model that it was made from, or fetch it again"
        )
    architectures = config.get("architectures") or []
    if architectures and not any(a.endswith(_WRITES_TEXT) for a in architectures):
        raise UserError(f"model {source.name} is a {architectures[0]}, which is not a causal language model")
    source.generation()


def check_tokenizer_files(source: ModelSource) -> None:
    """Raises UserError where one of the tokenizer's files is no JSON."""
    for name in _TOKENIZER_FILES:
        if (source.folder / name).is_file():
            _read_json(source.folder / name, source.name)


def _refuse_adapter(source: ModelSource) -> None:
    """Raises UserError where a folder holds an adapter alone; it says of which model."""
    path = source.folder / "adapter_config.json"
    if not path.is_file():
        return
    base = _read_json(path, source.name).get("base_model_name_or_path")
    of = f"of {base}" if base else "of a model that it does not name"
    raise UserError(
        f"model {source.name} is an adapter {of} (adapter_config.json, and no config.json), and no whole "
        f"model; give {base or 'its base'} as the model, or the two merged (PEFT's merge_and_unload)"
    )


def _missing_weights(source: ModelSource) -> list[str]:
    """Files that the index of the weights names and that are not there, or are links to nothing."""
    wanted = {*source.weight_files(), *source.indexed_files()}
    return sorted(path.name for path in wanted if not path.is_file())


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or no text
        raise UserError(f"model {name}: its {path.name} is damaged ({error}); fetch {path} again") from error
    if not isinstance(content, dict):
        raise UserError(f"model {name}: its {path.name} is damaged (no object); fetch {path} again")
    return content
