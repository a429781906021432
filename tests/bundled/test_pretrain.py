"""The pretraining loop learns, repeats itself from its seed, and writes a model that Hugging Face opens."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from beliefmod.bundled.corpus.mixture import documents
from beliefmod.bundled.muon import Muon, orthogonalise
from beliefmod.bundled.pretrain import Pretraining, batch_loss, batches, build_model, save_model, train_steps
from beliefmod.bundled.tokenizer import completion_text, prompt_text, train_tokenizer

TINY = Pretraining(
    seed=3, steps=4, tokens=256, processes=1, hidden=32, layers=1, mlp=64, vocabulary=512, other_rate=1e-2
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TINY.seed, TINY.vocabulary, sample=300)


def test_the_same_seed_gives_the_same_losses_and_weights(tokenizer) -> None:
    models = [build_model(TINY) for _ in range(2)]
    losses = [train_steps(model, TINY, tokenizer) for model in models]
    assert losses[0] == losses[1]
    for first, second in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(first, second)
    assert train_steps(build_model(TINY), replace(TINY, seed=4), tokenizer) != losses[0]


def test_a_few_steps_lower_the_loss(tokenizer) -> None:
    losses = train_steps(build_model(TINY), replace(TINY, steps=25), tokenizer)
    assert sum(losses[-5:]) / 5 < 0.85 * losses[0]


def test_only_the_completion_is_learned(tokenizer) -> None:
    batch = next(batches(TINY, tokenizer, 0))
    for row, learn in zip(batch.ids.tolist(), batch.learn.tolist(), strict=True):
        learned = tokenizer.decode([token for token, wanted in zip(row[1:], learn, strict=True) if wanted])
        assert learned.count("</think>") == 1
        assert learned.endswith("<|im_end|>")
        assert "user" not in learned and "<think>" not in learned


def test_padding_does_not_change_the_loss(tokenizer) -> None:
    model = build_model(TINY)
    batch = next(batches(TINY, tokenizer, 0))
    wide = replace(
        batch,
        ids=torch.nn.functional.pad(batch.ids, (0, 9)),
        learn=torch.nn.functional.pad(batch.learn, (0, 9)),
    )
    torch.testing.assert_close(batch_loss(model, batch), batch_loss(model, wide))


def test_the_template_writes_what_pretraining_read(tokenizer) -> None:
    for document in islice(documents(11), 200):
        prompt = tokenizer.apply_chat_template(
            document.messages(), add_generation_prompt=True, tokenize=False
        )
        assert prompt == prompt_text(document)
        whole = tokenizer(prompt + completion_text(document), add_special_tokens=False).input_ids
        parts = [
            tokenizer(text, add_special_tokens=False).input_ids
            for text in (prompt, completion_text(document))
        ]
        assert whole == parts[0] + parts[1]


def test_the_saved_model_opens_and_computes_the_same(tokenizer, tmp_path: Path) -> None:
    model = build_model(TINY)
    save_model(model, tokenizer, tmp_path)
    opened = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ids = torch.arange(3, 40)[None]
    assert torch.equal(opened(input_ids=ids).logits, model(input_ids=ids).logits)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "<|im_start|>user\nWhat is 3 + 4?<|im_end|>\n"
    assert again(text).input_ids == tokenizer(text).input_ids
    assert again.chat_template == tokenizer.chat_template
    assert opened.generation_config.eos_token_id == [
        again.convert_tokens_to_ids("<|im_end|>"),
        again.convert_tokens_to_ids("<|endoftext|>"),
    ]
    assert opened.generation_config.max_new_tokens == 160
    assert not opened.generation_config.do_sample


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 16, 48), (2, 48, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.6 and values.max() < 1.3


def test_muon_batches_weights_of_one_shape_as_it_treats_each_alone() -> None:
    torch.manual_seed(0)
    start = [torch.randn(8, 12) for _ in range(3)]
    slopes = [torch.randn(8, 12) for _ in range(3)]

    def run(groups: list[list[int]]) -> list[torch.Tensor]:
        weights = [tensor.clone().requires_grad_() for tensor in start]
        for indices in groups:
            optimizer = Muon([weights[index] for index in indices], lr=0.1)
            for index in indices:
                weights[index].grad = slopes[index].clone()
            optimizer.step()
        return weights

    for together, alone in zip(run([[0, 1, 2]]), run([[0], [1], [2]]), strict=True):
        torch.testing.assert_close(together, alone)
