"""What a sweep is before anything runs: its space and model, checked; its plan; its folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.capacity.choose import Demand
    from beliefmod.capacity.resources import Capacity
    from beliefmod.capacity.sample import Sample
    from beliefmod.cli.options import Driving
    from beliefmod.model.model_files import ModelSource
    from beliefmod.run.folder import RunFolder
    from beliefmod.space import Space


def model_overrides(model: str | None, revision: str | None, chat_template: str | None) -> list[str]:
    """The options as `field=value`; another model than the file's keeps neither the file's revision nor its
    chat template."""
    given = {"model": model, "revision": revision, "chat_template": chat_template}
    # in quotes: a commit may look like a number
    return [f"{name}={json.dumps(value)}" for name, value in given.items() if value is not None or model]


def checked_space(
    path: Path, overrides: list[str], model: str | None, out: str | None, here: bool = True
) -> tuple[Space, ModelSource]:
    """The space and its model, once space file, model and output are all right.

    Args:
        here: whether the sweep is to run on this machine, where vLLM is looked for if it is to answer.

    Raises:
        UserError: every problem of all three.
    """
    from beliefmod.capacity.granted import granted_memory
    from beliefmod.config.data_config import THINKING_STYLES
    from beliefmod.data.prompt_frame import check_few_shot
    from beliefmod.data.supplied_traces import check_supplied
    from beliefmod.fleet.devices import gpus_here
    from beliefmod.model.architecture import model_config
    from beliefmod.model.load import check_model, load_tokenizer
    from beliefmod.model.size import check_full, positions
    from beliefmod.model.source import find_source
    from beliefmod.model.target_modules import check_steering, check_targets
    from beliefmod.model.template_check import check_masking, check_place_for_thinking, check_system_turn
    from beliefmod.probing.decoding import decoding_of
    from beliefmod.run.folder import RunFolder
    from beliefmod.run.source_adapters import check_adapters
    from beliefmod.space.chat_format import OWN
    from beliefmod.space.load import load_space
    from beliefmod.vllm.environment import check_vllm

    problems: list[str] = []
    space = source = None
    revision, chat = None, OWN
    try:
        space = load_space(path, overrides)
        model, revision, chat = space.spec.model, space.spec.revision, space.spec.chat
        check_supplied(space.possible("data.traces"), space.spec.beliefs)
    except UserError as error:
        problems += error.problems
    try:
        if model:
            source = find_source(model, revision, chat)
            check_model(source)
            if space is not None and "full" in space.possible("arm"):
                check_full(source)
            if space is not None:
                names = ("lora.target_modules", "lora.layers_to_transform")
                check_targets(source, *(space.possible(name) for name in names))
                check_steering(source, space.possible("steering.layer"))
                check_adapters(source, space.expected())
                if "prompt" in space.possible("arm") and "system" in space.possible("context.place"):
                    check_system_turn(source.name, load_tokenizer(source))
                if "few_shot" in space.possible("arm"):
                    limit = space.spec.evaluation.max_new_tokens
                    check_few_shot(
                        space.expected(),
                        load_tokenizer(source),
                        positions(model_config(source)),
                        limit if isinstance(limit, int) else 1,
                    )
                masks = space.possible("data.mask_empty_thinking")
                if True in masks:
                    check_masking(source.name, load_tokenizer(source), masks)
                styles = space.possible("data.style")
                if {*THINKING_STYLES} & {*styles}:
                    check_place_for_thinking(source.name, load_tokenizer(source), styles)
                decoding_of(space.spec.evaluation, source.generation())
                if here and space.spec.evaluation.engine == "vllm":
                    gpus = [gpu.free for gpu in gpus_here()]
                    free = max(gpus, default=granted_memory()[1])
                    check_vllm(source, "lora" in space.possible("arm"), free, bool(gpus))
    except UserError as error:
        problems += error.problems
    try:
        if out is not None:
            RunFolder(out).try_writing()
    except UserError as error:
        problems += error.problems
    if problems or space is None or source is None:
        raise UserError(problems)
    return space, source


def stored_space(folder: RunFolder) -> Space:
    """The space that a run was started with. Raises UserError where it no longer holds."""
    import yaml

    from beliefmod.run.folder import SPACE
    from beliefmod.space.load import check_space
    from beliefmod.user_files.yaml_file import YamlFile

    return check_space(YamlFile(f"{folder.url}/{SPACE}", yaml.safe_load(folder.read_bytes(SPACE))))


def new_run(space: Space, out: str, source: ModelSource | None = None) -> RunFolder:
    """A run folder with its manifest and everything that the run is made from.

    Args:
        source: the space's model: what it is called, and of one from the hub the version that the run keeps
            to.

    Raises:
        StorageTrouble: it cannot be written.
    """
    from beliefmod.run.folder import RunFolder

    run_id = f"EXP-{time.strftime('%Y%m%d-%H%M%S')}-{space.spec.name}"
    folder = RunFolder(f"{out.rstrip('/')}/{run_id}")
    number = 1
    while folder.exists() or not folder.claim():  # two sweeps in one second must not share a folder
        number += 1
        folder = RunFolder(f"{out.rstrip('/')}/{run_id}-{number}")
    commit, title = (source.commit, source.title) if source else (None, None)
    create_run(folder, folder.url.rpartition("/")[2], space, commit, title)
    return folder


def create_run(
    folder: RunFolder,
    run_id: str,
    space: Space,
    commit: str | None,
    model_name: str | None = None,
    **more: Any,
) -> None:
    """Make a run folder with everything that the run is made from, and its manifest with `more` in it.

    Raises:
        StorageTrouble: it cannot be written.
    """
    import yaml

    from beliefmod.run.folder import MANIFEST, SPACE
    from beliefmod.run.manifest import new_manifest
    from beliefmod.run.seal.sealed_plan import begin_seal
    from beliefmod.run.sources import store_sources
    from beliefmod.trial import now

    folder.create()
    manifest = new_manifest(run_id, space, now(), commit, model_name)
    # JSON first: it turns tuples into lists, which YAML has
    content = yaml.safe_dump(space.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    folder.write_bytes(content.encode(), SPACE)
    store_sources(folder, space)
    begin_seal(folder, space, {"git_commit": manifest["git_commit"], **manifest["versions"]})
    # last: a folder with a manifest is one to go on with
    folder.write_json({**manifest, **more, "sealed": True}, MANIFEST)


def print_plan(space: Space, source: ModelSource, driving: Driving, run_url: str, look: bool = True) -> None:
    """What the sweep will cost on this machine, or on the cluster at the address, line by line.

    Args:
        run_url: of the run, there or to come: base's answers are kept beside it.
        look: whether the model is loaded and asked a few questions; never for a cluster, which is elsewhere.

    Raises:
        UserError: no cluster at the address, or more was asked for than this machine has.
    """
    from transformers import AutoConfig

    from beliefmod.capacity.choose import demand
    from beliefmod.capacity.fit import gpu_lines
    from beliefmod.capacity.lengths import AnswerLengths
    from beliefmod.capacity.plan import make_plan
    from beliefmod.capacity.resources import Capacity
    from beliefmod.fleet.devices import machines_at
    from beliefmod.model.architecture import empty_model
    from beliefmod.model.load import load_tokenizer
    from beliefmod.model.size import positions
    from beliefmod.model.stored_weights import stored_weights
    from beliefmod.probing.decoding import decoding_of, names_limit

    config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
    decoding = decoding_of(space.spec.evaluation, source.generation(), positions(config))
    asked = Capacity(hosts=driving.hosts, hosts_per_gpu=driving.hosts_per_gpu, slots=driving.slots)
    cluster, gpus, remarks = machines_at(driving.address)
    if (excess := asked.excess(cluster)) and driving.address is None:
        raise UserError(excess)
    capacity, tokenizer = asked.on(cluster), load_tokenizer(source)
    lengths = AnswerLengths.assumed(space, decoding.max_new_tokens)
    wanted = demand(space.expected(), space, capacity, round(lengths.trace))
    sample = None
    if look and driving.address is None:
        sample = _sample(space, source, wanted, capacity, run_url, driving.quiet)
        lengths, decoding = sample.lengths, sample.decoding
    named = names_limit(space.spec.evaluation, source.generation())
    stored = stored_weights(source)
    plan = make_plan(space, tokenizer, config, lengths, capacity, decoding, sample, named, stored)
    if source.commit:
        typer.echo(f"model             {source.title} at {source.commit}")
    if words := stored.words(empty_model(source)):
        typer.echo(f"weights           {words}")
    remarks += [excess] if excess else []
    needs = wanted.of_engine(tokenizer, space.spec.base_storage, space.max_rank, capacity.slots)
    for line in (*plan.lines(), *gpu_lines(config, needs, capacity.gpus, gpus, remarks, stored)):
        typer.echo(line)


def _sample(
    space: Space, source: ModelSource, wanted: Demand, capacity: Capacity, run_url: str, quiet: bool
) -> Sample:
    import torch

    from beliefmod.capacity.sample import take_sample
    from beliefmod.cli.options import progress
    from beliefmod.probing.answer_store import cache_beside

    torch.set_num_threads(capacity.threads)
    cache = cache_beside(run_url) if space.spec.evaluation.reuse_answers else None
    return take_sample(space, source.commit, wanted, capacity.slots, cache, progress(quiet))
