"""What Ray gave a host: GPUs, or none; and how much of their memory is this host's."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from beliefmod.errors import UserError

VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Where Ray says which GPUs a process may use, NVIDIA's and AMD's."""


@dataclass(frozen=True)
class DeviceAllocation:
    """A host's part of a cluster.

    Attributes:
        managed: whether Ray manages this process; else it may use what it finds.
        accelerators: ids of the GPUs that Ray gave it, as in CUDA_VISIBLE_DEVICES of its process.
        share: of the device's memory.
    """

    managed: bool
    accelerators: tuple[str, ...]
    share: float
    machine: str

    def check(self) -> None:
        """Whether this process sees the GPUs that are its own and no others.

        Raises:
            UserError: it would compute on GPUs that belong to other hosts.
        """
        seen = [os.environ.get(name) for name in VISIBLE]
        if self.accelerators and ",".join(self.accelerators) not in seen:
            raise UserError(
                f"{self.machine}: Ray gave an engine GPU {', '.join(self.accelerators)}, but its process has "
                f"{VISIBLE[0]}={seen[0]}; start Ray there without RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"
            )

    @property
    def on_gpu(self) -> bool:
        """Whether to compute on a GPU: not where Ray gave none, though torch may see some.

        Ray leaves CUDA_VISIBLE_DEVICES alone in processes that hold no GPU (2.60, unless
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1), and several engines would meet on the first one.
        """
        import torch

        return torch.cuda.is_available() and (bool(self.accelerators) or not self.managed)

    @property
    def device(self) -> str:
        """Where the model goes. A host sees no GPU of its machine but its own, so that is the first."""
        return "cuda:0" if self.on_gpu else "cpu"

    @property
    def remark(self) -> str | None:
        """What the user should know of this grant; None if all is as it should be."""
        if self.accelerators and not self.on_gpu:
            import torch

            return (
                f"it holds GPU {', '.join(self.accelerators)}, which torch {torch.__version__} cannot use, "
                "and computes on the CPU; see beliefmod doctor there"
            )
        return None

    def free_bytes(self) -> int:
        """Memory that is this host's and free, before anything is loaded."""
        import torch

        from beliefmod.capacity.calibrate import free_bytes

        return free_bytes(torch.device(self.device), self.share)

    def device_name(self) -> str:
        """For people: the GPU's product name, or cpu."""
        import torch

        return torch.cuda.get_device_name(0) if self.on_gpu else "cpu"

    @property
    def place(self) -> str:
        """For sentences: `NVIDIA L4 of machine-3`, or without a GPU `machine machine-3`."""
        return f"{self.device_name()} of {self.machine}" if self.on_gpu else f"machine {self.machine}"

    def keep_to_share(self) -> None:
        """Have torch refuse this process more than its share of a GPU: it runs short, not its neighbour."""
        import torch

        if self.on_gpu and self.share < 1.0:
            torch.cuda.set_per_process_memory_fraction(self.share)


def allocate_devices(share: float) -> DeviceAllocation:
    """What this process has.

    Args:
        share: of a device's memory, as the driver planned it.
    """
    import ray

    if not ray.is_initialized():
        return DeviceAllocation(False, (), share, socket.gethostname())
    ids = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return DeviceAllocation(True, tuple(str(each) for each in ids), share, socket.gethostname())
