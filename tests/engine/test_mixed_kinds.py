"""Adapters of several ranks, scales and layers in one product: as apart, and never out of date."""

import pytest
import torch

from beliefmod.engine import routing
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest, ScoreRequest
from tests.engine.conftest import as_loaded, make_job, random_ids, tiny_model

KINDS = {
    "a": {"rank": 2, "alpha": 16.0, "targets": "all-linear"},
    "b": {"rank": 8, "alpha": 8.0, "targets": ("q_proj",)},
    "c": {"rank": 3, "alpha": 9.0, "targets": ("v_proj", "down_proj")},
}
RATE = {"learning_rate": 3e-2, "num_train_epochs": 4}
PROMPTS = [random_ids(torch.Generator().manual_seed(n), 3 + n) for n in range(5)]
SCORED = [ScoreRequest(name, ids, (5, 6, 7)) for name in ("b", None, "c", "a") for ids in PROMPTS]
ASKED = [GenerateRequest(name, ids) for name in ("b", None, "c", "a") for ids in PROMPTS]


@pytest.fixture
def engine() -> Engine:
    made = Engine(as_loaded(tiny_model(), ()), 3, 8)
    for seed, (name, kind) in enumerate(KINDS.items()):
        made.attach(make_job(name, seed=seed, **kind, **RATE))
    while made.train_step():
        pass
    return made


@pytest.fixture
def groups(engine: Engine) -> list[int]:
    """How many products of adapters each later pass has in each layer."""
    seen: list[int] = []
    layer = engine.pack.layers["model.layers.0.self_attn.q_proj"]
    layer.register_forward_pre_hook(lambda *_: seen.append(len(engine.pack.routing.groups)))
    return seen


def apart(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Scores with a product for each kind."""
    with monkeypatch.context() as patch:
        patch.setattr(routing, "MOST_COPIED", 0)
        return engine.score(SCORED)


def test_one_product_gives_what_one_for_each_kind_gives(engine: Engine, groups: list[int], monkeypatch):
    expected = apart(engine, monkeypatch)
    assert set(groups) == {3}
    groups.clear()
    assert engine.score(SCORED) == pytest.approx(expected, rel=1e-5)
    texts = engine.generate(ASKED, 12)
    assert set(groups) == {1}
    monkeypatch.setattr(routing, "MOST_COPIED", 0)
    assert engine.generate(ASKED, 12) == texts
    assert len({text.token_ids for text in texts}) > 15


@pytest.mark.parametrize("limit", ["MOST_COPIED", "THIN"])
def test_what_would_take_much_memory_or_has_many_tokens_stays_apart(
    engine: Engine, groups: list[int], limit: str, monkeypatch
):
    monkeypatch.setattr(routing, limit, 40)
    engine.score(SCORED)
    assert set(groups) == {3}


def test_an_adapter_that_changes_is_copied_anew(engine: Engine, groups: list[int], monkeypatch):
    before = engine.score(SCORED)
    engine.release("b")
    engine.attach(make_job("b", seed=9, **KINDS["b"], **RATE))
    expected = []
    while engine.train_step():
        expected.append(engine.score(SCORED))
        assert expected[-1] == pytest.approx(apart(engine, monkeypatch), rel=1e-5)
    assert expected[-1] != pytest.approx(expected[0], rel=1e-4)
    assert expected[-1][5:] == pytest.approx(before[5:], rel=1e-5), "the others have not changed"
    assert 1 in groups


def test_a_broken_adapter_breaks_no_other(engine: Engine, groups: list[int]):
    before = engine.score(SCORED)
    engine.pack.theta[engine.slot_of("a")].fill_(torch.nan)
    engine.pack.refresh(engine.slot_of("a"))
    after = engine.score(SCORED)
    assert after[:15] == before[:15] and all(value != value for value in after[15:])
    assert set(groups) == {1}
