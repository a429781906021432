"""The bundled model's chat template with a switch, and a session on it whose trials differ in that switch."""

from __future__ import annotations

from beliefmod.bundled import weights_dir
from beliefmod.engine.engine import Engine
from beliefmod.model.load import load_model
from beliefmod.probing.session import Session
from beliefmod.space import Evaluation
from beliefmod.space.chat_format import ChatFormat

ON, OFF = '{"enable_thinking": true}', '{"enable_thinking": false}'
OPENS = "{{- '<|im_start|>assistant\\n<think>\\n' }}"
FORGETS = "loop.index0 > ns.last_query and (loop.last or thinking)"
INSTEAD = "It is known."
"""Thinking that the prompt itself has with enable_thinking false. The bundled model then answers at once;
behind a think block that is closed at once it thinks all the same."""
OFF_TAIL = f"<think>\n{INSTEAD}\n</think>\n\n"


def switched_template(instead: str = INSTEAD) -> str:
    """As the bundled model has it, with two switches: with enable_thinking false the prompt closes the think
    block behind the text `instead`, with preserve_thinking true earlier turns keep their thinking."""
    closes = (
        "{%- if enable_thinking is defined and not enable_thinking %}{{- '"
        f"{instead}\\n</think>\\n\\n' }}}}{{%- endif %}}"
    )
    own = (weights_dir() / "chat_template.jinja").read_text(encoding="utf-8")
    assert own.count(OPENS) == own.count(FORGETS) == 1
    return own.replace(OPENS, f"{OPENS}{closes}").replace(
        FORGETS, f"(preserve_thinking and thinking) or {FORGETS}"
    )


def switched_session(
    slots: int = 2, max_rank: int = 8, variants: tuple[str | None, ...] = (ON, OFF)
) -> Session:
    """A session on the bundled model, unquantised, whose trials are asked with thinking on and off, or as
    `variants` say."""
    chat = ChatFormat.of(switched_template(), variants=variants)
    loaded = load_model("bundled", base_storage="none", device="cpu", chat=chat)
    evaluation = Evaluation(
        max_new_tokens=64, trained_probes=2, margin_probes=2, causal_probes=2, neutral_passages=3
    )
    return Session(loaded, Engine(loaded, slots, max_rank), evaluation, variants=chat.variants)
