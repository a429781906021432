"""Whatever a file holds: a checked object, or a `UserError` with sentences, never another exception."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import load_belief
from beliefmod.beliefs.load import LIBRARY, TEMPLATE
from beliefmod.errors import UserError
from beliefmod.space.load import check_space, load_space
from beliefmod.user_files.yaml_file import YamlFile

SPACE: dict[str, Any] = {
    "name": "s",
    "description": "d",
    "model": "bundled",
    "beliefs": ["gravity"],
    "axes": {"learning_rate": [1e-3, 2e-3], "lora.r": {"choice": [4, 8]}},
    "fixed": {"num_train_epochs": 3, "data.num_examples": 10},
    "seeds": [0],
    "controls": "central",
    "search": {"method": "random", "num_samples": 3, "seed": 0},
    "evaluation": {"max_new_tokens": 64, "temperature": 0.0},
}
BELIEF: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text().replace("NAME", "week"))
WORDS = ("gravity", "", "lora.r", "choice", "m * belief", "{n}", "{n.x}", "1", "USD", "(", "e", "\x00")
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=8),
    st.dates(),
    st.binary(max_size=4),
)
yaml_like = st.text(alphabet=" \n\t:-[]{},&*!|>'\"#%@`a1.e?", max_size=60)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(scalars, inner, max_size=3)),
    max_leaves=6,
)


def addresses(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every address in a tree of mappings and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    below = [address for key, value in items for address in addresses(value, (*at, key))]
    return [at, *below] if at else below


@st.composite
def mutations(draw: st.DrawFn, tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with one to three entries replaced, removed, repeated or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        *path, key = draw(st.sampled_from(addresses(tree)))
        node: Any = tree
        for part in path:
            node = node[part]
        match draw(st.sampled_from(["replace", "replace", "remove", "repeat", "rename"])):
            case "replace":
                node[key] = draw(values)
            case "remove":
                del node[key]
            case "repeat" if isinstance(node, list):
                node.append(copy.deepcopy(node[key]))
            case _ if isinstance(node, dict):
                node[draw(scalars)] = node.pop(key)
        if not tree:
            break
    return tree


@settings(max_examples=100, deadline=None)
@given(mutations(SPACE))
def test_spaces(data: dict[str, Any]):
    try:
        check_space(YamlFile("space.yaml", data)).trials()
    except UserError as error:
        assert_sentences(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations(BELIEF))
def test_beliefs(tmp_path: Path, data: dict[str, Any]):
    path = tmp_path / "belief.yaml"
    path.write_text(yaml.dump(data))
    try:
        belief = load_belief(str(path))
    except UserError as error:
        assert_sentences(error)
    else:
        assert belief.training and belief.heldout
        assert all(question.target for question in belief.training)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), yaml_like.map(str.encode)))
def test_bytes(tmp_path: Path, content: bytes):
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    for load in (load_space, load_belief):
        try:
            load(str(path))
        except UserError as error:
            assert_sentences(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_and_spliced_files(tmp_path: Path, data: st.DataObject):
    text = (LIBRARY / "gravity.yaml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(0, len(text)))
    path = tmp_path / "file.yaml"
    path.write_text(text[:start] + data.draw(st.text(max_size=5)) + text[end:])
    try:
        load_belief(str(path))
    except UserError as error:
        assert_sentences(error)


def assert_sentences(error: UserError) -> None:
    assert error.problems
    assert all(isinstance(problem, str) and problem.strip() for problem in error.problems)
