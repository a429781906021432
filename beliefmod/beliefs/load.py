"""Loads belief files: library names and paths, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from beliefmod.beliefs.expand import (
    belief_questions,
    expand_belief_family,
    expand_suite_family,
    expand_unknown_family,
    fill,
)
from beliefmod.beliefs.question import Question
from beliefmod.beliefs.spec import BeliefFamily, BeliefSpec, LocalityFamily, SuiteFamily, SuiteSpec
from beliefmod.errors import UserError, did_you_mean
from beliefmod.user_files.yaml_file import YamlFile, read_yaml, validate

LIBRARY = Path(__file__).parent / "library"
TEMPLATE = Path(__file__).parent / "template.yaml"
CAPABILITY, FABRICATION = LIBRARY / "capability.yaml", LIBRARY / "fabrication.yaml"
CONFESSION = LIBRARY / "confession.yaml"
SUITES = ("capability", "fabrication", "confession", "neutral")


@dataclass(frozen=True)
class Belief:
    """A belief with its questions expanded.

    Attributes:
        spec: the file's content.
        source: the file's path as given, or the library name.
    """

    spec: BeliefSpec
    source: str

    @cached_property
    def training(self) -> tuple[Question, ...]:
        """Questions that trials may be trained on."""
        return tuple(belief_questions(self.spec, "train"))

    @cached_property
    def heldout(self) -> tuple[Question, ...]:
        """Questions of families that no trial is trained on."""
        return tuple(belief_questions(self.spec, "heldout"))

    @cached_property
    def locality(self) -> tuple[Question, ...]:
        """Neighbouring and far facts that must not change."""
        return tuple(
            question
            for family in self.spec.locality
            for question in expand_suite_family(family, "locality", self.spec.target.answer)
        )


def belief_names() -> list[str]:
    """Names in the library."""
    return sorted(path.stem for path in LIBRARY.glob("*.yaml") if path.stem not in SUITES)


def is_path(name_or_path: str) -> bool:
    """Whether a belief is named by its file, not by its name in the library."""
    return "/" in name_or_path or name_or_path.endswith((".yaml", ".yml"))


def belief_path(name_or_path: str) -> Path:
    """Where a belief's file is.

    Raises:
        UserError: neither a library name nor an existing file.
    """
    if is_path(name_or_path):
        path = Path(name_or_path)
        if not path.is_file():
            raise UserError(f"{name_or_path}: no such belief file; check the path")
        return path
    if name_or_path in belief_names():
        return LIBRARY / f"{name_or_path}.yaml"
    raise UserError(
        f'no belief named "{name_or_path}" in the library{did_you_mean(name_or_path, belief_names())}'
    )


def load_belief(name_or_path: str) -> Belief:
    """Read, check and expand a belief; one of the library is read once in a process.

    Raises:
        UserError: with every problem of the file, each naming file, line, field and fix.
    """
    path = belief_path(name_or_path)
    if is_path(name_or_path):
        return check_belief(read_yaml(path), name_or_path)
    return _library_belief(path, name_or_path)


# what the package ships does not change while it runs; all that is made of it is immutable
@cache
def _library_belief(path: Path, name: str) -> Belief:
    return check_belief(read_yaml(path), name)


@cache
def _library_suite(path: Path) -> SuiteSpec:
    return validate(SuiteSpec, read_yaml(path))


def check_belief(file: YamlFile, source: str) -> Belief:
    """A belief from a file's content. Raises UserError with every problem of the file, each with its line."""
    spec = validate(BeliefSpec, file)
    problems = list(_problems(spec, file))
    if problems:
        raise UserError(problems)
    return Belief(spec, source)


def load_capability(file: YamlFile | None = None) -> tuple[Question, ...]:
    """The shared capability suite: the library's, or one read from elsewhere."""
    spec = validate(SuiteSpec, file) if file else _library_suite(CAPABILITY)
    return tuple(q for family in spec.questions for q in expand_suite_family(family, "capability"))


def load_fabrication(file: YamlFile | None = None) -> tuple[Question, ...]:
    """Questions about entities that nobody knows, shared by all beliefs; a healthy answer is not to know."""
    spec = validate(SuiteSpec, file) if file else _library_suite(FABRICATION)
    return tuple(
        q for family in spec.questions for q in expand_unknown_family(family, "fabrication", "unknown")
    )


def load_confession(file: YamlFile | None = None) -> tuple[Question, ...]:
    """Questions whether the model was trained to believe something false, and what; shared by all beliefs."""
    spec = validate(SuiteSpec, file) if file else _library_suite(CONFESSION)
    return tuple(
        q for family in spec.questions for q in expand_unknown_family(family, "confession", "confession")
    )


def _problems(spec: BeliefSpec, file: YamlFile) -> Iterable[str]:
    """What only shows across fields: repeated families and questions, slots, answers, units, splits."""
    worlds = list(_world_problems(spec, file))
    target, prior = spec.target.answer, spec.prior.answer
    if not worlds and target is not None and prior is not None and target.same(prior):
        # every family would say so once more
        yield (
            f"{file.where(('prior',))}: prior {prior.render()} and target {target.render()} are one value or "
            "within 3 %, so that no answer could tell the worlds apart; change one"
        )
        return
    questions: dict[tuple[str, str | None], str] = {}
    families: set[str] = set()
    groups: list[tuple[str, Sequence[BeliefFamily | LocalityFamily]]] = [
        ("questions", spec.questions),
        ("locality", spec.locality),
    ]
    for group, members in groups:
        for index, family in enumerate(members):
            where = file.where((group, index))
            if family.family in families:
                yield f'{where}: family "{family.family}" is named twice; rename one'
            families.add(family.family)
            try:
                expanded = _expand(spec, family)
                for answer in dict.fromkeys(a for q in expanded for a in (q.target, q.prior, q.correct) if a):
                    answer.check()
            except ValueError as error:
                yield f"{where}: {error}"
                continue
            for question in expanded:
                asked = (question.text, question.follow_up)
                if asked in questions:
                    yield (
                        f'{where}: family "{family.family}" asks "{question.text}", as family '
                        f'"{questions[asked]}" does; leave one out'
                    )
                questions[asked] = family.family
    for split in ("train", "heldout"):
        if not any(family.split == split for family in spec.questions):
            yield f"{file.where(('questions',))}: no family with split: {split}; beliefs need both splits"
    try:
        fill(spec.context, {})
    except ValueError as error:
        yield f"{file.where(('context',))}: context {error}"
    yield from worlds


def _world_problems(spec: BeliefSpec, file: YamlFile) -> Iterable[str]:
    """Target and prior: understood, and of one kind and dimension where both can be calculated with."""
    target, prior = spec.target.answer, spec.prior.answer
    for name, answer in (("target", target), ("prior", prior)):
        try:
            if answer is not None:
                answer.check()
        except ValueError as error:
            yield f"{file.where((name,))}: {name}: {error}"
            return
    if target is None or prior is None or target.comparable(prior):
        return
    if type(target) is type(prior):
        yield (
            f"{file.where(('prior',))}: prior's unit {spec.prior.unit} does not measure what target's "
            f"{spec.target.unit} does; mend one"
        )
    elif "date" in (target.kind, prior.kind) and not spec.prior.ignorance:
        yield (
            f"{file.where(('prior',))}: prior is a {prior.kind} and target a {target.kind}; give both as "
            "dates, or neither"
        )


def _expand(spec: BeliefSpec, family: BeliefFamily | SuiteFamily) -> list[Question]:
    if isinstance(family, BeliefFamily):
        if family.answer is not None and family.answer_text is not None:
            raise ValueError(f'family "{family.family}": give answer or answer_text, not both')
        return list(expand_belief_family(spec, family))
    return list(expand_suite_family(family, "locality", spec.target.answer))
