"""A lock on a file, on file systems that have locks."""

from __future__ import annotations

import errno
import fcntl
from typing import Any

CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""With one of these a file system says that it has none, as NFS without its lock daemon or Lustre without
`-o flock`. (On Linux ENOTSUP and EOPNOTSUPP are one number.)"""


def lock_exclusively(file: Any, *, wait: bool = True) -> bool:
    """Lock an open file or file descriptor for this process alone; False where the file system cannot, so
    that the user has to take care. The kernel lets go of it when the process dies, however that happens.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in CANNOT_LOCK:
            raise
        return False
    return True
