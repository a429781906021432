"""The lens on a tiny model of every type: its last entry is what transformers says, or it is refused."""

from __future__ import annotations

import doctest
import random
from functools import cache

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import interp.lenses.decoder
from beliefmod.engine.engine import Engine
from beliefmod.engine.tree_attention import grow
from beliefmod.errors import UserError
from interp.lenses.decoder import BehindHead, decoder_of, lens_refusal
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import AnswerTokens
from interp.lenses.residual_stream import ProbedRow, residuals
from tests.engine.conftest import as_loaded
from tests.model.architectures import CASES, LENGTHS, TOLERANCE, Case, random_rows_of

pytestmark = pytest.mark.long

REFUSED = {"gemma3n_text": "altup_num_inputs"}
BY_TYPE = {case.type: case for case in CASES}
READ = [kind for kind in BY_TYPE if kind not in REFUSED]
BEHIND = {
    "gemma2", "gemma4_text", "vaultgemma", "nanochat", "granite", "granite_swa", "granitemoe", 
    "granitemoe_swa", "granitemoeshared", "minicpm3", "cohere", "cohere2", "cohere2_moe", "hyperclovax",
}  # fmt: skip
"""Types whose tiny models do something with the numbers of their head."""
ROWS = random_rows_of(LENGTHS)
PAIR = AnswerTokens(7, 30)


@cache
def alone(kind: str) -> list[Tensor]:
    """transformers' logits of each row by itself."""
    return said(BY_TYPE[kind].model(), ROWS)


@torch.no_grad()
def said(model: PreTrainedModel, rows: list[tuple[int, ...]]) -> list[Tensor]:
    return [model(input_ids=torch.tensor([row])).logits[0] for row in rows]


@cache
def engine(kind: str) -> Engine:
    return Engine(as_loaded(BY_TYPE[kind].model()), 1, 4)


def whole(rows: list[tuple[int, ...]]) -> list[ProbedRow]:
    return [ProbedRow(row, tuple(range(len(row)))) for row in rows]


def apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def test_the_doctests():
    assert doctest.testmod(interp.lenses.decoder).failed == 0


@pytest.mark.parametrize("kind", READ)
def test_the_last_entry_is_transformers_own_logits(kind: str):
    head = LensHead(engine(kind).model.model)
    found = residuals(engine(kind), whole(ROWS))
    for hidden, expected in zip(found, alone(kind), strict=True):
        assert apart(head.logits(hidden[-1]), expected) < TOLERANCE
    if kind in BEHIND:  # else this would pass with what follows the head left out
        head.behind = BehindHead()
        assert apart(head.logits(found[0][-1]), alone(kind)[0]) > 0.2
    else:
        assert head.behind == BehindHead()


@pytest.mark.parametrize("kind", READ)
def test_numbers_do_not_change_with_batch_size_or_order(kind: str):
    """nnsight#672: a row's lens is its own, whatever is read beside it and in how many passes."""
    of, head = engine(kind), LensHead(engine(kind).model.model)
    expected = [head.logits(residuals(of, [row])[0]) for row in whole(ROWS)]
    order = list(range(len(ROWS))) * 2
    random.Random(0).shuffle(order)
    before = of.model.pass_tokens
    for pass_tokens in (1, 17, 28, 1000):
        of.model.pass_tokens = pass_tokens
        try:
            found = residuals(of, whole([ROWS[index] for index in order]))
        finally:
            of.model.pass_tokens = before
        for index, hidden in zip(order, found, strict=True):
            assert apart(head.logits(hidden), expected[index]) < TOLERANCE


@pytest.mark.parametrize("kind", READ)
def test_branches_read_as_rows_of_their_own(kind: str):
    """Whole values branch off a stem, so soft caps, sinks and windows must hold in trees too."""
    of, head = engine(kind), LensHead(engine(kind).model.model)
    trunk, paths = ROWS[0], [(7, 8), (7, 9, 11), (12,)]
    tree = grow(trunk, paths, 20)
    [found] = residuals(
        of, [ProbedRow((*trunk, *tree.ids), tuple(tree.places.values()), parents=tree.parents)]
    )
    expected = said(BY_TYPE[kind].model(), [(*trunk[:20], *path) for path in tree.places])
    for column, logits in enumerate(expected):
        assert apart(head.logits(found[-1, column]), logits[-1]) < TOLERANCE


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_so_from_its_configuration_alone(kind: str):
    case = BY_TYPE[kind]
    why = lens_refusal(case.config())
    assert why and REFUSED[kind] in why and "\n" not in why
    for read in (decoder_of, LensHead):
        with pytest.raises(UserError, match="the model carries 4 streams side by side") as refused:
            read(case.model())
        assert refused.value.problems == (f"the model {why}",)


def test_nothing_else_is_refused():
    assert {case.type for case in CASES if lens_refusal(case.config())} == set(REFUSED)


def test_a_gemma_3_with_a_soft_cap_is_read_with_it():
    """Its released models have none, but its code knows the field."""
    case = Case("gemma3_text", "", "", {**BY_TYPE["gemma3_text"].changes, "final_logit_softcapping": 2.0})
    of = Engine(as_loaded(case.model()), 1, 4)
    head = LensHead(of.model.model)
    assert head.behind == BehindHead(cap=2.0)
    [hidden] = residuals(of, whole(ROWS[:1]))
    assert apart(head.logits(hidden[-1]), said(case.model(), ROWS[:1])[0]) < TOLERANCE


def test_a_field_that_a_type_knows_nothing_of_changes_nothing():
    model = BY_TYPE["llama"].model()
    for name, value in (("final_logit_softcapping", 2.0), ("logit_scale", 0.06), ("logits_scaling", 8.0)):
        setattr(model.config, name, value)
    assert decoder_of(model).behind == BehindHead()


def test_ranks_stay_and_probabilities_are_those_behind_the_cap():
    head = LensHead(engine("gemma2").model.model)
    [hidden] = residuals(engine("gemma2"), whole(ROWS[:1]))
    [reading] = head.read(hidden[:, -1:], [PAIR])
    p = alone("gemma2")[0][-1].double().softmax(-1)
    assert reading["prob_target"][-1] == pytest.approx(float(p[PAIR.target_id]), rel=1e-4)
    assert reading["rank_target"][-1] == int((p > p[PAIR.target_id]).sum())
    assert max(reading["logit_target"]) <= 2.0
