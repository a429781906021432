"""Models of the Hugging Face hub: one request names the commit, one process of a machine fetches the files.

What is in the cache as a whole is never asked for again. Imports no torch.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from beliefmod.catalog.entries import CATALOG
from beliefmod.catalog.kept_models import cache_folder, holding_lock
from beliefmod.errors import UserError
from beliefmod.model.gguf_file import tell
from beliefmod.model.model_files import ModelSource, check_files

# everything a model needs but pickled weights and code
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
WAITS = (2, 8, 30)
"""Seconds between one request and the next to a hub that is busy and does not say how long."""
LONGEST_WAIT = 120.0


def hub_folder(name: str, revision: str | None) -> Path:
    """The folder with a model's files, fetched if it is not here; it is called by the commit.

    Hosts of a machine that start together wait for the first. What a dead process held locked is free:
    the system lets go of it.

    Raises:
        UserError: there is no such model or revision, or it cannot be had now; one sentence.
    """
    if found := _here(name, revision):
        return found
    with ExitStack() as stack:
        with suppress(OSError):  # a cache that cannot be written or locked goes without
            place = cache_folder() / "hub" / name.replace("/", "--")
            place.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(holding_lock(place, f"model {name}", tell))
        return _here(name, revision) or _fetch(name, revision)


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
        return _download(name, revision, which)
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
        raise UserError(f"{which} could not be fetched from the hub: {_in_a_line(error)}") from error


def _download(name: str, revision: str | None, which: str) -> Path:
    """Fetch a model, asking again after a while where the hub is busy: it counts requests, and many machines
    of a cluster may share an address.

    Raises:
        UserError: the hub stays busy; `which` names the model. Whatever else the hub library raises.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    for wait in (*WAITS, None):
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED))
        except (LocalEntryNotFoundError, HfHubHTTPError) as error:
            status = _refusal(error)
            if status is None:
                raise
            if wait is None:
                raise UserError(
                    f"{which} is not in the local cache, and the hub answered {status} each time it was "
                    f"asked in {sum(WAITS)} s and more; wait, or {_elsewhere(name, revision)}"
                ) from error
            time.sleep(_asked_wait(error) or wait)
    raise AssertionError


def _refusal(error: BaseException) -> int | None:
    """The status of a hub that is to be asked again later: 429, too many requests, or trouble of its own."""
    status = getattr(_answer(error), "status_code", None)
    return status if status in (408, 429) or (status is not None and status >= 500) else None


def _answer(error: BaseException) -> object:
    """What the hub said: to a file's own request the error holds it, else what the error came from."""
    found = getattr(error, "response", None)
    return getattr(error.__cause__, "response", None) if found is None else found


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _asked_wait(error: BaseException) -> float | None:
    """Seconds that the hub asked to wait, at most `LONGEST_WAIT`."""
    headers = getattr(_answer(error), "headers", {})
    asked = str(headers.get("retry-after", ""))
    return min(float(asked), LONGEST_WAIT) if asked.isdecimal() else None


def _offline(name: str, revision: str | None) -> str:
    """Why a model was not fetched, and the ways to get it."""
    from huggingface_hub import constants

    why = "HF_HUB_OFFLINE forbids to fetch it" if constants.HF_HUB_OFFLINE else "the hub cannot be reached"
    return f"and {why}; where there is a network {_elsewhere(name, revision)}"


def _elsewhere(name: str, revision: str | None) -> str:
    """The ways to have a model here that was fetched elsewhere."""
    option = f" --revision {revision}" if revision else ""
    return (
        f"run `hf download {name}{option}` with HF_HOME on a disk that this machine sees, and set HF_HOME to "
        "it here; or copy the files and give their folder as the model"
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
