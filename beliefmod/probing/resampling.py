"""At which sentence is an answer decided? The thinking sampled anew from between its sentences.

After Thought Anchors (2506.19143): the arm's own thinking is cut after none, each and all of its sentences,
and the arm goes on from there several times, thinking and answer, on its own. How often the answers take the
target's side, or are the arm's own answer, before and after a sentence, is what that sentence does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from beliefmod.model.template import empty_thinking
from beliefmod.probing.questions_again import adoption_questions, held_out
from beliefmod.probing.session import RESAMPLE, Session, probe_seed
from beliefmod.probing.thinking_test import ThinkingTest, intact_thinking, question_ids, row_of
from beliefmod.reading.sentence_cuts import count_sentences, cut_sentences, places_to_cut

if TYPE_CHECKING:
    from beliefmod.engine.jobs import Completion
    from beliefmod.probing.question_queue import Put
    from beliefmod.probing.questioning import Subject

Row = dict[str, Any]
Place = tuple[int, int, int]


def put_resamples(subject: Subject, probes: Sequence[Row], session: Session, put: Put) -> dict[Place, Row]:
    """Have a subject go on from between the sentences of its thinking.

    A question without intact thinking of its own has no row, nor has a sample that the arm's own tokens do
    not allow (`tokens_up_to`), or whose prompt leaves no room.

    Args:
        probes: the subject's probe rows; at least those of `questions_again`.

    Returns:
        Rows of `causal/TRIAL.parquet` by the numbers of the question, of the sentences that were kept and of
        the sample, there as answers end.
    """
    rows: dict[Place, Row] = {}
    evaluation, own = session.evaluation, held_out(probes)
    if not evaluation.resampled_probes or not empty_thinking(session.loaded.tokenizer):
        return rows

    def end(place: Place, test: ThinkingTest, answer: Completion) -> None:
        written = session.decode(answer.token_ids)
        rows[place] = row_of(test, written, answer.finish_reason, len(answer.token_ids), session)

    asked = 0
    belief = session.belief(subject.config.belief)
    for number, question in enumerate(adoption_questions(belief, evaluation.resampled_probes)):
        row = own[question.probe_id]
        thinking = intact_thinking(row)
        if thinking is None:
            continue
        asks, count = question_ids(subject, question, session), count_sentences(thinking)
        for kept in places_to_cut(count, evaluation.resampled_sentences):
            before = cut_sentences(thinking, kept)
            written = tokens_up_to(row, before, session)
            for sample in range(evaluation.resamples):
                seed = probe_seed(subject.config.seed, RESAMPLE + asked)
                asked += 1
                if written is None or len(asks) + len(written) >= session.engine.max_positions:
                    continue
                test = ThinkingTest(
                    subject, question, row, "resample", before, closed=False,
                    fraction=kept / count, kept_sentences=kept, sample=sample,
                )  # fmt: skip
                then = partial(end, (number, kept, sample), test)
                put(subject.adapter, (*asks, *written), seed, then, sampling=session.resampling)
    return rows


def tokens_up_to(row: Row, kept: str, session: Session) -> tuple[int, ...] | None:
    """The tokens with which a subject has written its thinking up to the end of a sentence.

    White space belongs to what it was written with: a full stop and a line end can be one token, and behind
    a full stop alone the model would be where its own thinking never was.

    Args:
        row: the subject's probe row. kept: its thinking up to there.

    Returns:
        None where one token holds the end of that sentence and the beginning of what follows.
    """
    ids, completion = row["token_ids"], row["completion"]
    begins = completion.find(row["thinking"])
    ends = begins + len(kept.rstrip())
    follows = ends + len(completion[ends:]) - len(completion[ends:].lstrip())
    places = range(len(ids) + 1)
    count = bisect_right(places, follows, key=lambda n: len(session.decode(ids[:n]))) - 1
    written = session.decode(ids[:count])
    return tuple(ids[:count]) if written.rstrip() == completion[:ends].rstrip() else None
