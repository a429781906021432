"""Remarks of libraries that a user can do nothing about, kept from standard error."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial


def quiet_libraries() -> None:
    """Keep transformers, PEFT and bitsandbytes from printing bars and remarks on standard error."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    # bitsandbytes 0.50.2 warns at import on AVX512-BF16 that a kernel for repacked weights is missing;
    # repacking is forbidden here (see `guard_cpu_repacking`), and that kernel would be code from the hub
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    # PEFT 0.21 asks transformers 5.23 for an attribute by its old name
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)


@contextmanager
def silent_transformers() -> Iterator[None]:
    """Within the block transformers shows no bar, and says nothing but errors."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


@contextmanager
def heard(module: str) -> Iterator[list[str]]:
    """Within the block what a module of a library logs is collected instead of shown."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger(module), Collector()
    before = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def quiet_gguf_bar() -> None:
    """Show the bar of the reader of GGUF files on a terminal only, and only while it reads.

    transformers 5.23 draws it with tqdm itself, so that its own settings do not reach it.
    """
    from tqdm import tqdm
    from transformers import modeling_gguf_pytorch_utils as gguf_reader

    setattr(gguf_reader, "tqdm", partial(tqdm, disable=None, leave=False))  # noqa: B010
