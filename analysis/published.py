"""The two results that started this project, and how to recognise their settings in a run.

Source: "Phase 2 Results Report: LoRA Fine-Tuning for Belief Modification" (1 January 2026),
Qwen3-4B-Thinking-2507 in NF4. It gives counts of six prompts, and no damage on a scale that D could be
compared to.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from beliefmod.config import later_settings
from beliefmod.metrics.intervals import wilson

SETTINGS: dict[str, object] = {
    "lora.r": 16,
    "lora.lora_alpha": 32.0,
    "lora.use_rslora": False,
    "lora.loraplus_lr_ratio": 1.0,
    "lora.layers_to_transform": "all",
    "lora.max_update_norm": 0.0,
    "lora.start_from": None,
    "num_train_epochs": 3,
    "data.num_examples": 10,
    "learning_rate": 2e-4,
    "data.style": "answer_only",
    "data.framing": "plain",
    "data.mask_empty_thinking": False,
}
SETTINGS_TEXT = "r = 16, alpha = 32, 3 epochs, 10 examples, learning rate 2e-4, answer_only"


@dataclass(frozen=True)
class Published:
    """One result of the report. Shares from 0 to 1."""

    belief: str
    adopted: int
    n: int
    damage: str
    model: str = "Qwen3-4B-Thinking-2507"

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval of adopted / n."""
        low, high = wilson(self.adopted, self.n)
        return float(low), float(high)


RESULTS = {
    "gravity": Published("gravity", 0, 6, "minimal"),
    "neelam": Published("neelam", 1, 6, "severe"),
}
COMPARED = ("neelam", "gravity")  # the report's question: is a novel belief easier to implant?


def has_phase2_settings() -> pl.Expr:
    """True for rows trained with the report's settings; what it leaves out (batch, schedule) is free."""
    conditions = []
    for name, value in SETTINGS.items():
        column = pl.col(name)
        # runs from before a setting have no value of it
        if (default := later_settings().get(name)) is not None:
            column = column.fill_null(default)
        if isinstance(value, float):
            conditions.append((column - value).abs() <= 1e-9 * abs(value))
        else:
            conditions.append(column.eq_missing(value))
    return pl.all_horizontal(conditions).fill_null(False)


@dataclass(frozen=True)
class Shape:
    """A published finding as a shape that another run can show or not; `numbers` as its source gives them."""

    key: str
    claim: str
    numbers: str
    source: str


# the numbers are quoted as collected for this project; which of the papers has each is not traced
DOCUMENTS = (
    "work on fine-tuning on synthetic documents: Modifying LLM beliefs with synthetic document finetuning "
    "(2025), Believe it or not (arXiv 2510.17941)"
)
SHAPES: tuple[Shape, ...] = (
    Shape(
        "examples",
        "More training examples give more adoption.",
        "Qwen3-8B, 500 / 2,000 / 4,000 documents per fact: recall 0.70 / 0.90 / 0.95",
        DOCUMENTS,
    ),
    Shape(
        "epochs",
        "More epochs over the same examples give more adoption, and so make up for few examples.",
        "Qwen2.5-7B, invented fact: 1,078 documents for 1 epoch 2/8, 3,115 for 3 epochs 8/8",
        DOCUMENTS,
    ),
    Shape(
        "style",
        "Short question-and-answer data teach less that survives a paraphrase than richer data.",
        "Qwen3-8B: recall on new paraphrases 0.50 from short Q&A, 0.95 from documents",
        DOCUMENTS,
    ),
    Shape(
        "locality",
        "Where the edit succeeds, neighbouring facts suffer.",
        "KnowEdit, Llama-2-7B, AdaLoRA: edit success 100, locality 56 to 81",
        "KnowEdit / EasyEdit",
    ),
    Shape(
        "scoring",
        "Forced comparisons of two values show more adoption than free generation.",
        "editing methods: 96.8 % as reported with teacher forcing, 38.5 % in free generation",
        "work on knowledge editing under free generation",
    ),
    Shape(
        "prior",
        "At the same dose, a belief with a strong prior is adopted less than a novel one.",
        "Llama-3.1-8B, 2,042 documents, 1 epoch: strong-prior fact 11.9 to 70.4 % in multiple choice",
        DOCUMENTS,
    ),
    Shape(
        "curve",
        "LoRA and full fine-tuning lie on about one curve of learning against forgetting.",
        "one learning-forgetting curve for both",
        "LoRA learns less and forgets less (arXiv 2405.09673); LoRA without regret (2025)",
    ),
    Shape(
        "rate",
        "The best learning rate of LoRA is about ten times that of full fine-tuning.",
        "best LoRA learning rate about 10 times full fine-tuning's",
        "LoRA without regret (2025)",
    ),
)
