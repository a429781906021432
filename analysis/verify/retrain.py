"""One trial of a run trained again from its seed, and what it gives now beside what the run has of it.

The same seed gives the same initial weights, examples and order, so only rounding differs: trials train and
answer side by side in a sweep and alone here, and another processor adds in another order. Training carries
such differences on, and an answer may turn where two tokens are nearly alike. The tolerances are chosen to be
wide against that and narrow against another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from analysis.verify.verify_trials import Verification
from beliefmod.config import TRAINED_ARMS, TrialConfig
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.read_run import Run, read_run
from beliefmod.run.same_model import check_same_model, source_of
from beliefmod.run.sources import read_sources
from beliefmod.run.tables.trial_tables import configuration
from beliefmod.space import SpaceFile

if TYPE_CHECKING:
    from beliefmod.probing.session import Session
    from beliefmod.trial import TrialResult

LOSS, LOGPROB, SAME_ANSWERS = 0.05, 0.05, 0.8
"""Largest median difference of the steps' losses, and of log-probabilities, in nats; least share of
answers that must be the same to the token."""
MEASURED = ("logprob_target", "logprob_prior")
Row = dict[str, Any]


@dataclass(frozen=True)
class Again:
    """A trial's new numbers against the stored ones.

    Attributes:
        loss: median over steps of how far the loss is from the stored one, in nats, and `loss_most` the
            largest; None without steps.
        logprob: median over probes of how far log-probabilities are, in nats; None where none were measured.
        answers: how many probes have been asked both times, and `same` of how many the tokens are the same.
    """

    loss: float | None
    loss_most: float | None
    logprob: float | None
    answers: int
    same: int

    def words(self) -> str:
        """`losses differ by 0.0000 nats (median; 0.0003 at most), ...`."""
        parts = []
        if self.loss is not None and self.loss_most is not None:
            parts.append(f"losses differ by {self.loss:.4f} nats (median; {self.loss_most:.4f} at most)")
        if self.logprob is not None:
            parts.append(f"log-probabilities by {self.logprob:.4f} nats (median)")
        return ", ".join([*parts, f"{self.same} of {self.answers} answers are the same to the token"])

    def problems(self) -> Iterator[str]:
        """What rounding does not explain."""
        if self.loss is not None and self.loss > LOSS:
            yield f"losses differ by {self.loss:.3f} nats (median), more than {LOSS:g}"
        if self.logprob is not None and self.logprob > LOGPROB:
            yield f"log-probabilities differ by {self.logprob:.3f} nats (median), more than {LOGPROB:g}"
        if self.same < SAME_ANSWERS * self.answers:
            yield f"{self.same} of {self.answers} answers are the same to the token, under {SAME_ANSWERS:.0%}"


def retrain_trials(
    location: str,
    trial_ids: Sequence[str],
    done: Verification,
    say: Callable[[str], None] = lambda message: None,
) -> None:
    """Train trials again, one by one, and note where they give something else. Nothing is written.

    Raises:
        UserError: no such trial, one that is not trained, or a model that is not here or not the run's.
    """
    folder, run = RunFolder.open(location), read_run(location)
    spec = SpaceFile.model_validate(run.manifest.get("space"))
    configs = [_config(run, spec, trial_id) for trial_id in dict.fromkeys(trial_ids)]
    session = _session(folder, spec, configs)
    for config in configs:
        say(f"training trial {config.trial_id} again: {config.total_steps} steps")
        found = compare(run, config.trial_id, *_trained(config, session))
        done.retrained += found.answers
        done.notes.append(f"trial {config.trial_id}, trained again: {found.words()}")
        done.mismatches += [
            f"trial {config.trial_id}, trained again from seed {config.seed}: {what}"
            for what in found.problems()
        ]


def compare(run: Run, trial_id: str, probes: Sequence[Row], losses: Sequence[float]) -> Again:
    """A trial's new probe rows and losses (by step) against the stored ones."""
    steps = run.steps([trial_id]).sort("step")["loss"].to_list()
    apart = [abs(a - b) for a, b in zip(steps, losses, strict=False)]
    stored = {(row["suite"], row["probe_id"]): row for row in run.probes([trial_id]).iter_rows(named=True)}
    pairs = [(stored[key], row) for row in probes if (key := (row["suite"], row["probe_id"])) in stored]
    numbers = [
        abs(one[name] - two[name])
        for one, two in pairs
        for name in MEASURED
        if None not in (one[name], two.get(name))
    ]
    return Again(
        median(apart) if apart else None,
        max(apart, default=None),
        median(numbers) if numbers else None,
        max(len(stored), len(probes)),
        sum(list(one["token_ids"]) == list(two["token_ids"]) for one, two in pairs),
    )


def _config(run: Run, spec: SpaceFile, trial_id: str) -> TrialConfig:
    row = next((r for r in run.trials.iter_rows(named=True) if r["trial_id"] == trial_id), None)
    if row is None or row["status"] != "finished":
        raise UserError(f"--retrain {trial_id}: {run.location} has no finished trial of this id")
    if row["arm"] not in TRAINED_ARMS:
        raise UserError(f"--retrain {trial_id}: is of arm {row['arm']}, which is not trained; name another")
    config = configuration(row, spec.beliefs)
    if config is None:
        raise UserError(f"--retrain {trial_id}: its settings are not those that its id is the hash of")
    return config


def _session(folder: RunFolder, spec: SpaceFile, configs: Sequence[TrialConfig]) -> Session:
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import load_model
    from beliefmod.probing.session import Session

    source = source_of(folder, spec)
    check_same_model(folder, source)
    loaded = load_model(spec.model, source.commit, spec.base_storage, chat=spec.chat)
    engine = Engine(loaded, slots=1, max_rank=max(config.lora.r for config in configs))
    session = Session(loaded, engine, spec.evaluation, spec.seeds[0], folder, variants=spec.chat.variants)
    beliefs = read_sources(folder).beliefs
    for config in configs:
        name = session.belief(config.belief).spec.name
        session.know(config.belief, beliefs[name])
    return session


def _trained(config: TrialConfig, session: Session) -> tuple[list[Row], list[float]]:
    from beliefmod.trial import TrialFailed, run_trial

    losses: list[float] = []
    try:
        result: TrialResult = run_trial(
            config, session, None, on_step=lambda report: losses.append(report.loss or 0.0)
        )
    except TrialFailed as error:
        raise UserError(f"--retrain {config.trial_id}: fails now ({error})") from None
    return result.probes, losses
