"""From a model's name to its files: bundled, of the catalogue, of the hub, a folder or a GGUF file.

Imports no torch, unless a GGUF file has to be read that was not read before.
"""

from pathlib import Path

from beliefmod.errors import UserError
from beliefmod.model.model_files import ModelSource, check_files
from beliefmod.space.chat_format import OWN, ChatFormat
from beliefmod.space.model_name import in_catalog, near_names, on_hub, revision_problem


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
    if not name.strip():
        raise UserError(
            "the model has no name: give bundled, a name of the catalogue (beliefmod models list) or of the "
            "hub, a folder, or a .gguf file"
        )
    commit = None
    if name == "bundled":
        from beliefmod.bundled import weights_dir

        folder = Path(weights_dir())
    elif in_catalog(name):
        from beliefmod.model.catalog_models import fetched_folder

        folder = fetched_folder(name)
    elif on_hub(name):
        if near := near_names(name):
            raise UserError(f"model {name}: there is no such folder, and it is not in the catalogue{near}")
        from beliefmod.model.hub import hub_folder

        folder = hub_folder(name, revision)
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
