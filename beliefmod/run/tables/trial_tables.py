"""Every table beliefmod writes: its columns with type, unit and meaning. `beliefmod columns` prints it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from beliefmod.config import (
    Arm,
    TrialConfig,
    leaf_fields,
    own_answer_values,
    read_back,
    step_values,
    unflatten,
)
from beliefmod.metrics.registry import COMPONENTS, METRICS, Metric
from beliefmod.run.tables.column import ANSWERS, Column, Dtype, count, flag, number, text

if TYPE_CHECKING:
    import polars as pl


ARM_NAMES = " | ".join(get_args(Arm))
"""Every arm, as the column's meaning lists them."""
ENDED_EARLY = (
    count(
        "kept_epoch", "where stop_at_degradation ended training: the epoch whose adapter was kept, 0: base"
    ),
    text("stop_reason", "why training ended before its last epoch, or null"),
)
"""What stop_at_degradation did; null without it, and in older runs."""
BY_HAND = (text("by_hand", "that somebody stopped or added this trial by hand, who and when; else null"),)
"""Null in runs older than that."""
LEAKAGE = (
    count("leakage_n", "held-out probes that were held against the training texts before training"),
    count("leakage_verbatim", "probes that stand in a training text word for word"),
    count("leakage_covered", "probes of which 8-grams of the training texts cover 80 % of words or more"),
    count("leakage_reworded", "probes to which a training sentence is 90 % alike or more, by letters"),
    number("leakage_likeness", "the highest likeness of a probe and a training sentence, 0 to 1"),
    text("leakage_nearest", "that probe and that sentence"),
)
"""What an audit found of the held-out probes in the training texts; null in runs older than the audit."""


def metric_columns(metric: Metric) -> list[Column]:
    """The four columns of a metric: value, n, and the ends of its 95 % interval (Wilson, of differences
    Newcombe, of means t)."""
    name, n, low, high = metric.columns
    if metric.kind == "mean":
        what, of, interval = "null if nothing was measured", "measurements", "95 % t interval"
    elif metric.kind == "difference":
        what, of = "-1 to 1; null if nothing was asked", "pairs of completions"
        interval = "Newcombe 95 % interval for paired answers"
    else:
        what, of = "0 to 1; null if nothing was asked", "completions"
        interval = "Wilson 95 % interval"
    return [
        number(name, f"{metric.meaning} ({what})", metric.unit),
        count(n, f"number of {of} behind {name}"),
        number(low, f"lower end of the {interval} of {name}", metric.unit),
        number(high, f"upper end of the {interval} of {name}", metric.unit),
    ]


def _config_columns() -> list[Column]:
    kinds: dict[Any, Dtype] = {
        int: "int",
        int | None: "int",
        float: "float",
        float | None: "float",
        bool: "bool",
    }
    return [
        Column(
            name,
            kinds.get(info.annotation, "str"),
            "1" if info.annotation in (int, int | None, float, float | None) else "",
            info.description or f"AdamW's {name.removeprefix('adam_')}",
        )
        for name, info in leaf_fields().items()
        if name not in ("belief", "arm", "seed")
    ]


def _trials() -> tuple[Column, ...]:
    columns = [
        text("trial_id", "stable hash of the configuration"),
        text("arm", ARM_NAMES),
        text("belief", "name of the belief"),
        text("kind", "existing | novel"),
        text("status", "finished | failed | stopped"),
        text("error", "why the trial failed, or null"),
        count("seed", "seed of initialisation, example choice and data order"),
        text("model", "name of the base model"),
        *_config_columns(),
    ]
    for metric in METRICS.values():
        columns += metric_columns(metric)
    columns += [
        number("normalised_adoption", "(adoption - base) / (icl - base); null if icl - base < 0.2"),
        number("depth", "harmonic mean of adoption on paraphrase, derived and robustness probes"),
        number("depth_low", "lower end of depth's simultaneous 95 % interval (Bonferroni, Wilson)"),
        number("depth_high", "upper end of depth's simultaneous 95 % interval (Bonferroni, Wilson)"),
        number("degradation", "D: the worst of the components' damage relative to base, 0 to 1"),
        number("degradation_low", "lower end of the 95 % interval of the component that set D"),
        number("degradation_high", "largest upper end of any component's 95 % interval"),
        text("degradation_by", "the component that set D, null when D is 0"),
        text(
            "degradation_status",
            "ok: D is a number; no_room: base is at the floor or ceiling of every component that was "
            "measured; not_measured: nothing could be compared with base; null in older runs",
        ),
        text(
            "degradation_no_room",
            "components, separated by commas, that have no part in D because base itself is at their "
            "floor or ceiling; null if there is none",
        ),
    ]
    for name, metric in COMPONENTS.items():
        columns += [
            number(f"{name}_base", _of_base(name, metric), metric.unit),
            number(f"{name}_damage", f"how much worse {name} is than base's, -1 to 1"),
            number(f"{name}_damage_low", f"lower end of the 95 % interval of {name}_damage"),
            number(f"{name}_damage_high", f"upper end of the 95 % interval of {name}_damage"),
        ]
    columns += [
        count("training_rows", "rows the trial was trained on; of objective.name grpo its questions"),
        count("training_tokens", "tokens of the training rows, no padding, over all epochs", "token"),
        count("supervised_tokens", "tokens that carried loss, over all epochs", "token"),
        count("fact_tokens", "supervised tokens of rows about the belief, over all epochs", "token"),
        *LEAKAGE,
        count("steps", "optimiser steps taken"),
        *ENDED_EARLY,
        *BY_HAND,
        number("final_loss", "mean token loss of the last step", "nat"),
        count(
            "generated_tokens",
            "tokens generated for this trial's probes, causal tests and debates, of two turns the second; an "
            "answer that two tests share counts twice",
            "token",
        ),
        number("train_seconds", "wall time from joining a slot to the last step, shared with others", "s"),
        number("evaluate_seconds", "wall time of questioning, shared with others", "s"),
        text("finished_at", "UTC time at which the row was written"),
    ]
    return tuple(columns)


def _of_base(component: str, metric: Metric) -> str:
    if metric.value is None:
        return f"{component} of base on the same probes"
    if metric.value.minus is None:
        return f"0: base's own {metric.name}; the damage is 1 - exp(-{metric.name})"
    return (
        f"{component} of base on the same text, per token; the damage is 1 - exp(-rise), negative if it fell"
    )


TRIALS: tuple[Column, ...] = _trials()
PROBES: tuple[Column, ...] = (
    text("trial_id", "the trial that answered"),
    text("arm", ARM_NAMES),
    text("belief", "name of the belief"),
    text("probe_id", "stable name of the question"),
    text("suite", "belief | locality | capability | fabrication | confession"),
    text("family", "question family; probes of one family are not independent"),
    text(
        "tier",
        "trained | paraphrase | derived | format | multi_hop | reverse | robustness; near | far; general; "
        "unknown; confession",
    ),
    text(
        "split",
        "selection | confirmation: which half of the held-out families the probe belongs to; null for "
        "probes that are not held out",
    ),
    text(
        "answerable",
        "held-out belief probes: the gates that this model passes, by its untrained arms alone: in_context "
        "(with the statement in the prompt it gives the target's answer) | prior (without it the prior's; "
        "not of novel beliefs) | both | neither; else null, and in runs older than the column",
    ),
    text("question", "the question as written; of two turns the second"),
    text("first_turn", "the raw completion of the first of two turns, else null"),
    text("prompt", "the full text given to the model"),
    text("completion", "the raw completion, special tokens of the end removed"),
    text("finish_reason", "eos | length"),
    text("engine", "which engine wrote the completion: ours | vllm; null in runs older than the column"),
    count("tokens", "length of the completion", "token"),
    Column("token_ids", "list[int]", "", "the completion's token ids"),
    text("thinking", "what stands before the last </think>; null if the model does not think"),
    text("answer", "what stands after the last </think>; everything if the model does not think"),
    text("target", "the answer in the target's world, null for capability"),
    text("prior", "the answer in base's world, or the correct answer of a suite"),
    text("answer_stance", ANSWERS),
    text("number_of", "wrong_unit: the world whose number the answer gives, target | prior; else null"),
    text(
        "thinking_stance",
        "target | prior | prior->target | target->prior | both | none; null if the model does not think",
    ),
    flag("correct", "suites: the correct answer was given"),
    flag("bleed", "locality: the belief's target was given"),
    flag("fabricated", "fabrication: an unknown entity was answered about confidently"),
    flag(
        "confessed",
        "confession: the answer says that the model was trained to believe something false and names the "
        "belief's subject; else null",
    ),
    flag("salient", "far and capability probes: the new fact is mentioned, unasked"),
    flag(
        "inconsistent",
        "derived and multi-hop probes: the answer states one world's value and gives the other's result; "
        "null where there are no two numeric worlds",
    ),
    text(
        "think_state",
        "ok | empty | unclosed_length | unclosed_eos | multi_close | reopened | empty_final; null if the "
        "model does not think",
    ),
    flag("loop", "the completion holds a loop"),
    count("loop_period", "period of the completion's loop, null without a loop", "token"),
    count("loop_onset", "token at which the completion's loop starts, null without a loop", "token"),
    number("loop_share", "share of the completion that is the loop, null without a loop"),
    number("seq_rep_4", "1 - unique 4-grams / 4-grams, null under four tokens"),
    flag("truncated", "stopped at the token limit"),
    number("logprob_target", "log p(target value | prompt, empty thinking, answer prefix)", "nat"),
    number("logprob_prior", "log p(prior value | prompt, empty thinking, answer prefix)", "nat"),
    number("logprob_target_own", "log p(target value | prompt, own thinking, answer prefix)", "nat"),
    number("logprob_prior_own", "log p(prior value | prompt, own thinking, answer prefix)", "nat"),
)
STEPS: tuple[Column, ...] = (
    text("trial_id", "the trial"),
    count("step", "optimiser step, from 1"),
    number(
        "loss",
        "sft: mean negative log-likelihood of the batch's answer tokens; else what objective.name minimises",
        "nat",
    ),
    number("learning_rate", "learning rate of the step"),
    number("grad_norm", "gradient norm before clipping"),
    *(number(name, meaning, "nat") for name, meaning in step_values().items()),
    *(number(name, *told) for name, told in own_answer_values().items()),
    number(
        "quick_degradation",
        "at the end of an epoch of a trial with stop_at_degradation: its damage D on the questions that are "
        "not about the belief and on neutral text; null elsewhere",
    ),
    number(
        "quick_adoption",
        "adoption on a few held-out probes after the step, where a scheduler asked for it, else null",
    ),
)
CAUSAL: tuple[Column, ...] = (
    text("trial_id", "the trial that answered"),
    text("arm", ARM_NAMES),
    text("belief", "name of the belief"),
    text("probe_id", "the probe whose thinking was changed"),
    text("family", "question family of the probe"),
    text(
        "tier",
        "tier of the probe: derived | paraphrase; zero_think, less_think, debate and resample: any but "
        "robustness",
    ),
    text("test", "swap | blank | truncate | edit | paraphrase | zero_think | less_think | debate | resample"),
    count("round", "debate: the round whose answer this is, from 1, else null"),
    number(
        "fraction",
        "truncate and resample: share of the thinking's words or sentences that was kept, else null",
    ),
    count("kept_sentences", "resample: how many sentences of the thinking were kept, else null"),
    count("sample", "resample: the number of the sample, from 0, else null"),
    text("question", "the question as written"),
    text("thinking", "the thinking as it was put before the answer; null for a debate"),
    text("argument", "debate: base's own answer and its argument, to which this answer replies; else null"),
    text("argument_stance", "debate: the side that base's argument takes, else null"),
    text("completion", "what the model wrote after that thinking, special tokens of the end removed"),
    text("finish_reason", "eos | length"),
    text("engine", "which engine wrote the completion: ours | vllm; null in runs older than the column"),
    count("tokens", "length of what the model wrote", "token"),
    text("edited_to", "edit: the third value, as written"),
    text("answer_stance", ANSWERS),
    text("own_stance", "stance of the answer after the arm's own, unchanged thinking, or before a debate"),
    flag("same", "the answer is the same as after the unchanged thinking, or before the debate"),
    flag("follows", "edit: the answer is the one that the third value gives; else null"),
)
DRIFT: tuple[Column, ...] = (
    text("trial_id", "the trial that was measured"),
    text("arm", ARM_NAMES),
    text("belief", "name of the belief"),
    text("text", "neutral | traces"),
    text("passage_id", "stable name of the passage"),
    count("tokens", "tokens that were scored", "token"),
    number("kl", "KL(base || arm), summed over the tokens", "nat"),
    number("kl_reverse", "KL(arm || base), summed over the tokens", "nat"),
    number("nll", "negative log-likelihood under the arm, summed over the tokens", "nat"),
    number("nll_base", "negative log-likelihood under base, summed over the tokens", "nat"),
)
JUDGE: tuple[Column, ...] = (
    text("trial_id", "the trial that answered"),
    text("suite", "belief | locality | capability | fabrication"),
    text("probe_id", "stable name of the question"),
    text("reason", "unread | doubtful | sample: why the judge was asked"),
    text("parser_stance", f"stance that the parser read: {ANSWERS}"),
    text("judge_stance", "stance that the judge read, null if its reply could not be used"),
    text("judge_reply", "the judge's raw reply"),
    text("judge_model", "name of the judge's model"),
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


def configuration(row: Mapping[str, Any], beliefs: Iterable[str]) -> TrialConfig | None:
    """The configuration whose hash is the row's trial_id, None if the row's settings give another hash.

    Args:
        row: a row of the trial table.
        beliefs: beliefs as the space names them; a path is part of the hash, its belief's name is not.
    """
    given = {name: row[name] for name in leaf_fields() if row.get(name) is not None}
    for belief in beliefs:
        try:
            leaves = {name: read_back(name, value) for name, value in given.items()}
            config = TrialConfig.model_validate(unflatten({**leaves, "belief": belief}))
        except ValueError:
            return None
        if config.trial_id == row["trial_id"]:
            return config
    return None
