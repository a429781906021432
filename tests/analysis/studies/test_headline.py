"""Which number stands first: confirmed, else corrected, else as measured."""

from __future__ import annotations

import polars as pl
import pytest

from analysis.findings import BeliefFindings
from analysis.frontier.certainty import Picked
from analysis.frontier.corrected import shifted
from analysis.frontier.quoted import Choice
from analysis.studies.confirm import Confirmed, Side
from analysis.studies.headline import CONFIRMED, CORRECTED, MEASURED, headline

ROW = {"trial_id": "a", "adoption": 0.8, "adoption_n": 108, "seeds": 1, "learning_rate": 2e-4}
PICKED = Picked(promised=0.84, shown=0.70, shown_damage=0.01, broke_limit=0.0, splits=400)


def belief(best=ROW, picked=PICKED, configurations: int = 8, **by_family) -> BeliefFindings:
    lora = pl.DataFrame({"trial_id": [str(i) for i in range(configurations)]})
    choice = Choice("gravity", "existing", lora, best=best)
    return BeliefFindings(choice, by_family or {"a": (0.6, 0.9)}, 18, (), {}, picked)


def confirmed(adoption: float | None, of="gravity", **settings) -> Confirmed:
    row = ROW | {"adoption": adoption, "seeds": 2, "adoption_n": 104} | settings
    return Confirmed(of, Side(ROW, (0.6, 0.9), 9), Side(row, (0.5, 0.85), 9), None)


def test_a_confirmed_number_stands_first_and_the_promise_second() -> None:
    found = headline(belief(), [confirmed(0.4, of="neelam"), confirmed(0.7)])
    assert found is not None and found.kind == CONFIRMED
    assert found.number == "70.0 % [50.0, 85.0]"
    assert "2 new seeds" in found.why and "n = 104" in found.why
    assert "as measured 80.0 % [60.0, 90.0], n = 108, on the questions that chose it" in found.why
    assert "second" not in found.why


def test_the_best_configuration_is_preferred_among_the_finalists() -> None:
    other, same = confirmed(0.75, learning_rate=1e-3), confirmed(0.66)
    assert headline(belief(), [other, same]).adoption == 0.66  # pyright: ignore[reportOptionalMemberAccess]
    assert headline(belief(), [other]).adoption == 0.75  # pyright: ignore[reportOptionalMemberAccess]
    unmeasured = headline(belief(), [confirmed(None)])
    assert unmeasured is not None and unmeasured.kind == CORRECTED


def test_without_confirmation_the_corrected_number_stands_first() -> None:
    found = headline(belief(), [])
    assert found is not None and found.kind == CORRECTED
    assert (found.adoption, found.low, found.high) == shifted(0.8, (0.6, 0.9), PICKED)
    assert found.low is not None and found.low < 0.6 and 0.6 < found.adoption < 0.8 and found.high == 0.9
    assert "as measured 80.0 % [60.0, 90.0], n = 108" in found.why
    assert "one seed: nothing covers what a second would show" in found.why


def test_nothing_picked_is_nothing_corrected() -> None:
    for one in (belief(configurations=1), belief(picked=None)):
        found = headline(one, [])
        assert found is not None and found.kind == MEASURED and found.adoption == 0.8
    assert headline(belief(best=None), []) is None


def test_the_correction_is_none_where_the_other_half_shows_as_much() -> None:
    fair = Picked(promised=0.5, shown=0.55, shown_damage=0.0, broke_limit=0.0, splits=400)
    assert shifted(0.4, (0.3, 0.5), fair) == pytest.approx((0.4, 0.3, 0.5))
    assert shifted(0.0, (0.0, 0.1), PICKED) == (0.0, 0.0, 0.1)
    assert shifted(1.0, (0.9, 1.0), PICKED)[0] == 1.0
