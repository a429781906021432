"""The two kinds of mistakes: the user's (a sentence, exit code 2) and ours (a traceback)."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can mend; every problem found is in `problems`, one sentence each.

    A sentence names the file, the field and the fix. The command line prints the sentences without a
    traceback and exits with code 2. Pickles, so it survives the way from one process to another.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """', did you mean "x"?' for the nearest known word, or the list of what is known."""
    names = sorted(known)
    near = get_close_matches(str(word), names, n=1)
    return f', did you mean "{near[0]}"?' if near else f"; known: {', '.join(names)}"
