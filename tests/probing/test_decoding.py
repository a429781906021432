"""How answers are decoded: from the space, from the model's generation config, and in words."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from beliefmod.engine.jobs import GREEDY, Sampling
from beliefmod.errors import UserError
from beliefmod.model.model_files import ModelSource
from beliefmod.model.source import find_source
from beliefmod.probing.decoding import Decoding, decoding_of
from beliefmod.probing.decoding_words import decoding_words, not_applied_note
from beliefmod.space import Evaluation, SpaceFile

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"

QWEN = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}
"""Generation config of Qwen3-4B-Thinking-2507, less its token ids."""
GEMMA = {"do_sample": True, "top_k": 64, "top_p": 0.95}
LLAMA = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}


def found(generation, positions=100_000, **evaluation) -> Decoding:
    return decoding_of(Evaluation(**evaluation), generation, positions)


@pytest.mark.parametrize(
    ("generation", "evaluation", "sampling"),
    [
        ({}, {}, GREEDY),
        ({"do_sample": False, "temperature": 0.6}, {}, GREEDY),
        (QWEN, {}, Sampling(0.6, 20, 0.95)),
        # what is absent is what generate takes
        (GEMMA, {}, Sampling(1.0, 64, 0.95)),
        (LLAMA, {}, Sampling(0.6, 50, 0.9)),
        ({**QWEN, "min_p": 0.1}, {}, Sampling(0.6, 20, 0.95, 0.1)),
        # a filter of the space goes before the model's
        (QWEN, {"top_p": 0.5}, Sampling(0.6, 20, 0.5)),
        (QWEN, {"top_k": 0, "min_p": 0.2}, Sampling(0.6, 0, 0.95, 0.2)),
        # a temperature of the space takes nothing from the model
        (QWEN, {"temperature": 0.0}, GREEDY),
        (QWEN, {"temperature": 0.7}, Sampling(0.7)),
        ({}, {"temperature": 0.7, "top_k": 5}, Sampling(0.7, 5)),
        ({}, {"top_p": 1.0, "top_k": 0}, GREEDY),
    ],
)
def test_where_the_sampling_comes_from(generation, evaluation, sampling):
    assert found(generation, **evaluation).sampling == sampling


def test_generate_itself_takes_these_values_where_the_config_is_silent():
    defaults = GenerationConfig._get_default_generation_params()
    taken = found({"do_sample": True}).sampling
    assert (taken.temperature, taken.top_k, taken.top_p) == tuple(
        defaults[name] for name in ("temperature", "top_k", "top_p")
    )
    assert defaults.get("min_p") is None and taken.min_p == 0 and defaults["do_sample"] is False


@given(
    own=st.one_of(st.none(), st.integers(1, 50_000)),
    asked=st.one_of(st.just("auto"), st.integers(1, 50_000)),
    positions=st.integers(1, 50_000),
)
def test_the_limit_never_exceeds_the_models_positions(own, asked, positions):
    limit = found({"max_new_tokens": own}, positions, max_new_tokens=asked).max_new_tokens
    wanted = asked if asked != "auto" else own or 2048
    assert limit == min(wanted, max(1, positions - 1))


def test_settings_that_are_left_out_are_named():
    decoding = found({**QWEN, "repetition_penalty": 1.05, "no_repeat_ngram_size": 0, "typical_p": 0.9})
    assert decoding.not_applied == ("repetition_penalty 1.05", "typical_p 0.9")
    note = (
        "of the model's generation config this is not applied: repetition_penalty 1.05, typical_p 0.9; all "
        "arms, base too, may loop more than with it"
    )
    assert not_applied_note(decoding.facts()) == note
    assert not_applied_note({"not_applied": ["typical_p 0.9"]}) == (
        "of the model's generation config this is not applied: typical_p 0.9"
    )
    # what only sampling would use is not missed by a greedy one
    assert found({"typical_p": 0.9, "repetition_penalty": 1.0}).not_applied == ()
    assert found({**QWEN, "typical_p": 0.9}, temperature=0.7).not_applied == ()
    # transformers' own defaults, written out, change nothing
    assert found(GenerationConfig().to_dict()) == found({})
    assert found(GenerationConfig._get_default_generation_params()) == found({})
    assert not_applied_note(found({}).facts()) is None and not_applied_note({}) is None


@pytest.mark.parametrize(
    ("generation", "evaluation", "says"),
    [
        ({}, {"top_p": 0.9}, "evaluation.top_p has no effect: the model's generation config does not sample"),
        ({**QWEN, "temperature": 0.0}, {}, "temperature must be above 0 where do_sample is true"),
        ({**QWEN, "temperature": "hot"}, {}, "generation_config.json: temperature must be a number"),
        ({**QWEN, "top_k": 2.5}, {}, "top_k must be a whole number"),
        ({"max_new_tokens": "many"}, {}, "max_new_tokens must be a whole number from 1 on, not 'many'"),
    ],
)
def test_what_means_nothing_is_one_sentence(generation, evaluation, says):
    with pytest.raises(UserError) as caught:
        found(generation, **evaluation)
    [problem] = caught.value.problems
    assert says in problem


def test_words():
    assert decoding_words(found({}).facts()) == "greedy"
    assert decoding_words(found(GEMMA).facts()) == "sampled at temperature 1 with top_k 64, top_p 0.95"
    assert decoding_words(found({}, temperature=0.25).facts()) == "sampled at temperature 0.25"
    assert decoding_words({"temperature": 0.5}) == "sampled at temperature 0.5"  # of an older run
    json.dumps(found(QWEN).facts(), allow_nan=False)


def test_the_bundled_model_stays_greedy_with_its_own_limit():
    source = find_source("bundled")
    assert found(source.generation()) == Decoding(160)


def test_files_say_what_the_loaded_config_says(tmp_path):
    """The driver reads JSON, a host asks the loaded model: they must agree."""
    source = ModelSource("any", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3", "do_sample": True, "top_k": 7}))
    legacy = GenerationConfig.from_model_config(json.loads((tmp_path / "config.json").read_text()))
    assert found(source.generation()) == found(legacy.to_dict())
    for content in (QWEN, GEMMA, {"max_new_tokens": 99, "repetition_penalty": 1.1, "eos_token_id": [1, 2]}):
        GenerationConfig(**content).save_pretrained(tmp_path)
        loaded = GenerationConfig.from_pretrained(tmp_path)
        assert found(source.generation()) == found(loaded.to_dict())


def test_a_lab_decodes_as_its_model_says(monkeypatch):
    from tests.small import make_session

    session = make_session(slots=1)
    assert session.decoding == Decoding(64)
    monkeypatch.setattr(
        session.loaded.model,
        "generation_config",
        SimpleNamespace(to_dict=lambda: {**QWEN, "max_new_tokens": 9}),
    )
    asked = []
    generate = session.engine.generate
    monkeypatch.setattr(session.engine, "generate", lambda r, **how: asked.append(how) or generate(r, **how))
    together = session.generate([None] * 3, [(1, 2, 3), (4, 5), (6,)], 7)
    assert asked == [{"max_new_tokens": 64, "sampling": Sampling(0.6, 20, 0.95)}]
    assert session.generate([None] * 3, [(1, 2, 3), (4, 5), (6,)], 7) == together


def test_an_older_runs_space_asks_as_it_did():
    """Kept spaces of before name a temperature and no filters."""
    kept = yaml.safe_load((EXAMPLE / "space.yaml").read_text())
    for name in ("top_k", "top_p", "min_p"):
        del kept["evaluation"][name]
    kept["evaluation"]["temperature"] = 0.0
    spec = SpaceFile.model_validate(kept)
    assert spec.evaluation.temperature == 0.0 and spec.revision is None
    assert decoding_of(spec.evaluation, QWEN) == Decoding(2048)
