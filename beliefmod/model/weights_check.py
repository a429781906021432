"""Does config.json belong to the weights and to the tokenizer? Told from shapes, before a weight is read.

transformers' own loader is given shapes alone, so that its rules for names, experts, tied heads and parts
that see count as they do when weights are read. Layers and biases that the configuration has no place for it
leaves out with a remark; here they are an error, because every number would be another model's.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.model.architecture import configuration, model_config, text_name, text_options
from beliefmod.model.quiet import silent_transformers
from beliefmod.model.stored_weights import headers_of
from beliefmod.model.template import answer_only_row

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from beliefmod.model.model_files import ModelSource
    from beliefmod.model.stored_weights import StoredWeights

Shape = tuple[int, ...]
_LAYER = re.compile(r"(?:model\.|gpt_neox\.)?layers\.(\d+)\.(.+)")
_SIZE = re.compile(r".*(_size|_dim|_heads|_experts|_rank)")
_SIDES = {  # settings whose product is the side of a weight
    r"\.[qo]_proj\.": ("num_attention_heads", "head_dim"),
    r"\.[kv]_proj\.": ("num_key_value_heads", "head_dim"),
    r"qkv": ("num_attention_heads", "num_key_value_heads", "head_dim"),
}


@dataclass(frozen=True)
class Fit:
    """What transformers makes of the tensors of a model's files.

    Attributes:
        files: their names, as the text part alone has them, with the shapes that they stand for.
        expected: every weight that the model has.
        missing: those of them that no tensor gives.
        unexpected: tensors that the model has no place for.
        wrong: weight -> its shape in the files, and by config.json.
        told: whether the files show every weight by its name and shape; of formats that transformers unpacks
            they do not, and layers alone are counted.
    """

    files: Mapping[str, Shape]
    expected: frozenset[str]
    missing: frozenset[str]
    unexpected: frozenset[str]
    wrong: Mapping[str, tuple[Shape, Shape]]
    told: bool


def check_weights(source: ModelSource, stored: StoredWeights, empty: nn.Module) -> None:
    """Whether the weight files hold what config.json says that the model has.

    Args:
        stored: how the files store weights; layers of formats that transformers unpacks are only counted.
        empty: the model without weights.

    Raises:
        UserError: they do not; one sentence, with the field that is at fault where that is plain.
    """
    fit = fit_of(source, stored, empty)
    what = f"model {source.name}: config.json does not fit its weights: "
    way = f"{source.folder}/config.json, or fetch config and weights of one model again"
    layers = len(_layers(fit.expected))
    if (held := layers_held(fit)) != layers:
        raise UserError(
            f"{what}num_hidden_layers is {layers}, and the files hold {held} layers; set num_hidden_layers "
            f"to {held} in {way}"
        )
    if not fit.told:
        return
    if fit.wrong:
        # embeddings first, for their sides are settings themselves
        name = min(fit.wrong, key=lambda each: ("embed" not in each, len(fit.wrong[each][0]) < 2, each))
        has, says = fit.wrong[name]
        fields = _fields(source, name, has, says)
        raise UserError(
            f"{what}{name} is {_words(has)} in the files and {_words(says)} by config.json"
            f"{f' ({fields})' if fields else ''}; correct {way}"
        )
    if fit.missing:
        raise UserError(
            f"{what}the files lack {len(fit.missing)} weights that it asks for, {min(fit.missing)} first; "
            f"complete them, or correct {way}"
        )
    if left_out := _left_out(source, fit, layers):
        kind = configuration(source).get("model_type")
        raise UserError(
            f"{what}every layer has a {left_out} in the files and none in a {kind} as config.json has it, "
            "so they would be left out; correct model_type, or the switch for it (as attention_bias), in "
            f"{way}"
        )


def check_token_ids(source: ModelSource, tokenizer: PreTrainedTokenizerBase, empty: nn.Module) -> None:
    """Whether the model has an embedding for every token that is put to it.

    Tokens that were added beyond the embedding are harmless where no text of ours holds them: Gemma 3 has
    one for pictures.

    Raises:
        UserError: it lacks some.
    """
    tokens: Any = tokenizer
    rows = int(empty.get_input_embeddings().weight.shape[0])  # pyright: ignore[reportCallIssue]
    ids = {*tokens.get_vocab().values()} - {*tokens.get_added_vocab().values()}
    ids |= {*answer_only_row(tokens, "question", "answer").input_ids}
    if beyond := sorted(token for token in ids if token >= rows):
        raise UserError(
            f"model {source.name}: its tokenizer does not fit config.json: vocab_size is {rows}, and "
            f"{len(beyond)} of the tokenizer's tokens lie beyond, {beyond[0]} "
            f"({tokens.convert_ids_to_tokens(beyond[0])!r}) to {beyond[-1]}; give the tokenizer that belongs "
            f"to these weights, or correct vocab_size in {source.folder}/config.json"
        )


def fit_of(source: ModelSource, stored: StoredWeights, empty: nn.Module) -> Fit:
    """How a model's files fit its configuration, by transformers' own loader on tensors without content."""
    import torch

    expected = {name: tuple(weight.shape) for name, weight in empty.state_dict().items()}
    shapes: dict[str, Shape] = {}
    for path in _read_files(source):
        for name, entry in headers_of(path, source.name):
            shapes[name] = tuple(entry["shape"])
            ours, (begin, end) = expected.get(text_name(name)), entry["data_offsets"]
            if ours and stored.packed and text_name(name).removesuffix(".weight") in stored.packed_layers:
                numbers = 2 * (end - begin)  # half a byte each
                shapes[name] = ours if numbers == math.prod(ours) else (numbers,)
    options = text_options(source)
    config: Any = options.pop("config", None) or model_config(source)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    made: Any = type(empty)
    with silent_transformers():
        _, report = made.from_pretrained(
            None,
            config=config,
            state_dict={name: torch.empty(shape, device="meta") for name, shape in shapes.items()},
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    return Fit(
        {text_name(name): shape for name, shape in shapes.items()},
        frozenset(expected),
        frozenset(report["missing_keys"]),
        frozenset(report["unexpected_keys"]),
        {name: (tuple(has), tuple(says)) for name, has, says in report["mismatched_keys"]},
        stored.method is None or stored.packed or stored.eight_bits,
    )


def layers_held(fit: Fit) -> int:
    """How many of the decoder's layers the files hold: fewer than config.json says, as many, or more.

    A layer behind the last counts where its weights are those of one before it. One that has others besides
    guesses tokens further ahead (DeepSeek, GLM), and is none of the model's.
    """
    ours, theirs = _layers(fit.expected), _layers(fit.files)
    if lacking := [number for number, parts in _layers(fit.missing).items() if parts == ours[number]]:
        return len(ours) - len(lacking)
    held, kinds = len(ours), {theirs[number] for number in ours if number in theirs}
    while kinds and theirs.get(held) in kinds:
        held += 1
    return held


def _layers(names: Iterable[str]) -> dict[int, frozenset[str]]:
    """The decoder's layers with the names of their weights; layers of other parts are left out."""
    found: dict[int, set[str]] = defaultdict(set)
    for name in names:
        if split := _LAYER.fullmatch(name):
            found[int(split[1])].add(split[2])
    return {number: frozenset(parts) for number, parts in found.items()}


def _left_out(source: ModelSource, fit: Fit, layers: int) -> str | None:
    """A weight or bias that every layer has in the files and none in the model; None if there is none.

    Biases that are all zero make no difference, and some programs write them.
    """
    found = _layers(fit.unexpected)
    common = frozenset.intersection(*(found.get(number, frozenset()) for number in range(layers)))
    for part in sorted(common):
        if part.endswith(".weight") or (part.endswith(".bias") and _any_not_zero(source, part)):
            return part
    return None


def _any_not_zero(source: ModelSource, part: str) -> bool:
    """Whether a part of any layer holds another number than zero; reads it."""
    from safetensors import safe_open

    for path in _read_files(source):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  # no mapping
                split = _LAYER.fullmatch(text_name(name))
                if split and split[2] == part and file.get_tensor(name).any():
                    return True
    return False


def _read_files(source: ModelSource) -> list[Path]:
    """The weight files that transformers reads; publishers may have put others beside them."""
    one = source.folder / "model.safetensors"
    return [one] if one.is_file() else source.indexed_files() or source.weight_files()


def _fields(source: ModelSource, name: str, has: Shape, says: Shape) -> str:
    """The settings of config.json that a wrong side of a weight follows from: `vocab_size 500`."""
    config = configuration(source)
    config = config.get("text_config") or config
    same = zip(has, says, strict=True) if len(has) == len(says) else [(None, side) for side in says]
    sides = {two for one, two in same if one != two}
    names = next((fields for part, fields in _SIDES.items() if re.search(part, name)), ()) or [
        field
        for field, value in config.items()
        if type(value) is int and value in sides and _SIZE.fullmatch(field)
    ]
    return ", ".join(f"{field} {config[field]}" for field in names if field in config)


def _words(shape: Shape) -> str:
    return " x ".join(map(str, shape))
