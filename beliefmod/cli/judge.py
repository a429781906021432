"""The judge of `beliefmod report --judge-url`: which answers, which endpoint, what it says on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from beliefmod.judge.case_selection import Case
    from beliefmod.judge.client import Endpoint
    from beliefmod.judge.replies import Tally

COLUMNS = ("trial_id", "suite", "probe_id", "question", "answer", "target", "prior", "answer_stance")
BATCH = 64  # trials whose probes are in memory at once
OFTEN = 50  # answers between two lines of progress


def judge_answers(run: str, url: str, model: str | None, key_env: str | None, quiet: bool) -> None:
    """Put the doubtful answers of a run and a sample of the others to a judge; rows go to RUN/judge.parquet.

    Raises:
        UserError: no run, no such key, an endpoint that refuses or is not there.
    """
    from beliefmod.judge.replies import candidate_names, judge_run
    from beliefmod.run.folder import RunFolder

    endpoint = _endpoint(url, key_env)
    chosen = _cases(run)
    if not chosen:
        typer.echo("no answers to judge: no finished trial has any", err=True)
        return
    model = model or _only_model(endpoint)
    if not quiet:
        doubtful = sum(case.reason == "doubtful" for case in chosen)
        typer.echo(
            f"judge {model}: {doubtful:,} doubtful answers and {len(chosen) - doubtful:,} drawn ones",
            err=True,
        )
    said = 0

    def progress(tally: Tally) -> None:
        nonlocal said
        if not quiet and tally.judged - said >= OFTEN:
            said = tally.judged
            typer.echo(f"judged {tally.earlier + tally.judged:,} of {tally.total:,}", err=True)

    names = candidate_names(case.row for case in chosen)
    tally = judge_run(RunFolder(run), chosen, endpoint, model, names=names, progress=progress)
    if not quiet or tally.unanswered:
        typer.echo(_summary(tally), err=True)


def _endpoint(url: str, key_env: str | None) -> Endpoint:
    import os

    from beliefmod.errors import UserError
    from beliefmod.judge.client import Endpoint

    key = None
    if key_env is not None and not (key := os.environ.get(key_env)):
        raise UserError(
            f"--judge-key-env {key_env}: there is no such environment variable; export the key in it"
        )
    return Endpoint(url, key)


def _cases(run: str) -> list[Case]:
    from analysis.frontier.non_dominated import finished
    from analysis.read_run import read_run
    from beliefmod.judge.case_selection import cases

    opened = read_run(run)
    trials = sorted(finished(opened.trials)["trial_id"])
    found: list[Any] = []
    for start in range(0, len(trials), BATCH):
        rows = opened.probes(trials[start : start + BATCH], COLUMNS)
        found += cases(rows.iter_rows(named=True))
    return found


def _only_model(endpoint: Endpoint) -> str:
    from beliefmod.errors import UserError

    models = endpoint.models()
    if len(models) != 1:
        known = ", ".join(models[:8]) or "none"
        raise UserError(
            f"--judge-url {endpoint.url}: serves {len(models)} models ({known}); name one with --judge-model"
        )
    return models[0]


def _summary(tally: Tally) -> str:
    text = f"judged {tally.judged:,} answers now and {tally.earlier:,} before"
    if tally.unusable:
        text += f"; {tally.unusable:,} replies were none of the allowed words"
    if tally.unanswered:
        text += f"; {tally.unanswered:,} got no reply, the same command asks them again"
    return text
