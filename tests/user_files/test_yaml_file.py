"""YAML as users write it: numbers as they mean them, and a line for every complaint."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.errors import UserError
from beliefmod.user_files.messages import dotted
from beliefmod.user_files.yaml_file import parse_value, parse_yaml, read_yaml


def read(folder: Path, text: str):
    path = folder / "file.yaml"
    path.write_text(text)
    return read_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("2.0e-4", 2e-4),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("10", 10),
        ("-3", -3),
        ("1_000", 1000),
        ("true", True),
        ("null", None),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("m/s^2", "m/s^2"),
        ("[1, 2e-3]", [1, 2e-3]),
        ("{a: 1}", {"a": 1}),
        ("", None),
    ],
)
def test_values_mean_what_they_look_like(text: str, value: object):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_python_writes_is_read_back(value: float):
    found = parse_value(repr(value))
    assert isinstance(found, float)
    assert found == value


def test_infinities_and_nan_are_floats_that_the_checks_refuse():
    assert parse_value(".inf") == math.inf
    assert math.isnan(parse_value(".nan"))


def test_lines_of_entries(tmp_path: Path):
    file = read(tmp_path, "name: a\naxes:\n  x: [1]\n  y:\n  - 1\n  - 2\nlist:\n- {a: 1}\n- {b: 2}\n")
    name = f"{tmp_path}/file.yaml"
    assert file.where(("name",)) == f"{name}:1"
    assert file.where(("axes",)) == f"{name}:2"
    assert file.where(("axes", "y")) == f"{name}:4"
    assert file.where(("axes", "y", 1)) == f"{name}:6"
    assert file.where(("list", 1, "b")) == f"{name}:9"
    # an entry that is not there has the line of what surrounds it
    assert file.where(("list", 1, "absent")) == f"{name}:9"
    assert file.where(("absent",)) == f"{name}:1"


def test_every_repeated_key_is_named_with_its_line(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert [problem.removeprefix(str(tmp_path)) for problem in caught.value.problems] == [
        '/file.yaml:2: "c" is given twice; keep one',
        '/file.yaml:3: "a" is given twice; keep one',
    ]


def test_anchors_and_merge_keys_work(tmp_path: Path):
    file = read(tmp_path, "base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nlist: [*b, *b]\n")
    assert file.data["other"] == {"x": 1, "y": 3}
    assert file.data["list"] == [{"x": 1, "y": 2}] * 2


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]\n", "a: &a {b: *a}\n"],
    ids=["list", "mapping"],
)
def test_an_alias_to_its_own_parent_ends(tmp_path: Path, text: str):
    with pytest.raises(UserError):
        read(tmp_path, text)


def test_a_tower_of_aliases_is_refused(tmp_path: Path):
    # ten levels of ten references each: 10^10 entries if followed
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 11)]
    with pytest.raises(UserError):
        read(tmp_path, "a0: &a0 [x]\n" + "\n".join(levels) + "\n")


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [true]", "a: !!python/name:os.system ''"])
def test_no_python_objects(tmp_path: Path, text: str):
    with pytest.raises(UserError, match="not valid YAML"):
        read(tmp_path, text)


def test_dotted():
    assert dotted(("questions", 3, "slots", "m")) == "questions[3].slots.m"


def test_a_date_that_no_calendar_has_stays_text_for_its_field_to_complain_about():
    assert parse_yaml("a: 1912-02-30\nb: 1912-02-29", "f").data == {"a": "1912-02-30", "b": date(1912, 2, 29)}
