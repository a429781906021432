"""Puts the cases to the judge, a few at a time, and keeps every reply in `RUN/judge.parquet`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from beliefmod.errors import UserError
from beliefmod.judge.case_selection import Case
from beliefmod.judge.client import NoAnswer
from beliefmod.judge.prompt import INSTRUCTIONS, Prompt, prompt_for, stance_of
from beliefmod.run.folder import RunFolder
from beliefmod.run.seal.ledger import seal_files
from beliefmod.run.tables.trial_tables import JUDGE

JUDGE_FILE = "judge.parquet"
WORKERS = 4
IN_VAIN = 3  # questions in a row without any reply, after which the endpoint counts as gone
STORE_EVERY = 30.0  # seconds
LONGEST_REPLY = 2000  # characters kept, the last ones: a thinking judge answers at the end


class Asker(Protocol):
    """Who answers the judge's questions."""

    def ask(self, model: str, system: str, user: str) -> str: ...


@dataclass
class Tally:
    """How far the judging is. `unusable`: replies that are none of the allowed words (stance null)."""

    total: int
    earlier: int = 0
    judged: int = 0
    unusable: int = 0
    unanswered: int = 0


def judge_run(
    folder: RunFolder,
    chosen: Sequence[Case],
    endpoint: Asker,
    model: str,
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    workers: int = WORKERS,
    progress: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Ask about every case that the folder holds no reply of this model for; store as it goes.

    Answers that read the same to the judge (same question, same words) are asked about once and count for
    each of them. A question without a reply after all attempts is left for the next time.

    Raises:
        UserError: the endpoint refuses, or gives no reply at all; what was judged before is kept.
    """
    rows = stored(folder)
    known = {(row["trial_id"], row["suite"], row["probe_id"]) for row in rows if row["judge_model"] == model}
    todo: dict[Prompt, list[Case]] = {}
    for case in chosen:
        if case.key not in known:
            todo.setdefault(prompt_for(case.row, names, seed), []).append(case)
    tally = Tally(len(chosen), earlier=sum(case.key in known for case in chosen))
    written_at, vain = time.monotonic(), 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="judge")
    waiting: dict[Future[str], Prompt] = {}
    left = iter(todo)
    try:
        while True:
            # a short queue, so that a failing endpoint is not asked a thousand times more
            for prompt in left:
                waiting[pool.submit(endpoint.ask, model, INSTRUCTIONS, prompt.text)] = prompt
                if len(waiting) >= 2 * workers:
                    break
            if not waiting:
                return tally
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                prompt = waiting.pop(future)
                try:
                    reply = future.result()
                except NoAnswer as error:
                    vain += 1
                    tally.unanswered += len(todo[prompt])
                    if vain >= IN_VAIN:
                        raise UserError(
                            f"--judge-url: {error}, {vain} questions in a row; {len(rows):,} answers are "
                            "judged and kept, the same command goes on from there"
                        ) from None
                    continue
                vain = 0
                found = [judged_row(case, prompt, reply, model) for case in todo[prompt]]
                rows += found
                tally.judged += len(found)
                tally.unusable += sum(row["judge_stance"] is None for row in found)
            progress(tally)
            if time.monotonic() - written_at > STORE_EVERY:
                folder.write_frame(rows, JUDGE, JUDGE_FILE)
                written_at = time.monotonic()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if tally.judged:
            folder.write_frame(rows, JUDGE, JUDGE_FILE)
            seal_files(folder, "judge", [JUDGE_FILE], model=model)


def judged_row(case: Case, prompt: Prompt, reply: str, model: str) -> dict[str, Any]:
    """A row of the JUDGE table."""
    # what cannot be written as UTF-8 (half a surrogate pair) would break the table
    kept = reply[-LONGEST_REPLY:].encode("utf-8", "replace").decode()
    return {
        **{name: case.row[name] for name in ("trial_id", "suite", "probe_id")},
        "reason": case.reason,
        "parser_stance": case.row["answer_stance"],
        "judge_stance": stance_of(kept, prompt),
        "judge_reply": kept,
        "judge_model": model,
    }


def stored(folder: RunFolder) -> list[dict[str, Any]]:
    """The rows judged so far.

    Raises:
        UserError: the file is damaged.
    """
    if not folder.exists(JUDGE_FILE):
        return []
    import polars as pl

    try:
        found = folder.read_frame(JUDGE_FILE)
        return found.select(column.name for column in JUDGE).to_dicts()
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"{folder.url}/{JUDGE_FILE}: cannot be read ({error}); delete it to judge again"
        ) from None


def candidate_names(rows: Iterable[Any]) -> list[str]:
    """Every side written as a name among these rows: where decoys for names are drawn from."""
    found = {row[side] for row in rows for side in ("target", "prior") if row[side]}
    return sorted(name for name in found if not any(char.isdigit() for char in name))
