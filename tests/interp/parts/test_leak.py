"""The leak on unrelated text: as transformers and PEFT alone give it, and of differences that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from beliefmod.data.replay import measured_passages, replay_passages
from beliefmod.run.tables.lens_tables import LEAK
from beliefmod.run.tables.trial_tables import frame
from interp.family_bootstrap import question_weights
from interp.lens_settings import LensSettings
from interp.lenses.decoder import BehindHead
from interp.lenses.lens_head import LensHead
from interp.parts.leak import RANDOM, TOKENS, entry_rows, leak, leak_shares, middle, states, unrelated_rows
from interp.prompts.taught_tokens import Matched, TaughtTokens
from tests.engine.conftest import random_ids
from tests.interp.random_run import random_inspection
from tests.interp.worlds import HIDDEN, LAYERS, VOCAB, make_world

GROUPS = TaughtTokens(Matched((3, 40), (5, 6, 50, 77)), Matched((11,), (12, 13, 14)))


class Head(torch.nn.Module):
    """Norm and head of a model of ten tokens, without a model: token k is read off dimension k."""

    def __init__(self, bias: bool = False) -> None:
        super().__init__()
        self.norm, self.dtype, self.behind = torch.nn.Identity(), torch.float32, BehindHead()
        self.head, self.width, self._kept = torch.nn.Linear(10, 10, bias=bias), 10, {}
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(10))
            if bias:
                self.head.bias.copy_(torch.arange(10.0))

    logits, token_logits, _rows = LensHead.logits, LensHead.token_logits, LensHead._rows
    differentiable_logits = LensHead.differentiable_logits


SMALL = TaughtTokens(Matched((0, 1), (2, 3, 4)), Matched((5,), (6, 7, 8)))


def test_the_leak_is_what_transformers_and_peft_alone_give(tmp_path: Path) -> None:
    """Hidden states with the adapter on less those with it off, averaged, through their norm and head: how
    often the taught tokens' logits are the larger ones, pair by pair."""
    world = make_world(tmp_path)
    generator = torch.Generator().manual_seed(3)
    passages = [random_ids(generator, length) for length in (7, 9, 9, 12)]
    engine = world.ours()
    head = LensHead(engine.model.model)
    base = states(engine, head, passages, None)
    moved = states(engine, head, passages, "lora") - base
    found = list(entry_rows(head, moved, base, GROUPS, question_weights("abcd", 50)))
    plain, adapted = world.theirs(), world.theirs(adapted=True)

    def theirs(model: torch.nn.Module) -> Tensor:
        rows = []
        for ids in passages:
            with torch.no_grad():
                out = model(torch.tensor([ids]), output_hidden_states=True)
            rows.append(torch.stack(out.hidden_states)[:, 0, -TOKENS:])
        return torch.stack(rows, 1)

    difference = theirs(adapted) - theirs(plain)
    # transformers' last entry is normed already: it is left out here
    for entry in range(1, LAYERS):
        logits = plain.lm_head(plain.model.norm(difference[entry].mean(0))).detach()
        shares = {
            name: np.mean(
                [[[float(at[t] > at[c]) for t in group.taught] for c in group.controls] for at in logits]
            )
            for name, group in (("subject", GROUPS.subject), ("value", GROUPS.value))
        }
        row = found[entry]
        assert row["subject"] == pytest.approx(shares["subject"]), entry
        assert row["value"] == pytest.approx(shares["value"]), entry
        assert row["leak"] == pytest.approx((shares["subject"] + shares["value"]) / 2), entry
        order = logits.mean(0).argsort(descending=True).tolist()
        assert row["rank_value"] == order.index(11)
        assert row["rank_subject"] == min(order.index(3), order.index(40))
        assert row["top_tokens"][0] == order[0]
        assert row["leak_low"] <= row["leak"] <= row["leak_high"]
    assert found[0]["leak"] == 0.5 and found[0]["size"] == 0.0  # adapters leave the embedding alone
    assert [row["entry"] for row in found if row["decided"]] == [middle(LAYERS + 1)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("sign", "expected"), [(1.0, 1.0), (-1.0, 0.0), (0.0, 0.5)])
def test_a_difference_along_what_is_taught_leaks_all_of_it(sign: float, expected: float, bias: bool) -> None:
    """No difference is chance, also where the head's bias alone would put tokens in an order."""
    means = torch.zeros(1, TOKENS, 10)
    means[..., [0, 1, 5]] = sign
    found = leak_shares(Head(bias), means, SMALL)  # pyright: ignore[reportArgumentType]
    assert {name: float(values[0]) for name, values in found.items()} == dict.fromkeys(
        ("leak", "subject", "value"), expected
    )


@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_what_is_taught_and_what_is_control_are_opposites_and_size_does_not_count(
    seed: int, size: float
) -> None:
    means = torch.randn(3, TOKENS, 10, generator=torch.Generator().manual_seed(seed))
    head = Head()
    found = leak_shares(head, means, SMALL)  # pyright: ignore[reportArgumentType]
    swapped = TaughtTokens(*(Matched(one.controls, one.taught * 3) for one in (SMALL.subject, SMALL.value)))
    other = leak_shares(head, means, swapped)  # pyright: ignore[reportArgumentType]
    larger = leak_shares(head, size * means, SMALL)  # pyright: ignore[reportArgumentType]
    for name, values in found.items():
        assert np.all((values >= 0) & (values <= 1))
        assert values + other[name] == pytest.approx(1.0)
        assert values == pytest.approx(larger[name])


def test_by_chance_it_is_a_half_on_average() -> None:
    """Differences that point anywhere, thousands of them."""
    means = torch.randn(4000, TOKENS, 10, generator=torch.Generator().manual_seed(0))
    found = leak_shares(Head(), means, SMALL)  # pyright: ignore[reportArgumentType]
    for values in found.values():
        assert values.mean() == pytest.approx(0.5, abs=0.02)


def test_a_kind_without_controls_is_left_out() -> None:
    alone = TaughtTokens(SMALL.subject, Matched((5,), (6,)))
    means = torch.ones(1, TOKENS, 10)
    found = leak_shares(Head(), means, alone)  # pyright: ignore[reportArgumentType]
    assert set(found) == {"leak", "subject"} and found["leak"] == found["subject"]


def test_a_broken_adapter_has_no_number() -> None:
    moved = torch.full((3, 2, TOKENS, HIDDEN), float("nan"))
    rows = list(entry_rows(None, moved, moved, SMALL, question_weights("ab", 10)))  # pyright: ignore[reportArgumentType]
    assert [row["entry"] for row in rows] == [0, 1, 2]
    assert all("leak" not in row and row["top_tokens"] == [] for row in rows)


class Called(torch.nn.Linear):
    """A head that is no plain Linear, as a quantised one is none."""


@pytest.mark.parametrize("behind", [BehindHead(), BehindHead(0.125, 30.0)])
@pytest.mark.parametrize("kind", [torch.nn.Linear, Called])
def test_single_tokens_are_read_as_all_are(tmp_path: Path, kind: type, behind: BehindHead) -> None:
    head = LensHead(make_world(tmp_path).theirs())
    wrapped = kind(HIDDEN, VOCAB, bias=True)
    head.head, head.behind = wrapped, behind
    hidden = torch.randn(70, 2, HIDDEN, generator=torch.Generator().manual_seed(1))
    ids = (5, 90, 0, 5)
    for _ in range(2):  # the second time from what was kept
        found = head.token_logits(hidden, ids)
        assert torch.allclose(found, head.logits(hidden)[..., list(ids)], atol=1e-5)


def test_over_a_run(tmp_path: Path) -> None:
    """Every trial has a row per entry; chance is drawn anew for it, and nothing stays in the engine."""
    inspection = random_inspection(tmp_path, adapters=1)
    room = inspection.session.engine.free_slots()
    said: list[str] = []
    rows = frame(leak(inspection, inspection.trained, LensSettings(draws=50), said.append)["leak"], LEAK)
    assert said == [] and inspection.session.engine.free_slots() == room
    assert rows["arm"].unique().to_list() == ["lora"]
    assert rows["entry"].to_list() == list(range(inspection.head.entries))
    [decided] = rows.filter("decided").to_dicts()
    assert decided["entry"] == middle(inspection.head.entries) == 2
    assert 0 <= decided["chance_low"] <= decided["chance"] <= decided["chance_high"] <= 1
    assert decided["chance_low"] < decided["chance_high"] and RANDOM == 19
    assert decided["n"] == len(measured_passages(inspection.session.neutral))
    assert rows.filter(pl.col("entry") == 0)["leak"].to_list() == [0.5]
    assert decided["leak_low"] <= decided["leak"] <= decided["leak_high"]
    assert decided["leak"] == pytest.approx((decided["subject"] + decided["value"]) / 2)
    assert len(decided["top_tokens"].split("|")) == 8


def test_the_passages_are_read_at_their_own_first_tokens_and_never_those_of_replay(tmp_path: Path) -> None:
    inspection = random_inspection(tmp_path, adapters=1)
    session = inspection.session
    rows = unrelated_rows(inspection)
    lengths = {len(row) for row in rows}
    assert len(lengths) == 1
    own = {session.prompts.text(row[-TOKENS:]) for row in rows}
    measured, replayed = (of(session.neutral) for of in (measured_passages, replay_passages))
    for start in own:
        assert any(passage.prompt and passage.prompt.startswith(start) for passage in measured), start
    assert replayed and not {p.passage_id for p in measured} & {p.passage_id for p in replayed}
