"""Does a chat template work, and does it end? Tried in a process of its own, with bounds on time and memory.

A template is a program that somebody else wrote. Jinja's sandbox keeps it from files and the system, but not
from running for ever or filling the memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any

from beliefmod.errors import UserError

SECONDS = 20
"""Processor time for four short conversations, which take a template milliseconds."""
WAIT = 10 * SECONDS
"""Seconds after which it is given up: far more than `SECONDS`, for the machine may be busy."""
GIGABYTES = 4
LONGEST = 100_000
"""Characters that a template may write around a message of one word."""
CONVERSATIONS: tuple[tuple[str, ...], ...] = (
    ("question",),
    ("question", "answer"),
    ("question", "answer", "question"),
)
# how other families mark thinking; read as part of the answer it would give wrong verdicts
OTHER_TAGS = ("[THINK]", "<seed:think>", "<|channel|>analysis", "<|channel>thought", "<|begin_of_thought|>")


@lru_cache(maxsize=16)
def check_template(name: str, template: str, special_tokens: str) -> None:
    """Render the conversations that beliefmod has with a model.

    Args:
        name: the model's, for the sentence.
        special_tokens: the tokenizer's `special_tokens_map` as JSON.

    Raises:
        UserError: the template fails, does not end, writes too much, or leaves a message out.
    """
    what = f"model {name}: its chat template"
    for tag in OTHER_TAGS:
        if tag in template:
            raise UserError(
                f"{what} marks thinking with {tag}; only models that think in <think> can be used"
            )
    asked = json.dumps({"template": template, "special_tokens": json.loads(special_tokens)})
    command = [sys.executable, "-m", "beliefmod.model.template_check"]
    try:
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=WAIT)
    except subprocess.TimeoutExpired:
        raise UserError(f"{what} does not end") from None
    if done.returncode < 0:
        raise UserError(
            f"{what} does not end within {SECONDS} s, or takes more than {GIGABYTES} GB of memory"
        )
    if done.returncode:
        raise UserError(
            f"{what} could not be tried: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}"
        )
    if fault := json.loads(done.stdout)["fault"]:
        raise UserError(f"{what} {fault}")


def fault_of(template: str, special_tokens: dict[str, Any]) -> str | None:
    """What is wrong with a template, to follow "its chat template"; None if nothing is."""
    from transformers.utils.chat_template_utils import render_jinja_template

    for contents in CONVERSATIONS:
        turns = zip(("user", "assistant", "user"), contents, strict=False)
        messages = [{"role": role, "content": content} for role, content in turns]
        prompt = len(contents) % 2 == 1
        try:
            rendered, _ = render_jinja_template(
                [messages], chat_template=template, add_generation_prompt=prompt, **special_tokens
            )
        except MemoryError:
            return f"takes more than {GIGABYTES} GB of memory"
        except Exception as error:  # a template is a program, and may fail in any way
            count = "one message" if len(messages) == 1 else f"{len(messages)} messages"
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            return f"fails on a conversation of {count}: {reason}"
        if len(rendered[0]) > LONGEST:
            return f"writes {len(rendered[0]):,} characters around {len(messages)} short messages"
        if contents[0] not in rendered[0]:
            return "leaves the user's message out"
        if "answer" in contents and contents[1] not in rendered[0]:
            return "leaves the assistant's message out"
    return None


def _bounded() -> None:
    import resource

    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, GIGABYTES * 10**9)):
        with suppress(ValueError, OSError):  # a system that has no such bound
            resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    import transformers.utils.chat_template_utils  # noqa: F401  # its import is not to count

    _bounded()
    given = json.load(sys.stdin)
    print(json.dumps({"fault": fault_of(given["template"], given["special_tokens"])}))
