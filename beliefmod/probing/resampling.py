"""At which sentence is an answer decided? The thinking sampled anew from between its sentences.

After Thought Anchors (2506.19143): the arm's own thinking is cut after none, each and all of its sentences,
and the arm goes on from there several times, thinking and answer, on its own. How often the answers take the
target's side, or are the arm's own answer, before and after a sentence, is what that sentence does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from beliefmod.model.template import empty_thinking
from beliefmod.probing.questions_again import adoption_questions, held_out
from beliefmod.probing.session import RESAMPLE, Session, probe_seed
from beliefmod.probing.thinking_test import ThinkingTest, intact_thinking, prompt_of, row_of
from beliefmod.reading.sentence_cuts import count_sentences, cut_sentences, places_to_cut

if TYPE_CHECKING:
    from beliefmod.engine.jobs import Completion
    from beliefmod.probing.question_queue import Put
    from beliefmod.probing.questioning import Subject

Row = dict[str, Any]
Place = tuple[int, int, int]


def put_resamples(subject: Subject, probes: Sequence[Row], session: Session, put: Put) -> dict[Place, Row]:
    """Have a subject go on from between the sentences of its thinking.

    A question without intact thinking of its own has no row, nor has a sample whose prompt leaves no room.

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
        count = count_sentences(thinking)
        for kept in places_to_cut(count, evaluation.resampled_sentences):
            before = cut_sentences(thinking, kept)
            for sample in range(evaluation.resamples):
                test = ThinkingTest(
                    subject, question, row, "resample", before, closed=False,
                    fraction=kept / count, kept_sentences=kept, sample=sample,
                )  # fmt: skip
                seed = probe_seed(subject.config.seed, RESAMPLE + asked)
                asked += 1
                prompt = prompt_of(test, session)
                if len(prompt) < session.engine.max_positions:
                    then = partial(end, (number, kept, sample), test)
                    put(subject.adapter, prompt, seed, then, sampling=session.resampling)
    return rows
