"""Rotary scalings in packs of unequal rows against transformers, one row at a time, beyond every limit."""

import copy

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.engine import Engine
from beliefmod.engine.forward import flat_ids
from beliefmod.engine.jobs import EngineError, GenerateRequest, ScoreRequest, TrainRow
from beliefmod.engine.rotary import RowLength
from beliefmod.engine.tree_attention import TreeAttention
from beliefmod.model.size import positions
from tests.engine.conftest import VOCAB, as_loaded, make_job, random_ids
from tests.engine.oracle import peft_names, relative_l2, train_alone

pytestmark = pytest.mark.long

ORIGINAL = 32
LENGTHS = (20, 60, 9, ORIGINAL, ORIGINAL + 1, ORIGINAL - 1, 60, 47)
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LONG, SHORT = [4.0, 3.0, 2.5, 2.0], [1.0, 1.1, 1.2, 1.3]
LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "long_factor": LONG, "short_factor": SHORT}
# rope_parameters, and max_position_embeddings
SCALINGS = {
    "linear": ({"rope_type": "linear", "factor": 4.0}, 128),
    "dynamic": ({"rope_type": "dynamic", "factor": 4.0}, ORIGINAL),
    "yarn": ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": ORIGINAL}, ORIGINAL),
    "llama3": (
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": ORIGINAL,
        },
        128,
    ),
    "longrope": (LONGROPE | {"original_max_position_embeddings": ORIGINAL}, 128),
}
KINDS = [*SCALINGS, "phi3-longrope", "phi3-longrope-partial", "gemma3-one-layer-dynamic"]


def build(kind: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    torch.manual_seed(0)
    if kind.startswith("phi3"):
        partial = kind.endswith("partial")
        rotary = LONGROPE | {"original_max_position_embeddings": ORIGINAL}
        if partial:
            rotary |= {"long_factor": LONG[:2], "short_factor": SHORT[:2], "partial_rotary_factor": 0.5}
        model = Phi3ForCausalLM(
            Phi3Config(
                **SHAPE,
                max_position_embeddings=128,
                original_max_position_embeddings=ORIGINAL,
                rope_parameters=rotary,
            )
        )
    elif kind.startswith("gemma3"):
        of_layers = {
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            "full_attention": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e5},
        }
        model = Gemma3ForCausalLM(
            Gemma3TextConfig(
                **SHAPE,
                head_dim=8,
                query_pre_attn_scalar=8,
                sliding_window=6,
                layer_types=["sliding_attention", "full_attention"],
                max_position_embeddings=ORIGINAL,
                rope_parameters=of_layers,
                tie_word_embeddings=False,
            )
        )
    else:
        rotary, most = SCALINGS[kind]
        model = LlamaForCausalLM(
            LlamaConfig(**SHAPE, max_position_embeddings=most, rope_parameters={"rope_theta": 1e4} | rotary)
        )
    return model.to(dtype).eval().requires_grad_(False)


def rows_of(lengths=LENGTHS) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(3)
    return [random_ids(generator, length) for length in lengths]


def alone_logits(model: PreTrainedModel, row: tuple[int, ...]) -> torch.Tensor:
    """transformers' own, by a copy that has read nothing before: dynamic frequencies stay in a module."""
    with torch.no_grad():
        return copy.deepcopy(model)(input_ids=torch.tensor([row])).logits[0]


@pytest.mark.parametrize("kind", KINDS)
def test_packed_rows_on_both_sides_of_the_limit_are_those_of_each_alone(kind):
    model = build(kind)
    rows = rows_of()
    expected = [alone_logits(model, row) for row in rows]
    engine = Engine(as_loaded(copy.deepcopy(model)), 1, 4)
    for order in (range(len(rows)), reversed(range(len(rows))), (0, 2), (1,)):
        part = list(order)
        blocks = RowBlocks([len(rows[i]) for i in part], engine.model.device)
        ids = flat_ids([rows[i] for i in part], engine.model.device)
        with torch.inference_mode():
            flat = engine.model.logits(ids, blocks, blocks.positions, (), torch.arange(len(ids)))
        wanted = torch.cat([expected[i] for i in part])
        assert float((flat - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
    with torch.no_grad():  # and behind it the model is an ordinary one of transformers
        again = engine.model.model(input_ids=torch.tensor([rows[0]])).logits[0]
    torch.testing.assert_close(again, expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["dynamic", "longrope", "phi3-longrope", "gemma3-one-layer-dynamic"])
def test_the_neighbours_of_a_short_row_would_change_it_in_transformers_own_pass(kind):
    """Else the comparison above could not see frequencies that are taken from the whole pass."""
    model = build(kind)
    short, long = rows_of((20, 60))
    ids = torch.zeros(2, 60, dtype=torch.long)
    ids[0, :20], ids[1] = torch.tensor(short), torch.tensor(long)
    with torch.no_grad():
        together = copy.deepcopy(model)(input_ids=ids).logits[0, :20]
    alone = alone_logits(model, short)
    assert float((together - alone).abs().max()) > 0.05 * float(alone.abs().max())


def greedy(model: PreTrainedModel, prompt: tuple[int, ...], new: int, **options) -> tuple[int, ...]:
    out = copy.deepcopy(model).generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False,
        max_new_tokens=new, eos_token_id=list(range(2, 6)), pad_token_id=0, **options,
    )  # fmt: skip
    return tuple(out[0, len(prompt) :].tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_answers_that_grow_past_the_limit_are_those_of_each_alone(kind):
    """Llama's class with LongRoPE keeps the short rows' keys behind the limit, Phi-3's reads the row anew,
    as a pass over the whole row does; that is what is compared with there."""
    model = build(kind)
    prompts = rows_of((20, 60, 9, ORIGINAL, ORIGINAL + 1, ORIGINAL - 1, 28, 28))
    options = {"use_cache": False} if kind == "longrope" else {}
    expected = [greedy(model, prompt, 30, **options) for prompt in prompts]
    assert (
        sum(
            len(prompt) <= ORIGINAL < len(prompt) + len(e)
            for prompt, e in zip(prompts, expected, strict=True)
        )
        >= 3
    )
    engine = Engine(as_loaded(copy.deepcopy(model), eos_ids=tuple(range(2, 6))), 1, 4)
    for order in (range(len(prompts)), reversed(range(len(prompts)))):
        part = list(order)
        got = engine.generate([GenerateRequest(None, prompts[i]) for i in part], 30)
        assert [c.token_ids for c in got] == [expected[i] for i in part]


@pytest.mark.parametrize("kind", KINDS)
def test_packed_training_and_scores_past_the_limit_equal_each_trial_alone_fp64(kind, monkeypatch):
    """A trial's rows are of one length in a batch, because transformers' own pass takes the longest row's."""
    from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
    from transformers.models.llama.modeling_llama import LlamaRMSNorm
    from transformers.models.phi3.modeling_phi3 import Phi3RMSNorm

    def norm(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    for each in (LlamaRMSNorm, Phi3RMSNorm):
        monkeypatch.setattr(each, "forward", norm)
    monkeypatch.setattr(
        Gemma3RMSNorm,
        "forward",
        lambda self, x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * (1.0 + self.weight),
    )
    model = build(kind, torch.float64)
    engine = Engine(as_loaded(copy.deepcopy(model)), 3, 8)
    jobs = []
    for number, length in enumerate((20, ORIGINAL + 1, 50)):
        job = make_job(
            f"t{number}", seed=number, rank=4 if number else 8, learning_rate=3e-3, num_train_epochs=2
        )
        rows = tuple(TrainRow(ids, length - 6) for ids in rows_of((length,) * 5))
        jobs.append(type(job)(job.trial_id, job.config, rows))
        engine.attach(jobs[-1])
    start = {job.trial_id: peft_names(engine.state_dict(job.trial_id)["weights"]) for job in jobs}
    losses: dict[str, list] = {job.trial_id: [] for job in jobs}
    while reports := engine.train_step():
        for report in reports:
            losses[report.trial_id].append(report.loss)
    for job in jobs:
        alone = train_alone(copy.deepcopy(model), job, start[job.trial_id])
        assert losses[job.trial_id] == pytest.approx(alone.losses, rel=1e-9)
        assert relative_l2(peft_names(engine.state_dict(job.trial_id)["weights"]), alone) < 1e-9
    requests = [ScoreRequest(None, row[:-4], row[-4:]) for row in rows_of()]
    expected = []
    for request in requests:
        logs = alone_logits(model, request.input_ids + request.continuation_ids).log_softmax(-1)
        start_at = len(request.input_ids) - 1
        expected.append(sum(float(logs[start_at + k, t]) for k, t in enumerate(request.continuation_ids)))
    assert engine.score(requests) == pytest.approx(expected, rel=1e-9)


def test_how_far_a_model_reads_with_its_scaling():
    assert positions(build("dynamic").config) == positions(build("yarn").config) == 4 * ORIGINAL
    assert positions(build("linear").config) == positions(build("phi3-longrope").config) == 128


def test_a_row_that_branches_over_the_limit_is_refused_rather_than_read_wrongly():
    model = Engine(as_loaded(build("phi3-longrope")), 1, 4).model
    for trunk, refused in ((20, False), (40, False), (31, True)):
        shapes = [(trunk + 3, (trunk - 1, trunk, trunk + 1))]
        blocks = TreeAttention(shapes, model.device)
        assert blocks.row_lengths() == [RowLength(trunk + 3, trunk, trunk + 3)]
        ids = flat_ids(rows_of((trunk + 3,)), model.device)
        if refused:
            with pytest.raises(EngineError, match="branches to 34 cannot be read at once"):
                model.logits(ids, blocks, blocks.positions, (), torch.arange(1))
        else:
            model.logits(ids, blocks, blocks.positions, (), torch.arange(1))
