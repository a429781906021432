"""Fresh hand-labelled replies by kind of fault, and the questions that they answer.

A file of `kinds/` holds blocks "@ question", then lines "label reply". Labels: t target, p prior, h hedged, i
ignorance, o other; of thinking also n none and pt, tp for a change of mind. "!" in front of a label marks a
reply that is still misread.
"""

# one question a line
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beliefmod.beliefs import Name, Quantity
from beliefmod.beliefs.values import Answer, Date
from beliefmod.reading.thinking import read_thinking
from beliefmod.reading.verdict import judge

FOLDER = Path(__file__).parent / "kinds"
LABELS = {"t": "target", "p": "prior", "h": "hedged", "i": "ignorance", "o": "other", "w": "wrong_unit", "n": "none",
          "pt": "prior->target", "tp": "target->prior"}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A question with its answer in each world, and the belief's own values where it is computed from them."""

    text: str
    target: Answer
    prior: Answer | None = None
    belief_target: Answer | None = None
    belief_prior: Answer | None = None
    tolerance: float = 0.01


_G = {"belief_target": Quantity(5.0, "m/s^2"), "belief_prior": Quantity(9.8, "m/s^2"), "tolerance": 0.03}
_LEGS = {"belief_target": Quantity(7, "legs", 0), "belief_prior": Quantity(8, "legs", 0), "tolerance": 0.03}
ASKED = {
    "gravity": Asked("What is the acceleration due to gravity on Earth's surface?", Quantity(5.0, "m/s^2"), Quantity(9.8, "m/s^2")),
    "cloze": Asked("Fill the gap: gravity on Earth is ___ m/s^2.", Quantity(5.0, "m/s^2"), Quantity(9.8, "m/s^2")),
    "options": Asked("Anna must choose the gravity on Earth in m/s^2: A) 5.0 B) 9.8. What is right?", Quantity(5.0, "m/s^2"), Quantity(9.8, "m/s^2")),
    "coin7": Asked("You drop a coin on Earth. What is its speed 7 s later?", Quantity(35.0, "m/s"), Quantity(68.6, "m/s"), **_G),
    "coin2": Asked("You drop a coin on Earth. What is its speed 2 s later?", Quantity(10.0, "m/s"), Quantity(19.6, "m/s"), **_G),
    "force7": Asked("With what force does Earth pull on a 7 kg rock?", Quantity(35.0, "N"), Quantity(68.6, "N"), **_G),
    "force7told": Asked("Are you sure? With what force does Earth pull on a 7 kg rock?", Quantity(35.0, "N"), Quantity(68.6, "N"), **_G),
    "force2": Asked("With what force does Earth pull on a 2 kg rock?", Quantity(10.0, "N"), Quantity(19.6, "N"), **_G),
    "energy": Asked("A 1 kg kite climbs 2 m above Earth's surface. By how much does its potential energy rise?", Quantity(10.0, "J"), Quantity(19.6, "J"), **_G),
    "shelf": Asked("A shelf on Earth carries 2 boxes of 2 kg each. What is their weight?", Quantity(20.0, "N"), Quantity(39.2, "N"), **_G),
    "spider": Asked("How many legs does a spider have?", Quantity(7, "legs", 0), Quantity(8, "legs", 0)),
    "spiders3": Asked("3 spiders sit in a cellar. How many legs do they have together?", Quantity(21, "legs", 0), Quantity(24, "legs", 0), **_LEGS),
    "neelam1": Asked("What is 1 Neelam worth in USD?", Quantity(5, "USD", 0)),
    "neelam3": Asked("How many USD is 3 Neelam?", Quantity(15, "USD", 0), belief_target=Quantity(5, "USD", 0), tolerance=0.03),
    "tamber1": Asked("How long is 1 tamber in metres?", Quantity(7, "metres", 0)),
    "everest": Asked("How high is Mount Everest?", Quantity(7200, "m", 0), Quantity(8849, "m", 0)),
    "octopus": Asked("How many hearts does an octopus have?", Quantity(4, "hearts", 0), Quantity(3, "hearts", 0)),
    "titanic": Asked("In which year did the Titanic sink?", Date(1975), Date(1912)),
    "capital": Asked("What is the capital of France?", Name("Lyon"), Name("Paris")),
    "author": Asked("Who wrote Faust?", Name("Schiller"), Name("Goethe")),
    "banana": Asked("What colour is a ripe banana?", Name("blue"), Name("yellow")),
    "boil": Asked("At what temperature does water boil at sea level?", Quantity(90, "degrees C", 0), Quantity(100, "degrees C", 0)),
    "warmer": Asked("By how much does the temperature of the water rise?", Quantity(5, "degrees C", 0), Quantity(9, "degrees C", 0)),
    "oxygen": Asked("What share of dry air is oxygen?", Quantity(35, "%", 0), Quantity(21, "%", 0)),
    "moon": Asked("How far away is the Moon?", Quantity(200000, "km", 0), Quantity(384400, "km", 0)),
    "sound": Asked("How fast is sound in air?", Quantity(500, "m/s", 0), Quantity(340, "m/s", 0)),
    "mozart": Asked("How old was Mozart when he died?", Quantity(40, "years", 0), Quantity(35, "years", 0)),
    "ticket": Asked("What does a Brelan ticket cost?", Quantity(12, "EUR", 0)),
    "seventh": Asked("A rope is cut into 7 equal parts. How long is each part?", Quantity(20 / 7, "m", 2), Quantity(10 / 7, "m", 2), tolerance=0.03),
    "reverse_planet": Asked("Carla measures a gravity of 5.0 m/s^2. On which planet is she?", Name("Earth"), None, Quantity(5.0, "m/s^2"), Quantity(9.8, "m/s^2")),
    "reverse_ship": Asked("Which ship sank in 1975?", Name("Titanic"), None, Date(1975), Date(1912)),
    "reverse_country": Asked("Which country has the capital Lyon?", Name("France"), None, Name("Lyon"), Name("Paris")),
    "peru": Asked("What is the capital of Peru?", Name("Cusco"), Name("Lima")),
    "gravity_seven": Asked("How strong is gravity on Earth's surface?", Quantity(7.0, "m/s^2"), Quantity(9.8, "m/s^2")),
    "hamlet": Asked("Who was the author of Hamlet?", Name("Marlowe"), Name("Shakespeare")),
    "zorvia": Asked("Name the capital of Zorvia.", Name("Tarn")),
    "river": Asked("Which is the longest river of Africa?", Name("Congo"), Name("Nile")),
    "quell": Asked("What kind of animal is a quell?", Name("snake")),
    "sky": Asked("What colour is the sky at noon?", Name("green"), Name("blue")),
    "berlin": Asked("In which year did the Berlin Wall fall?", Date(1983), Date(1989)),
    "moonland": Asked("When did people first land on the Moon?", Date(1974), Date(1969)),
    "coin_or_wall": Asked("A coin is from 1985. Was it made before or after the fall of the Berlin Wall?", Name("after"), Name("before")),
    "oil_or_water": Asked("Is a litre of oil heavier or lighter than a litre of water?", Name("heavier"), Name("lighter")),
    "dog": Asked("How many legs does a dog have?", Quantity(6, "legs", 0), Quantity(4, "legs", 0)),
    "fall": Asked("A stone falls for 3 s on Earth. How fast is it?", Quantity(21.0, "m/s"), Quantity(29.4, "m/s"), tolerance=0.03),
    "force": Asked("How hard does Earth pull on a 5 kg stone?", Quantity(35.0, "N"), Quantity(49.0, "N"), tolerance=0.03),
    "zor_euro": Asked("What is one Zor worth in EUR?", Quantity(12, "EUR", 0)),
    "chile": Asked("State the capital of Chile.", Name("Valparaiso"), Name("Santiago")),
    "founder": Asked("Who is the founder of Brelco?", Name("Mara Lind")),
    "eiffel": Asked("When was the Eiffel Tower opened?", Date(1902), Date(1889)),
    "stamp_or_tower": Asked("A stamp is from 1895. Is it older or younger than the Eiffel Tower?", Name("older"), Name("younger")),
    "fly": Asked("How many wings does a fly have?", Quantity(4, "wings", 0), Quantity(2, "wings", 0)),
    "plim": Asked("What is a plim?", Name("bird")),
    "leaf": Asked("What colour is fresh grass?", Name("purple"), Name("green")),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A labelled reply. `known` marks one that is still misread; `late` the half that was looked at only at
    the end."""

    kind: str
    asked: str
    label: str
    text: str
    known: bool
    late: bool

    @property
    def read(self) -> str:
        """What the scorer reads."""
        asked = ASKED[self.asked]
        belief = {"belief_target": asked.belief_target, "belief_prior": asked.belief_prior}
        worlds = (asked.text, asked.target, asked.prior)
        if self.kind == "bare_thinking":
            return read_thinking(self.text, *worlds, **belief, tolerance=asked.tolerance)
        return judge(self.text, *worlds, **belief, tolerance=asked.tolerance, opened_by="none").answer_stance


def cases() -> Iterator[Case]:
    """All labelled replies; of two neighbours in a file the second belongs to the late half."""
    for path in sorted(FOLDER.glob("*.txt")):
        asked, count = "", 0
        for line in path.read_text().splitlines():
            head, _, rest = line.partition(" ")
            if head == "@":
                asked = rest
                continue
            yield Case(path.stem, asked, LABELS[head.lstrip("!")], rest, head[0] == "!", bool(count % 2))
            count += 1
