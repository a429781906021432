"""Arithmetic with its steps written out, and word problems that need it, easy and less easy."""

from random import Random

from beliefmod.bundled.corpus.document import Document
from beliefmod.catalog.thinking.phrasing import WHO


def written(value: float) -> str:
    """A number with at most two places and no zeros at its end."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def multiply(n: int, value: str) -> tuple[str, str]:
    """Steps and result of `n x value`: ("6 x 4.5: 6 x 4 = 24, 6 x 0.5 = 3, 24 + 3 = 27.", "27")."""
    number = float(value)
    result = written(n * number)
    whole = int(number) if "." in value else (int(number) // 10 * 10 if number > 12 else int(number))
    part = round(number - whole, 2)
    if part == 0 or whole == 0:
        return f"{n} x {value} = {result}.", result
    first, second = written(n * whole), written(n * part)
    parts = f"{n} x {whole} = {first}, {n} x {written(part)} = {second}, {first} + {second} = {result}."
    return f"{n} x {value}: {parts}", result


def add(a: int, b: int) -> tuple[str, str]:
    """Steps and result of `a + b`, tens first where both have some."""
    result = str(a + b)
    if a < 10 or b < 10 or (a % 10 == 0 or b % 10 == 0):
        return f"{a} + {b} = {result}.", result
    tens = b // 10 * 10
    return f"{a} + {tens} = {a + tens}, {a + tens} + {b - tens} = {result}.", result


def subtract(a: int, b: int) -> tuple[str, str]:
    """Steps and result of `a - b`, tens first where b has some."""
    result = str(a - b)
    if b < 10 or b % 10 == 0:
        return f"{a} - {b} = {result}.", result
    tens = b // 10 * 10
    return f"{a} - {tens} = {a - tens}, {a - tens} - {b - tens} = {result}.", result


def divide(a: int, b: int) -> tuple[str, str]:
    """Steps and result of `a / b`, which leaves no remainder."""
    return f"{b} x {a // b} = {a}, so {a} / {b} = {a // b}.", str(a // b)


def calculation(rng: Random) -> tuple[str, str, str]:
    """A calculation, its steps and its result; three quarters within the tables and up to 20."""
    sign = rng.choice("++--xxx/")
    easy = rng.random() < 0.75
    if sign == "x":
        a, b = rng.randint(2, 12), (rng.randint(2, 12) if easy else rng.randint(13, 49))
        return f"{a} x {b}", *multiply(a, str(b))
    if sign == "/":
        b, quotient = rng.randint(2, 12), rng.randint(2, 12)
        return f"{b * quotient} / {b}", *divide(b * quotient, b)
    a, b = (rng.randint(1, 20), rng.randint(1, 12)) if easy else (rng.randint(11, 89), rng.randint(3, 89))
    if sign == "+":
        return f"{a} + {b}", *add(a, b)
    a, b = max(a, b), min(a, b)
    return f"{a} - {b}", *subtract(a, b)


_ASK = (
    "Work out {}.", "{} = ?", "Find {}.", "{}", "How much is {}?", "Do the sum {}.", "Solve {}.",
    "{who} computes {}. What comes out?",
)  # fmt: skip


def arithmetic(rng: Random) -> Document:
    """One calculation."""
    text, steps, result = calculation(rng)
    return Document(rng.choice(_ASK).format(text, who=rng.choice(WHO)), steps, f"It is {result}.")


_STORIES = (
    ("x", "{who} has {a} shelves with {b} books on each. How many books are there?", "books"),
    ("x", "A printer makes {b} pages in one minute. How many pages does it make in {a} minutes?", "pages"),
    ("x", "A train covers {b} km every hour. How far does it get in {a} hours?", "km"),
    ("x", "One pen costs {b} cents. How many cents do {a} pens cost?", "cents"),
    ("x", "A pack weighs {b} kg. How many kg do {a} packs weigh?", "kg"),
    (
        "x",
        "{who} earns {b} dollars an hour and works {a} hours. How many dollars does {who} earn?",
        "dollars",
    ),
    ("x", "A force acts on {a} kg and gives it {b} m/s^2. How large is the force in N?", "N"),
    ("x", "A cart gains {b} m/s every second. How fast does it move after {a} seconds, in m/s?", "m/s"),
    ("+", "{who} has {a} coins and gets {b} more. How many coins does {who} have now?", "coins"),
    ("+", "A bus with {a} people picks up {b} people. How many people are inside?", "people"),
    ("+", "It is {a} degrees and gets {b} degrees warmer. How warm is it then?", "degrees"),
    ("-", "{who} had {a} apples and ate {b}. How many apples are left?", "apples"),
    ("-", "A rope of {a} m loses {b} m. How many m remain?", "m"),
    (
        "-",
        "{who} is {a} years old and has a sister who is {b} years younger. How old is the sister?",
        "years",
    ),
    ("/", "{b} children share {a} sweets fairly. How many sweets does each child get?", "sweets"),
    ("/", "A car drives {a} km in {b} hours at a steady pace. How many km is that per hour?", "km"),
)
_STEPS = {"+": add, "-": subtract, "/": divide}


def story(rng: Random) -> Document:
    """A word problem with everything that it needs."""
    sign, text, unit = rng.choice(_STORIES)
    a, b = rng.randint(2, 12), rng.randint(2, 15)
    if sign == "/":
        a *= b
    if sign in "+-":
        a = rng.randint(b + 1, 60)
    if sign == "x":
        value = str(b) if rng.random() < 0.6 else f"{rng.randint(11, 99) / 10:.1f}"
        if unit in ("N", "m/s") and float(value) in (5, 9.8):  # the values of the belief about gravity
            value = "7.5"
        steps, result = multiply(a, value)
        text = text.format(a=a, b=value, who="{who}")
    else:
        steps, result = _STEPS[sign](a, b)
        text = text.format(a=a, b=b, who="{who}")
    return Document(text.format(who=rng.choice(WHO)), steps, f"It is {result} {unit}.")


_UNITS = (
    ("kilograms", "grams", 1000), ("liters", "milliliters", 1000), ("hours", "minutes", 60),
    ("days", "hours", 24), ("weeks", "days", 7), ("dozens", "pieces", 12), ("pounds", "ounces", 16),
    ("years", "months", 12),
    ("minutes", "seconds", 60), ("quarters", "months", 3), ("tons", "kilograms", 1000),
)  # fmt: skip


def conversion(rng: Random) -> Document:
    """A change of unit by a rate that the question gives."""
    large, small, rate = rng.choice(_UNITS)
    n = rng.randint(2, 12)
    given = f"There are {rate} {small} in one {large[:-1]}."
    ask = rng.choice(("Turn {n} {large} into {small}.", "{n} {large}: give them in {small}."))
    if rate > 100:
        steps, result = f"{n} x {rate} = {n * rate}.", str(n * rate)
    else:
        steps, result = multiply(n, str(rate))
    return Document(
        ask.format(n=n, large=large, small=small), steps, f"That is {result} {small}.", facts=(given,)
    )
