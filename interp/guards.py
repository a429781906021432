"""What would give numbers that mean nothing, refused before it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.model.adapter_files import AdapterFile


def refuse_null(adapter: AdapterFile, where: str) -> None:
    """Refuse an adapter whose update is zero in every layer: it would read as "LoRA changes nothing".

    Raises:
        UserError: it is one. PEFT leaves such an adapter behind, with a warning alone, where the names in a
            file do not fit the model.
    """
    if not any(bool((b != 0).any()) and bool((a != 0).any()) for a, b in adapter.tensors.values()):
        raise UserError(f"{where}: changes nothing, its weights are zero; train the trial again")


def guard_packed(model: Any) -> None:
    """Make sure that no layer kept in 4 bits repacks itself, after which its values cannot be read any more.

    Raises:
        UserError: a layer would.
    """
    from beliefmod.model.quantized import linear_names

    for name in linear_names(model)[0]:
        if getattr(model.get_submodule(name), "support_avx512bf16_for_cpu", False):
            raise UserError(
                f"layer {name} would repack its 4-bit weights at the first pass; load the model with "
                "beliefmod.model.load.load_model, which forbids it"
            )
