"""How a host comes to its model, engine and pack, and to what it writes beside results."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from beliefmod.fleet.devices import allocate_devices
from beliefmod.monitor.heartbeat import Heartbeat
from beliefmod.run.folder import RunFolder
from beliefmod.worker.checkpoints import Checkpoints
from beliefmod.worker.host_registry import Entry
from beliefmod.worker.host_settings import HostSettings
from beliefmod.worker.trial_log import TrialLogs
from beliefmod.worker.usage_log import UsageLog

if TYPE_CHECKING:
    from beliefmod.probing.session import Session


@dataclass(frozen=True)
class HostRecords:
    """What a host writes beside results, so that it can be seen from elsewhere."""

    usage_log: UsageLog
    heartbeat: Heartbeat
    logs: TrialLogs
    entry: Entry | None = None

    def write(self, closed: bool = False) -> None:
        """All three, now. closed: for the last time."""
        self.usage_log.write()
        self.write_live(closed)

    def write_live(self, closed: bool = False) -> None:
        """What people look at while the host works."""
        self.heartbeat.write(closed)
        self.logs.flush()


def build(
    settings: HostSettings, loop: asyncio.AbstractEventLoop, deliver: Any
) -> tuple[Any, dict[str, Any], HostRecords]:
    """Load model and engine (seconds to minutes) and start the pack; its reports arrive on the event loop."""
    import torch

    from beliefmod.beliefs import load_capability
    from beliefmod.capacity.choose import engine_of_choice
    from beliefmod.capacity.fit import check_fits
    from beliefmod.engine.memory import peak_bytes
    from beliefmod.fleet.gauges import HOST, Gauges, show_heartbeat
    from beliefmod.fleet.vllm_actor import ask_actor, vllm_facts
    from beliefmod.model.load import load_model, load_tokenizer
    from beliefmod.model.source import find_source
    from beliefmod.probing.answer_store import cache_beside, under_way
    from beliefmod.probing.drift import self_test
    from beliefmod.probing.kept_answers import KeptAnswers
    from beliefmod.probing.session import Session
    from beliefmod.run.manifest import versions
    from beliefmod.vllm.guard import QUESTIONS, check_same_base
    from beliefmod.vllm.writer import VllmWriter
    from beliefmod.worker.pack import Pack

    torch.set_num_threads(settings.threads)
    name, allocation = actor_name(), allocate_devices(settings.demand.memory_share)
    allocation.check()
    allocation.keep_to_share()
    source, demand = find_source(settings.model, settings.revision, settings.chat), settings.demand
    wanted = demand.of_engine(
        load_tokenizer(source), settings.base_storage, settings.max_rank, settings.slots
    )
    check_fits(source, wanted, allocation.free_bytes(), allocation.place, allocation.on_gpu)
    loaded = load_model(
        settings.model,
        settings.revision,
        settings.base_storage,  # pyright: ignore[reportArgumentType]
        allocation.device,
        chat=settings.chat,
    )
    folder = RunFolder(settings.run_url)
    engine, found, choice = engine_of_choice(loaded, wanted, demand.memory_share)
    peak = partial(peak_bytes, engine.model.device)
    usage_log = UsageLog(folder, name, settings.started_at, engine.usage, found, choice, peak)
    cache = cache_beside(settings.run_url) if settings.evaluation.reuse_answers else None
    writer = None
    if settings.evaluation.engine == "vllm":
        about = vllm_facts()
        writer = VllmWriter(engine, ask_actor, about["version"], about["max_model_len"])
    answers = KeptAnswers(engine, loaded, under_way(folder), cache, settings.checkpoint_seconds, writer)
    session = Session(
        loaded,
        engine,
        settings.evaluation,
        settings.reference_seed,
        folder,
        answers,
        variants=settings.chat.variants,
    )

    def send(report: Any) -> None:
        loop.call_soon_threadsafe(deliver, asdict(report))

    if writer is not None:
        prompts = [session.prompts.ids(question.text) for question in load_capability()[:QUESTIONS]]
        check_same_base(engine, writer, prompts, str(loaded.dtype).removeprefix("torch."))
    decoding = session.decoding
    facts = {
        "name": loaded.name,
        "fingerprint": loaded.fingerprint,
        "chat_template": loaded.template_sha256,
        "identity": {part: value for part, value in loaded.identity.items() if part != "weights"},
        "base_storage": loaded.base_storage,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": allocation.device_name(),
        "machine": allocation.machine,
        "accelerators": list(allocation.accelerators),
        "remark": allocation.remark,
        "versions": versions(),
        **({"max_new_tokens": decoding.max_new_tokens} if session.limit_settled else {}),
        "decoding": {
            **decoding.facts(),
            **({"engine": f"vLLM {writer.version}"} if writer is not None else {}),
        },
        "thinking": session.opened_by,
        **_thinking_by_switches(session),
        "quantized_layers": len(loaded.quantized),
        **({"stored": loaded.stored} if loaded.stored else {}),
        "self_tests": self_test(session),
        "engine": {**asdict(choice), "calibration": asdict(found)},
    }
    checkpoints = Checkpoints(folder, loaded.fingerprint, settings.checkpoint_seconds)
    logs = TrialLogs(folder, name)
    pack = Pack(session, folder, send, settings.scheduler, checkpoints=checkpoints, logs=logs)
    heartbeat = Heartbeat(
        folder,
        name,
        facts["device"],
        settings.started_at,
        usage_log.machine,
        found.model,
        engine.usage.work,
        engine.slots,
        look=lambda: (pack.snapshots(), pack.queue.waiting()),
        asked=session.asking.look,
        show=partial(show_heartbeat, Gauges(HOST), run=folder.name),
    )
    entry = Entry(folder, name, settings.started_at, facts)
    entry.write()
    return pack, facts, HostRecords(usage_log, heartbeat, logs, entry)


def _thinking_by_switches(session: Session) -> dict[str, Any]:
    """Who opens thinking, by the switches of the chat template in which trials differ, if they differ."""
    kinds = {each.template: each.opened_by for each in session.every if each.template is not None}
    return {"thinking_by_template": kinds} if kinds else {}


def actor_name() -> str:
    """This host's name, by which trials find it."""
    import ray

    return (ray.get_runtime_context().get_actor_name() if ray.is_initialized() else None) or "host"
