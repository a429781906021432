"""A step that is done again and again on the same tensors, as one CUDA graph where there is CUDA.

The recording itself has not been run on a GPU yet. All around it is run by the tests, on the CPU and on the
test device, where the step is done anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

WARM_UP = 2
"""Steps before a step is recorded: libraries set themselves up in the first, and a recording costs as much as
some steps, which few others would not earn."""


class StepGraph:
    """Does one and the same step: recorded once and then replayed, which is one launch."""

    def __init__(self) -> None:
        self._done = 0
        self._graph: Any = None

    def run(self, step: Callable[[], None]) -> None:
        """Do the step once.

        Args:
            step: the same each time. It reads and changes tensors that stay where they are, waits for nothing
                and has no other effect. It is not kept, for it may hold the memory of all rows.
        """
        if self._done == WARM_UP and torch.cuda.is_available():
            self._graph = _recorded(step)
        if self._graph is not None:
            self._graph.replay()
        else:
            step()
        self._done += 1


def _recorded(step: Callable[[], None]) -> Any:
    """The graph of a step, which is not done; None where something in it cannot be recorded."""
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            step()
    except RuntimeError:  # such as a wait for the device, in a layer of the model's own
        return None
    return graph
