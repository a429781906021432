"""The first screen: the question, what ran, a verdict per belief with its key figures, the frontier."""

from __future__ import annotations

from analysis.findings import Findings
from analysis.frontier.non_dominated import finished
from analysis.report.blocks import Block, Figure, Heading, Linked, LinkedParagraph
from analysis.report.first_screen import verdicts
from analysis.report.sealed_words import head_words
from analysis.report.sections.unfinished import counted, left_of


def blocks(found: Findings) -> list[Block]:
    """What a reader has to see without scrolling."""
    head: list[Block] = [Heading(1, question(found)), status(found)]
    if found.beliefs:
        head += [verdicts(found), Figure("frontier")]
    return head


def question(found: Findings) -> str:
    """`How far can LoRA move what MODEL believes before it breaks the model?`"""
    models = found.run.trials["model"].drop_nulls().unique().to_list()
    whose = f"what {models[0]} believes" if len(models) == 1 else "a belief"
    return f"How far can LoRA move {whose} before it breaks the model?"


def run_name(found: Findings) -> str:
    """The run's name, the folder's where the manifest has none."""
    name = found.run.manifest.get("run_id")
    return str(name) if name else found.run.location.rstrip("/").rsplit("/", 1)[-1]


def status(found: Findings) -> LinkedParagraph:
    """Which run this is, how far it is, what is missing, each a way to the section that says more."""
    text = [f"{run_name(found)}."]
    if description := found.run.manifest.get("description"):
        text.append(f"{str(description).rstrip('.')}.")
    told: list[str | Linked] = [Linked(" ".join(text), "reproducibility"), " "]
    told += [Linked(counted(found.run), "unfinished"), "."]
    if finished(found.run.trials).is_empty():
        told.append(" No trial has finished, so there is nothing to measure or to draw.")
    elif left_of(found.run):
        told.append(" This is a report on an unfinished run: the frontier can still change.")
    told += [" ", Linked(" ".join(head_words(found)), "reproducibility")]
    return LinkedParagraph(tuple(told))
