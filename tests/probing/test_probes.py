"""What a trial is asked, the halves of the held-out families, and verdicts read again from stored rows."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs import Question, belief_names, load_belief, load_capability, load_fabrication
from beliefmod.config import TrialConfig
from beliefmod.metrics.selection_split import selection_split
from beliefmod.probing.probes import Probe, probe_row, probes_for
from beliefmod.reading.verdict import Verdict, judge_question
from beliefmod.run.tables.trial_tables import PROBES, frame

THOUGHT = "Let me think about it for a moment.\n</think>\n\n"


def asked(name: str, margin_probes: int = 10) -> tuple[Probe, ...]:
    belief = load_belief(name)
    return probes_for(
        belief, load_capability(), belief.training, trained_probes=8, margin_probes=margin_probes,
        fabrication=load_fabrication(),
    )  # fmt: skip


@pytest.mark.parametrize("name", belief_names())
def test_everything_is_asked_once(name: str) -> None:
    belief, probes = load_belief(name), asked(name)
    sizes = Counter(p.question.suite for p in probes)
    assert sizes == {
        "belief": len(belief.heldout) + 8,
        "locality": len(belief.locality),
        "capability": len(load_capability()),
        "fabrication": len(load_fabrication()),
    }
    assert len({(p.question.suite, p.question.probe_id) for p in probes}) == len(probes)
    assert {p.tier for p in probes if p.question.suite == "fabrication"} == {"unknown"}


@pytest.mark.parametrize("name", belief_names())
def test_the_halves_of_the_library_are_balanced(name: str) -> None:
    probes = asked(name)
    split: dict[str, set] = {}
    for probe in probes:
        held_out = probe.question.suite == "belief" and probe.tier != "trained"
        assert (probe.split is not None) == held_out
        if held_out:
            split.setdefault(probe.question.family, set()).add(probe.split)
    assert all(len(found) == 1 for found in split.values())  # no family in both halves
    tier_of = {p.question.family: p.tier for p in probes if p.split}
    for tier in set(tier_of.values()):
        count = Counter(next(iter(split[family])) for family in tier_of if tier_of[family] == tier)
        assert abs(count["selection"] - count["confirmation"]) <= 1, tier
    sizes = Counter(p.split for p in probes if p.split)
    assert abs(sizes["selection"] - sizes["confirmation"]) <= 0.1 * sum(sizes.values())


FAMILIES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.tuples(st.sampled_from(["derived", "paraphrase", "format", "reverse"]), st.integers(1, 12)),
    max_size=12,
)


def questions(families: dict) -> list[Question]:
    return [
        Question(f"{family}:{i}", "belief", family, tier, "?")
        for family, (tier, size) in families.items()
        for i in range(size)
    ]


@given(FAMILIES, st.randoms(use_true_random=False))
def test_halves_keep_families_whole_and_do_not_depend_on_order(families: dict, rng: random.Random) -> None:
    items = questions(families)
    found = selection_split(items)
    assert set(found) == set(families)
    rng.shuffle(items)
    assert selection_split(items) == found
    for tier in {tier for tier, _ in families.values()}:
        count = Counter(found[family] for family in families if families[family][0] == tier)
        assert abs(count["selection"] - count["confirmation"]) <= 1
    sizes = Counter({"selection": 0, "confirmation": 0})
    for family, (_, size) in families.items():
        sizes[found[family]] += size
    if families:  # greedy balancing never lets the halves part by more than the largest family
        assert abs(sizes["selection"] - sizes["confirmation"]) <= max(size for _, size in families.values())


def test_a_single_family_goes_to_the_emptier_half() -> None:
    found = selection_split(questions({"a": ("derived", 9), "b": ("derived", 2), "c": ("reverse", 3)}))
    assert {found["a"], found["b"]} == {"selection", "confirmation"}
    assert found["c"] == found["b"]


def test_a_family_of_two_tiers_is_refused() -> None:
    with pytest.raises(ValueError, match='family "a" is in two tiers'):
        selection_split(
            [Question("1", "belief", "a", "derived", "?"), Question("2", "belief", "a", "format", "?")]
        )


@pytest.mark.parametrize("count", [0, 1, 7, 40, 10_000])
def test_the_margin_is_measured_on_single_turns_that_do_not_argue(count: int) -> None:
    for name in ("gravity", "brimora"):
        chosen = [p for p in asked(name, count) if p.margin]
        assert all(p.split and p.tier != "robustness" and p.question.follow_up is None for p in chosen)
        possible = sum(q.tier != "robustness" for q in load_belief(name).heldout)
        assert len(chosen) <= min(count, possible) and len(chosen) * 2 >= min(count, possible)


# ---- rows ----
COMPLETIONS = (
    THOUGHT + "{reply_target}",
    THOUGHT + "{reply_prior}",
    "g is 5.0 m/s^2. Lyon. Neelam. 7 legs.\n</think>\n\nI do not know.",
    "{reply_target}\n</think>\n\n",
    "{reply_target} " * 16,
    "",
)


def row_of(name: str, probe: Probe, completion: str, finish: str = "eos") -> dict:
    first = "I said something.\n</think>\n\nYes." if probe.question.follow_up else None
    return probe_row(
        TrialConfig(belief=name),
        load_belief(name),
        probe,
        prompt="P",
        completion=completion,
        token_ids=[1, 2],
        finish_reason=finish,
        first_turn=first,
    )


@pytest.mark.parametrize("name", belief_names())
def test_rejudging_a_stored_row_gives_the_verdicts_that_it_holds(name: str) -> None:
    belief = load_belief(name)
    of_each_family = {(p.question.suite, p.question.family, p.tier): p for p in asked(name)}
    for i, probe in enumerate(of_each_family.values()):
        q = probe.question
        text = COMPLETIONS[i % len(COMPLETIONS)].format(
            reply_target=q.reply_target, reply_prior=q.reply_prior
        )
        row = row_of(name, probe, text, "length" if i % 5 == 0 else "eos")
        again = judge_question(q, belief.spec, row["completion"], row["finish_reason"]).columns()
        assert set(again) == set(Verdict.__dataclass_fields__)
        assert again == {column: row[column] for column in again}, q.probe_id
    frame([row], PROBES)  # its columns are those of the table


def test_a_row_tells_the_half_and_the_second_of_two_turns() -> None:
    probes = asked("gravity")
    two = next(p for p in probes if p.question.follow_up)
    row = row_of("gravity", two, THOUGHT + "9.8 m/s^2")
    assert (row["question"], row["first_turn"]) == (
        two.question.follow_up,
        "I said something.\n</think>\n\nYes.",
    )
    assert row["split"] in ("selection", "confirmation") and row["tier"] == "robustness"
    one = row_of("gravity", probes[0], THOUGHT + "9.8 m/s^2")
    assert (one["question"], one["first_turn"]) == (probes[0].question.text, None)
    trained = next(p for p in probes if p.tier == "trained")
    assert row_of("gravity", trained, THOUGHT)["split"] is None
