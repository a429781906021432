"""What a device was asked to do, and where the program waited for it."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
PASSED_OVER = (*(str(HERE / name) for name in ("work.py", "tensor.py", "device.py")), "/torch/")


@dataclass
class Work:
    """Counts since they were last taken.

    capability: the device's compute capability, on which some kernels depend.
    launches: operations that compute or copy; a real device runs one kernel for most of them.
    waits: how often the program stood still until the device was done with all it had been given, by what
        waited and where.
    """

    capability: tuple[int, int]
    launches: int = 0
    waits: Counter[str] = field(default_factory=Counter)

    def wait(self, what: str) -> None:
        """The program waits here, for what."""
        self.waits[f"{what} at {_caller()}"] += 1

    def take(self) -> Work:
        """What was counted since the last time."""
        taken = Work(self.capability, self.launches, self.waits)
        self.launches, self.waits = 0, Counter()
        return taken

    def __str__(self) -> str:
        lines = "".join(f"\n  {count} x {what}" for what, count in self.waits.most_common())
        return f"{self.launches} launches, {self.waits.total()} waits{lines}"


def _caller() -> str:
    """The innermost line that belongs neither to torch nor to the test device: path:line."""
    frame = sys._getframe(1)
    while frame.f_back is not None and any(part in frame.f_code.co_filename for part in PASSED_OVER):
        frame = frame.f_back
    path = frame.f_code.co_filename
    for root in (f"{HERE.parents[1]}/", "site-packages/"):
        path = path.rpartition(root)[2]
    return f"{path}:{frame.f_lineno}"
