"""A run, opened to be looked into: its model, its beliefs as they were asked, its adapters."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from beliefmod.errors import UserError
from interp.opened.listing import ListedRun, TrainedTrial

if TYPE_CHECKING:
    from beliefmod.beliefs import Belief
    from beliefmod.config import TrialConfig
    from beliefmod.model.adapter_files import AdapterFile
    from beliefmod.probing.session import Session
    from beliefmod.run.folder import RunFolder
    from interp.lenses.lens_head import LensHead

Made = TypeVar("Made")
ADAPTERS = 16
"""Adapters that are in the engine at a time: slots are held whether they are filled or not."""


@dataclass(frozen=True)
class Inspection:
    """What every part of the inspection works on.

    Attributes:
        session: the run's model on an engine of ADAPTERS slots, with the run's own evaluation settings.
        beliefs: by name, from the copies in the run folder.
        untrained: configurations of the untrained arms, by belief name, "base" or "icl", and switches of the
            chat template.
        trained: finished trials of the arms lora and control that have an adapter, in the table's order.
    """

    folder: RunFolder
    session: Session
    beliefs: dict[str, Belief]
    untrained: dict[tuple[str, str, str | None], TrialConfig]
    trained: tuple[TrainedTrial, ...]
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What is the same for every batch of trials: made at the first, kept for the others."""
        key = (self.session.template, key)
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @property
    def references(self) -> dict[tuple[str, str], TrialConfig]:
        """The untrained arms that are asked as the session asks, by (belief name, "base" or "icl")."""
        asked = self.session.template
        return {
            (belief, arm): config
            for (belief, arm, template), config in self.untrained.items()
            if template == asked
        }

    def asking(self, template: str | None) -> Inspection:
        """The same, talking to the model with these switches of its chat template."""
        return replace(self, session=self.session.of(template))

    @property
    def head(self) -> LensHead:
        """The model's norm and head as the lens calls them."""
        from interp.lenses.lens_head import LensHead

        return self.once("head", lambda: LensHead(self.session.engine.model.model))

    @contextmanager
    def loaded(self, trials: Sequence[TrainedTrial]) -> Iterator[None]:
        """These trials' adapters are in the engine within the block, under their trial_ids.

        Raises:
            UserError: an adapter cannot be read, or changes nothing.
        """
        with self.holding({trial.trial_id: self.adapter(trial.trial_id) for trial in trials}):
            yield

    @contextmanager
    def holding(self, adapters: dict[str, AdapterFile]) -> Iterator[None]:
        """Adapters, also ones made here (scaled, cut, random), are in the engine within the block."""
        engine = self.session.engine
        put: list[str] = []
        try:
            for name, adapter in adapters.items():
                engine.put_adapter(adapter, name)
                put.append(name)
            yield
        finally:
            for name in put:
                engine.release(name)

    def in_turns(self, adapters: Iterable[tuple[str, AdapterFile]]) -> Iterator[tuple[str, ...]]:
        """More adapters than there is room for, as many at a time as fit, under the names beside them.

        They are made as they are needed, where `adapters` is a generator. Yields the names that are in the
        engine until the next ones are asked for.
        """
        room, waiting = self.session.engine.free_slots(), iter(adapters)
        assert room, "the engine is full"
        while part := dict(islice(waiting, room)):
            with self.holding(part):
                yield tuple(part)

    def adapter(self, trial_id: str) -> AdapterFile:
        """A trial's adapter as it was saved.

        Raises:
            UserError: it cannot be read, or it changes nothing.
        """
        from beliefmod.run.adapter_export import kept_adapter
        from interp.opened.lens_guards import refuse_null

        adapter = kept_adapter(self.folder, trial_id)
        refuse_null(adapter, f"{self.folder.url}/adapters/{trial_id}")
        return adapter


def opened(listed: ListedRun) -> Inspection:
    """What was listed, with the run's model.

    Raises:
        UserError: the model cannot be loaded, or is another than the run's.
    """
    session = _session(listed)
    for name, config in [
        *((trial.belief, trial.config) for trial in listed.trained),
        *((belief, config) for (belief, *_), config in listed.references.items()),
    ]:
        session.know(config.belief, listed.beliefs[name])
    return Inspection(listed.folder, session, listed.beliefs, listed.references, listed.trained)


def _session(listed: ListedRun) -> Session:
    from beliefmod.engine.engine import Engine
    from beliefmod.model.architecture import check_type, model_config
    from beliefmod.model.load import load_model
    from beliefmod.probing.session import Session
    from beliefmod.run.same_model import check_same_model, source_of
    from interp.lenses.decoder import lens_refusal
    from interp.opened.lens_guards import guard_packed, refuse_merged

    folder, spec = listed.folder, listed.spec
    source = source_of(folder, spec)
    check_type(source)
    if why := lens_refusal(model_config(source)):
        raise UserError(f"{folder.url}: model {spec.model} {why}")
    check_same_model(folder, source)
    loaded = load_model(spec.model, source.commit, spec.base_storage, chat=spec.chat)
    guard_packed(loaded.model)
    refuse_merged(loaded.model)
    max_rank = max(trial.config.lora.r for trial in listed.trained)
    # as many for one trial as for many: its cut and random variants fill the slots as well
    engine = Engine(loaded, slots=ADAPTERS, max_rank=max_rank)
    return Session(loaded, engine, spec.evaluation, spec.seeds[0], folder)
