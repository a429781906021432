"""What a host needs to build its engine, as the driver sends it to another machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from beliefmod.capacity.choose import Demand
from beliefmod.space import Evaluation, NoScheduler, Scheduler
from beliefmod.space.chat_format import OWN, ChatFormat
from beliefmod.worker.checkpoints import SECONDS


@dataclass(frozen=True)
class HostSettings:
    """Plain values, for they are pickled.

    Attributes:
        revision: of a model from the hub, the commit that every host loads.
        chat: stands in for what the model's own files say of a chat.
        slots: 0 to let the host choose.
        started_at: when the driver began, in seconds since 1970.
    """

    run_url: str
    model: str
    revision: str | None
    base_storage: str
    slots: int
    max_rank: int
    threads: int
    evaluation: Evaluation
    reference_seed: int
    scheduler: Scheduler = field(default_factory=NoScheduler)
    checkpoint_seconds: float = SECONDS
    demand: Demand = field(default_factory=Demand)
    started_at: float = 0.0
    chat: ChatFormat = OWN
