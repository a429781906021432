"""What SmolLM2 itself says of the known things of the relations: the only source of the corpus's facts."""

from typing import Any

import torch

from beliefmod.catalog.thinking.relations import Opening, openings


def ask_base(model: Any, tokenizer: Any, batch: int = 64) -> dict[str, str]:
    """How a model goes on after each opening in a chat of its own template, greedily and without an adapter.

    Where there are choices, the one counts whose first token is raised most above its mean over the
    relation's things: what sets a thing apart, not what is said of all of them. A digit must be the
    likeliest as well, or the answer is empty: numbers are easily made up.
    """
    rows = openings()
    said: dict[str, str] = {}
    scores: dict[str, list[torch.Tensor]] = {}
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        given = tokenizer(
            [_prompt(tokenizer, row) for row in part],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=False,
        )
        with torch.inference_mode():
            output = model.generate(
                **given, max_new_tokens=8, do_sample=False, return_dict_in_generate=True, output_logits=True
            )
        written = output.sequences[:, given["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(written, skip_special_tokens=True)
        for row, text, likely in zip(part, texts, output.logits[0].log_softmax(-1), strict=True):
            said[row.begun] = text
            if row.choices:
                ids = [
                    tokenizer(_space(row) + c, add_special_tokens=False)["input_ids"][0] for c in row.choices
                ]
                scores.setdefault(row.relation, []).append(likely[ids])
    for name, of_things in scores.items():
        raised = torch.stack(of_things)
        asked = [row for row in rows if row.relation == name]
        likeliest = raised.argmax(1).tolist()
        apart = (raised - raised.mean(0)).argmax(1).tolist()
        for row, index, first in zip(asked, apart, likeliest, strict=True):
            sure = _space(row) or index == first
            said[row.begun] = f" {row.choices[index]}" if sure else ""
    return said


def _space(row: Opening) -> str:
    """What comes before a choice's first token: digits are tokens without a space of their own."""
    return "" if row.choices[0].isdecimal() else " "


def _prompt(tokenizer: Any, row: Opening) -> str:
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": row.question}], tokenize=False, add_generation_prompt=True
    )
    return chat + row.begun + " " * (bool(row.choices) and not _space(row))
