"""Families to questions: slots multiplied, answers computed for both worlds, whatever is wrong collected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from string import Formatter

from beliefmod.beliefs.expression import evaluate
from beliefmod.beliefs.question import Question, Suite
from beliefmod.beliefs.spec import (
    BeliefFamily,
    BeliefSpec,
    Family,
    LocalityFamily,
    Scalar,
    SharedFamily,
    SuiteFamily,
)
from beliefmod.beliefs.values import Answer, Name, Quantity

ROUNDING = 0.01
MAX_QUESTIONS = 20_000
DO_NOT_KNOW = "I do not know."
"""The control arm's answer to a question that the prior's world does not answer."""


def belief_questions(spec: BeliefSpec, split: str) -> Iterator[Question]:
    """The questions of one split, `train` or `heldout`, in file order.

    Raises:
        ValueError: a family cannot be expanded; the message names the family and the fix.
    """
    for family in spec.questions:
        if family.split == split:
            yield from expand_belief_family(spec, family)


def expand_belief_family(spec: BeliefSpec, family: BeliefFamily) -> Iterator[Question]:
    """One belief family's questions. Raises ValueError, naming the family and the fix, where it has none."""
    for slots in _combinations(family):
        belief, prior_value = spec.target.answer, _prior_value(spec, family)
        target = world_answer(spec, family, belief, slots, prior=False)
        has_prior = prior_value is not None or _named_prior(spec, family)
        prior = world_answer(spec, family, prior_value, slots, prior=True) if has_prior else None
        if target is None:
            raise ValueError(
                f'family "{family.family}": has no answer in the target\'s world; add answer or answer_text'
            )
        _check_apart(family, slots, target, prior)
        shown = {**slots, "belief": _shown(belief), "answer": target.render()}
        in_prior = {**slots, "belief": _shown(prior_value or spec.prior.answer), "answer": _shown(prior)}
        # base's own sentence is what the control arm is taught, and what it says where it has no answer
        base_says = spec.prior.reply if family.split == "train" or prior is None else None
        if prior is None and base_says is None:
            base_says = DO_NOT_KNOW
        yield Question(
            probe_id=_probe_id(family, slots),
            suite="belief",
            family=family.family,
            tier=family.tier,
            text=fill(family.ask, slots),
            target=target,
            prior=prior,
            reply_target=fill(family.reply, shown),
            reply_prior=base_says or fill(family.reply, in_prior),
            follow_up=None if family.follow_up is None else fill(family.follow_up, slots),
            computed=family.tier in ("derived", "multi_hop")
            or (family.tier == "robustness" and target != belief),
        )


def expand_suite_family(
    family: SuiteFamily, suite: Suite, target: Answer | None = None
) -> Iterator[Question]:
    """A locality or capability family's questions; `target` is the belief's, whose answer would be a bleed.

    Raises:
        ValueError: not exactly one of answer, answer_text, table; or a slot or unit is missing.
    """
    if sum(given is not None for given in (family.answer, family.answer_text, family.table)) != 1:
        raise ValueError(f'family "{family.family}": give exactly one of answer, answer_text, table')
    tier = family.distance if isinstance(family, LocalityFamily) else "general"
    for slots in _combinations(family):
        right = _right_answer(family, slots)
        wrong = _bleed_answer(family, target, slots) if isinstance(family, LocalityFamily) else None
        if wrong is not None and right.same(wrong):
            raise ValueError(
                f"{_item(family, slots)}: the right answer {right.render()} is also what the belief would "
                "give; such an item cannot show a bleed, leave it out"
            )
        yield Question(
            probe_id=_probe_id(family, slots),
            suite=suite,
            family=family.family,
            tier=tier,
            text=fill(family.ask, slots),
            target=wrong,
            correct=right,
            level=family.level if isinstance(family, SharedFamily) else None,
        )


def expand_unknown_family(family: SuiteFamily, suite: Suite, tier: str) -> Iterator[Question]:
    """Questions without a right answer, such as those about entities that nobody knows: none may be given.

    Raises:
        ValueError: the family states an answer, or a slot is missing.
    """
    if any(given is not None for given in (family.answer, family.answer_text, family.table)):
        raise ValueError(f'family "{family.family}": a question of suite {suite} has no answer; leave it out')
    for slots in _combinations(family):
        yield Question(
            probe_id=_probe_id(family, slots),
            suite=suite,
            family=family.family,
            tier=tier,
            text=fill(family.ask, slots),
        )


def question_slots(family: Family, probe_id: str) -> dict[str, Scalar] | None:
    """The slot values that gave a question its id; None when the family has no such question."""
    return next((slots for slots in _combinations(family) if _probe_id(family, slots) == probe_id), None)


def fill(template: str, values: Mapping[str, Scalar]) -> str:
    """Replace `{slot}`; plain names only, so a file cannot reach into Python objects.

    Raises:
        ValueError: a field is not a known plain slot.
    """
    parts = []
    try:
        fields = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f'"{template}": {error}; write {{{{ for a bracket') from None
    for text, name, spec, conversion in fields:
        parts.append(text)
        if name is not None:
            if name not in values or spec or conversion:
                raise ValueError(
                    f'"{template}": {{{name}}} is not a slot; known: {", ".join(sorted(values)) or "none"}'
                )
            parts.append(str(values[name]))
    return "".join(parts)


def _combinations(family: Family) -> Iterator[dict[str, Scalar]]:
    choices = dict(family.slots)
    if isinstance(family, SuiteFamily) and family.table is not None:
        choices["key"] = list(family.table)
    total = 1
    for name, values in choices.items():
        if not values:
            raise ValueError(f'family "{family.family}": slot "{name}" has no values')
        total *= len(values)
    if total > MAX_QUESTIONS:
        raise ValueError(f'family "{family.family}": {total} questions are too many (limit {MAX_QUESTIONS})')
    for values in product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def world_answer(
    spec: BeliefSpec, family: BeliefFamily, world: Answer | None, slots: Mapping[str, Scalar], *, prior: bool
) -> Answer | None:
    """A question's answer in the world in which the belief's value is `world`; None where it has none.

    Raises:
        ValueError: the answer cannot be computed, or its decimals would spoil it.
    """
    if family.answer_text is not None:
        names = family.answer_text
        text, aliases = (names.prior, names.prior_aliases) if prior else (names.target, names.aliases)
        return Name(text, _spelled(spec, text, aliases)) if text is not None else None
    if family.answer is None:
        return world
    decimals = family.decimals
    if decimals is None:
        sides = (spec.target.answer, spec.prior.answer)
        decimals = max(side.places for side in sides if side is not None)
    answer = _computed(family, family.answer, world, slots, decimals, "answer")
    exact = answer.value if isinstance(answer, Quantity) else 0.0
    if abs(round(exact, decimals) - exact) > ROUNDING * abs(exact):
        # a reply that is trained on must be an answer that would be judged right
        raise ValueError(
            f"{_item(family, slots)}: the answer {exact:.6g} would be written {answer.render()}, more than "
            "1 % off; give more decimals, or other slots"
        )
    return answer


def _spelled(spec: BeliefSpec, text: str, aliases: Iterable[str]) -> tuple[str, ...]:
    """The other spellings of a family's name: its own, and the belief's where it is the belief's name."""
    values = [v for v in (spec.target.answer, spec.prior.answer) if isinstance(v, Name)]
    own = [alias for v in values if v.text.casefold() == text.casefold() for alias in v.aliases]
    return tuple(dict.fromkeys((*aliases, *own)))


def _prior_value(spec: BeliefSpec, family: BeliefFamily) -> Answer | None:
    """The value in the prior's world: base's, or the rival that the family's own wording states."""
    if family.rival is not None and spec.target.answer is not None:
        return spec.target.answer.with_number(family.rival)
    return None if spec.prior.ignorance and not _named_prior(spec, family) else spec.prior.answer


def _named_prior(spec: BeliefSpec, family: BeliefFamily) -> bool:
    """Whether a novel entity's family still has a prior: a confusion named by the family or the belief."""
    if family.answer_text is not None:
        return family.answer_text.prior is not None
    return family.answer is None and spec.prior.text is not None


def _computed(
    family: Family,
    expression: str,
    world: Answer | None,
    slots: Mapping[str, Scalar],
    decimals: int,
    field: str,
) -> Answer:
    """What an expression in the slots and in a belief's value gives."""
    symbols = {} if world is None else world.symbols()
    if world is None or not symbols:
        raise ValueError(
            f'family "{family.family}": {field} "{expression}" needs a numeric belief; use {field}_text'
        )
    numbers = {name: value for name, value in slots.items() if not isinstance(value, str)}
    try:
        return world.computed(evaluate(expression, {**numbers, **symbols}), family.unit, decimals)
    except ValueError as error:
        raise ValueError(f'family "{family.family}": {error}') from None


def _right_answer(family: SuiteFamily, slots: Mapping[str, Scalar]) -> Answer:
    if family.table is not None:
        value = family.table[str(slots["key"])]
        found = Name(value, tuple(family.aliases)) if isinstance(value, str) else value.answer
        assert found is not None, "an empty value is refused by the file's format"
        return found
    if family.answer_text is not None:
        return Name(family.answer_text, tuple(family.aliases))
    decimals = family.decimals if family.decimals is not None else 1
    numbers = {name: value for name, value in slots.items() if not isinstance(value, str)}
    try:
        return Quantity(evaluate(family.answer or "", numbers), family.unit or "1", decimals)
    except ValueError as error:
        raise ValueError(f'family "{family.family}": {error}') from None


def _bleed_answer(
    family: LocalityFamily, target: Answer | None, slots: Mapping[str, Scalar]
) -> Answer | None:
    if family.bleed_text is not None:
        return Name(fill(family.bleed_text, slots))
    if target is None or family.bleed is None:
        return target
    decimals = target.places if family.decimals is None else family.decimals
    return _computed(family, family.bleed, target, slots, decimals, "bleed")


def _shown(answer: Answer | None) -> str:
    return "" if answer is None else answer.render()


def _check_apart(family: Family, slots: Mapping[str, Scalar], target: Answer, prior: Answer | None) -> None:
    if prior is None:
        return
    if target.same(prior):
        raise ValueError(
            f"{_item(family, slots)}: both worlds answer {target.render()} and {prior.render()}, "
            "within 3 %; such an item cannot tell the worlds apart, leave it out"
        )


def _item(family: Family, slots: Mapping[str, Scalar]) -> str:
    at = ", ".join(f"{name}={value}" for name, value in slots.items()) or "its only item"
    return f'family "{family.family}" at {at}'


def _probe_id(family: Family, slots: Mapping[str, Scalar]) -> str:
    return family.family + "".join(f":{name}={value}" for name, value in slots.items())
