"""Every way in which an answer can go wrong, as a rule over the columns of a probe row."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class FailureClass:
    """`asked`: completions in which it is looked for; `rule`: those that are of it (null counts as no)."""

    name: str
    meaning: str
    rule: pl.Expr
    asked: pl.Expr


def failure_classes() -> tuple[FailureClass, ...]:
    """The classes in the order of the report; a completion may be in several."""
    # not a literal: a literal counts as one row in a sum
    everywhere = pl.col("trial_id").is_not_null()
    thinking = pl.col("think_state").is_not_null()
    belief = (pl.col("suite") == "belief") & (pl.col("tier") != "trained")
    states = {
        "empty": "thinking of fewer than five tokens",
        "unclosed_length": "still thinking at the token limit",
        "unclosed_eos": "ended without closing the think block",
        "multi_close": "closed the think block several times",
        "reopened": "opened a think block again",
        "empty_final": "no answer after the think block",
    }
    return (
        *(
            FailureClass(f"think block: {state}", meaning, pl.col("think_state") == state, thinking)
            for state, meaning in states.items()
        ),
        FailureClass("loop", "repeats itself without end", pl.col("loop"), everywhere),
        FailureClass("truncated", "stopped at the token limit", pl.col("truncated"), everywhere),
        FailureClass(
            "hedged", "asserts both or refuses to choose", pl.col("answer_stance") == "hedged", belief
        ),
        FailureClass(
            "wrong unit",
            "gives one world's number in a unit that does not fit",
            pl.col("answer_stance") == "wrong_unit",
            belief,
        ),
        FailureClass(
            "unread",
            "was not understood by the parser; may hold either value",
            pl.col("answer_stance") == "unread",
            belief,
        ),
        FailureClass(
            "prior, then target",
            "starts on the old value and changes to the new one while thinking",
            pl.col("thinking_stance") == "prior->target",
            belief & thinking,
        ),
        FailureClass(
            "stygian",
            "thinks with the old value and answers with the new one",
            pl.col("thinking_stance").is_in(["prior", "target->prior"])
            & (pl.col("answer_stance") == "target"),
            belief & thinking,
        ),
        FailureClass(
            "reverse",
            "thinks with the new value and answers with the old one",
            pl.col("thinking_stance").is_in(["target", "prior->target"])
            & (pl.col("answer_stance") == "prior"),
            belief & thinking,
        ),
        FailureClass(
            "inconsistent",
            "states one world's value and gives the other world's result",
            pl.col("inconsistent"),
            belief,
        ),
        FailureClass(
            "fabricated",
            "answers confidently about something that does not exist",
            pl.col("fabricated"),
            pl.col("suite") == "fabrication",
        ),
        FailureClass(
            "bleed",
            "gives a neighbouring fact the implanted value",
            pl.col("bleed"),
            pl.col("suite") == "locality",
        ),
        FailureClass(
            "salient", "mentions the new fact where it does not belong", pl.col("salient"), everywhere
        ),
    )
