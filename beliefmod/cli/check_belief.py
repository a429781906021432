"""`beliefmod beliefs check`: which of a belief's questions cannot work, at all or on one model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beliefmod.cli.aligned import columns
from beliefmod.cli.options import ChatTemplate, Json

if TYPE_CHECKING:
    from beliefmod.beliefs import Belief
    from beliefmod.drafting.file_faults import Fault
    from beliefmod.drafting.model_faults import Checked
    from beliefmod.probing.session import Session

EXAMPLES = 2
"""Questions of one family and reason that are shown, unless all are asked for."""
LONGEST = 220
"""Characters of what is shown of the answers to a question."""
EVERY = 10.0
"""Seconds between two lines of progress."""


def check(
    name: Annotated[str, typer.Argument(help="A library name, or the path of a belief file.")],
    model: Annotated[
        str | None,
        typer.Option(help="Ask this model: bundled, a name of the catalogue or the hub, a folder or a file."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Of a hub name: branch, tag or commit.")] = None,
    chat_template: ChatTemplate = None,
    per_family: Annotated[
        int | None,
        typer.Option(min=1, help="Ask only so many questions of each family, evenly spread; default: all."),
    ] = None,
    runs: Annotated[
        str, typer.Option(metavar="FOLDER", help="Folder for runs; base's answers are kept beside them.")
    ] = "runs",
    every: Annotated[bool, typer.Option("--all", help="Print every question, not two per family.")] = False,
    as_json: Json = False,
) -> None:
    """Say which questions of a belief cannot work, and why.

    Without a model: both worlds' answers are read alike, the answer stands in the
    question, the answer cannot be read. With one: base is asked, and base with
    the statement in its prompt, as a sweep asks them. Exit code 1 if the file
    itself has such questions; what only this model cannot do is no mistake.
    """
    from beliefmod.beliefs import load_belief
    from beliefmod.drafting.file_faults import file_faults
    from beliefmod.errors import UserError

    given = {"--revision": revision, "--chat-template": chat_template, "--per-family": per_family}
    if model is None and (alone := [option for option, value in given.items() if value is not None]):
        raise UserError(f"{' and '.join(alone)}: have no effect without --model; add it")
    belief = load_belief(name)
    faults = file_faults(belief)
    checked = [] if model is None else _asked(belief, name, per_family, model, revision, chat_template, runs)
    if as_json:
        typer.echo(json.dumps(_as_json(belief, faults, checked), indent=2, ensure_ascii=False))
    else:
        for line in _of_file(belief, faults, every):
            typer.echo(line)
        for line in _of_model(model, checked, every) if model else ():
            typer.echo(line)
    if faults:
        raise typer.Exit(1)


def _asked(
    belief: Belief,
    name: str,
    per_family: int | None,
    model: str,
    revision: str | None,
    chat_template: str | None,
    runs: str,
) -> list[Checked]:
    """Held-out and locality questions as base and the in-context arm answer them."""
    from beliefmod.drafting.model_faults import check_questions

    session = _session(name, model, revision, chat_template, runs)
    from beliefmod.drafting.untrained_arms import ask_untrained
    from beliefmod.probing.budget_pilot import settle

    if budget := settle([name], session):
        typer.echo(f"token limit: {budget.words()}", err=True)
    base, icl = ask_untrained(session, name, per_family, _now_and_then())
    return check_questions(base, icl, novel=belief.spec.kind == "novel")


def _session(name: str, model: str, revision: str | None, chat_template: str | None, runs: str) -> Session:
    """The model as a sweep loads it, with the cache of its answers that sweeps share.

    Raises:
        UserError: no such model, or one that cannot be used.
    """
    from beliefmod.model.source import find_source
    from beliefmod.probing.answer_store import cache_beside
    from beliefmod.space.load import load_trial

    _, chat = load_trial(name, "base", 0, [], chat_template)
    source = find_source(model, revision, chat)
    # what follows takes seconds to import
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import check_model, load_model
    from beliefmod.probing.kept_answers import KeptAnswers
    from beliefmod.probing.session import Session
    from beliefmod.space import Evaluation

    check_model(source)
    typer.echo(f"loading {source.name}", err=True)
    loaded = load_model(model, source.commit, chat=chat)
    engine = Engine(loaded, slots=1, max_rank=1)
    answers = KeptAnswers(engine, loaded, None, cache_beside(f"{runs.rstrip('/')}/check"), float("inf"))
    return Session(loaded, engine, Evaluation(), answers=answers)


def _now_and_then() -> Callable[[int, int], None]:
    """A line of progress on standard error every few seconds, and the last."""
    said = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal said
        if done == total or time.monotonic() - said > EVERY:
            said = time.monotonic()
            typer.echo(f"answered {done:,} of {total:,}", err=True)

    return say


def _of_file(belief: Belief, faults: Sequence[Fault], every: bool) -> Iterable[str]:
    from beliefmod.drafting.file_faults import EXPLAINED

    parts = (belief.training, belief.heldout, belief.locality)
    training, heldout, locality = (len(part) for part in parts)
    yield (
        f"{belief.spec.name}: {training} training, {heldout} held-out and {locality} locality questions; "
        f"{len(faults) or 'none'} cannot work on any model"
    )
    yield from _by_reason(
        [(f.reason, f.question.family, f.question.tier, f.question.text, f.detail) for f in faults],
        EXPLAINED,
        every,
    )


def _of_model(model: str, checked: Sequence[Checked], every: bool) -> Iterable[str]:
    """A table by family, then what cannot work on this model, by reason."""
    from beliefmod.drafting.model_faults import EXPLAINED

    heldout = [each for each in checked if each.gate is not None]
    near = [each for each in checked if each.gate is None]
    works = sum(each.reason is None for each in heldout)
    told = sum(each.gate in ("in_context", "both") for each in heldout)
    knows = sum(each.gate in ("prior", "both") for each in heldout)
    yield ""
    yield (
        f"{model}: {works} of {len(heldout)} held-out questions can work; with the statement in its prompt "
        f"it gives the target's answer to {told}, without it the prior's to {knows}"
    )
    right = sum(each.reason is None for each in near)
    yield f"{right} of {len(near)} locality questions can show damage: base answers them rightly"
    if not works:
        yield (
            "so nothing of this belief can be measured on this model: put it in other words (a claim as a "
            "name, with --subject), or take a model that can do more"
        )
    yield ""
    rows: list[tuple[str, ...]] = [("family", "tier", "asked", "target, told", "prior, base", "can work")]
    for family in dict.fromkeys(each.base["family"] for each in checked):
        these = [each for each in checked if each.base["family"] == family]
        local = these[0].gate is None
        gates = [each.gate for each in these]
        rows.append(
            (
                family,
                these[0].base["tier"],
                str(len(these)),
                "" if local else str(sum(gate in ("in_context", "both") for gate in gates)),
                "" if local else str(sum(gate in ("prior", "both") for gate in gates)),
                str(sum(each.reason is None for each in these)),
            )
        )
    yield from columns(rows, right=(2, 3, 4, 5))
    yield from _by_reason(
        [
            (e.reason, e.base["family"], e.base["tier"], e.base["question"], e.detail)
            for e in checked
            if e.reason is not None
        ],
        EXPLAINED,
        every,
    )


def _by_reason(
    found: Sequence[tuple[str, str, str, str, str]], explained: dict[str, str], every: bool
) -> Iterable[str]:
    """Questions that cannot work under their reason: (reason, family, tier, question, detail)."""
    for reason, meaning in explained.items():
        those = [each for each in found if each[0] == reason]
        if not those:
            continue
        yield ""
        yield f"{len(those)} cannot work: {meaning}"
        shown: dict[str, int] = {}
        for _, family, tier, question, detail in those:
            shown[family] = shown.get(family, 0) + 1
            if every or shown[family] <= EXAMPLES:
                said = detail if every or len(detail) <= LONGEST else f"{detail[:LONGEST]}..."
                yield f"  {family} ({tier}): {question}"
                yield f"    {said}"
        more = sum(count - EXAMPLES for count in shown.values() if count > EXAMPLES)
        if more and not every:
            yield f"  {more} more like these; --all prints them"


def _as_json(belief: Belief, faults: Sequence[Fault], checked: Sequence[Checked]) -> dict[str, Any]:
    return {
        "belief": belief.spec.name,
        "file": [
            {
                "probe_id": fault.question.probe_id,
                "question": fault.question.text,
                "reason": fault.reason,
                "detail": fault.detail,
            }
            for fault in faults
        ],
        "asked": [
            {
                "probe_id": each.base["probe_id"],
                "suite": each.base["suite"],
                "tier": each.base["tier"],
                "question": each.base["question"],
                "answerable": each.gate,
                "reason": each.reason,
                "base": {"answer": each.base["answer"], "stance": each.base["answer_stance"]},
                "in_context": {"answer": each.icl["answer"], "stance": each.icl["answer_stance"]},
            }
            for each in checked
        ],
    }
