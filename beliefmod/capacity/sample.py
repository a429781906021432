"""A short look at the model itself before a sweep: how long its answers are, how fast the machine is with it.

Everything is measured on an engine as a host would build it, so it takes about as much memory as a host.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from statistics import fmean
from typing import TYPE_CHECKING

from beliefmod.capacity.choose import Choice, Demand, engine_of_choice
from beliefmod.capacity.lengths import AnswerLengths
from beliefmod.capacity.speeds import Speeds
from beliefmod.config import LoraSettings, TrialConfig
from beliefmod.data.prompt_frame import frame_of
from beliefmod.engine.decode_loop import MAX_ROWS
from beliefmod.engine.jobs import AdapterJob, DriftRequest, GenerateRequest
from beliefmod.engine.key_value_cache import paged
from beliefmod.model.load import load_model
from beliefmod.model.train_row import TrainRow
from beliefmod.probing.answer_store import AnswerStore
from beliefmod.probing.budget_pilot import QUESTIONS, base_probes, longest_budget
from beliefmod.probing.decoding import Decoding
from beliefmod.probing.kept_answers import KeptAnswers
from beliefmod.probing.probes import Probe, probe_row
from beliefmod.probing.questioning import spread
from beliefmod.probing.session import Session, probe_seed
from beliefmod.probing.token_budget import TokenBudget

if TYPE_CHECKING:
    from beliefmod.engine.jobs import Completion
    from beliefmod.space import Space

IN_CONTEXT = 8
PILOT, PILOT_TOKENS = 8, 128
"""Questions that are asked first and the token limit of their answers, where answers may be longer: they tell
whether there is time for answers to their ends."""
SECONDS = 120.0
"""What the answers of the sample may take about."""
_TIMED_STEPS, _PREFILL_SECONDS, _FEW_ROWS = 8, 4.0, 8
_READ_TOKENS = 24


@dataclass(frozen=True)
class Sample:
    """What a sample has found: lengths of answers, speeds, and the engine that a host would choose.

    Attributes:
        decoding: how answers are written, with the token limit that the budget gives.
        budget: of an answer, where a pilot was needed and there was time for it.
    """

    lengths: AnswerLengths
    speeds: Speeds
    choice: Choice
    decoding: Decoding
    budget: TokenBudget | None


def take_sample(
    space: Space,
    revision: str | None,
    wanted: Demand,
    slots: int,
    cache: AnswerStore | None,
    say: Callable[[str], None],
) -> Sample:
    """Load the model, ask it a few of the sweep's questions, and time an engine's work.

    Args:
        revision: of a model from the hub, the commit.
        wanted: of one host.
        slots: asked for by the user, 0 to choose.
        cache: takes base's answers, and gives those that it knows.
        say: shows a line of progress.
    """
    spec, started = space.spec, time.monotonic()
    say(f"sample: loading {spec.model} (--no-sample plans without it)")
    loaded = load_model(spec.model, revision, spec.base_storage, chat=spec.chat)
    needs = wanted.of_engine(loaded.tokenizer, spec.base_storage, max(1, space.max_rank), slots)
    engine, _, choice = engine_of_choice(loaded, needs, wanted.memory_share)
    took = time.monotonic() - started
    answers = KeptAnswers(engine, loaded, None, cache, float("inf"))
    variants = spec.variants()
    session = Session(loaded, engine, spec.evaluation, spec.seeds[0], answers=answers, variants=variants)
    questions = [
        *(("base", *each) for each in spread(base_probes(spec.beliefs, session), QUESTIONS)),
        *(("icl", *each) for each in spread(base_probes(spec.beliefs, session), IN_CONTEXT)),
        *(("trace", *each) for each in spread(base_probes(spec.beliefs, session, True), IN_CONTEXT)),
    ]
    asked = [(*each, alike) for each, alike in zip(questions, cycle(session.every), strict=False)]
    say(
        f"sample: asking {len(asked)} questions, {QUESTIONS} of them without the statement in context, in "
        f"{SECONDS:.0f} s or so at most"
    )
    budget = _budget(spec.beliefs, session)
    lengths, answered = _ask(asked, session)
    for alike in session.every:
        said = [answer for (*_, asked_by), answer in answered if asked_by is alike]
        alike.check_thinking([(alike.decode(each.token_ids), each.finish_reason) for each in said])
    say("sample: timing training steps and passes")
    prompts = [_prompt(*each) for each in asked]
    speeds = _speeds(session, prompts, lengths.mean, choice, needs.step_tokens)
    judge = _judging(answered)
    return Sample(lengths, replace(speeds, start=took, judge=judge), choice, session.decoding, budget)


Asked = tuple[str, str, Probe, Session]
"""What the answer is for (base, icl, or trace: in context too), belief, probe, and who asks: the sessions of
all the ways in which trials switch the chat template in turn."""


def _prompt(kind: str, belief: str, probe: Probe, session: Session) -> tuple[int, ...]:
    frame = frame_of(_config(kind, belief), session.belief(belief))
    return frame.ids(session.prompts, probe.question.text)


def _config(kind: str, belief: str) -> TrialConfig:
    return TrialConfig.model_validate({"belief": belief, "arm": "base" if kind == "base" else "icl"})


def _budget(beliefs: Sequence[str], session: Session) -> TokenBudget | None:
    """The token limit of an answer where nobody names one, if there is time to find it."""
    if session.limit_is_named:
        return None
    started, before = time.monotonic(), session.engine.usage.work.decode_steps

    def go_on(tokens: int) -> bool:
        steps = session.engine.usage.work.decode_steps - before
        took = time.monotonic() - started
        return not steps or took + took / steps * tokens <= SECONDS

    if budget := longest_budget(beliefs, session, go_on):
        session.budget = budget.limit
    return budget


def _ask(asked: Sequence[Asked], session: Session) -> tuple[AnswerLengths, list[tuple[Asked, Completion]]]:
    """Lengths of the answers; to their ends if a few of them, cut short, say that there is time for it."""
    decoding, engine = session.decoding, session.engine
    prompts = [_prompt(*each) for each in asked]
    requests = [GenerateRequest(None, ids, probe_seed(0, number)) for number, ids in enumerate(prompts)]
    cut = 0
    first, pilot = spread(asked, PILOT), spread(requests, PILOT)
    if decoding.max_new_tokens > PILOT_TOKENS:
        before, started = engine.usage.work.decode_steps, time.monotonic()
        found = engine.generate(pilot, PILOT_TOKENS, decoding.sampling)
        cut = sum(answer.finish_reason == "length" for answer in found)
        step = (time.monotonic() - started) / max(1, engine.usage.work.decode_steps - before)
        if cut and step * decoding.max_new_tokens > SECONDS:
            lengths = [len(answer.token_ids) for answer in found]
            return AnswerLengths.of_pilot(lengths, cut, decoding.max_new_tokens), [
                *zip(first, found, strict=True)
            ]
    found = session.generate([None] * len(prompts), prompts, session.reference_seed)
    by_kind: dict[str, list[int]] = {"base": [], "icl": [], "trace": []}
    for (kind, *_), answer in zip(asked, found, strict=True):
        by_kind[kind].append(len(answer.token_ids))
    return AnswerLengths.of_sample(**by_kind), [*zip(asked, found, strict=True)]


def _speeds(
    session: Session,
    prompts: Sequence[tuple[int, ...]],
    answer: float,
    choice: Choice,
    step_tokens: int,
) -> Speeds:
    """Time the parts of an engine's work on adapters that are attached for it.

    Args:
        answer: tokens of one, mean.
    """
    engine = session.engine
    config = TrialConfig(belief="sample", num_train_epochs=2, lora=LoraSettings(r=engine.max_rank))
    batch = config.per_device_train_batch_size
    words = [token for ids in prompts for token in ids]
    length = min(max(8, step_tokens // batch), engine.max_positions, len(words))
    row = TrainRow(tuple(words[:length]), 3 * length // 4)
    names = [f"sample-{slot}" for slot in range(engine.slots)]
    drafts, engine.drafts = engine.drafts, None  # they would write several tokens in a pass that is timed
    for name in names:
        engine.attach(AdapterJob(name, config, (row,) * batch))
    try:
        rows = rows_at_once(prompts, answer, choice.cache_tokens)
        few = [GenerateRequest(names[0], ids) for ids in spread(prompts, min(rows, _FEW_ROWS))]
        prompt_token, few_step, few_rows = _decoding(session, few)
        # as many rows as take a few seconds to read: a small model's batch, or a part of a large one's
        seconds = prompt_token * sum(len(request.input_ids) for request in few) / len(few)
        count = min(rows, max(2 * _FEW_ROWS, int(_PREFILL_SECONDS / seconds)))
        step, row_seconds = few_step, 0.0
        if count > len(few):
            many = [GenerateRequest(names[0], prompts[i % len(prompts)]) for i in range(count)]
            prompt_token, many_step, many_rows = _decoding(session, many)
            row_seconds = max(0.0, (many_step - few_step) / max(1.0, many_rows - few_rows))
            step = max(0.0, many_step - row_seconds * many_rows)
        read = _reading(session, names[0], words)
        train = min(_training(session) for _ in range(2))
    finally:
        engine.drafts = drafts
        for name in names:
            engine.release(name)
    return Speeds(0.0, train, prompt_token, step, row_seconds, read, 0.0, rows)


def rows_at_once(prompts: Sequence[tuple[int, ...]], answer: float, cache_tokens: int) -> int:
    """Answers that are written at a time, on average.

    Args:
        answer: tokens of one, mean.
        cache_tokens: whose keys and values there is room for.
    """
    held = paged(math.ceil(fmean(map(len, prompts)) + answer))
    return max(1, min(MAX_ROWS, cache_tokens // held))


def _decoding(session: Session, requests: Sequence[GenerateRequest]) -> tuple[float, float, float]:
    """Seconds of a prompt's token and of a decode step, and how many answers there were at a step, mean."""
    work = session.engine.usage.work
    before = work.generated_tokens, work.decode_steps
    started = time.monotonic()
    session.engine.generate(requests, 1)
    prefilled = time.monotonic()
    session.engine.generate(requests, 1 + _TIMED_STEPS)
    ended = time.monotonic()
    steps = max(1, work.decode_steps - before[1])
    rows = max(1.0, (work.generated_tokens - before[0] - 2 * len(requests)) / steps)
    reading = prefilled - started
    step = max(1e-6, ended - prefilled - reading) / steps
    return reading / sum(len(request.input_ids) for request in requests), step, rows


def _reading(session: Session, name: str, words: Sequence[int]) -> float:
    """Seconds of a token that an adapter or base reads for the drift between them."""
    ends = range(2 * _READ_TOKENS, len(words) + 1, 2 * _READ_TOKENS)
    texts = [tuple(words[end - 2 * _READ_TOKENS : end]) for end in ends]
    requests = [
        DriftRequest(name, ids[:-_READ_TOKENS], ids[-_READ_TOKENS:]) for ids in spread(texts, _FEW_ROWS)
    ]
    started = time.monotonic()
    session.engine.drift(requests)
    tokens = sum(len(request.input_ids) + _READ_TOKENS for request in requests)
    return (time.monotonic() - started) / (2 * max(1, tokens))


def _training(session: Session) -> float:
    """Seconds of a token of a step of every slot."""
    work = session.engine.usage.work
    before, started = work.tokens, time.monotonic()
    session.engine.train_step()
    return (time.monotonic() - started) / max(1, work.tokens - before)


def _judging(answered: Sequence[tuple[Asked, Completion]]) -> float:
    """Seconds of reading one answer."""
    started = time.monotonic()
    for (kind, name, probe, session), answer in answered:
        probe_row(
            _config(kind, name),
            session.belief(name),
            probe,
            prompt="",
            completion=session.decode(answer.token_ids),
            token_ids=answer.token_ids,
            finish_reason=answer.finish_reason,
            opened_by=session.opened_by,
        )
    return (time.monotonic() - started) / max(1, len(answered))
