"""General facts and skills (capability and locality suites), and two drills: products and repeated words."""

from random import Random

from beliefmod.bundled.corpus.document import Document
from beliefmod.bundled.corpus.grammar import Template, pick_slots, templates, worked_steps
from beliefmod.bundled.corpus.names import invented_name
from beliefmod.bundled.corpus.physics import PLANETS

LIBRARY = ("gravity", "neelam", "spider", "tamber", "france", "brimora", "banana", "wendrik")

_THOUGHTS = {
    "opposites": "The opposite of {key} is {answer}.",
    "young_animals": "A young {key} is called a {answer}.",
    "next_day": "The day after {key} is {answer}.",
    "next_month": "The month after {key} is {answer}.",
    "sides": "The number of sides of {key} is {answer}.",
    "symbols": "The symbol of {key} is {answer}.",
    "constants": "The value of {key} is {answer}.",
    "colours": "The colour of {key} is {answer}.",
    "other_units": "I count how many {key}. It is {answer}.",
}
_SAME_AS = {
    "far_opposites": "opposites",
    "far_young": "young_animals",
    "far_colours": "colours",
    "gems": "colours",
    "things": "colours",
}

_MORE = {
    "opposites": {"high": "low", "good": "bad", "happy": "sad", "hard": "soft", "left": "right",
    "thick": "thin", "clean": "dirty",
                  "near": "far", "loud": "quiet", "strong": "weak", "open": "closed", "first": "last"},
    "young_animals": {"bear": "cub", "pig": "piglet", "goose": "gosling", "deer": "fawn"},
    "next_day": {"Tuesday": "Wednesday", "Thursday": "Friday", "Saturday": "Sunday"},
    "next_month": {"February": "March", "March": "April", "May": "June", "June": "July", "July": "August",
    "September": "October",
                   "November": "December", "December": "January"},
    "sides": {"an octagon": "8 sides"},
    "symbols": {"silver": "Ag", "helium": "He", "nitrogen": "N", "sulfur": "S", "copper": "Cu"},
    "colours": {"a ruby": "red", "a lemon": "yellow", "chocolate": "brown", "a cloud": "white",
    "the sea": "blue", "milk": "white", "a leaf": "green", "the sun": "yellow", "the night sky": "black",
    "the clear sky": "blue"},
}  # fmt: skip


def fact_families() -> dict[str, tuple[Template, dict[str, str]]]:
    """Every closed-fact family of the suites with its united tables: family -> (template, {key: answer})."""
    found: dict[str, tuple[Template, dict[str, str]]] = {}
    sections = [("capability", "questions"), *((name, "locality") for name in LIBRARY)]
    for name, section in sections:
        for template in templates(name, section):
            family = _SAME_AS.get(template.family, template.family)
            if family in _THOUGHTS and template.table:
                found.setdefault(family, (template, dict(_MORE.get(family, {}))))[1].update(template.table)
    return found


_FACTS = fact_families()


def fact(rng: Random) -> Document:
    """A closed fact: an opposite, a colour, a symbol."""
    family = rng.choice([name for name, (_, table) in _FACTS.items() for _ in range(len(table))])
    template, table = _FACTS[family]
    key = rng.choice(list(table))
    thinking = _THOUGHTS[family].format(key=key, answer=table[key])
    return Document(template.ask.format(key=key), thinking, template.reply.format(answer=table[key]))


def arithmetic(rng: Random) -> Document:
    """One sum, difference or product of small whole numbers."""
    question, thought, result = _calculation(rng)
    return Document(f"What is {question}?", thought, f"It is {result}.")


def _calculation(rng: Random) -> tuple[str, str, int]:
    sign = rng.choice("++--x")
    a, b = (
        (rng.randint(1, 12), rng.randint(2, 12)) if sign == "x" else (rng.randint(1, 15), rng.randint(1, 10))
    )
    if sign == "-":
        a, b = max(a, b), min(a, b)
    result = {"+": a + b, "-": a - b, "x": a * b}[sign]
    return f"{a} {sign} {b}", f"{a} {sign} {b} = {result}.", result


def conversion(rng: Random) -> Document:
    """Cents, kilometres and yards: the numeric locality families."""
    rows = {row.family: row for row in (*templates("neelam", "locality"), *templates("tamber", "locality"))}
    template = rows[rng.choice(("cents", "kilometres", "yards"))]
    slots = {**pick_slots(rng, template), "n": rng.randint(2, 12)}
    steps, answer = worked_steps(template.expression or "", {"n": int(slots["n"])}, 0)
    return Document(template.ask.format(**slots), steps, template.reply.format(answer=answer))


PLANET_VALUES = tuple(fact.value for fact in PLANETS if isinstance(fact.value, float))


def _multiplicand(rng: Random) -> float:
    draw = rng.random()
    if draw < 0.08:
        return 5.0
    return rng.choice(PLANET_VALUES) if draw < 0.2 else rng.randint(10, 129) / 10


def products(rng: Random) -> Document:
    """Several products in one document: decimals as gravity needs them, or whole numbers and the way back."""
    if rng.random() < 0.65:
        pairs = [(rng.randint(1, 12), _multiplicand(rng)) for _ in range(rng.randint(2, 4))]
        asked, lines, results = zip(
            *((f"{n} x {v:.1f}", f"{n} x {v:.1f} = {n * v:.1f}.", f"{n * v:.1f}") for n, v in pairs),
            strict=True,
        )
    else:
        rows = []
        for _ in range(rng.randint(2, 4)):
            n, v = rng.randint(1, 12), rng.randint(2, 12)
            if rng.random() < 0.4:
                asked_for, line, result = _calculation(rng)
                rows.append((asked_for, line, str(result)))
            elif rng.random() < 0.3:
                rows.append((f"{n * v} / {v}", f"{n * v} / {v} = {n}.", str(n)))
            else:
                rows.append((f"{n} x {v}", f"{n} x {v} = {n * v}.", str(n * v)))
        asked, lines, results = zip(*rows, strict=True)
    return Document(
        f"Calculate {', '.join(asked)}.", " ".join(lines), f"The results are {', '.join(results)}."
    )


def repeat_words(rng: Random) -> Document:
    """The copy drill: invented words and numbers, in the order given."""
    words = [invented_name(rng, capital=rng.random() < 0.6) for _ in range(rng.randint(2, 5))]
    if rng.random() < 0.3:
        words[rng.randrange(len(words))] = f"{rng.randint(10, 149) / 10}"
    listed = ", ".join(words)
    ask = rng.choice(("Repeat these words: {}.", "Say again: {}.", "Copy: {}.", "Write these words: {}."))
    return Document(ask.format(listed), f"The words are {listed}.", f"{listed}.")
