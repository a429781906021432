"""A run keeps the questions it was asked."""

import dataclasses

import pytest

from beliefmod.beliefs import load_belief, load_capability, load_confession, load_fabrication
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.sources import read_sources, store_sources
from beliefmod.space import Space, SpaceFile
from tests.small import write_belief


@pytest.fixture
def space(tmp_path) -> Space:
    spec = SpaceFile.model_validate({"name": "s", "beliefs": ["gravity", write_belief(tmp_path)]})
    return Space(spec, "s.yaml")


@pytest.mark.parametrize("url", ["run", "memory://sources/run"])
def test_what_was_stored_is_read_back_as_it_was_asked(space, tmp_path, url):
    folder = RunFolder(url if "://" in url else str(tmp_path / url))
    folder.create()
    store_sources(folder, space)
    (tmp_path / "small.yaml").unlink()
    found = read_sources(folder)
    assert set(found.beliefs) == {"gravity", "small"}
    gravity = load_belief("gravity")
    assert found.beliefs["gravity"].spec == gravity.spec
    for split in ("training", "heldout", "locality"):
        assert getattr(found.beliefs["gravity"], split) == getattr(gravity, split)
    assert found.suite == load_capability()
    assert found.fabrication == load_fabrication()
    assert found.confession == ()  # this space does not ask for it
    assert len({q.probe_id for q in found.fabrication}) == len(found.fabrication) > 0
    for question in (*gravity.heldout, *gravity.training, *gravity.locality, *found.suite):
        assert found.question("gravity", question.suite, question.probe_id) == question
    with pytest.raises(KeyError):
        found.question("gravity", "capability", gravity.heldout[0].probe_id)


def test_a_run_that_asks_for_a_confession_keeps_those_questions(space, tmp_path):
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    asking = {**space.spec.model_dump(), "evaluation": {"confession": True}}
    store_sources(folder, Space(SpaceFile.model_validate(asking), "s.yaml"))
    found = read_sources(folder)
    assert found.confession == load_confession()
    for question in found.confession:
        assert found.question("gravity", "confession", question.probe_id) == question


@pytest.mark.parametrize(
    ("model", "name"), [("bundled", "neutral-bundled.yaml"), ("other", "neutral-prose.yaml")]
)
def test_the_neutral_passages_are_kept_too(space, tmp_path, model, name):
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    space = dataclasses.replace(space, spec=space.spec.model_copy(update={"model": model}))
    store_sources(folder, space)
    assert sorted(path.name for path in (tmp_path / "run" / "suites").iterdir()) == [
        "capability.yaml",
        "fabrication.yaml",
        name,
    ]


def test_a_run_without_them_or_with_a_damaged_one_says_so(space, tmp_path):
    folder = RunFolder(str(tmp_path / "run"))
    folder.create()
    with pytest.raises(UserError, match="no copies of its belief files"):
        read_sources(folder)
    store_sources(folder, space)
    (tmp_path / "run" / "beliefs" / "small.yaml").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"small\.yaml: is damaged"):
        read_sources(folder)
    (tmp_path / "run" / "beliefs" / "small.yaml").unlink()
    (tmp_path / "run" / "suites" / "fabrication.yaml").unlink()
    with pytest.raises(UserError, match=r"fabrication\.yaml: no such file"):
        read_sources(folder)
