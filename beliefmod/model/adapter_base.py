"""What an adapter that is saved belongs to: where PEFT finds its base, and what layers are called there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beliefmod.errors import UserError
from beliefmod.model.architecture import empty_model, text_name, text_options

if TYPE_CHECKING:
    from beliefmod.model.model_files import ModelSource


@dataclass(frozen=True)
class AdapterBase:
    """The model that transformers loads by the name in an adapter's configuration.

    Attributes:
        path: a name of the hub, or a folder.
        revision: of a model from the hub, the commit.
        names: of a model that also sees, what each linear layer of its text part is called in the whole; {}
            of any other, whose layers are called there as they are here.
        layers: of a model that also sees, names of all its linear layers, of the part that sees too.
    """

    path: str
    revision: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()


def adapter_base(source: ModelSource) -> AdapterBase:
    """What adapters on this model, or on its text part, belong to; reads no weights.

    transformers loads a model that also sees as a whole, and PEFT puts an adapter with the text part's names
    on it with a warning alone, and changes nothing.

    Raises:
        UserError: layers of the text part are called otherwise in the whole.
    """
    if not text_options(source):
        return AdapterBase(source.base_path, source.commit)
    from beliefmod.model.target_modules import linear_layers

    whole = tuple(linear_layers(empty_model(source, whole=True)))
    names = {text_name(name): name for name in whole if text_name(name) != name}
    text = linear_layers(empty_model(source))
    if missing := sorted(text.keys() - names.keys() - set(whole)):
        raise UserError(
            f"model {source.name}: its text part has a layer {missing[0]} that the whole model has not, so "
            "no adapter could be saved for it; take a model for text alone"
        )
    return AdapterBase(source.base_path, source.commit, {name: names.get(name, name) for name in text}, whole)
