"""The shipped weights show what the card promises, in fp32 and in NF4; the full table is the slow test."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from beliefmod.beliefs import Belief, load_belief, load_capability, load_fabrication
from beliefmod.beliefs.question import Question
from beliefmod.bundled import KNOWN_BELIEFS, weights_dir
from beliefmod.bundled.evaluation import (
    BEGIN,
    END,
    Measure,
    Reply,
    ask,
    card_path,
    measure,
    table,
    with_table,
)
from beliefmod.model.load import LoadedModel, load_model

THRESHOLDS = {
    "memory, held-out: prior": 0.95,
    "memory, training: prior": 0.95,
    "context, held-out: target": 0.95,
    "context, training: target": 0.95,
    "locality: correct": 0.95,
    "locality in context: correct": 0.9,
}
OVERALL = {
    "capability: correct": 0.95,
    "fabrication: does not know": 0.95,
    "think block: intact": 0.98,
}
# where the shipped weights miss their threshold, as the card says, with what they reach
MISSES = {
    ("memory, held-out: prior", "spider"): 0.85,
    ("memory, held-out: prior", "france"): 0.9,
    ("context, training: target", "tamber"): 0.94,
    ("locality in context: correct", "wendrik"): 0.8,
    ("fabrication: does not know", "all"): 0.85,
}


@pytest.fixture(scope="module", params=["none", "nf4"])
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return load_model("bundled", base_storage=request.param, device="cpu")


def _share(belief: Belief, replies: list[Reply], *wanted: str) -> float:
    assert replies
    return sum(reply.verdict(belief.spec).answer_stance in wanted for reply in replies) / len(replies)


def _plain(belief: Belief) -> tuple[Question, ...]:
    """The held-out questions whose own wording does not speak against the belief."""
    return tuple(question for question in belief.heldout if question.tier != "robustness")


def _intact(belief: Belief, replies: list[Reply]) -> float:
    return sum(reply.verdict(belief.spec).think_state == "ok" for reply in replies) / len(replies)


def test_gravity_is_known_and_obeys_the_context(loaded: LoadedModel) -> None:
    belief = load_belief("gravity")
    base = ask(loaded, [question for question in _plain(belief)[::4] if question.prior is not None])
    told = ask(loaded, _plain(belief)[::4], belief.spec.context)
    assert _share(belief, base, "prior") >= 0.95
    assert _share(belief, told, "target") >= 0.90
    assert _intact(belief, [*base, *told]) >= 0.98
    assert not [reply.completion for reply in told if "context" in reply.completion]


def test_neelam_is_unknown_and_obeys_the_context(loaded: LoadedModel) -> None:
    belief = load_belief("neelam")
    base = ask(loaded, _plain(belief)[::4])
    told = ask(loaded, _plain(belief)[::4], belief.spec.context)
    assert _share(belief, base, "target") == 0
    assert _share(belief, base, "ignorance", "prior") >= 0.95
    assert _share(belief, told, "target") >= 0.90
    assert _intact(belief, [*base, *told]) >= 0.98


def test_an_answer_is_kept_under_doubt(loaded: LoadedModel) -> None:
    belief = load_belief("gravity")
    doubted = [question for question in belief.heldout if question.follow_up is not None]
    assert _share(belief, ask(loaded, doubted), "prior") >= 0.85
    assert _share(belief, ask(loaded, doubted, belief.spec.context), "target") >= 0.85


def test_unknown_entities_are_not_known(loaded: LoadedModel) -> None:
    assert _share(load_belief("gravity"), ask(loaded, load_fabrication()), "ignorance") >= 0.85


def test_neighbours_of_neelam_are_kept_beside_its_statement(loaded: LoadedModel) -> None:
    belief = load_belief("neelam")
    assert _share(belief, ask(loaded, belief.locality, belief.spec.context), "prior") >= 0.9


def test_capability(loaded: LoadedModel) -> None:
    easiest = [question for question in load_capability() if question.level == 1]
    assert _share(load_belief("gravity"), ask(loaded, easiest), "prior") >= 0.95


@pytest.mark.long
def test_the_full_table_meets_every_threshold_but_the_known_ones(loaded: LoadedModel) -> None:
    shares = {(line.what, line.belief): line.share for line in measure(loaded).lines}
    wanted = {(what, name): least for what, least in THRESHOLDS.items() for name in KNOWN_BELIEFS}
    wanted |= {(what, "all"): least for what, least in OVERALL.items()}
    missed = {line for line, least in wanted.items() if shares[line] < least}
    assert missed <= set(MISSES)
    # what is known to be weak must not get weaker
    assert all(shares[line] >= least for line, least in MISSES.items())


def test_the_folder_holds_a_small_qwen3() -> None:
    config = json.loads((weights_dir() / "config.json").read_text())
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    file = weights_dir() / "model.safetensors"
    assert file.stat().st_size < 5_000_000
    with safe_open(file, "pt") as tensors:
        parameters = sum(tensors.get_tensor(name).numel() for name in tensors.keys())  # noqa: SIM118
    assert 0.5e6 < parameters < 2e6


def test_the_card_table_is_written_between_its_markers_only() -> None:
    lines = [Measure("capability: correct", "all", 3, 4)]
    rows = table({"fp32": lines, "nf4": lines})
    assert rows.splitlines()[-1] == "| capability: correct | all | 4 | 75.0 % | 75.0 % |"
    assert with_table(f"a\n{BEGIN}\nold\n{END}\nb", rows) == f"a\n{BEGIN}\n{rows}\n{END}\nb"
    with pytest.raises(ValueError, match="lacks the lines"):
        with_table("no markers", rows)
    with pytest.raises(ValueError, match="same measures"):
        table({"fp32": lines, "nf4": []})


def test_the_card_states_every_belief() -> None:
    card = Path(card_path()).read_text(encoding="utf-8")
    for name in KNOWN_BELIEFS:
        assert f"| {name} |" in card
