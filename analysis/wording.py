"""Numbers as sentences want them: never without n and interval, never a bare zero for "not measured"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from beliefmod.config import OF_OBJECTIVE, PINNED, short_name
from beliefmod.metrics.intervals import Estimate
from beliefmod.metrics.registry import COMPONENTS

NOT_MEASURED = "not measured"
NO_ROOM = "no D: base is at the floor or ceiling of every component"
MAIN_SETTINGS = ("data.style", "data.num_examples", "num_train_epochs", "learning_rate")
"""What a configuration is called by where there is no room for more."""
SETTING_NAMES = {
    "num_train_epochs": "epochs",
    "learning_rate": "learning rate",
    "data.style": "style",
    "data.documents_by": "documents by",
    "data.replay_ratio": "replay",
    "data.num_examples": "examples",
    "data.framing": "framing",
    "data.mask_empty_thinking": "empty thinking masked",
    "data.stygian_share": "stygian share",
    "data.traces": "traces",
    "objective.name": "objective",
    "objective.num_iterations": "steps on an answer",
    "objective.epsilon": "probability clip",
    "objective.loss_type": "loss",
    "objective.num_generations": "answers to a question",
    "objective.max_completion_length": "tokens of an answer",
    "objective.temperature": "temperature",
    "objective.in_context_share": "share in context",
    "objective.grpo_beta": "KL to base on own answers",
    "objective.reward_stance": "reward of stance",
    "objective.reward_thinking": "reward of thinking",
    "objective.reward_length": "reward of brevity",
    "objective.dpo_beta": "DPO beta",
    "objective.kl_to_base": "KL to base",
    "lora.r": "rank",
    "lora.lora_alpha": "alpha",
    "lora.use_rslora": "rank-stabilised",
    "lora.loraplus_lr_ratio": "LoRA+ ratio",
    "lora.target_modules": "modules",
    "lora.layers_to_transform": "layers",
    "lora.max_update_norm": "norm cap",
    "lora.start_from": "start",
    "per_device_train_batch_size": "batch",
    "warmup_steps": "warm-up steps",
    "lr_scheduler_type": "schedule",
    "weight_decay": "weight decay",
    "stop_at_degradation": "stopped above D",
    "max_grad_norm": "gradient clip",
    "adam_beta1": "Adam beta 1",
    "adam_beta2": "Adam beta 2",
    "adam_epsilon": "Adam epsilon",
    "template": "template switches",
    "context.place": "turn",
    "context.do_not_mention": "mention forbidden",
    "steering.layer": "layer",
    "steering.scale": "scale",
    "adapter.source": "adapter",
    "adapter.scale": "adapter scale",
    "adapter.layers": "adapter layers",
    "adapter.merge_with": "merged with",
    "adapter.merge_scale": "merged at scale",
}


def percent(share: float, n: int | None = None) -> str:
    """`17 %`; one decimal from 100 questions on, because more is noise below that."""
    return f"{100 * share:.{_digits(n)}f} %"


def rate(row: Mapping[str, Any] | None, name: str) -> str:
    """`17 % [3, 56], n = 6` for a rate column of a row; says so when it was not measured."""
    if row is None or row.get(name) is None:
        return NOT_MEASURED
    n, low, high = row.get(f"{name}_n"), row.get(f"{name}_low"), row.get(f"{name}_high")
    text = percent(row[name], n)
    text += f" {bounds(low, high, n)}" if low is not None and high is not None else " (no interval)"
    return f"{text}, n = {n}" if n is not None else f"{text}, n unknown"


def bounds(low: float, high: float, n: int | None = None) -> str:
    """`[3, 56]` in percent."""
    digits = _digits(n)
    return f"[{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def mean(row: Mapping[str, Any] | None, name: str, unit: str = "") -> str:
    """`+0.12 nat [0.08, 0.16], n = 40` for a mean column of a row; says so when it was not measured."""
    if row is None or row.get(name) is None:
        return NOT_MEASURED
    n, low, high = row.get(f"{name}_n"), row.get(f"{name}_low"), row.get(f"{name}_high")
    text = f"{_plain(row[name])}{f' {unit}' if unit else ''}"
    text += f" [{_plain(low)}, {_plain(high)}]" if low is not None and high is not None else " (no interval)"
    return f"{text}, n = {n}" if n is not None else f"{text}, n unknown"


def share(found: Estimate | None) -> str:
    """`17 % [3, 56], n = 6` for an estimated rate; says so when it was not measured."""
    return rate(None if found is None else found.columns("it"), "it")


def points(found: Estimate | None) -> str:
    """`+12 [+3, +20], n = 40` for an estimated difference of rates, in points of percent."""
    if found is None or found.value is None or found.low is None or found.high is None:
        return NOT_MEASURED
    value, low, high = (
        f"{100 * each:+.{_digits(found.n)}f}" for each in (found.value, found.low, found.high)
    )
    return f"{value} [{low}, {high}], n = {found.n}"


def percents(found: Estimate) -> dict[str, float | int | None]:
    """percent, low, high and n of an estimated rate, as charts have them."""
    ends = {"percent": found.value, "low": found.low, "high": found.high}
    return {name: None if end is None else 100 * end for name, end in ends.items()} | {"n": found.n}


def conditional(row: Mapping[str, Any] | None, name: str) -> str:
    """A conditional rate, or the refusal with the count that was too small for it (under MIN_ANSWERS)."""
    if row is not None and row.get(name) is not None:
        return rate(row, name)
    n = None if row is None else row.get(f"{name}_n")
    if n is None:
        return NOT_MEASURED
    return f"refused ({n})"


def shift(row: Mapping[str, Any] | None, component: str) -> str:
    """`+0.060 [0.020, 0.110]`: the damage of one component against base, from -1 to 1."""
    if row is None or row.get(f"{component}_damage") is None:
        return NOT_MEASURED
    low, high = row.get(f"{component}_damage_low"), row.get(f"{component}_damage_high")
    text = f"{row[f'{component}_damage']:+.3f}"
    return text + (f" [{low:+.3f}, {high:+.3f}]" if None not in (low, high) else " (no interval)")


def _plain(value: float) -> str:
    """Three decimals, more only for what they would hide."""
    return "0" if value == 0 else f"{value:.1e}" if abs(value) < 5e-4 else f"{value:.3f}"


def damage(row: Mapping[str, Any] | None) -> str:
    """`D 0.06 [0.02, 0.11] by broken think blocks, n = 240`, with the components that have no part in it."""
    if row is None or row.get("degradation") is None:
        return NO_ROOM if row and row.get("degradation_status") == "no_room" else NOT_MEASURED
    if row.get("arm") == "base":
        return "0 by definition"
    low, high, by = row.get("degradation_low"), row.get("degradation_high"), row.get("degradation_by")
    text = f"D {row['degradation']:.3f}"
    text += f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else " (no interval)"
    out = (
        f", without {' and '.join(COMPONENTS[name].damage_words for name in left_out)}"
        if (left_out := no_room(row))
        else ""
    )
    if by is None:
        return f"{text}, no component worse than base's{out}"
    n = row.get(f"{COMPONENTS[by].name}_n")
    return (
        f"{text} by {COMPONENTS[by].damage_words}" + (f", n = {n}" if n is not None else ", n unknown") + out
    )


def no_room(row: Mapping[str, Any]) -> list[str]:
    """The components that have no part in a row's D, because base is at their floor or ceiling."""
    return str(row["degradation_no_room"]).split(",") if row.get("degradation_no_room") else []


def interval(row: Mapping[str, Any], name: str, digits: int = 2, sign: bool = False) -> str:
    """`+2.31 [+1.90, +2.70]` for a column with bounds; `none` for null, and words for a missing bound."""
    value, low, high = row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high")
    if value is None:
        return "none"
    form = f"{'+' if sign else ''}.{digits}f"
    if low is None or high is None:
        ends = "no interval" if low is None and high is None else _half_open(low, high, form)
        return f"{value:{form}} ({ends})"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _half_open(low: float | None, high: float | None, form: str) -> str:
    """An interval one of whose ends never happens."""
    return f"from {low:{form}}, no upper end" if low is not None else f"up to {high:{form}}, no lower end"


def never_share(share: float) -> str:
    """`3 %`; `under 1 %` for what would be rounded to none."""
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def in_never(row: Mapping[str, Any], name: str) -> str:
    """` (in 3 % of the redraws never)`; empty where the column is null or 0."""
    return f" (in {never_share(row[name])} of the redraws never)" if row.get(name) else ""


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def plural(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`, `2 families`."""
    many = f"{noun[:-1]}ies" if noun.endswith("ily") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else many}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def setting_name(name: str) -> str:
    """A setting's name for people."""
    return SETTING_NAMES.get(name, name)


def setting_text(row: dict[str, Any], names: Sequence[str]) -> str:
    """`answer_only, 10 examples, 3 epochs, learning rate 2e-4` for these settings of a row, but for those
    that the row's objective does not use."""
    parts = []
    for name in names:
        value = row.get(name)
        needed = OF_OBJECTIVE.get(name.removeprefix("objective."))
        if value is None or (needed and row.get("objective.name", needed) != needed):
            continue
        if name == "adapter.layers" and value == "all":
            continue
        text = short_name(value) if name in PINNED else setting_value(value)
        if name == "data.style":
            parts.insert(0, text)
        elif name in ("data.num_examples", "num_train_epochs", "warmup_steps"):
            parts.append(f"{text} {setting_name(name)}")
        else:
            parts.append(f"{setting_name(name)} {text}")
    # where nothing else varies, beginning as base is what tells one from those that begin with an adapter
    return ", ".join(parts) or ("start base" if "lora.start_from" in names else "the only configuration")


def setting_value(value: Any) -> str:
    """A setting's value as people write it: 2e-4, not 0.0002."""
    if isinstance(value, float):
        text = f"{value:g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"
        if "e" not in text and 0 < abs(value) < 0.01:
            text = f"{value:.6e}".rstrip("0")
            mantissa, _, exponent = f"{value:.6e}".partition("e")
            text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
        return text.replace("e-0", "e-").replace("e+0", "e")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def p_value(p: float) -> str:
    """`< 0.001`, `= 0.032`, `= 0.41`."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def _digits(n: int | None) -> int:
    return 1 if n is not None and n >= 100 else 0
