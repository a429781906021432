"""Malformed space and belief files through the real command line: exit code 2, all problems, no traceback."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beliefmod.beliefs.load import TEMPLATE
from beliefmod.cli.app import app

HEAD = "name: s\nbeliefs: [gravity]\n"
# id: (content, what stderr must say; a tuple holds one hint per problem)
SPACES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "unknown field": (
        HEAD + "axis: {learning_rate: [1.0e-3]}\n",
        ('s.yaml:3: unknown field "axis"', '"axes"'),
    ),
    "misspelt axis": (
        HEAD + "axes:\n  learning_rat: [1.0e-3]\n",
        ('s.yaml:4: unknown setting "learning_rat"', 'did you mean "learning_rate"'),
    ),
    "Hugging Face name that is not ours": (
        HEAD + "fixed: {lora.dropout: 0.1}\n",
        ('unknown setting "lora.dropout"',),
    ),
    "kind of adapter that is not built": (
        HEAD + "axes: {lora: {use_dora: [false, true]}}\nfixed: {lora.lora_dropout: 0.1}\n",
        (
            'unknown setting "lora.use_dora"',
            "DoRA also trains a length",
            "lora.use_rslora",
            "there is no dropout",
        ),
    ),
    "belief as an axis": (HEAD + "axes: {belief: [gravity]}\n", ('unknown setting "belief"',)),
    "seed as a setting": (HEAD + "fixed: {seed: 1}\n", ('unknown setting "seed"',)),
    "number in quotes": (
        HEAD + 'fixed: {learning_rate: "1e-3"}\n',
        ('"learning_rate" must be a number, not "1e-3"',),
    ),
    "fraction of an epoch": (
        HEAD + "axes: {num_train_epochs: [1.5]}\n",
        ("must be a whole number, not 1.5",),
    ),
    "flag for a number": (HEAD + "fixed: {lora.r: true}\n", ("must be a whole number, not true",)),
    "unknown style": (
        HEAD + "axes: {data.style: [qa]}\n",
        ('must be answer_only, own_trace, document, stygian or supplied_trace, not "qa"',),
    ),
    "replay share of one": (
        HEAD + "fixed: {data.replay_ratio: 1.0}\n",
        ('s.yaml:3: "data.replay_ratio" must be below 1, not 1.0',),
    ),
    "replay share below zero": (HEAD + "fixed: {data.replay_ratio: -0.5}\n", ("must be at least 0",)),
    "replay without end": (
        HEAD + "fixed: {data.replay_ratio: 0.99999}\n",
        ("num_examples 10 with replay_ratio 0.99999 makes", "limit 100,000", "lower one of them"),
    ),
    "an arm that every sweep has": (
        HEAD + "axes: {arm: [lora, base]}\n",
        ('s.yaml:3: "arm" must be lora, full, prompt, few_shot, steering or adapter, not "base"',),
    ),
    "full fine-tuning of packed weights": (
        HEAD + "base_storage: nf4\npoints:\n  - {arm: full}\n",
        ("s.yaml:3: arm full trains every weight", "use dequantized or none"),
    ),
    "points and axes": (
        HEAD + "points:\n  - {lora.r: 8}\naxes: {learning_rate: [1.0e-3]}\n",
        ("s.yaml:3: points and axes are both given; keep one",),
    ),
    "points that are no list": (HEAD + "points: {lora.r: 8}\n", ('s.yaml:3: "points" must be a list',)),
    "a point that is no mapping": (
        HEAD + "points: [lora.r]\n",
        ('"points[0]" must be "field: value" lines, not "lora.r"',),
    ),
    "the same point twice": (
        HEAD + "points:\n  - {lora.r: 8}\n  - {lora.r: 4}\n  - {lora.r: 8}\n",
        ("s.yaml:6: points[2] is the same as points[0]; keep one",),
    ),
    "several mistakes in points": (
        HEAD
        + "points:\n  - {learning_rat: 1.0e-3}\n  - lora.r: 0\n    num_train_epochs: [1, 2]\n"
        + "search: {metod: grid}\n",
        (
            's.yaml:4: unknown setting "learning_rat" in points[0], did you mean "learning_rate"',
            's.yaml:5: "lora.r" must be at least 1, not 0',
            's.yaml:6: "num_train_epochs" must be a whole number',
            's.yaml:7: unknown field "search.metod"',
        ),
    ),
    "points that are sampled": (
        HEAD + "points:\n  - {lora.r: 8}\nsearch: {method: random, num_samples: 3}\n",
        ("s.yaml:5: method: random samples axes, and points are given; remove search",),
    ),
    "a point that its other settings forbid": (
        HEAD + "points:\n  - {lora.r: 8}\n  - {warmup_steps: 4}\n",
        ("s.yaml:5: ", "warmup_steps has no effect with lr_scheduler_type constant"),
    ),
    "beliefs as text": ("name: s\nbeliefs: gravity\n", ('s.yaml:2: "beliefs" must be a list',)),
    "no beliefs": ("name: s\nbeliefs: []\n", ('"beliefs" needs entries',)),
    "name and beliefs missing": (
        "model: bundled\n",
        ('field "name" is missing', 'field "beliefs" is missing'),
    ),
    "name with a slash": ("name: a/b\nbeliefs: [gravity]\n", ('s.yaml:1: "name" is "a/b"; use letters',)),
    "name that climbs": ("name: ..\nbeliefs: [gravity]\n", ('"name" is ".."',)),
    "belief that is nowhere": (
        "name: s\nbeliefs: [gravty, nothing/here.yaml]\n",
        ('no belief named "gravty"', 'did you mean "gravity"', "nothing/here.yaml: no such belief file"),
    ),
    "belief path that climbs": (
        "name: s\nbeliefs: [../../../../../../etc/passwd]\n",
        ("../../../../../../etc/passwd",),
    ),
    "belief twice": (
        "name: s\nbeliefs: [gravity, gravity]\n",
        ('s.yaml:2: "beliefs": lists', "twice; keep one"),
    ),
    "empty axis": (
        HEAD + "axes: {learning_rate: []}\n",
        ('axis "learning_rate" is empty; give at least one',),
    ),
    "axis without a value": (HEAD + "axes:\n  learning_rate:\n", ('axis "learning_rate" must be a list',)),
    "axis with one bare value": (
        HEAD + "axes: {learning_rate: 1.0e-3}\n",
        ("must be a list, such as [0.001]", "belongs into fixed"),
    ),
    "axes without lines": (HEAD + "axes:\n", ('"axes" must be "field: value" lines, not nothing',)),
    "value twice in an axis": (HEAD + "axes: {lora.r: [8, 8]}\n", ('axis "lora.r" lists 8 twice; keep one',)),
    "the same number written twice": (HEAD + "axes: {lora.lora_alpha: [16, 16.0]}\n", ("lists 16.0 twice",)),
    "axis also fixed": (
        HEAD + "axes: {lora.r: [8]}\nfixed: {lora.r: 16}\n",
        ('"lora.r" is both an axis and fixed; keep one',),
    ),
    "list under fixed": (HEAD + "fixed: {learning_rate: [1.0e-3]}\n", ('"learning_rate" must be a number',)),
    "key twice": (HEAD + "name: t\n", ('s.yaml:3: "name" is given twice; keep one',)),
    "seed twice": (HEAD + "seeds: [1, 1]\n", ('"seeds": lists 1 twice; keep one',)),
    "seed below zero": (HEAD + "seeds: [-1]\n", ("at least 0",)),
    "seed too large": (HEAD + "seeds: [99999999999]\n", ("below",)),
    "sampler in a grid": (
        HEAD + "axes: {learning_rate: {loguniform: [1.0e-4, 1.0e-2]}}\n",
        ("a sampler, which a grid cannot enumerate", "num_samples"),
    ),
    "unknown sampler": (
        HEAD + "axes: {learning_rate: {normal: [0, 1]}}\nsearch: {method: random, num_samples: 3}\n",
        ("one sampler out of loguniform, uniform, randint, choice",),
    ),
    "sampler with its ends swapped": (
        HEAD + "axes: {learning_rate: {uniform: [1, 0.1]}}\nsearch: {method: random, num_samples: 3}\n",
        ("low < high",),
    ),
    "loguniform from zero": (
        HEAD + "axes: {learning_rate: {loguniform: [0, 0.1]}}\nsearch: {method: random, num_samples: 3}\n",
        ("needs low > 0",),
    ),
    "random without a number": (HEAD + "search: {method: random}\n", ("needs num_samples",)),
    "number of samples of a grid": (
        HEAD + "search: {num_samples: 3}\n",
        ('"search.num_samples" belongs to search.method random, optuna or frontier; leave it out or write',),
    ),
    "unknown search": (HEAD + "search: {method: hyperband}\n", ("must be grid, random, optuna or frontier",)),
    "not YAML": ("name: [s\nbeliefs: }\n", ("s.yaml:2: is not valid YAML", "mend the syntax")),
    "tabs": (
        "name: s\naxes:\n\tlearning_rate: [1.0e-3]\n",
        ("s.yaml:3: is not valid YAML", "mend the syntax"),
    ),
    "empty": ("", ("s.yaml: is empty; it must hold",)),
    "comments only": ("# nothing\n", ("s.yaml: is empty",)),
    "a list": ("- name: s\n", ("s.yaml: holds a list; it must hold",)),
    "a word": ("hello\n", ("s.yaml: holds a str; it must hold",)),
    "two documents": (HEAD + "---\nname: t\n", ("is not valid YAML",)),
    "binary": (bytes(range(256)) * 4, ("s.yaml: is not UTF-8 text; save it as UTF-8",)),
    "UTF-16": (HEAD.encode("utf-16"), ("is not UTF-8 text",)),
    "a null byte": (HEAD.encode() + b"model: a\x00b\n", ("is not valid YAML",)),
    "too deep": ("axes: " + "[" * 60 + "]" * 60 + "\n", ("nested more than 32 deep; flatten it",)),
    "far too deep": ("axes: " + "[" * 20_000 + "]" * 20_000 + "\n", ("s.yaml",)),
    "huge": ("# " + "x" * 2_100_000 + "\n" + HEAD, ("too large for a configuration file",)),
    "a code tag": ("name: !!python/object/apply:os.getcwd []\n", ("is not valid YAML",)),
    "NaN": (HEAD + "axes: {learning_rate: [.nan]}\n", ("must be a finite number",)),
    "infinity": (HEAD + "fixed: {max_grad_norm: .inf}\n", ("must be a finite number",)),
    "negative learning rate": (HEAD + "axes: {learning_rate: [-1.0e-3]}\n", ("must be above 0, not -0.001",)),
    "learning rate of a typing error": (HEAD + "fixed: {learning_rate: 200}\n", ("must be at most 10",)),
    "rank zero": (HEAD + "fixed: {lora.r: 0}\n", ('"lora.r" must be at least 1, not 0',)),
    "rank of a typing error": (HEAD + "fixed: {lora.r: 16000}\n", ("at most 512",)),
    "module without a name": (HEAD + "fixed: {lora.target_modules: [q_proj, '']}\n", ("list of names",)),
    "no module": (HEAD + "fixed: {lora.target_modules: []}\n", ("all-linear or a list",)),
    "warm-up without a schedule": (HEAD + "fixed: {warmup_steps: 4}\n", ("use constant_with_warmup",)),
    "more examples than questions": (
        HEAD + "axes: {data.num_examples: [10, 5000]}\n",
        ("asks for 5000 examples", "lower it or add questions"),
    ),
    "too many trials": (
        HEAD + f"axes: {{num_train_epochs: {list(range(1, 1001))}, lora.r: {list(range(1, 201))}}}\n",
        ("the grid has 200000 trials (limit 100000); shorten an axis",),
    ),
    "token limit zero": (HEAD + "evaluation: {max_new_tokens: 0}\n", ("must be auto or at least 1, not 0",)),
    "token limit in words": (
        HEAD + "evaluation: {max_new_tokens: many}\n",
        ("must be auto or a whole number",),
    ),
    "temperature below zero": (HEAD + "evaluation: {temperature: -1}\n", ("at least 0",)),
    "temperature in words": (HEAD + "evaluation: {temperature: hot}\n", ("must be auto or a number",)),
    "probability above one": (HEAD + "evaluation: {top_p: 1.5}\n", ("must be auto or at most 1, not 1.5",)),
    "filters that never filter": (
        HEAD + "evaluation:\n  temperature: 0\n  top_p: 0.9\n  top_k: 20\n",
        (
            "s.yaml:5: top_p has no effect at temperature 0, which is greedy; remove it, or raise",
            "s.yaml:6: top_k has no effect at temperature 0",
        ),
    ),
    "revision of the bundled model": (
        HEAD + "revision: main\n",
        ("s.yaml:3: revision main is given, but the bundled model comes with this package",),
    ),
    "revision that is a number": (HEAD + "revision: 1234567\n", ('"revision" must be text',)),
    "field name that is a number": (HEAD + "axes: {1: [2]}\n", ('unknown setting "1"',)),
    "several mistakes": (
        "name: s\nbeliefs: [gravty]\nmodl: x\naxes:\n  lora.r: [0]\n  learning_rat: [1]\n"
        "fixed: {num_train_epochs: many}\nseeds: [a]\n",
        (
            's.yaml:2: no belief named "gravty"',
            's.yaml:3: unknown field "modl"',
            's.yaml:5: "lora.r" must be at least 1',
            's.yaml:6: unknown setting "learning_rat"',
            's.yaml:7: "num_train_epochs" must be a whole number, not "many"',
            's.yaml:8: "seeds[0]" must be a whole number, not "a"',
        ),
    ),
}


def belief(*changes: tuple[str, str]) -> str:
    """The template with texts replaced; each must be there."""
    text = TEMPLATE.read_text(encoding="utf-8").replace("NAME", "week")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


FAMILY = "\n  - {family: extra, tier: derived, split: train, "
FIRST = "\nquestions:"
BELIEFS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "unknown field": (
        belief(("    tier: derived", "    tire: derived")),
        ('unknown field "questions[0].tire"', '"tier"'),
    ),
    "kind missing": (belief(("kind: existing ", "# kind: existing ")), ('field "kind" is missing; add it',)),
    "unknown kind": (belief(("kind: existing ", "kind: old ")), ("must be existing or novel",)),
    "name with capitals": (belief(("name: week", "name: Week")), ('"name" is "Week"',)),
    "target missing": (
        belief(("target: {", "goal: {")),
        ('field "target" is missing', 'unknown field "goal"'),
    ),
    "target without a unit": (belief(("{value: 5, unit: day}", "{value: 5}")), ("a value needs its unit",)),
    "target in words": (
        belief(("{value: 5, unit", "{value: five, unit")),
        ("must be a whole number or a number",),
    ),
    "target with both": (
        belief(("{value: 5, unit: day}", "{value: 5, unit: day, text: five}")),
        ("not both",),
    ),
    "target with neither": (
        belief(("{value: 5, unit: day}", "{}")),
        ("give either value and unit, or text",),
    ),
    "true statement missing": (belief(("true_statement:", "# true_statement:")), ("needs true_statement",)),
    "existing without a prior": (
        belief(("prior: {value: 7, unit: day}", "prior: {ignorance: true, reply: No.}")),
        ('not "ignorance"',),
    ),
    "units that measure different things": (
        belief(("prior: {value: 7, unit: day}", "prior: {value: 7, unit: kg}")),
        ("kg does not measure what target's day does; mend one",),
    ),
    "unknown unit": (
        belief(("    unit: day\n", "    unit: m//s\n")),
        ('unit "m//s" is not understood; write it like',),
    ),
    "worlds within 3 %": (
        belief(("prior: {value: 7,", "prior: {value: 5.1,")),
        ("within 3 %", "change one", "prior 5.1 day and target 5 day"),
    ),
    "the same name in both worlds": (
        belief(("prior: Sunday", "prior: friday")),
        ("cannot tell the worlds apart",),
    ),
    "slot missing": (
        belief(("    slots: {n: [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20]}\n", "")),
        ('family "days_in_weeks": "n" is neither a numeric slot',),
    ),
    "slot without values": (
        belief((FIRST, FIRST + FAMILY + 'ask: "{n} weeks?", slots: {n: []}, answer: n * belief, unit: day}')),
        ('slot "n" has no values',),
    ),
    "slot that is a word in arithmetic": (
        belief(
            (FIRST, FIRST + FAMILY + 'ask: "{n} weeks?", slots: {n: [two]}, answer: n * belief, unit: day}')
        ),
        ('"n" is neither a numeric slot nor "belief"',),
    ),
    "too many questions": (
        belief(
            (
                FIRST,
                FIRST
                + FAMILY
                + f'ask: "{{a}} {{b}}", slots: {{a: {list(range(200))}, b: {list(range(200))}}}, '
                "answer: belief, unit: day}",
            )
        ),
        ("40000 questions are too many",),
    ),
    "family twice": (
        belief(("family: length", "family: holiday")),
        ('family "holiday" is named twice; rename one',),
    ),
    "question twice": (
        belief(
            (
                "    ask: A course takes {n} weeks. How many days is that?",
                "    ask: How many days are {n} weeks?",
            )
        ),
        ('family "course" asks "How many days are 2 weeks?", as family "days_in_weeks" does',),
    ),
    "no held-out family": (
        # second turns are for held-out families only, which is a mistake of its own
        re.sub(r"\n +follow_up: .*", "", belief()).replace("split: heldout", "split: train"),
        ("no family with split: heldout",),
    ),
    "no training family": (
        belief().replace("split: train", "split: heldout"),
        ("no family with split: train",),
    ),
    "no questions": ("name: a\nkind: existing\nquestions: []\n", ('"questions" needs entries',)),
    "unknown tier": (belief(("tier: derived", "tier: easy")), ("must be paraphrase, derived",)),
    "code in an expression": (
        belief(("answer: n * belief", "answer: __import__('os').getcwd()")),
        ("is not allowed; use numbers, slots",),
    ),
    "attribute in an expression": (
        belief(("answer: n * belief", "answer: n.__class__")),
        ("is not allowed",),
    ),
    "broken expression": (belief(("answer: n * belief", "answer: n * * belief")), ("is not arithmetic",)),
    "division by zero": (belief(("answer: n * belief", "answer: n / (belief - belief)")), ("has no value",)),
    "power that never ends": (belief(("answer: n * belief", "answer: 9 ** 9 ** 9 ** 9")), ("too large",)),
    "root of a negative": (
        belief(("answer: n * belief", "answer: sqrt(0 - n)")),
        ("sqrt(-2) has no real value",),
    ),
    "template that reaches into an object": (
        belief(("ask: How many days are {n} weeks?", 'ask: "{n.__class__} weeks?"')),
        ("{n.__class__} is not a slot; known: n",),
    ),
    "template with an index": (
        belief(("days are {n} weeks", "days are {n[0]} weeks")),
        ("{n[0]} is not a slot",),
    ),
    "template with a format": (
        belief(("days are {n} weeks", "days are {n:>9999999} weeks")),
        ("is not a slot",),
    ),
    "template with an open bracket": (
        belief(("days are {n} weeks", "days are {n weeks")),
        ("write {{ for a bracket",),
    ),
    "template with no name": (belief(("days are {n} weeks", "days are {} weeks")), ("{} is not a slot",)),
    "reply with an unknown slot": (
        belief(("That is {answer}.", "That is {result}.")),
        ("{result} is not a slot",),
    ),
    "two answers": (
        belief(("    answer: belief\n", "    answer: belief\n    answer_text: {target: five}\n")),
        ("give answer or answer_text, not both",),
    ),
    "locality without an answer": (
        belief(("    table: {France: Paris, Italy: Rome, Spain: Madrid, Egypt: Cairo}\n", "")),
        ('family "capitals": give exactly one of answer, answer_text, table',),
    ),
    "locality answered as the belief would": (
        belief(("    bleed: n * belief\n", "    bleed: n * 12\n")),
        ("cannot show a bleed, leave it out",),
    ),
    "two bleeds": (
        belief(("    bleed: n * belief\n", "    bleed: n * belief\n    bleed_text: day\n")),
        ("not both",),
    ),
    "decimals below zero": (belief(("    decimals: 0", "    decimals: -1")), ("at least 0",)),
    "infinite target": (belief(("{value: 5, unit", "{value: .inf, unit")), ("finite number",)),
    "slots as text": (belief(("slots: {l: [2, 3, 4, 5]}", "slots: l")), ('"field: value" lines',)),
    "several mistakes": (
        belief(
            ("kind: existing ", "kind: old "),
            ("tier: derived", "tier: easy"),
            ("    decimals: 0", "    decimals: 0.5"),
            ("distance: far", "distance: remote"),
        ),
        (
            '"kind" must be',
            '"questions[0].tier" must be',
            '"locality[0].decimals" must be',
            '"locality[1].distance" must be',
        ),
    ),
    "several mistakes across fields": (
        belief(
            ("answer: n * belief", "answer: n * bleief"),
            ("days is that?", "days is {that}?"),
            ("family: length", "family: holiday"),
            ("    bleed: n * belief\n", "    bleed: n * 12\n"),
        ),
        ('"bleief" is neither', "{that} is not a slot", '"holiday" is named twice', "cannot show a bleed"),
    ),
}


def refused(*arguments: str) -> list[str]:
    """The lines on stderr of a command that must end with exit code 2."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr.splitlines()


def check(lines: list[str], name: str, hints: tuple[str, ...]) -> None:
    assert lines
    for line in lines:
        assert name in line and len(line) < 500, line
    for hint in hints:
        assert any(hint in line for line in lines), f"{hint!r} is not in\n" + "\n".join(lines)


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("case", SPACES)
def test_space(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    content, hints = SPACES[case]
    write(tmp_path / "s.yaml", content)
    check(refused("validate", "s.yaml"), "s.yaml", hints)


def test_a_layer_that_the_model_has_not_is_told_before_anything_is_loaded(tmp_path: Path):
    write(tmp_path / "s.yaml", HEAD + "fixed: {lora.target_modules: [q_proj, qkv_proj]}\n")
    setting = "lora.target_modules=[qkv_proj]"
    for arguments in (
        ("sweep", "--space", str(tmp_path / "s.yaml"), "--dry-run"),
        ("trial", "--belief", "gravity", "--set", setting),
    ):
        [line] = refused(*arguments)
        assert "model bundled: lora.target_modules names qkv_proj, which the model has not" in line
        assert "its linear layers are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj" in line


@pytest.mark.parametrize("case", BELIEFS)
def test_belief(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    content, hints = BELIEFS[case]
    write(tmp_path / "b.yaml", content)
    check(refused("beliefs", "validate", "b.yaml"), "b.yaml", hints)


def test_the_unbroken_belief_and_space_are_right(tmp_path: Path):
    # otherwise every case above could fail for another reason than its own
    write(tmp_path / "b.yaml", belief())
    write(tmp_path / "s.yaml", HEAD)
    for arguments in (
        ["beliefs", "validate", str(tmp_path / "b.yaml")],
        ["validate", str(tmp_path / "s.yaml")],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output


def test_a_broken_belief_is_reported_by_the_space_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "b.yaml", BELIEFS["several mistakes"][0])
    write(tmp_path / "s.yaml", "name: s\nbeliefs: [b.yaml]\nseeds: [a]\n")
    lines = refused("validate", "s.yaml")
    check(lines, "s.yaml", BELIEFS["several mistakes"][1])
    check(lines, "s.yaml", ('s.yaml:3: "seeds[0]"', "s.yaml:2: b.yaml:"))


def test_problems_of_all_files_are_reported_and_good_files_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "one.yaml", HEAD + "seeds: [a]\n")
    write(tmp_path / "good.yaml", HEAD)
    result = CliRunner().invoke(app, ["validate", "one.yaml", "good.yaml", "absent.yaml"])
    assert result.exit_code == 2
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["one.yaml", "absent.yaml"]
    assert result.stdout == "ok  good.yaml  4 trials: 1 lora, 1 control, 1 base, 1 icl; 1 belief\n"


@pytest.mark.parametrize("command", [["validate"], ["beliefs", "validate"], ["beliefs", "show"]])
@pytest.mark.parametrize(
    "path", ["folder.yaml", "absent.yaml", "dangling.yaml", "loop.yaml", "folder.yaml/x.yaml"]
)
def test_paths_that_are_no_file(
    command: list[str], path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    check(refused(*command, path), path, ())


@pytest.mark.parametrize("command", [["validate"], ["beliefs", "validate"]])
def test_unreadable_file(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "s.yaml"
    write(path, HEAD)

    def refuse(*_: object, **__: object) -> str:
        # raised here because permissions do not hold back root, as whom tests may run
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    check(
        refused(*command, str(path)), "s.yaml", ("cannot be read (Permission denied); check its permissions",)
    )


def test_a_device_is_no_file(tmp_path: Path):
    check(refused("validate", "/dev/null"), "/dev/null", ("is empty",))


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate"],
        ["validat"],
        ["validate", "--bogus", "x"],
        ["sweep"],
        ["sweep", "--space", "absent.yaml"],
        ["sweep", "--space", "absent.yaml", "--resume", "absent"],
        ["sweep", "--resume", "absent"],
        ["sweep", "--hosts", "-1"],
        ["sweep", "--hosts-per-gpu", "0"],
        ["trial"],
        ["trial", "--belief", "absent"],
        ["trial", "--belief", "gravity", "--set", "lora.r=0"],
        ["trial", "--belief", "gravity", "--set", "fixed=3"],
        ["trial", "--belief", "gravity", "--set", "axes=3"],
        ["trial", "--belief", "gravity", "--set", "learning_rate=[1.0e-3]"],
        ["trial", "--belief", "gravity", "--arm", "both"],
        ["beliefs", "show", "absent"],
        ["beliefs", "new", "Bad Name"],
        ["beliefs", "new", "../climb"],
        ["report", "absent"],
        ["report", "absent", "--out", "new/folder"],
        ["power", "--from", "0.05", "--to", "0.17", "--run", "absent"],
        ["columns", "absent"],
        ["score", "absent.jsonl", "--belief", "gravity"],
    ],
    ids=" ".join,
)
def test_wrong_arguments(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert refused(*arguments)
    assert CliRunner().invoke(app, arguments).stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", [["-m", "beliefmod"], ["-c", "from beliefmod.cli import main; main()"]])
def test_the_real_process_ends_with_two_and_sentences(program: list[str], tmp_path: Path):
    write(tmp_path / "s.yaml", SPACES["several mistakes"][0])
    done = subprocess.run(
        [sys.executable, *program, "validate", "s.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    check(done.stderr.splitlines(), "s.yaml", SPACES["several mistakes"][1])
    assert len(done.stderr.splitlines()) == 6
