"""Chat templates in the shapes of real families, without tools, and tokenizers for them.

Each writes user and assistant turns as the family's own template does; what tools, pictures and system
prompts need is left out, for no conversation here has them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

# the last user message is found first: later assistant turns would keep their thinking
_QWEN3_TURNS = """{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- else %}
        {%- set content = message.content %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
"""
QWEN3_THINKING = (
    _QWEN3_TURNS + "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"
)
QWEN3_HYBRID = (
    _QWEN3_TURNS
    + """{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
)
CHATML = """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""
GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""
# the generation prompt of later versions; the first ones left it to the model to open <think>
_R1 = """{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {{- '<｜User｜>' + message['content'] }}
    {%- else %}
        {%- set content = message['content'] %}
        {%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}
        {{- '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<｜Assistant｜>OPENING' }}{%- endif %}"""
R1 = _R1.replace("OPENING", "<think>\\n")
R1_FIRST = _R1.replace("OPENING", "")
# thinking is off unless asked for, and the prompt says so by closing it
R1_OFF = _R1.replace("OPENING", "</think>")
MISTRAL = """{{- bos_token }}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + message['content'] + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}"""

_TEXTS = ["The force is 10.0 N.\n\n What is the force?\n", "Is that sure?\n\nuser\nassistant\n"] * 5
_CHATML_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_R1_TOKENS = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
_LLAMA_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)


@dataclass(frozen=True)
class Chat:
    """A family's template and tokenizer.

    Attributes:
        special: special tokens. bos, eos, pad: which of them are that.
        tags: how <think> and </think> are tokens: "added" (as in Qwen3), "special", or "text".
        pieces: SentencePiece-like pieces with a space in front of every text (Llama 2, Mistral), or with none
            (Gemma); otherwise bytes.
        adds_bos: the tokenizer itself puts bos in front, as the template does too.
    """

    template: str
    special: tuple[str, ...] = _CHATML_TOKENS
    eos: str = "<|im_end|>"
    bos: str | None = None
    pad: str | None = "<|endoftext|>"
    tags: str = "added"
    pieces: str | None = None
    adds_bos: bool = False

    def tokenizer(self) -> PreTrainedTokenizerFast:
        raw = _pieces(self) if self.pieces else _bytes(self)
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=raw,
            bos_token=self.bos,
            eos_token=self.eos,
            pad_token=self.pad,
            additional_special_tokens=list(self.special),
        )
        if self.tags != "text":
            tokenizer.add_tokens(["<think>", "</think>"], special_tokens=self.tags == "special")
        tokenizer.chat_template = self.template
        return tokenizer


def _bytes(chat: Chat) -> Tokenizer:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    raw.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(chat.special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(_TEXTS, trainer)
    return _with_bos(raw, chat)


def _pieces(chat: Chat) -> Tokenizer:
    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    space = normalizers.Replace(" ", "▁")
    first = [normalizers.Prepend("▁")] if chat.pieces == "spaced" else []
    raw.normalizer = normalizers.Sequence([*first, space])  # pyright: ignore[reportAttributeAccessIssue]
    strip = [decoders.Strip(" ", 1, 0)] if chat.pieces == "spaced" else []
    raw.decoder = decoders.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    known = [f"<0x{byte:02X}>" for byte in range(256)]
    alphabet = sorted({*"▁\n.,?0123456789[]/()<>'", *map(chr, range(65, 91)), *map(chr, range(97, 123))})
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<unk>", *chat.special, *known],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    raw.train_from_iterator(_TEXTS, trainer)
    return _with_bos(raw, chat)


def _with_bos(raw: Tokenizer, chat: Chat) -> Tokenizer:
    if chat.adds_bos and chat.bos:
        raw.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
            single=f"{chat.bos} $A",
            pair=f"{chat.bos} $A {chat.bos} $B",
            special_tokens=[(chat.bos, raw.token_to_id(chat.bos))],
        )
    return raw


_R1_CHAT = {"special": _R1_TOKENS, "bos": _R1_TOKENS[0], "eos": _R1_TOKENS[1], "pad": None, "adds_bos": True}
_GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")
CHATS: dict[str, Chat] = {
    "qwen3-thinking": Chat(QWEN3_THINKING),
    "qwen3-hybrid": Chat(QWEN3_HYBRID),
    "qwen3-instruct": Chat(CHATML),
    "thinking-special": Chat(QWEN3_THINKING, tags="special"),
    "thinking-text": Chat(QWEN3_THINKING, tags="text"),
    "hybrid-text": Chat(QWEN3_HYBRID, tags="text"),
    "llama3": Chat(
        LLAMA3, _LLAMA_TOKENS, eos="<|end_of_text|>", bos="<|begin_of_text|>", pad=None, tags="text",
        adds_bos=True,
    ),
    "gemma": Chat(
        GEMMA, _GEMMA_TOKENS, eos="<eos>", bos="<bos>", pad="<pad>", tags="text", pieces="plain",
        adds_bos=True,
    ),
    "r1": Chat(R1, **_R1_CHAT),
    "r1-first": Chat(R1_FIRST, **_R1_CHAT),
    "r1-off": Chat(R1_OFF, **_R1_CHAT),
    "mistral": Chat(
        MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]"), eos="</s>", bos="<s>", pad=None, tags="text",
        pieces="spaced", adds_bos=True,
    ),
}  # fmt: skip
