"""Chat templates in the shapes of thinking families that no package ships, and completions as they write
them.

Written anew: user and assistant turns as the family's own template has them, its system text cut to what
matters here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.model.chats import Chat

SMOLLM3 = """{%- if enable_thinking is not defined %}{%- set enable_thinking = true %}{%- endif %}
{%- set mode = '/think' if enable_thinking else '/no_think' %}
{{- '<|im_start|>system\\nToday Date: ' + strftime_now('%d %B %Y') }}
{{- '\\nReasoning Mode: ' + mode + '\\n\\n' }}
{%- if enable_thinking %}{{- 'Answer as <think> Thought </think> Solution.' }}{%- endif %}
{{- '<|im_end|>\\n' }}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif enable_thinking %}
        {{- '<|im_start|>assistant\\n' + message.content.lstrip('\\n') + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n' + message.content.lstrip('\\n') }}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if not enable_thinking %}{{- '<think>\\n\\n</think>\\n' }}{%- endif %}
{%- endif %}"""
PHI4_MINI = """{{- '<|system|>Your name is Phi, an AI math expert developed by Microsoft.<|end|>' }}
{%- for message in messages %}
    {{- '<|' + message.role + '|>' + message.content + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- else %}{{- eos_token }}{%- endif %}"""
OLMO3 = """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content }}
    {%- if message.role == 'assistant' and loop.last %}{{- eos_token }}
    {%- else %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>' }}{%- endif %}"""
MINISTRAL3 = """{{- bos_token + '[SYSTEM_PROMPT]First [THINK]thoughts[/THINK]answer[/SYSTEM_PROMPT]' }}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '[INST]' + message.content + '[/INST]' }}
    {%- else %}
        {%- set thought = message.get('reasoning_content') %}
        {%- if thought %}{{- '[THINK]' + thought + '[/THINK]' }}{%- endif %}
        {{- message.content + eos_token }}
    {%- endif %}
{%- endfor %}"""
EXAONE_DEEP = """{{- '[|system|][|endofturn|]\\n' }}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if '</thought>' in content %}
        {%- set content = content.split('</thought>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '[|' + message.role + '|]' + content }}
    {%- if message.role != 'user' %}{{- '[|endofturn|]' }}{%- endif %}
    {%- if not loop.last %}{{- '\\n' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '\\n[|assistant|]<thought>\\n' }}{%- endif %}"""
SEED_OSS = """{%- if thinking_budget is not defined %}{%- set thinking_budget = -1 %}{%- endif %}
{%- for message in messages %}
    {{- '<seed:bos>' + message.role }}
    {%- if message.role == 'assistant' and message.reasoning_content %}
        {{- '\\n<seed:think>' + message.reasoning_content | trim + '</seed:think>' }}
    {%- endif %}
    {{- '\\n' + message.content + '<seed:eos>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<seed:bos>assistant\\n' }}
    {%- if thinking_budget == 0 %}{{- '<seed:think><seed:cot_budget_reflect>' }}{%- endif %}
{%- endif %}"""
GRANITE = """{%- if thinking %}
    {{- '<|start_of_role|>system<|end_of_role|>Write your thoughts between <think></think> and write your '
        'response between <response></response> for each user query.<|end_of_text|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_of_role|>assistant<|end_of_role|>' }}{%- endif %}"""


@dataclass(frozen=True)
class FamilyChat:
    """A family's chat.

    Attributes:
        says: a healthy completion around the thought {T} and the answer {A}, without its end token.
        empty: what stands before a bare answer.
        second: what stands in a second turn's prompt between the first question and the second.
        special: special tokens, the marks among them where the family's are.
    """

    template: str
    kind: str
    says: str
    empty: str
    second: str
    special: tuple[str, ...]
    eos: str
    bos: str | None = None
    switches: dict[str, Any] = field(default_factory=dict)

    def tokenizer(self) -> Any:
        return Chat(
            self.template, self.special, eos=self.eos, bos=self.bos, pad=self.eos, tags="text"
        ).tokenizer()


_IM = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_PHI = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>")
_GRANITE = ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>")
_SEED = ("<seed:bos>", "<seed:eos>", "<seed:think>", "</seed:think>")
_MISTRAL = ("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[THINK]", "[/THINK]")
_EXAONE = ("[|system|]", "[|user|]", "[|assistant|]", "[|endofturn|]", "<thought>", "</thought>")
FAMILY_CHATS = {
    "smollm3": FamilyChat(
        SMOLLM3, "model", "<think>\n{T}\n</think>\n{A}", "<think>\n\n</think>\n",
        "<|im_end|>\n<|im_start|>assistant\n{A}<|im_end|>\n<|im_start|>user\n", _IM, "<|im_end|>",
    ),
    "smollm3-off": FamilyChat(
        SMOLLM3, "none", "{A}", "",
        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n{A}<|im_end|>\n<|im_start|>user\n", _IM,
        "<|im_end|>", switches={"enable_thinking": False},
    ),
    "phi-4-mini-reasoning": FamilyChat(
        PHI4_MINI, "model", "<think>\n{T}\n</think>\n\n{A}", "<think>\n\n</think>\n\n",
        "<|end|><|assistant|>{A}<|end|><|user|>", _PHI, "<|endoftext|>",
    ),
    "olmo-3-think": FamilyChat(
        OLMO3, "prompt", "{T}\n</think>\n\n{A}", "\n</think>\n\n",
        "<|im_end|>\n<|im_start|>assistant\n{A}<|im_end|>\n<|im_start|>user\n", _IM, "<|endoftext|>",
    ),
    "ministral-3": FamilyChat(
        MINISTRAL3, "model", "[THINK]{T}[/THINK]{A}", "[THINK][/THINK]",
        "[/INST][THINK]{T}[/THINK]{A}</s>[INST]",
        _MISTRAL, "</s>", "<s>",
    ),
    "exaone-deep": FamilyChat(
        EXAONE_DEEP, "prompt", "{T}\n</thought>\n\n{A}", "\n</thought>\n\n",
        "\n[|assistant|]{A}[|endofturn|]\n[|user|]", _EXAONE, "[|endofturn|]",
    ),
    "seed-oss": FamilyChat(
        SEED_OSS, "model", "<seed:think>{T}</seed:think>\n{A}", "<seed:think></seed:think>\n",
        "<seed:eos><seed:bos>assistant\n<seed:think>{T}</seed:think>\n{A}<seed:eos><seed:bos>user\n", _SEED,
        "<seed:eos>", "<seed:bos>",
    ),
    "seed-oss-no-budget": FamilyChat(
        SEED_OSS, "prompt", "{T}</seed:think>\n{A}", "</seed:think>\n",
        "<seed:eos><seed:bos>assistant\n<seed:think>{T}</seed:think>\n{A}<seed:eos><seed:bos>user\n", _SEED,
        "<seed:eos>", "<seed:bos>", switches={"thinking_budget": 0},
    ),
    "granite-3.3": FamilyChat(
        GRANITE, "none", "{A}", "",
        "<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>{A}<|end_of_text|>\n<|start_of_role|>user"
        "<|end_of_role|>", _GRANITE, "<|end_of_text|>",
    ),
    "granite-3.3-thinking": FamilyChat(
        GRANITE, "model", "<think>{T}</think>\n<response>{A}</response>", "<think></think>\n<response>",
        "<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>{A}<|end_of_text|>\n<|start_of_role|>user"
        "<|end_of_role|>", _GRANITE, "<|end_of_text|>", switches={"thinking": True},
    ),
}  # fmt: skip
