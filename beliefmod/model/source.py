"""From a model's name to its files: bundled, of the catalogue, of the hub, a folder or a GGUF file.

Imports no torch, unless a GGUF file has to be read that was not read before.
"""

import re
from pathlib import Path

from beliefmod.catalog.entries import CATALOG
from beliefmod.errors import UserError
from beliefmod.model.model_files import ModelSource, check_files
from beliefmod.space.chat_format import OWN, ChatFormat
from beliefmod.space.model_name import in_catalog, on_hub, revision_problem

# everything a model needs but pickled weights and code
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def find_source(name: str, revision: str | None = None, chat: ChatFormat = OWN) -> ModelSource:
    """Find, or fetch from the hub, or read out of a GGUF file, the files of a model.

    Args:
        name: `bundled`, a name of the catalogue or of the hub, a folder, or a GGUF file.
        revision: branch, tag or commit on the hub; a commit that is here already needs no network.
        chat: stands in for what the model's own files say of a chat.

    Raises:
        UserError: there is no such model or revision, or it cannot be used; one sentence.
    """
    if revision is not None and (problem := revision_problem(name, revision)):
        raise UserError(problem)
    commit = None
    if name == "bundled":
        from beliefmod.bundled import weights_dir

        folder = Path(weights_dir())
    elif in_catalog(name):
        from beliefmod.model.catalog_models import fetched_folder

        folder = fetched_folder(name)
    elif on_hub(name):
        folder = _here(name, revision) or _fetch(name, revision)
        commit = folder.name  # the cache names a version's folder by its commit
    else:
        folder = _on_disk(name)
    source = ModelSource(name, folder, commit, chat)
    check_files(source)
    return source


def _on_disk(name: str) -> Path:
    """A folder as it is, or the kept one of a GGUF file, which may be the only one in its folder."""
    from beliefmod.model.gguf_file import gguf_folder, gguf_in

    path = Path(name)
    if path.is_dir():
        inside = gguf_in(path, name)
        return gguf_folder(inside, f"{name}/{inside.name}") if inside else path
    if path.suffix == ".gguf":
        return gguf_folder(path, name)
    if path.exists():
        raise UserError(f"model {name} is a file, and no .gguf file; give the folder that holds the model")
    raise UserError(f"model folder {name} does not exist")


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
        check_files(ModelSource(name, folder))
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
            f"{_catalogue(name)}"
        ) from error
    except IncompleteSnapshotError as error:
        raise UserError(
            f"{which}: only a part of it is in the local cache, {_offline(name, revision)}"
        ) from error
    except LocalEntryNotFoundError as error:
        here, others = _versions_here(name), _catalogue(name)
        raise UserError(
            f"{which}: no such folder, not in the local cache{here}, {_offline(name, revision)}{others}"
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


def _catalogue(name: str) -> str:
    """What the catalogue has, for a name without an owner, which is hardly one of the hub."""
    return "" if "/" in name else f"; the catalogue has {', '.join(CATALOG)}"


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
