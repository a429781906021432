"""`python -m beliefmod.fleet.ray_node ARGS`: `ray start ARGS` with what this process was granted.

For clusters on machines that others use too, such as the nodes of a Slurm job.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from beliefmod.capacity.granted import granted_cores, granted_memory, visible_gpus

OBJECT_STORE_BYTES = 128 * 2**20
"""Tensors never pass through Ray's object store, so a small one saves memory."""


def node_options(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Options of `ray start`. Where nobody said which GPUs are this process's, none is offered.

    Ray would count every core and GPU of the machine itself. Ports of workers and agents are left to the
    kernel, for another user's Ray may have Ray's usual ones.
    """
    total, _ = granted_memory(environ)
    return [
        f"--num-cpus={granted_cores(environ)}",
        f"--num-gpus={len(visible_gpus(environ) or ())}",
        f"--memory={max(OBJECT_STORE_BYTES, total - OBJECT_STORE_BYTES)}",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        "--min-worker-port=0",
        "--max-worker-port=0",
        "--dashboard-agent-listen-port=0",
    ]


def main() -> None:
    """Run `ray start`, without the server of Ray's client.

    Ray 2.60 has no option for that: the server listens at one more port, and ends the whole node where the
    node takes more than 30 s to come up.
    """
    from ray.scripts import scripts

    scripts.get_ray_client_dependency_error = lambda: "not wanted"  # pyright: ignore[reportPrivateImportUsage]
    sys.argv = ["ray", "start", *node_options(), *sys.argv[1:]]
    scripts.main()


if __name__ == "__main__":
    main()
