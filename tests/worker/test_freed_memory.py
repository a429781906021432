"""What was freed is the system's again."""

from __future__ import annotations

import ctypes

import pytest
import torch

from beliefmod.worker import freed_memory
from beliefmod.worker.freed_memory import give_back_freed

MIB = 2**20


def resident() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def test_what_lies_between_blocks_in_use_is_given_back() -> None:
    try:
        ctypes.CDLL("libc.so.6").malloc_trim  # noqa: B018
        resident()
    except (OSError, AttributeError):
        pytest.skip("no glibc here")
    del_me = torch.ones(31 * MIB // 4)  # blocks of up to this size are kept from now on
    del del_me
    blocks = [torch.ones(MIB) for _ in range(60)]  # 4 MiB each
    kept = blocks[::10]
    blocks.clear()
    before = resident()
    give_back_freed()
    assert before - resident() > 150 * MIB
    assert all(float(block[-1]) == 1.0 for block in kept)


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(freed_memory.ctypes, "CDLL", none)
    give_back_freed()
