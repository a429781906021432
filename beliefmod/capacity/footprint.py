"""Memory that an engine needs, before any weight is read: its model is built without storage and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from beliefmod.model.stored_weights import StoredWeights

PROCESS_BYTES = 0.9 * 2**30
"""Of a host without a model: Python, torch and transformers in memory, and the rows of a hundred trials; on a
GPU about as much for CUDA."""
FULL_COPIES = 4  # weight, gradient and two moments of every weight, in the model's dtype


@dataclass(frozen=True)
class Wanted:
    """What an engine is to hold.

    Attributes:
        base_storage: as in the space: dequantized, nf4 or none.
        rank: the largest of the adapters, 0 if none is trained.
        row_tokens: of the longest training row to expect. Rows are never cut, so a pass over one must fit
            beside the slots; 0 if it is not known.
        slots: adapters trained side by side, asked for by the user; 0 to choose.
        full: whether a copy of the whole model is trained.
        engines: how many share the device.
        trials: that this engine may have to train side by side, so that no more slots are made than there is
            use for; None when nobody knows.
        step_tokens: tokens of one optimiser step of a typical trial.
        answer_share: part of the tokens of training rows that carry loss, and so have logits.
        prompt_tokens, answer_tokens: of a prompt, and of it with its answer, mean; 0 if nothing is asked.
        drift_tokens: of the texts on which every trial is compared with base.
    """

    base_storage: str
    rank: int
    row_tokens: int = 0
    slots: int = 0
    full: bool = False
    engines: int = 1
    trials: int | None = None
    step_tokens: int = 1
    answer_share: float = 1.0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    drift_tokens: int = 0


@dataclass(frozen=True)
class EngineMemory:
    """Bytes of an engine, beside those of the process itself.

    Attributes:
        base: the frozen model as it is stored, and the copy that full fine-tuning trains.
        adapters: in training and parked.
        work: activations of a training pass, or a decoding batch with its keys and values: they take turns;
            and what base's head reads of texts that trials to come are compared on.
    """

    base: float
    adapters: float
    work: float

    @property
    def total(self) -> float:
        """Base, adapters and work together."""
        return self.base + self.adapters + self.work


@dataclass(frozen=True)
class Footprint:
    """What a model takes by its shape alone.

    Attributes:
        weights: how many the model has.
        dense, packed: bytes of all weights in the model's dtype, and with linear layers in 4 bits, all but
            the head, or those that the files hold so. Embeddings and experts stay as they are.
        twice, twice_packed: bytes of the weights that an engine keeps in a second layout, and of those where
            linear layers are in 4 bits; 0 on a GPU.
        unit: weights of an adapter of rank 1 on every linear layer.
        number_bytes: of a number in the model's dtype.
        token_bytes: activations of one token in a training pass, its logits included.
        logits_bytes: of these the logits, which only tokens that carry loss have.
        longest_pass: tokens beyond which a pass is cut: more gain nothing, or on a CPU take memory that is
            not the engine's alone.
        cache_bytes: keys and values of one token in all layers.
        prompt_bytes: activations of one token of a prompt, while a decoding batch reads it.
        hidden_bytes: of one token between two layers.
        next_logits: of one row while its next token is chosen, with a copy in fp32.
        state_bytes: what recurrent layers keep of one row, however long; 0 in most models.
        longest_cache: bytes of keys and values beyond which a decoding batch is cut. 0 on a GPU, where a
            batch takes a part of what is free.
        calibration: bytes of the longest pass that a host is measured with on a CPU: one of base alone keeps
            about half of a training pass, and logits for a quarter of its tokens. 0 on a GPU, where it takes
            what is free.
    """

    weights: int
    dense: float
    packed: float
    twice: float
    twice_packed: float
    unit: int
    number_bytes: int
    token_bytes: int
    logits_bytes: int
    longest_pass: int
    cache_bytes: int
    prompt_bytes: int
    hidden_bytes: int
    next_logits: int
    state_bytes: int
    longest_cache: int
    calibration: float

    def base(self, base_storage: str, full: bool = False) -> float:
        """Bytes of the frozen model, with what is kept of it in a second layout, and with `full` of the copy
        that is trained.

        Args:
            base_storage: as in the space: dequantized, nf4 or none.
        """
        four_bits = base_storage == "nf4"
        stored = self.packed + self.twice_packed if four_bits else self.dense + self.twice
        return stored + (FULL_COPIES * self.dense if full else 0)

    def adapter(self, rank: int) -> tuple[int, int]:
        """Bytes of an adapter in training, and of one that is parked."""
        return adapter_bytes(rank * self.unit, self.number_bytes)

    def least(self, wanted: Wanted) -> EngineMemory:
        """What an engine cannot do without: its base, one adapter in training (or as many as were asked for),
        and a training pass over one row. Everything beyond that it chooses once it has measured."""
        trained, _ = self.adapter(wanted.rank)
        return EngineMemory(
            base=self.base(wanted.base_storage, wanted.full),
            adapters=(wanted.slots or 1) * trained,
            work=wanted.row_tokens * self.token_bytes,
        )

    def expected(self, wanted: Wanted) -> EngineMemory:
        """What an engine with `wanted.slots` slots takes at work: as many parked adapters, and a pass over
        one training step of every slot, or a full decoding batch where that is more."""
        tokens = min(wanted.slots * wanted.step_tokens, self.longest_pass)
        training = tokens * (self.token_bytes - (1 - wanted.answer_share) * self.logits_bytes)
        decoding = self.decoding(wanted.prompt_tokens, wanted.answer_tokens)
        return EngineMemory(
            base=self.base(wanted.base_storage, wanted.full),
            adapters=wanted.slots * sum(self.adapter(wanted.rank)),
            work=max(training, decoding, self.calibration, self.comparing(wanted.drift_tokens))
            + self.kept(wanted.drift_tokens),
        )

    def decoding(self, prompt_tokens: int, answer_tokens: int) -> float:
        """Bytes of as many answers as may be written at once: their keys and values, what a pass over prompts
        takes beside them, and the logits of a pass with drafts. 0 on a GPU, which has a part for it.

        Args:
            prompt_tokens: of a row's prompt.
            answer_tokens: of a prompt with its answer, mean.
        """
        from beliefmod.engine.decode_loop import MAX_ROWS, MOST_LOGITS
        from beliefmod.engine.drafts import MOST_DRAFTED
        from beliefmod.engine.key_value_cache import paged
        from beliefmod.engine.memory import LONGEST_PASS

        if not answer_tokens or not self.longest_cache:
            return 0.0
        of_row = paged(answer_tokens) * self.cache_bytes + self.state_bytes
        rows = max(1.0, min(MAX_ROWS, self.longest_cache / of_row))
        reading = min(LONGEST_PASS["cpu"], rows * prompt_tokens) * self.prompt_bytes
        drafted = min(4 * MOST_LOGITS["cpu"], rows * (1 + MOST_DRAFTED) * self.next_logits / 2)
        return rows * of_row + reading + max(rows * self.next_logits, drafted)

    def comparing(self, drift_tokens: int) -> float:
        """Bytes of the logits made at a time while a trial is compared with base on so many tokens."""
        from beliefmod.engine.divergence import HEAD_NUMBERS

        return 2 * min(HEAD_NUMBERS * self.number_bytes, drift_tokens * self.next_logits / 2)

    def kept(self, drift_tokens: int) -> float:
        """Bytes of what base's head reads of these tokens, which every trial is compared with."""
        from beliefmod.engine.divergence import KEPT_BYTES

        return min(KEPT_BYTES, drift_tokens * self.hidden_bytes)


def adapter_bytes(numbers: int, number_bytes: int) -> tuple[int, int]:
    """Bytes of an adapter of so many weights in training and parked.

    Weight, gradient and two moments, in fp32 or the model's wider type, or the weight alone; both with a copy
    in the model's type where that is narrower.
    """
    wide = max(4, number_bytes)
    copy = number_bytes if number_bytes < wide else 0
    return numbers * (4 * wide + copy), numbers * (wide + copy)


def footprint(config: PretrainedConfig, gpu: bool, stored: StoredWeights | None = None) -> Footprint:
    """Measure a model that is built on the meta device: no weight is read or made.

    Args:
        stored: how the model's files hold its weights; None: plain.
    """
    import torch
    from accelerate.utils import compute_module_sizes
    from transformers import AutoModelForCausalLM

    from beliefmod.engine.memory import (
        CPU_CACHE_BYTES,
        CPU_PASS_BYTES,
        LONGEST_PASS,
        cache_bytes_per_token,
        logits_bytes_per_token,
        prompt_bytes_per_token,
        state_bytes_per_row,
        training_bytes_per_token,
    )
    from beliefmod.engine.prepacked import prepacked_bytes
    from beliefmod.model.supported_types import text_config
    from beliefmod.model.target_modules import linear_layers

    dtype = torch.bfloat16 if gpu else torch.float32  # as load_model chooses
    longest = LONGEST_PASS["cuda" if gpu else "cpu"]
    with torch.device("meta"):  # of a model that also sees, the part that is used
        model = AutoModelForCausalLM.from_config(text_config(config), dtype=dtype)
    dense = compute_module_sizes(model)[""]
    token_bytes, logits_bytes = training_bytes_per_token(model, dtype), logits_bytes_per_token(model)
    if not gpu:
        longest = max(1, min(longest, CPU_PASS_BYTES // token_bytes))
    layers = linear_layers(model).values()
    return Footprint(
        weights=sum(parameter.numel() for parameter in model.parameters()),
        dense=dense,
        packed=dense - _saved_in_4_bits(model, stored),
        twice=0 if gpu else prepacked_bytes(model, four_bits=False),
        twice_packed=0 if gpu else prepacked_bytes(model, four_bits=True),
        unit=sum(layer.in_features + layer.out_features for layer in layers),
        number_bytes=dtype.itemsize,
        token_bytes=token_bytes,
        logits_bytes=logits_bytes,
        longest_pass=longest,
        cache_bytes=cache_bytes_per_token(model, dtype),
        prompt_bytes=prompt_bytes_per_token(model, dtype),
        hidden_bytes=text_config(config).hidden_size * dtype.itemsize,
        next_logits=2 * 4 * text_config(config).vocab_size,
        state_bytes=state_bytes_per_row(model, dtype),
        longest_cache=0 if gpu else CPU_CACHE_BYTES,
        calibration=0.0 if gpu else longest * ((token_bytes - logits_bytes) / 2 + logits_bytes / 4),
    )


def _saved_in_4_bits(model: PreTrainedModel, stored: StoredWeights | None) -> int:
    """Bytes less with the linear layers in 4 bits that are kept so: those of packed files, else all but the
    head. Every other weight stays as it is."""
    from beliefmod.model.stored_weights import four_bit_bytes, linear_names
    from beliefmod.model.target_modules import every_linear

    names, double = list(every_linear(model)), False
    if stored is not None and stored.packed:
        names = [name for name in linear_names(model) if name in stored.packed_layers]
        double = stored.double_quantised
    weights = [model.get_parameter(f"{name}.weight") for name in names]
    return sum(weight.nbytes - four_bit_bytes(weight.numel(), double) for weight in weights)
