"""How near a sweep came to the limit of its machine: the work it had to do against the rates measured there.

The limit is that of an ideal machine on the same hardware: every matrix product at the measured rate, every
byte read once at the measured bandwidth, nothing waiting, nothing padded, no time for Python, disk, start-up
or judging. With P weights in the base's linear layers, E in its head, N_a weights in an adapter, L layers, D
the width of all query heads, `b` bytes per number, Phi operations and beta bytes per second:

    training, operations   4 P T + 4 E T_label + 6 N_a T + 7 L D sum(s^2)       full fine-tuning: 6 P T, 6 E T
    training, bytes        R (2 B + 2 b E) + 28 sum_k S_k N_a,k                 28: AdamW in fp32, per weight
                           R = max(longest trial's steps, all trials' steps / slots that memory holds)
    generation, operations 2 P (p + g) + 2 E g + 2 N_a (p + g) + 2 L D (p + g)^2
    generation, bytes      N (B_decode + b E + adapters) + kv (p g + g^2 / 2)
                           N = max(longest answer, all answers' tokens / rows that memory holds)
    reading, operations    2 P T + 2 E T_label + 2 N_a T + 2 L D sum(s^2)       forward passes alone

for T tokens fed, T_label tokens with loss, rows of s tokens, S_k steps of trial k, prompts of p and answers
of g tokens. Reading is scores, drift, and what base reads for objective.kl_to_base. B is what one pass reads
of the base: b P for dense weights; for NF4 read by bitsandbytes (0.5625 + 2 + 2) P in training and 0.5625 P
in decoding. The attention terms take half of the square, which causality leaves. Each phase needs the larger
of its two times; their sum over the wall time is the fraction.

This follows the usual roofline argument. The base's own weights get no gradient, hence 4 P and not 6 P.
Work that was saved (shared epochs, cached answers) is not counted, work done twice after a crash is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from beliefmod.engine.usage import Work

GIB = 2**30
NF4_BYTES = 0.5625  # half a byte, and one fp32 scale per 64 weights
UNPACKED_BYTES = 4.0  # written once and read once in bf16 by bitsandbytes' dequantisation
ADAMW_BYTES = 28  # reads weight, gradient and two moments, writes weight and two moments, all fp32


@dataclass(frozen=True)
class Model:
    """What the formulas need of a base model.

    Attributes:
        linear_weights: P, weights of the linear layers without the head.
        head_weights: E, vocabulary times hidden size.
        query_width: D, heads times their size.
        number_bytes: bytes of a number in the model's dtype.
        packed: whether the base stays packed in NF4.
        cache_bytes: keys and values of one token in all layers.
    """

    linear_weights: int
    head_weights: int
    layers: int
    query_width: int
    number_bytes: int
    packed: bool
    cache_bytes: int

    @property
    def pass_bytes(self) -> float:
        """B: bytes of the base that one forward or backward pass reads."""
        per_weight = NF4_BYTES + UNPACKED_BYTES if self.packed else self.number_bytes
        return per_weight * self.linear_weights

    @property
    def decode_bytes(self) -> float:
        """Bytes of the base that one decode step reads; NF4 can be multiplied there as it is."""
        return (NF4_BYTES if self.packed else self.number_bytes) * self.linear_weights


@dataclass(frozen=True)
class Machine:
    """The hosts of a sweep, each alike.

    Attributes:
        flops: Phi, operations per second of a large matrix product on one host.
        bandwidth: beta, bytes per second read or written by a copy on one host.
        most_slots: adapters that one host's memory could train at a time.
        most_cache_tokens: tokens whose keys and values one host's memory could hold.
    """

    hosts: int
    flops: float
    bandwidth: float
    most_slots: int
    most_cache_tokens: int


@dataclass(frozen=True)
class Phase:
    """Seconds that one phase needs at least: for its matrix products, and for its memory traffic."""

    products: float
    memory: float

    @property
    def seconds(self) -> float:
        """Seconds that the phase needs at least: for products or for memory traffic, whichever is more."""
        return max(self.products, self.memory)

    @property
    def binds(self) -> Literal["products", "memory"]:
        """Which of the two rates the phase cannot be faster than."""
        return "products" if self.products >= self.memory else "memory"


def training(work: Work, model: Model, machine: Machine) -> Phase:
    """The least time for the training steps, on all hosts together."""
    p, e = model.linear_weights, model.head_weights
    operations = (
        4 * p * work.tokens
        + 4 * e * work.label_tokens
        + 2 * p * work.full_tokens
        + 2 * e * work.full_label_tokens
        + 6 * work.adapter_tokens
        + 7 * model.layers * model.query_width * work.squares
    )
    side_by_side = machine.hosts * max(1, machine.most_slots)
    rounds = max(work.longest_trial_steps, -(-work.trial_steps // side_by_side))
    traffic = (
        rounds * (2 * model.pass_bytes + 2 * model.number_bytes * e)
        + ADAMW_BYTES * work.adapter_steps / machine.hosts
    )
    return Phase(operations / (machine.hosts * machine.flops), traffic / machine.bandwidth)


def generation(work: Work, model: Model, machine: Machine) -> Phase:
    """The least time for the answers, on all hosts together."""
    p, e, n = model.linear_weights, model.head_weights, model.number_bytes
    tokens = work.prompt_tokens + work.generated_tokens
    operations = (
        2 * p * tokens
        + 2 * e * work.generated_tokens
        + 2 * work.adapter_answer_tokens
        + 2 * model.layers * model.query_width * work.answer_squares
    )
    mean_row = tokens / max(1, work.answers)
    rows = machine.hosts * max(1.0, machine.most_cache_tokens / max(1.0, mean_row))
    steps = max(work.longest_answer, work.answer_steps / rows)
    shared = n * work.adapter_decodes + model.cache_bytes * work.cache_reads
    traffic = steps * (model.decode_bytes + n * e) + shared / machine.hosts
    return Phase(operations / (machine.hosts * machine.flops), traffic / machine.bandwidth)


def reading(work: Work, model: Model, machine: Machine) -> Phase:
    """The least time for scores and drift; their passes are long, so that products bind."""
    operations = (
        2 * model.linear_weights * work.read_tokens
        + 2 * model.head_weights * work.read_label_tokens
        + 2 * work.adapter_read_tokens
        + 2 * model.layers * model.query_width * work.read_squares
    )
    return Phase(operations / (machine.hosts * machine.flops), 0.0)


def limit(work: Work, model: Model, machine: Machine, wall_seconds: float) -> dict[str, Any]:
    """Every term, as plain values for the manifest; `limit_line` puts them into a sentence.

    Raises:
        ValueError: the wall time is not positive.
    """
    if wall_seconds <= 0:
        raise ValueError(f"wall_seconds must be positive, not {wall_seconds}")
    phases = {
        "training": training(work, model, machine),
        "generation": generation(work, model, machine),
        "reading": reading(work, model, machine),
    }
    needed = {
        kind: sum(phase.seconds for phase in phases.values() if phase.binds == kind)
        for kind in ("products", "memory")
    }
    total = sum(needed.values())
    return {
        "fraction": total / wall_seconds,
        "seconds": total,
        "wall_seconds": wall_seconds,
        "binds": "products" if needed["products"] >= needed["memory"] else "memory",
        "phases": {name: asdict(phase) for name, phase in phases.items()},
        "real_to_padded": work.real_tokens / work.padded_tokens if work.padded_tokens else None,
        "slots_occupied": work.trial_steps / work.engine_steps if work.engine_steps else None,
        "slots": work.slot_steps / work.engine_steps if work.engine_steps else None,
        "occupied_until_tail": work.occupied_seconds / work.slot_seconds if work.slot_seconds else None,
        "machine": asdict(machine),
        "model": asdict(model),
        "work": asdict(work),
    }


def limit_line(found: Mapping[str, Any]) -> str:
    """One line for a person: the fraction, what binds, padding and occupancy."""
    machine = found["machine"]
    if found["binds"] == "products":
        binds = f"matrix products bind ({rate(machine['hosts'] * machine['flops'], 'FLOP/s')} measured)"
    else:
        binds = f"memory traffic binds ({rate(machine['hosts'] * machine['bandwidth'], 'B/s')} measured)"
    parts = [f"limit: {100 * found['fraction']:.2g} % of this machine's limit", binds]
    if found["real_to_padded"] is not None:
        parts.append(f"real/padded tokens {found['real_to_padded']:.2f}")
    if found["slots_occupied"] is not None:
        parts.append(f"{found['slots_occupied']:.1f} of {found['slots']:.3g} slots occupied on average")
    if (share := found.get("occupied_until_tail")) is not None:  # runs of earlier versions did not count it
        parts[-1] += f", {100 * share:.0f} % of them until the last trial had its slot"
    if taken := found.get("host_bytes"):  # the like
        parts.append(f"a host held {size(taken)} of memory at most")
    return "; ".join(parts)


def rate(value: float, unit: str) -> str:
    """`163e9, FLOP/s` -> "163 GFLOP/s", three digits."""
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def size(number: float) -> str:
    """Bytes for a person: `4 MiB`, `0.6 GiB`."""
    return f"{number / GIB:.1f} GiB" if number >= GIB / 2 else f"{number / 2**20:.0f} MiB"
