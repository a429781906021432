"""Where a model's files are, whether they can be used, and their fingerprint. Imports no torch."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beliefmod.errors import UserError
from beliefmod.space.model_name import is_path, on_hub, revision_problem

_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")
# how transformers ends the names of classes that can write text
_WRITES_TEXT = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
# everything a model needs but pickled weights and code
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class ModelSource:
    """A model's name as the user wrote it, and the local folder with its files.

    Attributes:
        commit: of a model from the hub, the version that these files are; None for a folder or `bundled`.
    """

    name: str
    folder: Path
    commit: str | None = None

    def weight_files(self) -> list[Path]:
        return sorted(self.folder.glob("*.safetensors"))

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
    """Find, or fetch, the files of `bundled`, of a folder or of a hub name.

    Args:
        revision: branch, tag or commit on the hub; a commit that is here already needs no network.

    Raises:
        UserError: there is no such model or revision, or it cannot be used; one sentence.
    """
    if revision is not None and (problem := revision_problem(name, revision)):
        raise UserError(problem)
    if name == "bundled":
        from beliefmod.bundled import weights_dir

        source = ModelSource(name, Path(weights_dir()))
    elif on_hub(name):
        folder = _here(name, revision) or _fetch(name, revision)
        source = ModelSource(name, folder, folder.name)  # the cache names a version's folder by its commit
    elif is_path(name) and not Path(name).is_dir():
        raise UserError(f"model folder {name} does not exist")
    else:
        source = ModelSource(name, Path(name))
    _check(source)
    return source


def _here(name: str, revision: str | None) -> Path | None:
    """The folder of a commit that is in the cache as a whole: every host asks for one, and the hub need not
    be asked what can never change. It would be tried for 20 s and more where there is no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        return None
    try:
        folder = Path(
            snapshot_download(name, revision=revision, allow_patterns=_WANTED, local_files_only=True)
        )
        _check(ModelSource(name, folder))
    except (HFValidationError, LocalEntryNotFoundError, UserError):
        return None  # fetching completes it, or says what is wrong
    return folder


def _fetch(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        IncompleteSnapshotError,
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
    except IncompleteSnapshotError as error:
        raise UserError(
            f"{which}: only a part of it is in the local cache, {_offline(name, revision)}"
        ) from error
    except LocalEntryNotFoundError as error:
        here = _versions_here(name)
        raise UserError(
            f"{which}: no such folder, not in the local cache{here}, {_offline(name, revision)}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise UserError(f"{which} could not be fetched from the hub: {error}") from error


def _offline(name: str, revision: str | None) -> str:
    """Why a model was not fetched, and the ways to get it."""
    from huggingface_hub import constants

    why = "HF_HUB_OFFLINE forbids to fetch it" if constants.HF_HUB_OFFLINE else "the hub cannot be reached"
    option = f" --revision {revision}" if revision else ""
    return (
        f"and {why}; where there is a network run `hf download {name}{option}` with HF_HOME on a disk that "
        "this machine sees, and set HF_HOME to it here; or copy the files and give their folder as the model"
    )


def _versions_here(name: str) -> str:
    """Which versions of a hub model are in the cache: `, which has only main (a1b2c3d) of it`."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    cache = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")
    refs = {path.name: path.read_text().strip() for path in (cache / "refs").glob("*") if path.is_file()}
    commits = sorted(path.name for path in (cache / "snapshots").glob("*"))
    named = [f"{ref} ({commit[:7]})" for ref, commit in sorted(refs.items()) if commit in commits]
    named += [commit for commit in commits if commit not in refs.values()]
    return f" (which has only {', '.join(named[:5])} of it)" if named else ""


def _check(source: ModelSource) -> None:
    if not (source.folder / "config.json").is_file():
        raise UserError(f"model {source.name} has no config.json")
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
        raise UserError(f"model {source.name} has no tokenizer: none of {', '.join(_VOCABULARIES)}")
    architectures = config.get("architectures") or []
    if architectures and not any(a.endswith(_WRITES_TEXT) for a in architectures):
        raise UserError(f"model {source.name} is a {architectures[0]}, which is not a causal language model")
    source.generation()


def _missing_weights(source: ModelSource) -> list[str]:
    """Files that the index of the weights names and that are not there, or are links to nothing."""
    wanted = {path.name for path in source.weight_files()}
    if (source.folder / _INDEX).is_file():
        shards = _read_json(source.folder / _INDEX, source.name).get("weight_map")
        wanted |= {str(shard) for shard in shards.values()} if isinstance(shards, dict) else set()
    return sorted(file for file in wanted if not (source.folder / file).is_file())


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or no text
        raise UserError(f"model {name}: its {path.name} is damaged ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"model {name}: its {path.name} is damaged (no object)")
    return content
