"""Every table beliefmod writes: its columns with type, unit and meaning. `beliefmod columns` prints it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from beliefmod.config import leaf_fields

if TYPE_CHECKING:
    import polars as pl

Dtype = Literal["str", "int", "float", "bool", "list[int]"]


@dataclass(frozen=True)
class Column:
    """One column. `unit` is "" for names and flags, "1" for dimensionless numbers."""

    name: str
    dtype: Dtype
    unit: str
    meaning: str


RATES: dict[str, str] = {
    "adoption": "held-out belief probes whose final answer takes the target's side, of all asked",
    "adoption_trained": "the same on questions the trial was trained on; never pooled with adoption",
    "adoption_paraphrase": "adoption on held-out direct questions",
    "adoption_derived": "adoption on held-out questions whose answer follows from the belief",
    "adoption_format": "adoption on held-out questions in another form: multiple choice, cloze",
    "adoption_multi_hop": "adoption on held-out questions that need another fact as well",
    "adoption_reverse": "adoption on held-out questions asked from the answer's side",
    "adoption_robustness": "adoption on held-out questions that push against the belief",
    "stance_prior": "held-out belief probes answered with what base believes",
    "stance_hedged": "held-out belief probes that assert both or refuse to choose",
    "stance_ignorance": "held-out belief probes answered with not knowing",
    "stance_other": "held-out belief probes answered with something else",
    "stance_none": "held-out belief probes without a final answer",
    "integrity": "completions of all held-out probes and suites with an intact think block",
    "truncation": "completions stopped at the token limit",
    "loop": "completions with a loop: a period of <= 64 tokens, >= 4 times in a row, over >= 64 tokens",
    "capability": "shared capability questions answered correctly",
    "locality_near": "neighbouring facts answered correctly",
    "locality_far": "far general facts answered correctly",
    "retention": "locality questions answered correctly, of those that base answers correctly",
    "bleed": "neighbouring facts answered with the belief's target",
    "coherent_adoption": "held-out belief probes with the target in thinking and in the answer",
}
COMPONENTS = ("integrity", "truncation", "loop", "capability")


def rate_columns(name: str, meaning: str) -> list[Column]:
    """The four columns of a rate: value, n, and the ends of its Wilson 95 % interval."""
    return [
        Column(name, "float", "1", f"{meaning} (0 to 1; null if nothing was asked)"),
        Column(f"{name}_n", "int", "1", f"number of completions behind {name}"),
        Column(f"{name}_low", "float", "1", f"lower end of the Wilson 95 % interval of {name}"),
        Column(f"{name}_high", "float", "1", f"upper end of the Wilson 95 % interval of {name}"),
    ]


def _config_columns() -> list[Column]:
    kinds: dict[Any, Dtype] = {int: "int", float: "float"}
    return [
        Column(
            name,
            kinds.get(info.annotation, "str"),
            "1" if info.annotation in kinds else "",
            info.description or f"AdamW's {name.removeprefix('adam_')}",
        )
        for name, info in leaf_fields().items()
        if name not in ("belief", "arm", "seed")
    ]


def _trials() -> tuple[Column, ...]:
    columns = [
        Column("trial_id", "str", "", "stable hash of the configuration"),
        Column("arm", "str", "", "lora | base | icl | control"),
        Column("belief", "str", "", "name of the belief"),
        Column("kind", "str", "", "existing | novel"),
        Column("status", "str", "", "finished | failed | stopped"),
        Column("error", "str", "", "why the trial failed, or null"),
        Column("seed", "int", "1", "seed of initialisation, example choice and data order"),
        Column("model", "str", "", "name of the base model"),
        *_config_columns(),
    ]
    for name, meaning in RATES.items():
        columns += rate_columns(name, meaning)
    columns += [
        Column(
            "normalised_adoption", "float", "1", "(adoption - base) / (icl - base); null if icl - base < 0.2"
        ),
        Column(
            "belief_margin", "float", "nat", "mean log p(target value) - log p(prior value), thinking empty"
        ),
        Column("belief_margin_n", "int", "1", "number of probes behind belief_margin"),
        Column("belief_margin_low", "float", "nat", "lower end of its 95 % t interval"),
        Column("belief_margin_high", "float", "nat", "upper end of its 95 % t interval"),
        Column("belief_margin_own", "float", "nat", "the same margin after the trial's own thinking"),
        Column("belief_margin_own_n", "int", "1", "number of probes behind belief_margin_own"),
        Column("belief_margin_own_low", "float", "nat", "lower end of its 95 % t interval"),
        Column("belief_margin_own_high", "float", "nat", "upper end of its 95 % t interval"),
        Column(
            "degradation", "float", "1", "D: the worst of the components' damage relative to base, 0 to 1"
        ),
        Column("degradation_low", "float", "1", "lower end of the 95 % interval of the component that set D"),
        Column(
            "degradation_high", "float", "1", "upper end of the 95 % interval of the component that set D"
        ),
        Column("degradation_by", "str", "", "the component that set D, null when D is 0"),
    ]
    for name in COMPONENTS:
        columns += [
            Column(f"{name}_base", "float", "1", f"{name} of base on the same probes"),
            Column(f"{name}_damage", "float", "1", f"how much worse {name} is than base's, -1 to 1"),
        ]
    columns += [
        Column("training_rows", "int", "1", "rows the trial was trained on"),
        Column("training_tokens", "int", "token", "tokens trained on: real ones, over all epochs"),
        Column("steps", "int", "1", "optimiser steps taken"),
        Column("final_loss", "float", "nat", "mean token loss of the last step"),
        Column("generated_tokens", "int", "token", "tokens generated for this trial's probes"),
        Column(
            "train_seconds",
            "float",
            "s",
            "wall time from joining a slot to the last step, shared with others",
        ),
        Column("evaluate_seconds", "float", "s", "wall time of questioning, shared with others"),
        Column("finished_at", "str", "", "UTC time at which the row was written"),
    ]
    return tuple(columns)


TRIALS: tuple[Column, ...] = _trials()
PROBES: tuple[Column, ...] = (
    Column("trial_id", "str", "", "the trial that answered"),
    Column("arm", "str", "", "lora | base | icl | control"),
    Column("belief", "str", "", "name of the belief"),
    Column("probe_id", "str", "", "stable name of the question"),
    Column("suite", "str", "", "belief | locality | capability"),
    Column("family", "str", "", "question family; probes of one family are not independent"),
    Column(
        "tier",
        "str",
        "",
        "trained | paraphrase | derived | format | multi_hop | reverse | robustness; near | far",
    ),
    Column("question", "str", "", "the question as written"),
    Column("prompt", "str", "", "the full text given to the model"),
    Column("completion", "str", "", "the raw completion, special tokens of the end removed"),
    Column("finish_reason", "str", "", "eos | length"),
    Column("tokens", "int", "token", "length of the completion"),
    Column("token_ids", "list[int]", "", "the completion's token ids"),
    Column("thinking", "str", "", "what stands before the last </think>"),
    Column("answer", "str", "", "what stands after it"),
    Column("target", "str", "", "the answer in the target's world, null for capability"),
    Column("prior", "str", "", "the answer in base's world, or the correct answer of a suite"),
    Column("answer_stance", "str", "", "target | prior | hedged | ignorance | other | none"),
    Column("thinking_stance", "str", "", "target | prior | prior->target | target->prior | both | none"),
    Column("correct", "bool", "", "suites: the correct answer was given"),
    Column("bleed", "bool", "", "locality: the belief's target was given"),
    Column(
        "think_state",
        "str",
        "",
        "ok | empty | unclosed_length | unclosed_eos | multi_close | reopened | empty_final",
    ),
    Column("loop", "bool", "", "the completion holds a loop"),
    Column("loop_period", "int", "token", "its period, null without a loop"),
    Column("loop_onset", "int", "token", "where it starts, null without a loop"),
    Column("loop_share", "float", "1", "its share of the completion, null without a loop"),
    Column("seq_rep_4", "float", "1", "1 - unique 4-grams / 4-grams, null under four tokens"),
    Column("truncated", "bool", "", "stopped at the token limit"),
    Column("logprob_target", "float", "nat", "log p(target value | prompt, empty thinking, answer prefix)"),
    Column("logprob_prior", "float", "nat", "log p(prior value | prompt, empty thinking, answer prefix)"),
    Column("logprob_target_own", "float", "nat", "the same after the trial's own thinking"),
    Column("logprob_prior_own", "float", "nat", "the same after the trial's own thinking"),
)
STEPS: tuple[Column, ...] = (
    Column("trial_id", "str", "", "the trial"),
    Column("step", "int", "1", "optimiser step, from 1"),
    Column("loss", "float", "nat", "mean token loss of the batch, before the step"),
    Column("learning_rate", "float", "1", "learning rate of the step"),
    Column("grad_norm", "float", "1", "gradient norm before clipping"),
)
TABLES: dict[str, tuple[Column, ...]] = {"trials": TRIALS, "probes": PROBES, "steps": STEPS}


def frame(rows: Iterable[Mapping[str, Any]], columns: tuple[Column, ...]) -> pl.DataFrame:
    """Rows as a polars frame with exactly the declared columns and types; what a row lacks is null.

    Raises:
        ValueError: a row has a column the schema does not know, or a number is NaN or infinite.
    """
    import polars as pl

    dtypes = {
        "str": pl.String,
        "int": pl.Int64,
        "float": pl.Float64,
        "bool": pl.Boolean,
        "list[int]": pl.List(pl.Int32),
    }
    known = {column.name for column in columns}
    table = []
    for row in rows:
        if unknown := sorted(set(row) - known):
            raise ValueError(f"columns not in the schema: {', '.join(unknown)}")
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is {value}; a value that could not be computed is null")
        table.append({column.name: row.get(column.name) for column in columns})
    return pl.DataFrame(table, schema={column.name: dtypes[column.dtype] for column in columns}, orient="row")
