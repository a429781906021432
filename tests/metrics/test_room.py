"""Components at whose floor or ceiling base is have no part in D; the rule looks at base alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.metrics.degradation import degradation, has_room
from beliefmod.metrics.intervals import wilson
from beliefmod.metrics.registry import COMPONENTS, DAMAGE_BUDGET
from beliefmod.metrics.summarise import summarise
from tests.metrics.test_summary import row

RATES = [name for name, metric in COMPONENTS.items() if metric.kind == "rate"]


def oracle(room: int, n: int) -> bool:
    """Newcombe's lower limit of room/n - 0/n by hand; uncorrelated, for one of the two is constant."""
    low, _ = wilson(room, n)
    _, high = wilson(0, n)
    return room / n - ((room / n - low) ** 2 + high**2) ** 0.5 > DAMAGE_BUDGET


@given(st.sampled_from(RATES), st.integers(2, 400), st.data())
def test_the_rule_is_the_lower_end_of_the_largest_damage_that_base_leaves(
    name: str, n: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, n))
    room = k if COMPONENTS[name].better == "higher" else n - k
    assert has_room(COMPONENTS[name], k, n) is oracle(room, n)


@pytest.mark.parametrize(
    ("name", "k", "n", "room"),
    [
        ("fabrication", 18, 24, True), ("fabrication", 19, 24, False), ("fabrication", 24, 24, False),
        ("capability", 22, 63, True), ("capability", 12, 105, True), ("capability", 11, 105, False),
        ("truncation", 198, 217, True), ("truncation", 199, 217, False), ("integrity", 0, 217, False),
        ("loop", 0, 217, True), ("capability", 105, 105, True), ("kl", 0, 5, True),
        ("capability", 0, 1, True),
    ],
)  # fmt: skip
def test_room_by_hand(name: str, k: int, n: int, room: bool) -> None:
    assert has_room(COMPONENTS[name], k, n) is room


def test_a_component_without_room_is_measured_and_has_no_part_in_d() -> None:
    pairs = {
        "fabrication": [(True, True)] * 20 + [(True, False)] * 4,
        "loop": [(False, False)] * 23 + [(True, False)],
    }
    found = degradation(pairs)
    assert (found.by, found.no_room, found.status) == ("loop", ("fabrication",), "ok")
    assert found.value == pytest.approx(1 / 24)
    assert found.damage["fabrication"].value == pytest.approx(4 / 24)
    # its wide interval is none of D's either
    assert found.high == found.damage["loop"].high


def test_without_any_component_d_is_null_with_a_status() -> None:
    only = degradation({"fabrication": [(True, True)] * 24})
    assert (only.value, only.low, only.high, only.by) == (None,) * 4
    assert (only.no_room, only.status) == (("fabrication",), "no_room")
    assert degradation({}).status == "not_measured"


def test_the_arm_has_no_say() -> None:
    base = [row(f"fab{i}", "fabrication", "unknown", fabricated=i < 22) for i in range(24)]
    whole: Any = None
    for arm_makes_up in (0, 12, 24):
        arm = [{**one, "fabricated": i < arm_makes_up} for i, one in enumerate(base)]
        m = summarise(arm, base)
        assert (m["degradation_no_room"], m["degradation_status"]) == ("fabrication", "ok")
        assert m["degradation"] == 0.0
        assert whole is None or m["fabrication_base"] == whole
        whole = m["fabrication_base"]
    assert summarise(base, None)["degradation_status"] == "not_measured"
