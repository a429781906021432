"""A run's trials one by one: probes, causal tests and metrics once more, every disagreement noted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from analysis.frontier.non_dominated import finished
from analysis.recompute import (
    causal_again,
    comparable,
    debate_again,
    differences,
    effort,
    expected_probes,
    later_metrics,
    metric_columns,
    probe_again,
)
from beliefmod.beliefs import Belief
from beliefmod.config import REFERENCE_ARMS, later_settings
from beliefmod.errors import UserError
from beliefmod.metrics.answerable import Answerable, gates, marked
from beliefmod.metrics.summarise import summarise
from beliefmod.probing.probes import Probe
from beliefmod.run.folder import SPACE, RunFolder
from beliefmod.run.read_run import Run
from beliefmod.run.sources import Sources
from beliefmod.run.tables.trial_tables import TABLES, configuration
from beliefmod.space import SpaceFile
from beliefmod.space.chat_format import ThinkingKind

Row = dict[str, Any]


@dataclass
class Verification:
    """What was checked and what does not agree.

    `mismatches`: sentences that name the place. `differing`: how many of them name a value that is another
    one now; the others say that something is missing or of another run. `later`: metrics that came after some
    trial was run.
    `no_room`: belief -> components of D at whose floor or ceiling base is, so that they have no part in D.
    `texts`: probes whose prompt and token ids were compared; `replicates`: pairs of seeds; `drawn`: figures;
    `page`: report.html was compared; `retrained`: steps and answers of trials that were trained again.
    `seal`: hash of the last of `sealed_entries` entries of the run's chain, None for a run without one.
    """

    mismatches: list[str] = field(default_factory=list)
    trials: int = 0
    probes: int = 0
    causal: int = 0
    judged: int = 0
    numbers: int = 0
    differing: int = 0
    lines: int | None = None
    notes: list[str] = field(default_factory=list)
    later: set[str] = field(default_factory=set)
    no_room: dict[str, str] = field(default_factory=dict)
    seal: str | None = None
    sealed_entries: int = 0
    texts: int = 0
    replicates: int = 0
    drawn: int = 0
    page: bool = False
    retrained: int = 0

    def compare(self, place: str, stored: Row, again: Row, columns: Iterable[str]) -> None:
        """Count the columns and note where the two rows differ."""
        names = list(columns)
        self.numbers += len(names)
        found = [f"{place}: {found}" for found in differences(stored, again, names)]
        self.differing += len(found)
        self.mismatches += found

    def add(self, other: Verification, place: str) -> None:
        """Take in what was found in a folder below."""
        self.mismatches += [f"{place}/{text}" for text in other.mismatches]
        self.notes += [f"{place}: {text}" for text in other.notes]
        self.later |= other.later
        self.no_room |= other.no_room
        counted = ("trials", "probes", "causal", "judged", "numbers", "differing", "texts", "replicates")
        for name in counted:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class TrialAgain:
    """A trial's row, probe rows and causal rows, recomputed from its completions."""

    row: Row
    probes: list[Row]
    causal: list[Row]


class Trials:
    """A run's trials one by one, with the reference arms that they are compared with.

    Args:
        done: takes what is counted and what does not agree.
        newer_too: give trials the metrics that are newer than they are as well.
    """

    def __init__(
        self, run: Run, folder: RunFolder, sources: Sources, done: Verification, newer_too: bool = False
    ) -> None:
        self.run, self.folder, self.sources, self.done = run, folder, sources, done
        self.newer_too = newer_too
        self.space = _space(folder)
        # runs of older versions had models whose prompt opens thinking
        model = run.manifest.get("model") or {}
        self._thinking: ThinkingKind = model.get("thinking") or "prompt"
        self._thinking_switched: dict[str, ThinkingKind] = model.get("thinking_by_template") or {}
        self.stored: list[Row] = finished(run.trials).to_dicts()
        self._probes: dict[tuple[str, str | None], dict[tuple[str, str], Probe]] = {}
        self._references: dict[tuple[str, str, str | None], list[Row] | None] = {}
        self._kept: dict[str, list[Row]] = {}

    def opened_by(self, template: str | None) -> ThinkingKind:
        """Who opens thinking where trials have these switches of the template (`TrialConfig.template`)."""
        return self._thinking if template is None else self._thinking_switched.get(template, self._thinking)

    def again(self, stored: Row) -> TrialAgain:
        """A finished trial recomputed, every disagreement noted. What cannot be recomputed is as it was."""
        trial_id, belief = stored["trial_id"], self.sources.beliefs.get(stored["belief"])
        place = f"trial {trial_id}"
        self.done.trials += 1
        if belief is None:
            self.done.mismatches.append(
                f"{place}: there is no beliefs/{stored['belief']}.yaml to read its answers with"
            )
            return TrialAgain(stored, self.run.probes([trial_id]).to_dicts(), [])
        if configuration(stored, self.space.beliefs) is None:
            self.done.mismatches.append(
                f"{place}: its settings in trials.parquet are not those that trial_id is the hash of"
            )
        self._twin(place, stored)
        later = () if self.newer_too else later_metrics(stored)
        self.done.later.update(later)
        probes = self.probes_again(trial_id, stored, belief, note=True, older="adoption_answerable" in later)
        causal = self._causal_again(trial_id, probes, belief, stored)
        base, icl = (self.reference(stored, arm) for arm in REFERENCE_ARMS)
        if base is None:
            self.done.notes.append(f"trial {trial_id} is not summarised again: base has not finished")
            return TrialAgain(stored, probes, causal)
        drift = self.run.drift([trial_id]).to_dicts()
        try:
            metrics = summarise(probes, base, icl, causal=causal, drift=drift, without=later)
        except ValueError as error:
            self.done.mismatches.append(f"{place}: its probe rows give no metrics ({error})")
            return TrialAgain(stored, probes, causal)
        columns = comparable(stored, metrics)
        self.done.compare(f"trials.parquet, {place}", stored, metrics, columns)
        if no_room := metrics["degradation_no_room"]:
            self.done.no_room[stored["belief"]] = str(no_room)
        counted = effort(probes, causal, self.run.steps([trial_id]).to_dicts()) | {"kind": belief.spec.kind}
        self.done.compare(f"trials.parquet, {place}", stored, counted, counted)
        row = {**stored, **{name: metrics.get(name) for name in metric_columns()}}
        return TrialAgain(row, probes, causal)

    def probes_again(
        self, trial_id: str, trial: Row, belief: Belief, note: bool, older: bool = False
    ) -> list[Row]:
        """The trial's probe rows written again; with `note` what differs or is missing is noted.

        Only with `note` are they marked with the gates that their questions pass, because the gates are read
        off the reference arms' own rows. `older`: the trial is older than these marks and stays without.
        """
        if trial_id in self._kept and not note:
            return self._kept[trial_id]
        expected = self._expected(belief, trial["template"])
        opened_by = self.opened_by(trial["template"])
        training = {question.probe_id: question for question in belief.training}
        identity = {"arm": trial["arm"], "belief": trial["belief"], "trial_id": trial_id}
        config = _Identity(trial_id, trial["arm"])
        columns = [column.name for column in TABLES["probes"]]
        passed = self._gates(trial, belief) if note and not older else {}
        rows, seen = [], set()
        for stored in self.run.probes([trial_id]).iter_rows(named=True):
            key = (stored["suite"], stored["probe_id"])
            place = f"probes/{trial_id}.parquet, probe {key[1]}"
            probe = expected.get(key)
            if probe is None and key[0] == "belief" and key[1] in training:
                probe = Probe(training[key[1]], "trained")
            if probe is None or key in seen:
                why = "is there twice" if key in seen else f"is no question of belief {belief.spec.name}"
                self.done.mismatches.append(f"{place}: {why}")
                continue
            seen.add(key)
            again = {
                **probe_again(stored, probe, config, belief, opened_by, self.space.evaluation.engine),  # pyright: ignore[reportArgumentType]
                **identity,
            }
            [again] = marked([again], passed)
            if note:
                self.done.probes += 1
                self.done.compare(place, stored, again, columns)
            rows.append(again)
        if note and (lost := [key for key in expected if key not in seen]):
            self.done.mismatches.append(
                f"probes/{trial_id}.parquet: {len(lost)} of {len(expected)} probes are missing, such as "
                f"{lost[0][1]} of suite {lost[0][0]}"
            )
        if trial["arm"] in REFERENCE_ARMS:
            self._kept[trial_id] = rows
        return rows

    def reference(self, trial: Row, arm: str) -> list[Row] | None:
        """The recomputed probe rows of a trial's reference arm: of its belief, asked with its switches of the
        chat template. None if it has not finished."""
        belief = trial["belief"]
        key = (belief, arm, trial["template"])
        if key not in self._references:
            found = [row for row in self.stored if (row["belief"], row["arm"], row["template"]) == key]
            # the sweep compares with the first seed's reference
            found.sort(key=lambda row: (row["seed"] != self.space.seeds[0], row["trial_id"]))
            spec = self.sources.beliefs[belief]
            self._references[key] = None
            if found:
                rows = self.probes_again(found[0]["trial_id"], found[0], spec, note=False)
                self._references[key] = rows
        return self._references[key]

    def _gates(self, trial: Row, belief: Belief) -> dict[str, Answerable]:
        base, icl = (self.reference(trial, arm) or [] for arm in REFERENCE_ARMS)
        return gates(base, icl, novel=belief.spec.kind == "novel")

    def _causal_again(self, trial_id: str, probes: list[Row], belief: Belief, trial: Row) -> list[Row]:
        own = {row["probe_id"]: row for row in probes if row["suite"] == "belief"}
        other = self.reference(trial, "icl" if trial["arm"] == "base" else "base") or []
        others = {row["probe_id"]: row for row in other if row["suite"] == "belief"}
        questions = {question.probe_id: question for question in belief.heldout}
        columns = [column.name for column in TABLES["causal"]]
        rows = []
        for stored in self.run.causal([trial_id]).iter_rows(named=True):
            name = stored["probe_id"]
            place = f"causal/{trial_id}.parquet, {stored['test']} of probe {name}"
            if name not in questions or name not in own:
                self.done.mismatches.append(f"{place}: the trial has no such probe")
                continue
            if stored["test"] == "debate":
                opened_by = self.opened_by(trial["template"])
                again = debate_again(stored, questions[name], belief, own[name], opened_by)
            else:
                again = causal_again(stored, questions[name], belief, own[name], others.get(name))
            again |= {"trial_id": trial_id, "arm": trial["arm"], "belief": trial["belief"]}
            if stored["engine"] is not None:
                again["engine"] = self.space.evaluation.engine
            self.done.causal += 1
            self.done.compare(place, stored, again, columns)
            rows.append(again)
        return rows

    def _twin(self, place: str, stored: Row) -> None:
        """The row that the trial itself wrote must be the one in the table, column for column."""
        try:
            twin = json.loads(self.folder.read_bytes("rows", f"{stored['trial_id']}.json"))
        except FileNotFoundError:
            self.done.mismatches.append(f"{place}: rows/{stored['trial_id']}.json is missing")
            return
        except ValueError:
            raise UserError(
                f"{self.run.location}/rows/{stored['trial_id']}.json: is damaged; restore it"
            ) from None
        # a setting that the trial does not use is null in its row, and its default where the table is read
        idle = {
            name
            for name, value in later_settings().items()
            if twin.get(name) is None and stored[name] == value
        }
        columns = [column.name for column in TABLES["trials"] if column.name not in idle]
        found = [
            f"rows/{stored['trial_id']}.json against trials.parquet: {one.where} is {one.stored!r} there and "
            f"{one.again!r} in the table"
            for one in differences(twin, stored, columns)
        ]
        self.done.differing += len(found)
        self.done.mismatches += found

    def _expected(self, belief: Belief, template: str | None) -> dict[tuple[str, str], Probe]:
        key = (belief.spec.name, template)
        if key not in self._probes:
            self._probes[key] = expected_probes(belief, self.sources, template)
        return self._probes[key]


@dataclass(frozen=True)
class _Identity:
    """The two fields of a configuration that a probe row repeats."""

    trial_id: str
    arm: str


def _space(folder: RunFolder) -> SpaceFile:
    try:
        return SpaceFile.model_validate(yaml.safe_load(folder.read_bytes(SPACE)))
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"{folder.url}/{SPACE}: is damaged ({str(error).splitlines()[0]}); restore it"
        ) from None
