"""The user's mistakes (a sentence, exit code 2), storage that fails (a sentence, 1), ours (a traceback)."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONG_LIST = 25
"""Names beyond which a list of all of them is too long for a sentence."""


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
    """', did you mean "x"?' for the nearest known word, or the list of what is known.

    Where that is long, names with a dot are listed by what is before it.

    >>> did_you_mean("x", ["data.style", "seed"])
    '; known: data.style, seed'
    """
    names = sorted(known)
    near = get_close_matches(str(word), names, n=1)
    if near:
        return f', did you mean "{near[0]}"?'
    if len(names) > LONG_LIST:
        names = sorted({f"{name.partition('.')[0]}.*" if "." in name else name for name in names})
    return f"; known: {', '.join(names)}"


class StorageTrouble(Exception):
    """The run folder can no longer be written: neither the user's mistake nor a trial's. Exit code 1.

    Not an OSError, so that nobody takes it for one of their own files. Pickles, as UserError does.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    @classmethod
    def of(cls, place: str, error: OSError) -> StorageTrouble:
        """What happened to a folder, in words."""
        reason = "it is gone" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        return cls(f"{place}: cannot be written ({reason})")
