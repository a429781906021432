"""How a host comes to its model, engine and pack, and to what it writes beside results."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from beliefmod.fleet.board import Board
from beliefmod.fleet.checkpoints import Checkpoints
from beliefmod.fleet.grant import granted
from beliefmod.fleet.metering import Meter
from beliefmod.fleet.roll import Entry
from beliefmod.fleet.trial_log import TrialLogs
from beliefmod.run_folder import RunFolder

if TYPE_CHECKING:
    from beliefmod.fleet.host import HostSettings


@dataclass(frozen=True)
class Accounts:
    """What a host writes beside results, so that it can be seen from elsewhere."""

    meter: Meter
    board: Board
    logs: TrialLogs
    entry: Entry | None = None

    def write(self, closed: bool = False) -> None:
        """All three, now. closed: for the last time."""
        self.meter.write()
        self.glance(closed)

    def glance(self, closed: bool = False) -> None:
        """What people look at while the host works."""
        self.board.write(closed)
        self.logs.flush()


def build(
    settings: HostSettings, loop: asyncio.AbstractEventLoop, deliver: Any
) -> tuple[Any, dict[str, Any], Accounts]:
    """Load model and engine (seconds to minutes) and start the pack; its reports arrive on the event loop."""
    import torch

    from beliefmod.answer_cache import cache_beside
    from beliefmod.drift import self_test
    from beliefmod.fleet.gauges import HOST, Gauges, show_board
    from beliefmod.fleet.pack import Pack
    from beliefmod.fleet.report import Report
    from beliefmod.fleet.room import check_room
    from beliefmod.fleet.sizing import sized_engine, sizing_facts
    from beliefmod.journal import AnswerJournal
    from beliefmod.lab import Lab
    from beliefmod.manifest import versions
    from beliefmod.model.load import load_model
    from beliefmod.model.template import thinking_kind

    torch.set_num_threads(settings.threads)
    name, grant = actor_name(), granted(settings.demand.memory_share)
    grant.check()
    grant.keep_to_share()
    check_room(settings, grant)
    loaded = load_model(settings.model, settings.revision, settings.base_storage, grant.device)  # pyright: ignore[reportArgumentType]
    folder = RunFolder(settings.run_url)
    engine, found, choice = sized_engine(loaded, settings.slots, settings.max_rank, settings.demand)
    meter = Meter(folder, name, settings.started_at, engine.usage, found, choice)
    journal = AnswerJournal(folder, loaded.fingerprint, settings.checkpoint_seconds)
    cache = cache_beside(settings.run_url, loaded) if settings.evaluation.reuse_answers else None
    lab = Lab(loaded, engine, settings.evaluation, settings.reference_seed, folder, journal, cache)

    def tell(report: Report) -> None:
        loop.call_soon_threadsafe(deliver, asdict(report))

    decoding = lab.decoding
    facts = {
        "name": loaded.name,
        "fingerprint": loaded.fingerprint,
        "base_storage": loaded.base_storage,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": grant.device_name(),
        "machine": grant.machine,
        "accelerators": list(grant.accelerators),
        "remark": grant.remark,
        "versions": versions(),
        "max_new_tokens": decoding.max_new_tokens,
        "decoding": decoding.facts(),
        "thinking": thinking_kind(loaded.tokenizer),
        "quantized_layers": len(loaded.quantized),
        "self_tests": self_test(lab),
        "engine": sizing_facts(found, choice),
    }
    checkpoints = Checkpoints(folder, loaded.fingerprint, settings.checkpoint_seconds)
    logs = TrialLogs(folder, name)
    pack = Pack(lab, folder, tell, settings.search, checkpoints=checkpoints, logs=logs)
    board = Board(
        folder,
        name,
        facts["device"],
        settings.started_at,
        meter.machine,
        found.model,
        engine.usage.work,
        engine.slots,
        look=lambda: (pack.sights(), pack.waiting()),
        show=partial(show_board, Gauges(HOST), run=folder.name),
    )
    entry = Entry(folder, name, settings.started_at, facts)
    entry.write()
    return pack, facts, Accounts(meter, board, logs, entry)


def actor_name() -> str:
    """This host's name, by which trials find it."""
    import ray

    return (ray.get_runtime_context().get_actor_name() if ray.is_initialized() else None) or "host"
