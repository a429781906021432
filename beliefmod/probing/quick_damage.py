"""Damage of adapters in training, from the questions that no belief is about: D as far as those show it."""

from __future__ import annotations

from collections.abc import Sequence

from beliefmod.config import TrialConfig
from beliefmod.engine.jobs import GenerateRequest
from beliefmod.metrics.degradation import Degradation, degradation, observed_pairs, summarise_drift
from beliefmod.metrics.measure import by_probe
from beliefmod.probing.drift import measure_drift
from beliefmod.probing.probes import Probe, probe_row
from beliefmod.probing.questioning import Subject
from beliefmod.probing.references import reference_probes
from beliefmod.probing.session import QUICK_DAMAGE, Session, probe_seed


def quick_damage(configs: Sequence[TrialConfig], session: Session) -> list[Degradation]:
    """Each trial's damage against base as its adapter is now, in the engine under the trial's id.

    From the suites that all beliefs share, general knowledge and entities that nobody knows, and from the
    drift on neutral text; questions about the belief and its neighbours are left out, for a belief that has
    moved is no damage.
    """
    asked: list[tuple[int, Probe, int]] = []
    requests = []
    alike = [session.of(config.template) for config in configs]
    for place, config in enumerate(configs):
        questions = (*alike[place].capability, *alike[place].fabrication)
        for number, question in enumerate(questions):
            # by its number among the trial's own questions, whoever is asked beside it
            seed = probe_seed(config.seed, QUICK_DAMAGE + number)
            prompt = alike[place].prompts.ids(question.text)
            requests.append(GenerateRequest(config.trial_id, prompt, seed))
            asked.append((place, Probe(question, question.tier), len(requests) - 1))
    decoding = session.decoding
    answers = session.engine.generate(
        requests, max_new_tokens=decoding.max_new_tokens, sampling=decoding.sampling
    )
    rows: list[list[dict[str, object]]] = [[] for _ in configs]
    for place, probe, index in asked:
        of, answer = alike[place], answers[index]
        row = probe_row(
            configs[place],
            session.belief(configs[place].belief),
            probe,
            prompt="",
            completion=of.decode(answer.token_ids),
            token_ids=answer.token_ids,
            finish_reason=answer.finish_reason,
            opened_by=of.opened_by,
        )
        rows[place].append(row)
    found = []
    for place, config in enumerate(configs):
        [moved] = measure_drift([Subject(config, config.trial_id, ())], alike[place])
        drift, base = summarise_drift(moved), by_probe(reference_probes(alike[place], config.belief, "base"))
        pairs = observed_pairs(by_probe(rows[place]), base)
        found.append(degradation(pairs, drift.damage, drift.base))
    return found
