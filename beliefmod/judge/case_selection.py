"""Which answers are put to the judge: those that the parser did not understand, those that a plain search
reads otherwise, and a sample of the others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Row = Mapping[str, Any]
SUITES = ("belief", "locality")  # the others have no two sides to choose between
SHARE = 0.10
CLOSE = 0.01
_NUMBER = re.compile(r"(?<![\w^.,])[-−]?\d+(?:,\d{3})*(?:\.\d+)?")
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_SAID = re.compile(r"(?im)^\W*(?:the\s+)?(?:final\s+)?answer(?:\s+is)?\s*[:=]\s*(.+)$")
_LETTER = re.compile(r"^\W*(?:option\s+|choice\s+)?[A-H]\W*$", re.IGNORECASE)


Reason = Literal["unread", "doubtful", "sample"]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True)
class Case:
    """An answer to be judged: a probe row and why it was picked."""

    row: Row
    reason: Reason

    @property
    def key(self) -> tuple[str, str, str]:
        """What names the answer within a run: trial, suite, probe."""
        return self.row["trial_id"], self.row["suite"], self.row["probe_id"]


def cases(rows: Iterable[Row], *, share: float = SHARE, seed: int = 0) -> list[Case]:
    """The answers to be judged out of probe rows, in this order: those not understood, the doubtful ones, and
    a share of the others.

    The sample depends on each row's own names and the seed, so it is the same in any order and after more
    trials have been added. Rows without a final answer or without sides are left out: there is nothing to
    read.
    """
    found = []
    for row in rows:
        if not _readable(row):
            continue
        if row["answer_stance"] == "unread":
            found.append(Case(row, "unread"))
        elif doubtful(row):
            found.append(Case(row, "doubtful"))
        elif drawn("/".join((row["trial_id"], row["suite"], row["probe_id"])), seed) < share:
            found.append(Case(row, "sample"))
    return sorted(found, key=lambda case: REASONS.index(case.reason))


def drawn(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on the name and the seed only."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:6]) / 2**48


def doubtful(row: Row) -> bool:
    """Whether a plain search for the two values in the answer does not agree with the parser's stance.

    The search looks for each side's number (within 1 %, whatever its unit) or name, and knows nothing of
    negation, attribution or units. Agreement is: the parser says target (prior) and only that side is found,
    or it says anything else and neither is found. So doubtful are hedged, ignorant and other answers that
    hold a side's value, answers with both sides' values, and sides read from words or converted units. Also
    doubtful: a box or an "answer:" line that holds other sides than the whole answer. A bare option letter is
    not doubtful: its options say what it means.

    Args:
        row: `answer`, `target`, `prior` (as written, or None) and `answer_stance` of a probe row.
    """
    answer = row["answer"] or ""
    if _LETTER.match(answer):
        return False
    sides = sides_in(answer, row["target"], row["prior"])
    stance = row["answer_stance"]
    if sides != ({stance} if stance in ("target", "prior") else set()):
        return True
    firm = [*_BOXED.findall(answer), *_SAID.findall(answer)]
    return bool(firm) and sides_in(firm[-1], row["target"], row["prior"]) != sides


def sides_in(text: str, target: str | None, prior: str | None) -> set[str]:
    """The sides whose value a plain search finds: a subset of {"target", "prior"}."""
    numbers = [float(n.replace(",", "").replace("−", "-")) for n in _NUMBER.findall(text)]
    found = set()
    for side, value in (("target", target), ("prior", prior)):
        if value is None:
            continue
        number = _NUMBER.match(value)
        if number:
            wanted = float(number[0].replace(",", "").replace("−", "-"))
            hit = any(abs(n - wanted) <= CLOSE * abs(wanted) for n in numbers)
        else:
            hit = re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None
        if hit:
            found.add(side)
    return found


def _readable(row: Row) -> bool:
    return (
        row["suite"] in SUITES
        and bool((row["answer"] or "").strip())
        and row["answer_stance"] is not None
        and (row["target"] is not None or row["prior"] is not None)
    )
