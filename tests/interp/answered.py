"""Arms of an inspection that have answered: their probe rows in the run folder, as a sweep leaves them."""

from __future__ import annotations

from collections.abc import Sequence

from beliefmod.beliefs import Question
from beliefmod.config import TrialConfig
from beliefmod.model.prompts import in_context
from beliefmod.probing.probes import Probe, probe_row
from interp.opened.inspection import Inspection


def answer(
    inspection: Inspection, config: TrialConfig, questions: Sequence[Question], adapter: str | None = None
) -> list[dict]:
    """Have an arm answer these questions greedily, and write its rows as those of a finished trial."""
    session, belief = inspection.session, inspection.session.belief(config.belief)
    context = belief.spec.context if config.arm == "icl" else None
    prompts = [session.prompts.ids(in_context(context, question.text)) for question in questions]
    found = session.generate([adapter] * len(prompts), prompts, 0)
    rows = [
        probe_row(
            config,
            belief,
            Probe(question, question.tier),
            prompt=session.prompts.text(prompt),
            completion=session.decode(completion.token_ids),
            token_ids=completion.token_ids,
            finish_reason=completion.finish_reason,
        )
        for question, prompt, completion in zip(questions, prompts, found, strict=True)
    ]
    inspection.folder.write_trial({"trial_id": config.trial_id, "status": "finished"}, rows)
    return rows
