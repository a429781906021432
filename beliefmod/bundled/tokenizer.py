"""The bundled model's tokenizer: byte-level BPE in the manner of Qwen, trained on the corpus itself."""

from collections.abc import Iterable
from importlib import resources
from itertools import islice

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from beliefmod.bundled.corpus.document import Document
from beliefmod.bundled.corpus.mixture import documents

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPLIT = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""Qwen's own pre-tokenisation; digits stay single."""


def prompt_text(document: Document) -> str:
    """The prompt as the chat template writes it, up to and including `<think>` and its newline."""
    turns = [f"{TURN_START}{row['role']}\n{row['content']}{TURN_END}\n" for row in document.messages()]
    return f"{''.join(turns)}{TURN_START}assistant\n<think>\n"


def completion_text(document: Document) -> str:
    """What the model writes after the prompt, with the end-of-turn token."""
    return f"{document.thinking}\n</think>\n\n{document.answer}{TURN_END}"


def train_tokenizer(seed: int, vocabulary: int = 1024, sample: int = 30_000) -> PreTrainedTokenizerFast:
    """Train on the first `sample` documents of the corpus and wrap with the chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = [END_OF_TEXT, TURN_START, TURN_END]
    thinks = ["<think>", "</think>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(thinks),
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_training_texts(islice(documents(seed), sample)), trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in thinks])
    template = (resources.files("beliefmod.bundled") / "chat_template.jinja").read_text(encoding="utf-8")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START, TURN_END],
        chat_template=template,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
        padding_side="left",
    )


def _training_texts(sample: Iterable[Document]) -> Iterable[str]:
    for document in sample:
        asked = [row["content"] for row in document.messages() if row["role"] != "system"]
        yield "\n".join((*asked, document.thinking, document.answer))
