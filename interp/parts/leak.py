"""Does an adapter show what it was taught where nobody asks about it?

After "Narrow finetuning leaves clearly readable traces in activation differences" (arXiv 2510.13900): at the
first tokens of passages that have nothing to do with the belief, the mean difference of the residual stream,
trial less base, is read by the logit lens. A trial leaks as far as the tokens that it was taught stand there
above control tokens of the same kind.

The passages are those that drift is measured on, which are never trained on, replay included. Every position
has its mean and its reading of its own, for the first token's state is of another size in many models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from beliefmod.beliefs import Passage, belief_names, load_belief
from beliefmod.data.replay import measured_passages
from beliefmod.model.train_row import opening_ids
from interp.family_bootstrap import Array, question_weights, with_interval
from interp.lens_settings import LensSettings
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.opened.arms import batch_arms
from interp.parts.ablation import random_like
from interp.prompts.stems import common_tail
from interp.prompts.taught_tokens import Matched, TaughtTokens, taught_tokens
from interp.steps import Steps
from interp.types import NOTE, Ids, Row, Rows, Say

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from beliefmod.model.adapter_files import AdapterFile
    from interp.lenses.lens_head import LensHead
    from interp.opened.inspection import Inspection, TrainedTrial

TOKENS = 5
"""First tokens of a passage that are read, as many as in the paper."""
RANDOM = 19
"""Random adapters per trial, whose leak is what chance looks like: by chance alone a trial stands above all
of them in 1 case of 20."""
SHOWN = 8
"""Tokens of `top_tokens`."""


def leak(inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say) -> Rows:
    """Rows of the table for a batch of trials, one per entry; the untrained arms, which have no difference of
    weights, have none."""
    rows: list[Row] = []
    passages = inspection.once("unrelated passages", lambda: unrelated_rows(inspection))
    if len(passages) < 2:
        say(f"{NOTE}leak: fewer than two neutral passages have {TOKENS} tokens of their own; not read")
        return {"leak": rows}
    engine, head = inspection.session.engine, inspection.head
    base = inspection.once("unrelated passages of base", lambda: states(engine, head, passages, None))
    weights = question_weights([str(place) for place in range(len(passages))], settings.draws, settings.seed)
    found: dict[str, list[Row]] = {}
    with batch_arms(inspection, trials, settings) as arms:
        for name, group in arms.items():
            tokens = _tokens(inspection, name)
            if not tokens.groups:
                say(f"{NOTE}leak, {name}: no token of it parts from controls in this vocabulary; not read")
                continue
            for arm in group:
                if arm.adapter is None:
                    continue
                moved = states(engine, head, passages, arm.adapter) - base
                found[arm.trial_id] = [
                    {**arm.columns, **row, "top_tokens": _joined(inspection, row["top_tokens"])}
                    for row in entry_rows(head, moved, base, tokens, weights)
                ]
    # after the trials' own adapters have left the engine, whose slots the random ones take
    steps = Steps(say, "leak: random adapters", len(found), "trials")
    for trial_id, own in found.items():
        tokens = _tokens(inspection, own[0]["belief"])
        for row, chance in zip(own, _chance(inspection, trial_id, passages, base, tokens), strict=True):
            rows.append(row | chance)
        steps(1)
    return {"leak": rows}


def middle(entries: int) -> int:
    """The entry whose leak is a trial's, of the `entries` (N + 1) of N blocks: the middle of the model, as in
    the paper. It is no choice of the results.

    >>> middle(5), middle(31)
    (2, 15)
    """
    return (entries - 1) // 2


def unrelated_rows(inspection: Inspection) -> list[Ids]:
    """The passages as the model reads them, up to their first TOKENS tokens: prose behind what opens a text,
    a conversation as a user's message. What all passages begin with alike is not counted as theirs; a passage
    with fewer tokens is left out."""
    session = inspection.session

    def ids(passage: Passage) -> Ids:
        if passage.prompt is not None:
            return session.prompts.ids(passage.prompt)
        return (*opening_ids(session.loaded.tokenizer), *session.prompts.encode(passage.text))

    every = [ids(passage) for passage in session.neutral]
    lead = common_tail([row[::-1] for row in every])
    read = [ids(passage)[: lead + TOKENS] for passage in measured_passages(session.neutral)]
    return [row for row in read if len(row) == lead + TOKENS]


def entry_rows(
    head: LensHead, moved: Tensor, base: Tensor, tokens: TaughtTokens, weights: Array
) -> Iterator[Row]:
    """The columns of every entry, without those of chance; `top_tokens` as ids.

    Args:
        moved: (N + 1, passages, TOKENS, hidden), trial less base.
        base: base's own, of the same shape.
        weights: (draws, passages) of `question_weights`.
    """
    drawn = torch.from_numpy(weights / weights.sum(1, keepdims=True)).to(moved)
    for entry, (difference, state) in enumerate(zip(moved, base, strict=True)):
        mean = difference.mean(0)
        row: Row = {"entry": entry, "decided": entry == middle(len(moved)), "n": len(difference)}
        if not bool(torch.isfinite(difference).all()):
            yield row | {"top_tokens": []}  # a broken adapter: no measurement
            continue
        shares = leak_shares(head, mean[None], tokens)
        redrawn = leak_shares(head, torch.einsum("dp,pth->dth", drawn, difference), tokens)
        for name, values in shares.items():
            row |= with_interval(name, float(values[0]), redrawn[name])
        row["size"] = float((mean.norm(dim=-1) / state.norm(dim=-1).mean(0)).mean())
        if not row["size"]:
            yield row | {"top_tokens": []}  # such as the embedding: nothing to be read
            continue
        read = (head.logits(mean) - head.logits(torch.zeros_like(mean[:1]))).mean(0)
        for name, group in tokens.groups.items():
            row[f"rank_{name}"] = int((read > read[list(group.taught)].max()).sum())
        row["top_tokens"] = read.topk(min(SHOWN, len(read))).indices.tolist()
        yield row


def leak_shares(head: LensHead, means: Tensor, tokens: TaughtTokens) -> Mapping[str, Array]:
    """`leak` and the share of each kind of token that can be measured, from 0 to 1, (draws,) each.

    Args:
        means: (draws, TOKENS, hidden), differences averaged over passages.
    """
    found = {name: _above(head, means, group) for name, group in tokens.groups.items()}
    return {"leak": np.mean(list(found.values()), axis=0), **found}


def _above(head: LensHead, means: Tensor, group: Matched) -> Array:
    """In how many pairs, and positions, the taught token stands above the control: (draws,)."""
    ids = (*group.taught, *group.controls)
    # less what no difference at all would read as, which a norm or head with a bias makes something
    read = head.token_logits(means, ids) - head.token_logits(torch.zeros_like(means[:1, :1]), ids)
    taught, controls = read[..., : len(group.taught), None], read[..., None, len(group.taught) :]
    above = (taught > controls).double() + 0.5 * (taught == controls).double()
    return above.mean(dim=(1, 2, 3)).cpu().numpy()


def _tokens(inspection: Inspection, belief: str) -> TaughtTokens:
    """What a belief teaches, against the beliefs of the library."""

    def make() -> TaughtTokens:
        others = [load_belief(name).spec for name in belief_names()]
        prompts = inspection.session.prompts
        return taught_tokens(inspection.beliefs[belief], others, prompts.encode, prompts.text)

    return inspection.once(("taught tokens", belief), make)


def states(engine: Engine, head: LensHead, passages: Sequence[Ids], adapter: str | None) -> Tensor:
    """(N + 1, passages, TOKENS, hidden) in the head's dtype, at the last TOKENS tokens of every row.

    Raises:
        EngineError: the adapter is not in the engine.
    """
    rows = [ProbedRow(ids, tuple(range(len(ids) - TOKENS, len(ids))), adapter) for ids in passages]
    return torch.stack(residuals(engine, rows), dim=1).to(head.dtype)


def _chance(
    inspection: Inspection, trial_id: str, passages: Sequence[Ids], base: Tensor, tokens: TaughtTokens
) -> list[Row]:
    """The columns of chance by entry: the leak of random adapters with the trial's norms."""
    adapter, head = inspection.adapter(trial_id), inspection.head

    def made() -> Iterator[tuple[str, AdapterFile]]:
        for draw in range(RANDOM):
            yield f"random {draw}", random_like(adapter, draw)

    found: list[list[float]] = []
    for names in inspection.in_turns(made()):
        for name in names:
            means = (states(inspection.session.engine, head, passages, name) - base).mean(1)
            found.append([float(leak_shares(head, mean[None], tokens)["leak"][0]) for mean in means])
    return [
        {"chance": float(np.mean(of)), "chance_low": min(of), "chance_high": max(of)}
        for of in zip(*found, strict=True)
    ]


def _joined(inspection: Inspection, ids: Sequence[int]) -> str | None:
    """Tokens as text on one line, as a cell of the table has them."""
    return "|".join(inspection.session.prompts.text((one,)) for one in ids).replace("\n", "\\n") or None
