"""Which blocks an adapter writes the belief in: the adapter with the update of some blocks taken away.

A lens shows where a belief can be read, which may be blocks behind the place where it was written. Here the
adapter itself is cut. A cut adapter keeps its shape, with zeros where the update was, so that all variants
of it go through one packed product.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from beliefmod.engine.batching import derived_seed
from beliefmod.errors import UserError
from beliefmod.run.tables.lens_tables import TAU
from interp.family_bootstrap import Array, drawn_means, question_weights, with_interval
from interp.lens_settings import LensSettings
from interp.lenses.decoder import decoder_of
from interp.opened.arms import trained_arm
from interp.read.contrast_questions import ContrastQuestion, at_stem, final_differences, questions_of
from interp.steps import Steps, Told
from interp.types import Row, Rows, Say

if TYPE_CHECKING:
    from beliefmod.model.adapter_files import AdapterFile
    from interp.opened.inspection import Inspection, TrainedTrial

NOISE = 4
"""Random adapters per trial."""


@dataclass(frozen=True)
class Variant:
    """What is left of an adapter: `kind` and `block` as the table of ablations has them."""

    kind: str
    block: int | None
    adapter: AdapterFile

    @property
    def name(self) -> str:
        """Its name in the engine."""
        return f"{self.kind} {self.block}"


def ablations(
    inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say
) -> Rows:
    """Rows of `ablations` for these trials."""
    names = block_names(inspection.session.engine.model.model)
    rows: list[Row] = []
    for trial in trials if "lora" in settings.arms else ():
        asked = questions_of(inspection, trial.belief, settings, say)
        if not asked:
            continue
        title, variants = f"ablations: trial {trial.trial_id}", 2 + 3 * len(names) + NOISE
        say(title)
        steps = Steps(say, title, variants * len(asked), "cut adapters x prompts")
        found = _differences(inspection, asked, variants_of(inspection.adapter(trial.trial_id), names), steps)
        weights = question_weights([one.question.family for one in asked], settings.draws, settings.seed)
        rows += [trained_arm(trial).columns | row for row in shares(found, weights)]
    return {"ablations": rows}


def variants_of(adapter: AdapterFile, names: Sequence[str], noise: int = NOISE) -> Iterator[Variant]:
    """The adapter whole and off; without, with only and with all up to each block; and random ones.

    Args:
        names: the blocks' names among the model's modules, in order.

    Raises:
        UserError: the adapter changes a layer outside of the blocks, which no such cut would reach.
    """
    blocks = range(len(names))
    yield Variant("full", None, adapter)
    yield Variant("off", None, keep_blocks(adapter, names, ()))
    for block in blocks:
        yield Variant("without", block, keep_blocks(adapter, names, [b for b in blocks if b != block]))
    for block in blocks:
        yield Variant("only", block, keep_blocks(adapter, names, [block]))
    for block in blocks:
        yield Variant("prefix", block, keep_blocks(adapter, names, range(block + 1)))
    for draw in range(noise):
        yield Variant("random", draw, random_like(adapter, draw))


def block_names(model: Any) -> tuple[str, ...]:
    """Names of the decoder's blocks among the model's modules, in order: "model.layers.0" and so on."""
    name_of = {module: name for name, module in model.named_modules()}
    return tuple(name_of[block] for block in decoder_of(model).blocks)


def keep_blocks(adapter: AdapterFile, names: Sequence[str], blocks: Container[int]) -> AdapterFile:
    """The adapter with B zero in every block that is not among `blocks`: there it changes exactly nothing.

    Raises:
        UserError: the adapter changes a layer outside of the blocks.
    """
    tensors = {}
    for layer, (a, b) in adapter.tensors.items():
        block = next((k for k, name in enumerate(names) if layer.startswith(f"{name}.")), None)
        if block is None:
            raise UserError(
                f"the adapter changes layer {layer}, which is in none of the model's blocks, so it cannot be "
                "ablated block by block; leave `ablations` out of --parts"
            )
        tensors[layer] = (a, b if block in blocks else b.new_zeros(()).expand_as(b))
    return replace(adapter, tensors=tensors)


def _differences(
    inspection: Inspection, asked: Sequence[ContrastQuestion], variants: Iterable[Variant], told: Told
) -> dict[tuple[str, int | None], Array]:
    """The difference at the end of every stem under every variant, (questions,) each."""
    engine = inspection.session.engine
    place: dict[str, tuple[str, int | None]] = {}

    def made() -> Iterator[tuple[str, AdapterFile]]:
        for variant in variants:
            place[variant.name] = (variant.kind, variant.block)
            yield variant.name, variant.adapter

    found: dict[tuple[str, int | None], Array] = {}
    for names in inspection.in_turns(made()):
        rows = [row for name in names for row in at_stem(asked, "lora", name)]
        tokens = [one.tokens for one in asked] * len(names)
        numbers = final_differences(engine, inspection.head, rows, tokens, told)
        for name, values in zip(names, numbers.reshape(len(names), -1), strict=True):
            found[place[name]] = values
    return found


def shares(found: Mapping[tuple[str, int | None], Array], weights: Array) -> list[Row]:
    """What each variant keeps of the adapter's effect, with intervals over question families.

    Args:
        found: (questions,) differences by (kind, block); ("full", None) and ("off", None) among them.
        weights: (draws, questions) of `question_weights`.

    Returns:
        kind, block, n, logit_diff and share with their ends. There is no share where the whole effect is
        below TAU, and no ends of it where in more than 1 draw of 40 it is, or has the other sign: the ratio
        may then be anything.
    """
    full, off = found["full", None], found["off", None]
    effect, drawn_effect = float((full - off).mean()), drawn_means(full - off, weights)
    safe = drawn_effect * np.sign(effect) >= TAU
    rows = []
    for (kind, block), values in found.items():
        moved, share = drawn_means(values - off, weights), None
        if abs(effect) >= TAU:
            share = float((values - off).mean()) / effect
        drawn_share = np.full(len(weights), np.nan)
        if safe.mean() >= 1 - 1 / 40:
            drawn_share[safe] = moved[safe] / drawn_effect[safe]
        rows.append(
            {
                "kind": kind,
                "block": block,
                "n": len(values),
                **with_interval("logit_diff", float(values.mean()), drawn_means(values, weights)),
                **with_interval("share", share, drawn_share),
            }
        )
    return rows


def random_like(adapter: AdapterFile, seed: int) -> AdapterFile:
    """A random adapter whose update has in every layer the Frobenius norm that the adapter's has there.

    A and B are normal, so the update points anywhere, with the same rank; scale and layers stay. A layer
    whose update is zero keeps a zero one. Drawn per layer name, so it is the same on every machine.

    What it says: a write of this size into these layers moves the difference by so much, whatever it
    writes. It has not the spectrum of a trained update, which is flatter here.
    """
    tensors = {}
    for name, (a, b) in adapter.tensors.items():
        generator = torch.Generator().manual_seed(derived_seed(seed, f"noise/{name}"))
        other_a = torch.randn(a.shape, generator=generator, dtype=torch.float64)
        other_b = torch.randn(b.shape, generator=generator, dtype=torch.float64)
        other_b *= update_norm(a, b) / update_norm(other_a, other_b)
        tensors[name] = (other_a.to(a.dtype), other_b.to(b.dtype))
    return replace(adapter, tensors=tensors)


def update_norm(a: Tensor, b: Tensor) -> float:
    """Frobenius norm of B A from A (r, in) and B (out, r), without making the (out, in) product.

    |B A|^2 = trace(A^T B^T B A) = sum((A A^T) * (B^T B)), of (r, r) matrices.
    """
    a, b = a.double().cpu(), b.double().cpu()
    return float(((a @ a.T) * (b.T @ b)).sum().clamp_min(0.0).sqrt())
