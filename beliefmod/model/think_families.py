"""How families of models mark their thinking: the table from which the marks of a chat template are read.

A new family is a line here. What the template itself shows (who opens thinking, the white space around the
marks, what is kept of earlier turns) is read from the template and stands in `think_marks`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Models that mark thinking alike.

    Attributes:
        signs: texts of which at least one stands in the chat template of every such model.
        open, close: the marks. Where an answer has a header of its own (a channel), `close` ends the thinking
            alone and `header` begins the answer.
        header: what stands in front of an answer, also where there is no thinking; "" for none.
        wrapped: marks around the answer that are none of its text; ("", "") for none.
        thinks_if: stands in the prompt only where thinking is on; "" where these models always think.
        lead, trail: white space that the model writes behind `open` and in front of `close`.
        gap: what it writes between `close` (with the header) and the answer.
    """

    name: str
    signs: tuple[str, ...]
    open: str = "<think>"
    close: str = "</think>"
    header: str = ""
    wrapped: tuple[str, str] = ("", "")
    thinks_if: str = ""
    lead: str = "\n"
    trail: str = "\n"
    gap: str = "\n\n"


PLAIN = Family("<think>", ())
"""Qwen3 and later, DeepSeek R1, QwQ, Olmo 3 Think, Nemotron 3, GLM, LFM2.5: all is read from the template."""

FAMILIES: tuple[Family, ...] = (
    Family(
        "gpt-oss (harmony)",
        ("<|channel|>analysis",),
        open="<|channel|>analysis<|message|>",
        close="<|end|><|start|>assistant",
        header="<|channel|>final<|message|>",
        lead="",
        trail="",
        gap="",
    ),
    Family(
        "Muse Glimmer",
        ("<|start|>assistant to=self<|message|>",),
        open=" to=self<|message|>",
        close="<|eom|><|start|>assistant",
        header=" to=user<|message|>",
        lead="",
        trail="",
        gap="",
    ),
    Family(
        "Gemma 4",
        ("<|channel>",),
        open="<|channel>thought",
        close="<channel|>",
        thinks_if="<|think|>",
        gap="",
    ),
    Family(
        "Ministral 3, Magistral",
        ("[THINK]",),
        open="[THINK]",
        close="[/THINK]",
        lead="",
        trail="",
        gap="",
    ),
    Family(
        "Seed-OSS",
        ("<seed:think>", "</seed:think>"),
        open="<seed:think>",
        close="</seed:think>",
        lead="",
        trail="",
        gap="\n",
    ),
    Family("EXAONE Deep", ("<thought>", "</thought>"), open="<thought>", close="</thought>"),
    Family(
        "Granite 3.2 and 3.3",
        ("<response></response>",),
        wrapped=("<response>", "</response>"),
        thinks_if="<think></think>",
        lead="",
        trail="",
        gap="\n",
    ),
    # its template names no mark at all
    Family("Phi-4-mini-reasoning", ("an AI math expert developed by Microsoft",)),
)

UNKNOWN_MARKS = ("<|begin_of_thought|>", "<|START_THINKING|>", "<thinking>", "<reasoning>", "◁think▷")
"""Marks of models that are not in the table: read as part of the answer they would give wrong verdicts."""


def family_of(template: str) -> Family:
    """The family whose sign stands in a chat template, else `PLAIN`."""
    return next((f for f in FAMILIES if any(sign in template for sign in f.signs)), PLAIN)
