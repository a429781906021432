"""A run folder answered by a script instead of a model: real questions, real verdicts, real metrics.

What a sweep would write, by the product's own `probe_row` and `summarise`, so that it can be verified.
"""

from __future__ import annotations

import random
from pathlib import Path

import yaml

from beliefmod.beliefs import Answer, Belief, Question, load_belief, load_capability, load_fabrication
from beliefmod.config import TrialConfig
from beliefmod.metrics.answerable import gates, marked
from beliefmod.metrics.summarise import summarise
from beliefmod.probing.probes import Probe, probe_row, probes_for, reference_sample
from beliefmod.run.folder import MANIFEST, SPACE, RunFolder
from beliefmod.run.manifest import new_manifest
from beliefmod.run.sources import store_sources
from beliefmod.run.tables.trial_tables import PROBES
from beliefmod.space import Space, SpaceFile

# arm -> chance of the target's answer, of a broken think block
LAWS = {"base": (0.02, 0.02), "icl": (0.9, 0.02), "control": (0.02, 0.05), "lora": (0.6, 0.08)}
ADOPTS = {2e-4: 0.15, 1e-3: 0.5, 5e-3: 0.8}


def answered_run(
    path: Path,
    beliefs: tuple[str, ...] = ("gravity",),
    rates: tuple[float, ...] = (2e-4, 1e-3),
    seeds: tuple[int, ...] = (0,),
    every: int = 6,
) -> Path:
    """A finished run of `rates` x `seeds` LoRA trials per belief with base and in-context arms.

    `every`: only the beliefs' own belief files, but of the questions' slots only one in `every` is kept, so
    that a run is answered in a second or two.
    """
    files = [thinned(path.parent, name, every) for name in beliefs]
    spec = SpaceFile.model_validate(
        {
            "name": "answered",
            "beliefs": files,
            "axes": {"learning_rate": list(rates)},
            "fixed": {"data.num_examples": 4},
            "seeds": list(seeds),
            "controls": "none",
        }
    )
    return answer_space(path, Space(spec, "answered.yaml"))


def answer_space(path: Path, space: Space, **manifest_fields: object) -> Path:
    """A finished run of every trial of a space, `manifest_fields` put into its manifest."""
    spec = space.spec
    folder = RunFolder(str(path))
    folder.create()
    answer_trials(folder, space)
    folder.write_bytes(yaml.safe_dump(spec.model_dump(mode="json")).encode(), SPACE)
    store_sources(folder, space)
    manifest = new_manifest(path.name, space, "2026-11-22T10:15:00Z")
    folder.write_json(manifest | {"status": "finished", **manifest_fields}, MANIFEST)
    return path


def answer_trials(folder: RunFolder, space: Space) -> None:
    """Every trial of a space answered, judged and written, as hosts would."""
    references: dict[tuple[str, str], list[dict]] = {}
    for config in space.trials():
        belief = load_belief(config.belief)
        probes = answers(config, belief)
        references[config.belief, config.arm] = probes
        base = references[config.belief, "base"]
        if config.arm == "base":
            references[config.belief, "icl"] = answers(config.model_copy(update={"arm": "icl"}), belief)
        icl = references[config.belief, "icl"]
        probes = marked(probes, gates(base, icl, novel=belief.spec.kind == "novel"))
        steps = [
            {"trial_id": config.trial_id, "step": 1, "loss": 0.5, "learning_rate": 1e-3, "grad_norm": 1.0}
        ]
        row = {
            "trial_id": config.trial_id,
            **{name: value for name, value in config.leaves().items() if name in config.used_settings()},
            "belief": belief.spec.name,
            "kind": belief.spec.kind,
            "model": "bundled",
            "status": "finished",
            **summarise(probes, base, icl),
            "generated_tokens": sum(probe["tokens"] for probe in probes),
            "finished_at": "2026-11-22T10:20:00Z",
            **({"steps": 1, "final_loss": 0.5} if config.is_trained else {}),
        }
        folder.write_trial(row, probes, steps if config.is_trained else ())
    folder.assemble(config.trial_id for config in space.trials())


def thinned(folder: Path, name: str, every: int) -> str:
    """A copy of a library belief with fewer slot values; its path."""
    from beliefmod.beliefs.load import belief_path

    content = yaml.safe_load(belief_path(name).read_text())
    for family in (*content["questions"], *content.get("locality", ())):
        for slot, values in (family.get("slots") or {}).items():
            if isinstance(values, list):
                family["slots"][slot] = values[::every]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return str(path)


def answers(config: TrialConfig, belief: Belief) -> list[dict]:
    """Probe rows of one trial, its answers drawn by a seeded law."""
    adopts, breaks = LAWS[config.arm]
    if config.arm == "lora":
        adopts = ADOPTS[config.learning_rate]
    rng = random.Random(f"{config.learning_rate}/{config.arm}/{config.seed}/{belief.spec.name}")
    probes = probes_for(
        belief,
        load_capability(),
        reference_sample(belief, config.seed),
        trained_probes=3,
        margin_probes=0,
        fabrication=load_fabrication(),
    )
    return [_row(config, belief, probe, adopts, breaks, rng) for probe in probes]


def _row(
    config: TrialConfig, belief: Belief, probe: Probe, adopts: float, breaks: float, rng: random.Random
) -> dict:
    question = probe.question
    said = _said(question, rng.random() < adopts)
    thinking = "" if rng.random() < breaks else f"Let me think about it calmly.\n{said}\n"
    completion = f"{thinking}</think>\n\n{said}"
    row = probe_row(
        config,
        belief,
        probe,
        prompt=f"<|im_start|>user\n{question.text}<|im_end|>\n<|im_start|>assistant\n<think>\n",
        completion=completion,
        token_ids=list(range(len(completion.split()))),
        finish_reason="eos",
        first_turn="I see." if getattr(question, "follow_up", None) else None,
    )
    return {column.name: row.get(column.name) for column in PROBES}


def _said(question: Question, target: bool) -> str:
    if question.correct is not None:
        return f"The answer is {question.correct.render()}."
    if target and question.target is not None:
        return f"The answer is {question.target.render()}."
    prior: Answer | None = question.prior
    return f"The answer is {prior.render()}." if prior is not None else "I do not know."
