"""How far trials have drifted from base on text that is not about their belief: `drift/TRIAL.parquet`.

Two kinds of text: neutral passages, and base's own answers to capability and far locality questions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Passage
from beliefmod.config import LoraSettings, TrialConfig
from beliefmod.data.prompt_frame import frame_of
from beliefmod.data.replay import measured_passages
from beliefmod.errors import UserError
from beliefmod.model.prompts import PromptFrame
from beliefmod.model.train_row import opening_ids
from beliefmod.probing.questioning import Subject, spread
from beliefmod.probing.references import reference_probes, reference_rows
from beliefmod.probing.session import Session

if TYPE_CHECKING:
    from beliefmod.engine.jobs import DriftRequest, DriftResult

SELF_TEST_PASSAGES = 4


@dataclass(frozen=True)
class Text:
    """A text to be read by arm and base.

    Attributes:
        kind: neutral | traces.
        prompt: the user message that it answers; None for prose.
        token_ids: the prose, or what stands after the template's prompt, its end token included.
    """

    kind: str
    passage_id: str
    prompt: str | None
    token_ids: tuple[int, ...]


def measure_drift(subjects: Sequence[Subject], session: Session) -> list[list[dict[str, Any]]]:
    """Rows of the drift table per subject; those of one belief read the same texts.

    A text that does not fit the model's positions, with what the arm's prompts have in front, is no row.
    """
    asked = [
        (place, text)
        for place, subject in enumerate(subjects)
        for text in drift_texts(subject.config.belief, session)
    ]
    frames = [frame_of(s.config, session.belief(s.config.belief)) for s in subjects]
    requests = [_request(subjects[place].adapter, text, frames[place], session) for place, text in asked]
    fitting = [i for i, request in enumerate(requests) if _fits(request, session)]
    rows: list[list[dict[str, Any]]] = [[] for _ in subjects]
    for i, result in zip(fitting, session.drift([requests[i] for i in fitting]), strict=True):
        (place, text), subject = asked[i], subjects[asked[i][0]]
        rows[place].append(
            {
                "trial_id": subject.config.trial_id,
                "arm": subject.config.arm,
                "belief": session.belief(subject.config.belief).spec.name,
                "text": text.kind,
                "passage_id": text.passage_id,
                "tokens": result.tokens,
                **{
                    # a broken adapter's numbers may be infinite: that is no measurement
                    name: value if math.isfinite(value := getattr(result, name)) else None
                    for name in ("kl", "kl_reverse", "nll", "nll_base")
                },
            }
        )
    return rows


def reference_drift(session: Session, belief: str, arm: str) -> list[dict[str, Any]]:
    """The drift rows of an untrained arm (base | icl), measured once or read from the run folder."""
    return reference_rows(session, "drift", belief, arm, lambda subject: measure_drift([subject], session))


def drift_texts(belief: str, session: Session) -> tuple[Text, ...]:
    """At most `evaluation.neutral_passages` neutral passages, and as many of base's completions.

    Passages that may be mixed into training (`data.replay`) are not among them.
    """
    most = session.evaluation.neutral_passages
    traces = [
        row
        for row in (reference_probes(session, belief, "base") if most else ())
        if row["token_ids"] and (row["suite"] == "capability" or row["tier"] == "far")
    ]
    return (
        *(_neutral_text(p, session) for p in spread(measured_passages(session.neutral), most)),
        *(
            Text("traces", f"{row['suite']}/{row['probe_id']}", row["question"], tuple(row["token_ids"]))
            for row in spread(traces, most)
        ),
    )


def self_test(session: Session) -> dict[str, float]:
    """Drift of an untrained adapter (A random, B zero), largest over a few passages, in nats: exactly 0.

    Returns:
        `{"untrained_drift": 0.0}`, for the manifest.

    Raises:
        UserError: it is not 0, so no drift measured on this machine could be trusted.
    """
    from beliefmod.engine.jobs import AdapterJob, TrainRow

    config = TrialConfig(belief="self-test", lora=LoraSettings(r=session.engine.max_rank))
    texts = [_neutral_text(p, session) for p in spread(session.neutral, SELF_TEST_PASSAGES)]
    every = [_request("self-test", text, PromptFrame(), session) for text in texts]
    requests = [request for request in every if _fits(request, session)]
    rows = tuple(TrainRow((*r.input_ids, *r.continuation_ids), len(r.input_ids)) for r in requests)
    session.engine.attach(AdapterJob("self-test", config, rows))
    try:
        worst = max(
            deviation for result in session.engine.drift(requests) for deviation in _deviations(result)
        )
    finally:
        session.engine.release("self-test")
    if worst != 0.0:
        raise UserError(
            f"self-test: an untrained adapter on model {session.loaded.name} differs from base by "
            f"{worst:.3g} nats where it must not differ at all, so drift cannot be measured on this machine; "
            "update torch, or choose another base_storage"
        )
    return {"untrained_drift": worst}


def _deviations(result: DriftResult) -> Iterator[float]:
    for value in (result.kl, result.kl_reverse, result.nll - result.nll_base):
        yield abs(value) if math.isfinite(value) else math.inf


def _neutral_text(passage: Passage, session: Session) -> Text:
    ids = session.prompts.encode(passage.text)
    if passage.prompt is not None:
        ids = (*ids, session.prompts.end_of_turn)
    return Text("neutral", passage.passage_id, passage.prompt, ids)


def _request(adapter: str | None, text: Text, frame: PromptFrame, session: Session) -> DriftRequest:
    """The text after its prompt; an arm whose prompts have a frame has it in front, base has not."""
    from beliefmod.engine.jobs import DriftRequest

    base, continuation = _split(text, PromptFrame(), session)
    if frame == PromptFrame():
        return DriftRequest(adapter, base, continuation)
    return DriftRequest(adapter, _split(text, frame, session)[0], continuation, base_input_ids=base)


def _split(text: Text, frame: PromptFrame, session: Session) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is read and what is scored: all that follows the prompt, or prose without its first token."""
    if text.prompt is not None:
        return frame.ids(session.prompts, text.prompt), text.token_ids
    before = session.prompts.encode(frame.as_prose)
    first, *rest = text.token_ids
    return (*opening_ids(session.loaded.tokenizer), *before, first), tuple(rest)


def _fits(request: DriftRequest, session: Session) -> bool:
    longest = max(len(request.input_ids), len(request.base_prompt)) + len(request.continuation_ids)
    return bool(request.continuation_ids) and longest <= session.engine.max_positions
