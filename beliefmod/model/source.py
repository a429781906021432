"""Where a model's files are, whether they can be used, and their fingerprint. Imports no torch."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from beliefmod.errors import UserError

_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")
# how transformers ends the names of classes that can write text
_WRITES_TEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
# everything a model needs but pickled weights and code
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


@dataclass(frozen=True)
class ModelSource:
    """A model's name as the user wrote it, and the local folder with its files."""

    name: str
    folder: Path

    def weight_files(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))

    def fingerprint(self) -> str:
        """sha256 over names and sha256 of the weight files.

        Files of the hub's cache are links to blobs named by their sha256, so those are not read again.
        """
        digest = hashlib.sha256()
        for path in self.weight_files():
            target = path.resolve().name
            known = path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", target)
            digest.update(f"{path.name}:{target if known else _file_sha256(path)}\n".encode())
        return digest.hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_source(name: str, revision: str | None = None) -> ModelSource:
    """Find, or fetch, the files of `bundled`, of a folder or of a hub name. Raises UserError."""
    if name == "bundled":
        from beliefmod.bundled import weights_dir

        folder = Path(weights_dir())
    elif Path(name).is_dir():
        folder = Path(name)
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"model folder {name} does not exist")
    else:
        folder = _fetch(name, revision)
    source = ModelSource(name, folder)
    _check(source)
    return source


def _fetch(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    which = f"model {name}" + (f" at revision {revision}" if revision else "")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED))
    except HFValidationError as error:
        raise UserError(f"{which}: not a folder, and not a possible name on the Hugging Face hub") from error
    except GatedRepoError as error:
        raise UserError(
            f"{which} is gated: accept its licence on its hub page and run `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(f"{which}: the hub has the model but not this revision") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{which}: no such folder, and no such model on the hub (a private one needs `hf auth login`)"
        ) from error
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{which}: no such folder, not in the local cache, and the hub cannot be reached"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise UserError(f"{which} could not be fetched from the hub: {error}") from error


def _check(source: ModelSource) -> None:
    config_file = source.folder / "config.json"
    if not config_file.is_file():
        raise UserError(f"model {source.name} has no config.json")
    try:
        config = json.loads(config_file.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"model {source.name}: its config.json is damaged ({error})") from error
    if not source.weight_files():
        raise UserError(f"model {source.name} has no .safetensors weights; pickled weights are never read")
    # transformers would make an empty tokenizer without a word
    if not any((source.folder / file).is_file() for file in _VOCABULARIES):
        raise UserError(f"model {source.name} has no tokenizer: none of {', '.join(_VOCABULARIES)}")
    architectures = config.get("architectures") or []
    if architectures and not any(a.endswith(_WRITES_TEXT) for a in architectures):
        raise UserError(f"model {source.name} is a {architectures[0]}, which is not a causal language model")
