"""Text on its way to tokens: spaces survive a tokenizer's way through a folder, and every text is opened."""

from __future__ import annotations

import json
import shutil

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from beliefmod.errors import UserError
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source
from beliefmod.model.template import encode
from beliefmod.model.train_row import opening_ids, plain_row
from tests.model.conftest import PLAIN, make_tokenizer

TEXT = "The force is  10.0 N.\n\n What is\tthe force?"
OPENED = "{{ bos_token }}" + PLAIN


def with_bos(template: str | None, adds: bool) -> PreTrainedTokenizerFast:
    """A tokenizer with a beginning-of-text token, which it puts in front itself or leaves to its template."""
    tokenizer = make_tokenizer(template)
    tokenizer.bos_token = "<|im_start|>"
    if adds:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.bos_token_id)]
        )
    return tokenizer


@pytest.mark.parametrize(
    ("template", "adds", "opened"),
    [
        (PLAIN, True, True),
        (OPENED, False, True),
        (OPENED, True, True),
        (PLAIN, False, False),
        (None, False, False),
    ],
)
def test_a_plain_text_is_opened_as_the_model_knows_it(template, adds, opened):
    """PLAIN begins with <|im_start|> as well, but as the beginning of a turn."""
    tokenizer = with_bos(template, adds)
    bos = (tokenizer.bos_token_id,) if opened else ()
    assert opening_ids(tokenizer) == bos
    assert plain_row(tokenizer, TEXT).input_ids == (*bos, *encode(tokenizer, TEXT))


def test_without_such_a_token_nothing_is_put_in_front():
    tokenizer = make_tokenizer(PLAIN)
    assert opening_ids(tokenizer) == () and plain_row(tokenizer, TEXT).input_ids == encode(tokenizer, TEXT)


def test_spaces_survive_a_tokenizers_way_through_a_folder(model_folder):
    tokenizer = load_tokenizer(find_source(str(model_folder("qwen3"))))
    assert tokenizer.decode(list(encode(tokenizer, TEXT))) == TEXT
    assert encode(tokenizer, TEXT) == encode(make_tokenizer(PLAIN), TEXT)


def test_a_tokenizer_that_loses_spaces_is_refused(model_folder, tmp_path):
    """As where a byte-level vocabulary comes without its byte-level rules."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder("qwen3"), folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["pre_tokenizer"] = json.loads(_rules(pre_tokenizers.Whitespace()))
    content["decoder"] = None
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"its tokenizer reads 'it is 5\.0 or so' and gives back "):
        load_tokenizer(find_source(str(folder)))


def _rules(pre_tokenizer: object) -> str:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    raw.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    return json.dumps(json.loads(raw.to_str())["pre_tokenizer"])
