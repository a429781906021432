"""Which configurations are quoted, on tables small enough to see the answer."""

import polars as pl
import pytest

from analysis.frontier.quoted import best_under, ends_of, gentler_than


def table(*rows: tuple[str, float, float, float, float | None]) -> pl.DataFrame:
    names = ["trial_id", "adoption", "adoption_low", "degradation", "locality_near"]
    return pl.DataFrame(rows, schema=names, orient="row")


LORA = table(
    ("best", 1.00, 0.97, 0.01, 0.15),
    ("kind", 0.99, 0.95, 0.00, 1.00),
    ("kinder but weak", 0.90, 0.84, 0.00, 1.00),
    ("kind but damaged", 1.00, 0.97, 0.20, 1.00),
)


def test_best_is_the_highest_adoption_under_the_limit():
    assert best_under(LORA, 0.05)["trial_id"] == "best"
    assert best_under(LORA, 0.005)["trial_id"] == "kind"
    assert best_under(LORA.filter(pl.col("degradation") > 0.1), 0.05) is None


def test_the_ends_are_the_least_damaged_and_the_most_adopting():
    ends = [row["trial_id"] for row in ends_of(LORA) if row]
    assert ends == ["kind", "best"]  # of equally damaged or adopting ones the one that is better otherwise
    assert ends_of(LORA.head(1))[1] is None and ends_of(LORA.clear()) == (None, None)
    assert ends_of(LORA.with_columns(pl.lit(None, pl.Float64).alias("degradation"))) == (None, None)


def test_gentler_adopts_about_as_much_and_keeps_more_neighbours():
    assert gentler_than(best_under(LORA, 0.05), LORA, 0.05)["trial_id"] == "kind"


@pytest.mark.parametrize("gone", [["kind"], ["kind", "kind but damaged"]])
def test_no_gentler_one_is_invented(gone):
    rest = LORA.filter(~pl.col("trial_id").is_in(gone))
    assert gentler_than(best_under(rest, 0.05), rest, 0.05) is None


def test_without_a_best_or_a_measured_locality_there_is_none():
    assert gentler_than(None, LORA, 0.05) is None
    blank = table(("best", 1.0, 0.97, 0.01, None), ("kind", 0.99, 0.95, 0.0, 1.0))
    assert gentler_than(best_under(blank, 0.05), blank, 0.05) is None
