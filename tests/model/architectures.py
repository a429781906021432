"""A tiny random model of every type that works, compared with transformers and PEFT; the table of them.

python -m tests.model.architectures    # compares them all and writes the table in docs/models.md
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.engine import Engine
from beliefmod.engine.forward import flat_ids
from beliefmod.engine.jobs import GenerateRequest
from beliefmod.errors import UserError
from beliefmod.model.target_modules import experts
from interp.lenses.lens_head import LensHead
from interp.lenses.residual_stream import ProbedRow, residuals
from tests.engine.conftest import VOCAB, as_loaded, make_job, random_ids
from tests.engine.oracle import peft_names, train_alone

DOC = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- written by python -m tests.model.architectures -->", "<!-- end of what is written -->"
TOLERANCE = 1e-4
LENGTHS = (23, 5, 11, 5, 1)  # longer than the sliding windows, and shorter
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "attention_dropout": 0.0,
    "residual_dropout": 0.0,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "sliding_window": 6,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "n_group": 1,
    "topk_group": 1,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
}
"""What a type's configuration has of these is made small."""
DELTA = {"layer_types": ["linear_attention", "linear_attention", "full_attention", "linear_attention"]}
MROPE = {
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1e4,
        "partial_rotary_factor": 0.5,
        "mrope_section": [2, 1, 1],
    }
}
CONV = {"layer_types": ["conv", "full_attention", "conv", "conv"], "conv_L_cache": 3}
SLIDING = {"layer_types": ["sliding_attention", "full_attention"] * 2}
LATENT = {
    "head_dim": 8,
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
}
PER_LAYER = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCAB, "num_kv_shared_layers": 2}
GRANITE = {
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.4,
    "residual_multiplier": 0.5,
    "logits_scaling": 2.0,
}


@dataclass(frozen=True)
class Case:
    """One type: what people call it, what is particular about it, and how its tiny model differs.

    leave: names in SHAPE that its configuration has and that must keep their own value.
    """

    type: str
    title: str
    particular: str
    changes: dict[str, Any] = field(default_factory=dict)
    leave: tuple[str, ...] = ()

    def config(self) -> PretrainedConfig:
        """A small configuration of the type."""
        kind = CONFIG_MAPPING[self.type]
        known = set(kind.__dataclass_fields__) if hasattr(kind, "__dataclass_fields__") else set(vars(kind()))
        settings = {n: v for n, v in SHAPE.items() if n in known and n not in self.leave}
        return kind(**{**settings, **self.changes})

    def model(self) -> PreTrainedModel:
        """Every weight random, norms and biases too, so that none can be left out unseen."""
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(self.config(), attn_implementation="eager")
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(std=0.12)
                else:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        return model.eval().requires_grad_(False)


CASES = [
    Case("llama", "Llama 2 and 3, R1 distillates, SmolLM2", "the plain decoder"),
    Case("qwen2", "Qwen2, Qwen2.5", "attention bias"),
    Case("qwen3", "Qwen3", "norms of queries and keys"),
    Case("mistral", "Mistral", "sliding window"),
    Case("ministral", "Ministral", "sliding window", SLIDING),
    Case(
        "ministral3",
        "Ministral 3",
        "scores that grow with the position, YaRN",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 8,
                "rope_theta": 1e4,
                "llama_4_scaling_beta": 0.5,
            }
        },
    ),
    Case("gemma", "Gemma", "scaled embeddings, norms around 1"),
    Case(
        "gemma2",
        "Gemma 2",
        "soft caps of scores and logits, sliding and full attention in turn",
        {**SLIDING, "attn_logit_softcapping": 1.0, "final_logit_softcapping": 2.0},
    ),
    Case("gemma3_text", "Gemma 3", "two rotary bases", SLIDING),
    Case(
        "gemma3n_text",
        "Gemma 3n",
        "values per layer, layers that share keys, four streams side by side",
        {**SLIDING, **PER_LAYER, "intermediate_size": [64, 96, 64, 96], "laurel_rank": 8},
    ),
    Case(
        "gemma4_text",
        "Gemma 4",
        "values per layer: head size and key heads; layers that share keys; an embedding per layer",
        {**SLIDING, **PER_LAYER, "global_head_dim": 32, "final_logit_softcapping": 3.0},
    ),
    Case("vaultgemma", "VaultGemma", "soft caps", {**SLIDING, "final_logit_softcapping": 2.0}),
    Case("phi", "Phi 1, 1.5 and 2", "attention and MLP side by side, partial rotary embedding"),
    Case("phi3", "Phi 3, Phi 4, Phi-4-mini", "fused projections", {"sliding_window": 6}),
    Case("glm", "GLM-4 9B", "fused MLP, partial rotary embedding"),
    Case("glm4", "GLM-4-0414, GLM-Z1", "norms around attention and MLP"),
    Case("olmo", "OLMo", "norms without weights"),
    Case("olmo2", "OLMo 2", "norms behind attention and MLP"),
    Case("olmo3", "Olmo 3, Olmo-3-Think", "sliding and full attention in turn", SLIDING),
    Case("smollm3", "SmolLM3", "layers without rotary embedding", {"no_rope_layers": [1, 1, 1, 0]}),
    Case("granite", "Granite 3 and 4 dense", "multipliers of embeddings, scores, residuals, logits", GRANITE),
    Case(
        "granite_swa",
        "Granite with sliding windows",
        "attention sinks",
        {**GRANITE, **SLIDING},
        ("head_dim",),
    ),
    Case("cohere", "Command R", "attention and MLP side by side, scaled logits"),
    Case("cohere2", "Command R7B, Command A", "layers without rotary embedding, scaled logits", SLIDING),
    Case("exaone4", "EXAONE 4", "layers without rotary embedding", SLIDING),
    Case("seed_oss", "Seed-OSS", "attention bias"),
    Case("ernie4_5", "ERNIE 4.5", "interleaved rotary embedding"),
    Case("hunyuan_v1_dense", "Hunyuan dense", "norms behind the rotary embedding"),
    Case("hyperclovax", "HyperCLOVA X", "multipliers", {**GRANITE, "logits_scaling": 0.5}),
    Case("apertus", "Apertus", "activation with weights"),
    Case("arcee", "Arcee", "squared activation"),
    Case("cwm", "CWM", "sliding and full attention in turn", SLIDING),
    Case("helium", "Helium", "interleaved rotary embedding"),
    Case("jais2", "Jais 2", "layer norms with bias"),
    Case(
        "nanochat", "nanochat", "norms without weights, soft cap of logits", {"final_logit_softcapping": 2.0}
    ),
    Case("gpt_neox", "Pythia, GPT-NeoX", "fused attention projection, attention and MLP side by side"),
    Case("starcoder2", "StarCoder 2", "biases, sliding window"),
    Case("minicpm3", "MiniCPM 3", "latent attention", LATENT),
    Case(
        "lfm2",
        "LFM2, LFM2.5",
        "short convolutions",
        {**CONV, "block_auto_adjust_ff_dim": False},
        ("head_dim",),
    ),
    Case("qwen3_5_text", "Qwen3.5", "gated delta nets", {**DELTA, **MROPE}),
    Case("olmo_hybrid", "Olmo Hybrid", "gated delta nets", DELTA, ("head_dim",)),
    Case("qwen3_next", "Qwen3-Next", "gated delta nets, experts", DELTA),
    Case("qwen3_5_moe_text", "Qwen3.5 with experts", "gated delta nets, experts", {**DELTA, **MROPE}),
    Case(
        "lfm2_moe", "LFM2 with experts", "short convolutions", {**CONV, "num_dense_layers": 1}, ("head_dim",)
    ),
    Case("gpt_oss", "gpt-oss", "experts, attention sinks, sliding and full attention in turn", SLIDING),
    Case("qwen3_moe", "Qwen3 with experts (30B-A3B)", "experts"),
    Case("qwen2_moe", "Qwen1.5 and Qwen2 with experts", "experts, one of them for all tokens"),
    Case("mixtral", "Mixtral", "experts"),
    Case("olmoe", "OLMoE", "experts"),
    Case("flex_olmo", "FlexOlmo", "experts"),
    Case("deepseek_v2", "DeepSeek V2 Lite", "experts, latent attention", LATENT),
    Case("deepseek_v3", "DeepSeek V3, R1", "experts, latent attention", LATENT),
    Case("glm4_moe", "GLM-4.5 and 4.6", "experts"),
    Case("glm4_moe_lite", "GLM-4.7-Flash", "experts, latent attention", LATENT),
    Case("granitemoe", "Granite with experts", "experts, multipliers", GRANITE),
    Case("granitemoeshared", "Granite with shared experts", "experts, multipliers", GRANITE),
    Case(
        "granitemoe_swa",
        "Granite with experts and sliding windows",
        "experts, attention sinks",
        {**GRANITE, **SLIDING},
        ("head_dim",),
    ),
    Case("cohere2_moe", "Command with experts", "experts, scaled logits", SLIDING),
    Case("exaone_moe", "EXAONE with experts", "experts", SLIDING),
    Case("ernie4_5_moe", "ERNIE 4.5 with experts", "experts", {"moe_k": 2}),
    Case("minimax_m2", "MiniMax M2", "experts"),
    Case("solar_open", "Solar Open", "experts"),
]


@dataclass(frozen=True)
class Compared:
    """What the comparison of one type gave.

    logits: largest difference of packed rows from each alone, as a part of the largest logit.
    answers: whether greedy answers are the same token for token. training: largest relative difference of
    losses and gradient norms of two trials in one pack from each with PEFT alone. lens: largest difference
    of the lens's last entry from the logits, or why the lens refuses the model.
    """

    logits: float
    answers: bool
    training: float
    lens: float | str


def compare(case: Case) -> Compared:
    """Run one type's tiny model through everything."""
    model = case.model()
    rows = random_rows_of(LENGTHS)
    with torch.no_grad():
        alone = [copy.deepcopy(model)(input_ids=torch.tensor([row])).logits[0] for row in rows]
    engine = Engine(as_loaded(copy.deepcopy(model)), 2, 4)
    blocks = RowBlocks(list(LENGTHS), engine.model.device)
    ids = flat_ids(rows, engine.model.device)
    with torch.inference_mode():
        flat = engine.model.logits(ids, blocks, blocks.positions, (), torch.arange(len(ids)))
        through_head = engine.model.head(engine.model.last_hidden(rows, LENGTHS, [None] * len(rows)))
    answers = engine.generate([GenerateRequest(None, row) for row in rows], max_new_tokens=16)
    written = [greedy(copy.deepcopy(model), row, 16) for row in rows]
    return Compared(
        max(_apart(logits, torch.cat(alone)) for logits in (flat, through_head)),
        [answer.token_ids for answer in answers] == written,
        _training(engine, model),
        _lens(engine, rows, alone),
    )


def random_rows_of(lengths: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Rows of random tokens of these lengths."""
    generator = torch.Generator().manual_seed(1)
    return [random_ids(generator, length) for length in lengths]


def greedy(model: PreTrainedModel, row: tuple[int, ...], new: int) -> tuple[int, ...]:
    """transformers' own greedy answer to one row."""
    out: Any = model.generate(
        torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), do_sample=False,
        max_new_tokens=new, eos_token_id=[2, 3], pad_token_id=0,
    )  # fmt: skip
    return tuple(out[0, len(row) :].tolist())


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _training(engine: Engine, model: PreTrainedModel) -> float:
    names: str | tuple[str, ...] = "all-linear"
    if experts(model.config) > 1:  # of which PEFT's "all-linear" means the experts too
        names = tuple(sorted({name.rpartition(".")[2] for name in engine.pack.layers}))
    jobs = [
        make_job("a", seed=1, rows=4, rank=2, learning_rate=1e-3, num_train_epochs=2, targets=names),
        make_job("b", seed=2, rows=6, rank=4, learning_rate=1e-3, num_train_epochs=1, targets=names),
    ]
    for job in jobs:
        engine.attach(job)
    start = {job.trial_id: peft_names(engine.state_dict(job.trial_id)["weights"]) for job in jobs}
    mine: dict[str, list[float]] = {job.trial_id: [] for job in jobs}
    while reports := engine.train_step():
        for report in reports:
            assert report.loss is not None and report.grad_norm is not None, report.error
            mine[report.trial_id] += [report.loss, report.grad_norm]
    worst = 0.0
    for job in jobs:
        alone = train_alone(copy.deepcopy(model), job, start[job.trial_id])
        theirs = [number for pair in zip(alone.losses, alone.norms, strict=True) for number in pair]
        worst = max(worst, *(abs(a - b) / abs(b) for a, b in zip(mine[job.trial_id], theirs, strict=True)))
        engine.release(job.trial_id)
    return worst


def _lens(engine: Engine, rows: list[tuple[int, ...]], alone: list[torch.Tensor]) -> float | str:
    try:
        head = LensHead(engine.model.model)
        hidden = residuals(engine, [ProbedRow(row, tuple(range(len(row)))) for row in rows], last=True)
    except UserError as error:
        return str(error)
    return max(_apart(head.logits(each[-1]), logits) for each, logits in zip(hidden, alone, strict=True))


def line(case: Case, found: Compared) -> str:
    """The row of the table for one type."""
    same = "yes" if found.logits < TOLERANCE and found.answers else f"no ({found.logits:.0e})"
    trains = "yes" if found.training < 10 * TOLERANCE else f"no ({found.training:.0e})"
    looks = "refused" if isinstance(found.lens, str) else "yes" if found.lens < TOLERANCE else "no"
    return f"| {case.title} | `{case.type}` | {case.particular} | {same} | {trains} | {looks} |"


def table(lines: list[str]) -> str:
    """The whole table."""
    head = "| models | type in config.json | what is particular | logits and answers | training | lens |"
    return "\n".join([head, "|---|---|---|---|---|---|", *lines])


def in_doc() -> str:
    """The table as docs/models.md has it now."""
    return DOC.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def main() -> None:
    """Compare every type and write the table."""
    torch.set_num_threads(1)
    lines = []
    for case in CASES:
        found = compare(case)
        lines.append(line(case, found))
        print(f"{case.type:20} {found}")
    before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
    DOC.write_text(f"{before}{BEGIN}\n\n{table(lines)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
