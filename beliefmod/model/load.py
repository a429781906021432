"""From a name to a frozen model that is ready for the engine."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.model.adapter_base import AdapterBase, adapter_base
from beliefmod.model.architecture import check_type, empty_model
from beliefmod.model.identity import model_identity
from beliefmod.model.model_files import ModelSource, check_tokenizer_files
from beliefmod.model.source import find_source
from beliefmod.model.stored_weights import stored_weights
from beliefmod.model.template import THINKING_FIELD, end_of_turn_id, with_switches, without_today
from beliefmod.model.template_check import check_ends, check_template, check_thinking
from beliefmod.model.weights_check import check_token_ids, check_weights
from beliefmod.space.chat_format import OWN, ChatFormat
from beliefmod.space.space import BaseStorage

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedModel:
    """A frozen causal language model with what the other rooms need to know of it.

    name: what it is called in results, never a path. fingerprint: sha256 over the weight files. eos_ids end
    a completion. quantized and unquantized: names of the linear layers whose values went through 4 bits, and
    of those left as they were (transformers spares the head). stored: how the files store the weights, in
    words; None where they are plain. adapter_base: what a saved adapter says that it belongs to.
    identity: digests of what the model is made of (`identity`), the weights' among them.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    name: str
    fingerprint: str
    eos_ids: tuple[int, ...]
    pad_id: int
    dtype: "torch.dtype"
    base_storage: BaseStorage = "none"
    quantized: tuple[str, ...] = ()
    unquantized: tuple[str, ...] = ()
    stored: str | None = None
    adapter_base: AdapterBase | None = None
    identity: Mapping[str, str] = field(default_factory=dict)

    @property
    def template_sha256(self) -> str:
        """SHA-256 of the chat template that questions are put in, in hex."""
        return sha256(str(self.tokenizer.chat_template).encode()).hexdigest()

    def with_switches(self, switches: str | None) -> "LoadedModel":
        """The same model, talked to with further switches of its chat template set."""
        return replace(self, tokenizer=with_switches(self.tokenizer, switches))


def load_model(
    name: str,
    revision: str | None = None,
    base_storage: BaseStorage = "dequantized",
    device: "str | torch.device | None" = None,
    dtype: "torch.dtype | None" = None,
    chat: ChatFormat = OWN,
) -> LoadedModel:
    """Load a model by the name that a user gives; never runs a repository's code, reads safetensors only.

    base_storage: "dequantized" quantises the linear layers to NF4 and keeps the dequantised values (those
    that bitsandbytes computes at every step); "nf4" keeps them packed; "none" does not quantise. Files that
    are packed in 4 bits already are not quantised again. device defaults to the first GPU or the CPU, dtype
    to bf16 there and fp32 here. chat stands in for what the model's own files say of a chat. Raises
    UserError, as far as possible before weights are read.
    """
    source = find_source(name, revision, chat)
    tokenizer = _checked(source)
    import torch

    from beliefmod.model.read_weights import read_weights

    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    read = read_weights(source, base_storage, device, dtype)
    model = read.model
    eos_ids = _eos_ids(model, tokenizer)
    if not eos_ids:
        raise UserError(
            f"model {name} names no end token, neither in generation_config.json nor in its tokenizer"
        )
    check_ends(name, tokenizer, eos_ids)
    pad_id: Any = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos_ids[0]
    identity = model_identity(source, tokenizer)
    return LoadedModel(
        model,
        tokenizer,
        source.title,
        identity["weights"],
        eos_ids,
        pad_id,
        dtype,
        read.base_storage,
        read.quantized,
        read.unquantized,
        read.stored,
        adapter_base(source),
        identity,
    )


def check_model(source: ModelSource) -> None:
    """What can be known of a model without reading its weights; nothing of the bundled one, which is ours.

    Raises:
        UserError: its kind, its configuration, its tokenizer or its chat template cannot be used.
    """
    if source.name != "bundled" or source.chat != OWN:
        _checked(source)


def _checked(source: ModelSource) -> "PreTrainedTokenizerBase":
    """A model's tokenizer, once all that can be known without reading weights is known to be right."""
    if source.name == "bundled":  # its files are ours
        return load_tokenizer(source)
    check_type(source)
    empty = empty_model(source)
    tokenizer = load_tokenizer(source)
    check_weights(source, stored_weights(source), empty)
    check_token_ids(source, tokenizer, empty)
    return tokenizer


def load_tokenizer(source: ModelSource) -> "PreTrainedTokenizerBase":
    """The tokenizer of a source, its chat template tried. Raises UserError when there is none, or none that
    works."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # each kind reads its own files, and raises what it likes
        check_tokenizer_files(source)
        raise UserError(
            f"model {source.name} has no usable tokenizer ({_first_line(error)}); copy the tokenizer's files "
            f"from the model that it was made from to {source.folder}, or fetch it again"
        ) from error
    _check_spaces(source.name, tokenizer)
    tokenizer.chat_template = source.chat.template or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise UserError(
            f"model {source.name} has no chat template; take the chat or instruct version of it, or give a "
            "Jinja file that says how a question is put to it: --chat-template FILE, or chat_template: FILE "
            "in the space file (beliefmod docs models has one)"
        )
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:  # several templates, and none of them the default
        raise UserError(f"model {source.name} has no chat template to use: {_first_line(error)}") from error
    if problems := source.chat.switch_problems(template):
        raise UserError(f"model {source.name}: {problem}" for problem in problems)
    tokenizer.chat_template = source.chat.switched(without_today(template))
    setattr(tokenizer, THINKING_FIELD, source.chat.thinking)
    for variant in source.chat.variants if source.name != "bundled" or source.chat != OWN else ():
        switched = with_switches(tokenizer, variant)
        _check_template(source, switched, template, variant)
        check_thinking(source.name, switched)
    return tokenizer


def _check_template(
    source: ModelSource, tokenizer: "PreTrainedTokenizerBase", template: str, variant: str | None
) -> None:
    """Raises UserError where a chat template fails; it names the switches if that works without them."""
    tokens, given = json.dumps(tokenizer.special_tokens_map), source.chat.template is not None
    try:
        check_template(source.name, str(tokenizer.chat_template), tokens, given)
    except UserError as error:
        switches = {**dict(source.chat.switches), **json.loads(variant or "{}")}
        if not switches:
            raise
        check_template(source.name, without_today(template), tokens, given)
        said = ", ".join(f"template.{name}={json.dumps(value)}" for name, value in switches.items())
        raise UserError(
            f"{said}: with this the chat template of model {source.name} does not work, and without it does; "
            f"give another value, or remove it ({error})"
        ) from error


def _check_spaces(name: str, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises UserError where words run together on their way through the tokenizer.

    transformers 5 builds some from a folder's files without the rules of their kind (transformers#45488), and
    every prompt would be a run of letters.
    """
    text = "it is 5.0 or so"
    ids: Any = tokenizer(text, add_special_tokens=False)["input_ids"]
    back = str(tokenizer.decode(ids, skip_special_tokens=True))
    if len(back.split()) != len(text.split()):
        raise UserError(
            f"model {name}: its tokenizer reads {text!r} and gives back {back!r}; its tokenizer.json and "
            "tokenizer_config.json do not fit the installed transformers, so fetch the model again, or take "
            "another copy of these files"
        )


def _eos_ids(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """End tokens: those of the generation config (a number or a list), the tokenizer's own, and what the
    template puts behind a reply, for that is what adapters are trained to end with."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    found = list(configured) if isinstance(configured, list | tuple) else [configured]
    found.append(tokenizer.eos_token_id)
    with suppress(ValueError):  # neither behind a reply nor in the tokenizer
        found.append(end_of_turn_id(tokenizer))
    return tuple(dict.fromkeys(int(token) for token in found if token is not None))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
