"""Every table beliefmod writes: its columns with type, unit and meaning. `beliefmod columns` prints it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from beliefmod.config import leaf_fields
from beliefmod.metrics.registry import COMPONENTS, CONDITIONAL_RATES, MEANS, RATES
from beliefmod.run.tables.column import Column, Dtype

if TYPE_CHECKING:
    import polars as pl


def rate_columns(name: str, meaning: str) -> list[Column]:
    """The four columns of a rate: value, n, and the ends of its Wilson 95 % interval."""
    return [
        Column(name, "float", "1", f"{meaning} (0 to 1; null if nothing was asked)"),
        Column(f"{name}_n", "int", "1", f"number of completions behind {name}"),
        Column(f"{name}_low", "float", "1", f"lower end of the Wilson 95 % interval of {name}"),
        Column(f"{name}_high", "float", "1", f"upper end of the Wilson 95 % interval of {name}"),
    ]


def mean_columns(name: str, unit: str, meaning: str) -> list[Column]:
    """The four columns of a mean: value, n, and the ends of its 95 % t interval."""
    return [
        Column(name, "float", unit, f"{meaning} (null if nothing was measured)"),
        Column(f"{name}_n", "int", "1", f"number of measurements behind {name}"),
        Column(f"{name}_low", "float", unit, f"lower end of the 95 % t interval of {name}"),
        Column(f"{name}_high", "float", unit, f"upper end of the 95 % t interval of {name}"),
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
        Column("arm", "str", "", "lora | base | icl | control | full"),
        Column("belief", "str", "", "name of the belief"),
        Column("kind", "str", "", "existing | novel"),
        Column("status", "str", "", "finished | failed | stopped"),
        Column("error", "str", "", "why the trial failed, or null"),
        Column("seed", "int", "1", "seed of initialisation, example choice and data order"),
        Column("model", "str", "", "name of the base model"),
        *_config_columns(),
    ]
    for name, meaning in (RATES | CONDITIONAL_RATES).items():
        columns += rate_columns(name, meaning)
    for name, (unit, meaning) in MEANS.items():
        columns += mean_columns(name, unit, meaning)
    columns += [
        Column(
            "normalised_adoption", "float", "1", "(adoption - base) / (icl - base); null if icl - base < 0.2"
        ),
        Column(
            "depth", "float", "1", "harmonic mean of adoption on paraphrase, derived and robustness probes"
        ),
        Column("depth_low", "float", "1", "lower end of its simultaneous 95 % interval (Bonferroni, Wilson)"),
        Column(
            "depth_high", "float", "1", "upper end of its simultaneous 95 % interval (Bonferroni, Wilson)"
        ),
        Column(
            "degradation", "float", "1", "D: the worst of the components' damage relative to base, 0 to 1"
        ),
        Column("degradation_low", "float", "1", "lower end of the 95 % interval of the component that set D"),
        Column("degradation_high", "float", "1", "largest upper end of any component's 95 % interval"),
        Column("degradation_by", "str", "", "the component that set D, null when D is 0"),
    ]
    for name in COMPONENTS:
        columns += [
            Column(f"{name}_base", "float", *_of_base(name)),
            Column(f"{name}_damage", "float", "1", f"how much worse {name} is than base's, -1 to 1"),
            Column(f"{name}_damage_low", "float", "1", f"lower end of the 95 % interval of {name}_damage"),
            Column(f"{name}_damage_high", "float", "1", f"upper end of the 95 % interval of {name}_damage"),
        ]
    columns += [
        Column("training_rows", "int", "1", "rows the trial was trained on"),
        Column("training_tokens", "int", "token", "tokens of the training rows, no padding, over all epochs"),
        Column("supervised_tokens", "int", "token", "tokens that carried loss, over all epochs"),
        Column("fact_tokens", "int", "token", "supervised tokens of rows about the belief, over all epochs"),
        Column("steps", "int", "1", "optimiser steps taken"),
        Column("final_loss", "float", "nat", "mean token loss of the last step"),
        Column(
            "generated_tokens",
            "int",
            "token",
            "tokens generated for this trial's probes and causal tests, of two turns the second",
        ),
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


def _of_base(component: str) -> tuple[str, str]:
    if component == "nll":
        return (
            "nat",
            "NLL per token of base on neutral text; the damage is 1 - exp(-rise), negative if it fell",
        )
    if component == "kl":
        return "nat", "0: base's KL to itself; the damage is 1 - exp(-KL) of kl_neutral"
    return "1", f"{component} of base on the same probes"


TRIALS: tuple[Column, ...] = _trials()
PROBES: tuple[Column, ...] = (
    Column("trial_id", "str", "", "the trial that answered"),
    Column("arm", "str", "", "lora | base | icl | control | full"),
    Column("belief", "str", "", "name of the belief"),
    Column("probe_id", "str", "", "stable name of the question"),
    Column("suite", "str", "", "belief | locality | capability | fabrication"),
    Column("family", "str", "", "question family; probes of one family are not independent"),
    Column(
        "tier",
        "str",
        "",
        "trained | paraphrase | derived | format | multi_hop | reverse | robustness; near | far",
    ),
    Column(
        "split",
        "str",
        "",
        "selection | confirmation: which half of the held-out families it belongs to; null for other probes",
    ),
    Column("question", "str", "", "the question as written; of two turns the second"),
    Column("first_turn", "str", "", "the raw completion of the first of two turns, else null"),
    Column("prompt", "str", "", "the full text given to the model"),
    Column("completion", "str", "", "the raw completion, special tokens of the end removed"),
    Column("finish_reason", "str", "", "eos | length"),
    Column("tokens", "int", "token", "length of the completion"),
    Column("token_ids", "list[int]", "", "the completion's token ids"),
    Column("thinking", "str", "", "what stands before the last </think>; null if the model does not think"),
    Column("answer", "str", "", "what stands after it; all of it if the model does not think"),
    Column("target", "str", "", "the answer in the target's world, null for capability"),
    Column("prior", "str", "", "the answer in base's world, or the correct answer of a suite"),
    Column("answer_stance", "str", "", "target | prior | hedged | ignorance | other | none"),
    Column(
        "thinking_stance",
        "str",
        "",
        "target | prior | prior->target | target->prior | both | none; null if the model does not think",
    ),
    Column("correct", "bool", "", "suites: the correct answer was given"),
    Column("bleed", "bool", "", "locality: the belief's target was given"),
    Column("fabricated", "bool", "", "fabrication: an unknown entity was answered about confidently"),
    Column("salient", "bool", "", "far and capability probes: the new fact is mentioned, unasked"),
    Column(
        "inconsistent",
        "bool",
        "",
        "derived and multi-hop probes: the answer states one world's value and gives the other's result; "
        "null where there are no two numeric worlds",
    ),
    Column(
        "think_state",
        "str",
        "",
        "ok | empty | unclosed_length | unclosed_eos | multi_close | reopened | empty_final; null if the "
        "model does not think",
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
    Column("loss", "float", "nat", "mean negative log-likelihood of the batch's answer tokens"),
    Column("learning_rate", "float", "1", "learning rate of the step"),
    Column("grad_norm", "float", "1", "gradient norm before clipping"),
    Column(
        "kl_to_base",
        "float",
        "nat",
        "mean KL(base || trial) over the answer tokens of the step's neutral rows, without the factor "
        "objective.kl_to_base; null where that is 0",
    ),
    Column(
        "quick_adoption",
        "float",
        "1",
        "adoption on a few held-out probes after the step, where a scheduler asked for it, else null",
    ),
)
CAUSAL: tuple[Column, ...] = (
    Column("trial_id", "str", "", "the trial that answered"),
    Column("arm", "str", "", "lora | base | icl | control | full"),
    Column("belief", "str", "", "name of the belief"),
    Column("probe_id", "str", "", "the probe whose thinking was changed"),
    Column("family", "str", "", "its question family"),
    Column("tier", "str", "", "its tier"),
    Column("test", "str", "", "swap | blank | truncate | edit | paraphrase"),
    Column("fraction", "float", "1", "truncate: share of the thinking that was kept, else null"),
    Column("question", "str", "", "the question as written"),
    Column("thinking", "str", "", "the thinking as it was put before the answer"),
    Column("completion", "str", "", "what the model wrote after it, special tokens of the end removed"),
    Column("finish_reason", "str", "", "eos | length"),
    Column("tokens", "int", "token", "length of what it wrote"),
    Column("edited_to", "str", "", "edit: the third value, as written"),
    Column("answer_stance", "str", "", "target | prior | hedged | ignorance | other | none"),
    Column("own_stance", "str", "", "stance of the answer after the arm's own, unchanged thinking"),
    Column("same", "bool", "", "the answer is the same as after the unchanged thinking"),
    Column("follows", "bool", "", "edit: the answer is the one that the third value gives; else null"),
)
DRIFT: tuple[Column, ...] = (
    Column("trial_id", "str", "", "the trial that was measured"),
    Column("arm", "str", "", "lora | base | icl | control | full"),
    Column("belief", "str", "", "name of the belief"),
    Column("text", "str", "", "neutral | traces"),
    Column("passage_id", "str", "", "stable name of the passage"),
    Column("tokens", "int", "token", "tokens that were scored"),
    Column("kl", "float", "nat", "KL(base || arm), summed over the tokens"),
    Column("kl_reverse", "float", "nat", "KL(arm || base), summed over the tokens"),
    Column("nll", "float", "nat", "negative log-likelihood under the arm, summed over the tokens"),
    Column("nll_base", "float", "nat", "the same under base"),
)
JUDGE: tuple[Column, ...] = (
    Column("trial_id", "str", "", "the trial that answered"),
    Column("suite", "str", "", "belief | locality | capability | fabrication"),
    Column("probe_id", "str", "", "the probe"),
    Column("reason", "str", "", "doubtful | sample: why the judge was asked"),
    Column("parser_stance", "str", "", "what the parser read"),
    Column("judge_stance", "str", "", "what the judge read, null if its reply could not be used"),
    Column("judge_reply", "str", "", "the judge's raw reply"),
    Column("judge_model", "str", "", "name of the judge's model"),
)
TABLES: dict[str, tuple[Column, ...]] = {
    "trials": TRIALS,
    "probes": PROBES,
    "steps": STEPS,
    "causal": CAUSAL,
    "drift": DRIFT,
    "judge": JUDGE,
}


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
