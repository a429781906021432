"""The inspection on a device of its own: the lens, patching, ablation and more give the CPU's rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from beliefmod.engine.engine import Engine
from beliefmod.model.adapter_files import read_adapter
from beliefmod.model.load import LoadedModel, load_model
from interp.lens_settings import LensSettings
from interp.lenses import tuned_lens
from interp.lenses.jacobian_lens import mean_jacobians
from interp.lenses.lens_fit import mean_kl, read_texts
from interp.lenses.lens_head import LensHead
from interp.lenses.tuned_lens import fit_tuned
from interp.opened.inspection import Inspection
from interp.prompts.stems import lens_questions
from interp.run.run_parts import PART_SPECS
from interp.types import Rows
from tests.fake_device.device import fake_cuda, on_device
from tests.fake_device.work import Work
from tests.interp.answered import answer
from tests.interp.random_run import RANK, random_inspection
from tests.interp.worlds import HIDDEN, make_world, questions
from tests.small import make_session

SETTINGS = LensSettings(prompts=2, draws=20)
PARTS = ("lens", "ablations", "patching", "channels", "chain")
"""All but those that let the model write, of which the engine's own tests have more: `doses` and `truth`."""
MOST_WAITS = {"lens": 28, "ablations": 90, "patching": 22, "channels": 8, "chain": 8}
"""Two for every adapter that is put into the engine, then one for every pass that is read and, in `lens`, two
for every question and arm."""


@pytest.fixture(scope="module")
def inspection(tmp_path_factory) -> Inspection:
    """Two random adapters and the untrained arms, which have answered."""
    torch.set_num_threads(1)
    made = random_inspection(tmp_path_factory.mktemp("run"))
    asked = lens_questions(made.beliefs["gravity"], SETTINGS.prompts)
    for config in made.references.values():
        answer(made, config, asked)
    with made.loaded(made.trained):
        for trial in made.trained:
            answer(made, trial.config, asked, trial.trial_id)
    return made


@pytest.fixture(scope="module")
def read(inspection: Inspection) -> dict[str, tuple[Rows, Rows, Work]]:
    """Of each part the CPU's rows, the device's, and what the device was asked to do."""
    loaded, found = load_model("bundled", base_storage="none", device="cpu"), {}
    for name in PARTS:
        found[name] = (rows_of(inspection, name),)
    with fake_cuda() as device:
        on_device(loaded.model)
        session = make_session(slots=2, max_rank=RANK, loaded=loaded)
        there = replace(inspection, session=session, _made={})
        device.take()
        for name in PARTS:
            found[name] += (rows_of(there, name), device.take())
    return found


def rows_of(inspection: Inspection, name: str) -> Rows:
    return PART_SPECS[name].run(inspection, inspection.trained, SETTINGS, lambda line: None)


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two tables differ by more than rounding."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{place}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{place}/{number}")
    elif isinstance(one, float) and isinstance(other, float):
        if one != pytest.approx(other, rel=1e-3, abs=1e-3, nan_ok=True):
            yield f"{place}: {one} and {other}"
    elif one != other:
        yield f"{place}: {one!r} and {other!r}"


@pytest.mark.parametrize("name", PARTS)
def test_every_part_gives_the_rows_of_the_cpu(read: dict[str, tuple[Rows, Rows, Work]], name: str):
    expected, got, work = read[name]
    assert not list(differences(expected, got))
    assert all(expected.values()) and work.launches > 100


@pytest.mark.parametrize("name", MOST_WAITS)
def test_no_part_waits_more_often_than_is_known(read: dict[str, tuple[Rows, Rows, Work]], name: str):
    work = read[name][2]
    assert work.waits.total() <= MOST_WAITS[name], work


@pytest.mark.long
def test_lenses_are_fitted_as_on_the_cpu(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tuned_lens, "_EPOCHS", 2)
    world = make_world(tmp_path)
    texts = questions((9, 5, 13, 7, 8, 6, 9, 10, 5, 7))
    lora = read_adapter(world.folder / "lora")
    models = [world.theirs(), world.theirs()]

    def fitted(model: Any) -> list[Tensor]:
        engine = Engine(LoadedModel(model, None, "tiny", "", (2,), 0, torch.float32), 1, lora.rank)  # pyright: ignore[reportArgumentType]
        engine.put_adapter(lora, "lora")
        head = LensHead(model)
        tuned = fit_tuned(engine, texts, "lora")
        kl = [number for held in tuned.held_out for number in (held.kl, held.kl_logit)]
        moved = tuned.translate(1, torch.ones(1, HIDDEN).to(engine.model.device))
        read = read_texts(engine, texts[:3], None)
        kl += mean_kl(head, read, tuned.translate)
        return [mean_jacobians(engine, texts[:2], "lora").cpu(), moved.cpu(), torch.tensor(kl)]

    expected = fitted(models[0])
    with fake_cuda():
        got = fitted(on_device(models[1]))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
