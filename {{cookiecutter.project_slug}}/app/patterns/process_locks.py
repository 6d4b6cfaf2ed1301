"""Locks by name that the worker processes of one machine share, and that the kernel takes back when their process dies.

Threat: copies of one request reach several workers at once, and each asks the database whose turn it is. A storm of
duplicates then costs as many transactions as there are workers, beside the one that does the work, and everybody else
waits for them. A lock file that a process leaves behind when it is killed would be worse: nobody's turn, for ever.

What it does: a name is one byte of a file that has no content and no path, and who locks that byte (``fcntl`` record
locks, POSIX) has the name. To ask is one system call that never waits. The kernel unlocks when the process ends,
however it ends. Names that this process holds itself are kept in a set, because POSIX locks do not keep a process from
itself. Without a file (one worker) the set is all there is.

What it costs: two system calls, 2 us together; the kernel looks through the names that are held, which are at most the
requests that run.

What it does not do: reach another machine, or another container on the same one. So it is no proof: it is asked first,
to spare the store that gives the proof the questions whose answer is known. If the kernel has no more locks to give,
the name is given.

To lift it: copy this file (standard library only, Unix), make ``ProcessLocks.shared()`` before the workers start, and
pass it to each, by ``multiprocessing`` or by its file descriptor. Nobody else may open or close that file in a worker:
closing it would unlock everything the worker holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from multiprocessing.reduction import DupFd
from typing import Any, Final, Self

_NAMES: Final = 2**62
"""Bytes of a file that has none: the largest offset is 2**63 - 1. That two of a thousand names, drawn from a digest,
meet on one byte has a chance of one in 10**13, and would cost one of them a polite refusal."""


class ProcessLocks:
    """Names, each held by at most one request of all processes that share ``file``.

    Args:
        file: descriptor of the shared file; None where there is one process.
    """

    def __init__(self, file: int | None = None) -> None:
        self._file = file
        self._held: set[bytes] = set()  # bounded by the requests that run

    @classmethod
    def shared(cls) -> Self:
        """Make the file: in memory where the system can (Linux), else one without a name in the temporary folder."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("process-locks"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross to a process that is spawned: the file goes along, what is held does not."""
        return _arrived, (None if self._file is None else DupFd(self._file),)

    @property
    def file(self) -> int | None:
        """The descriptor, to be passed to a process that is started otherwise."""
        return self._file

    def acquire(self, name: bytes) -> bool:
        """Take a name, and tell whether it was free. Never waits.

        Args:
            name: at least 8 bytes of a digest, so that they are spread evenly.
        """
        if name in self._held:
            return False
        if self._file is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name))
            except (BlockingIOError, PermissionError):  # POSIX leaves it open which: EAGAIN or EACCES
                return False
            except OSError:  # ENOLCK: the kernel has none left. What stands behind decides.
                pass
        self._held.add(name)
        return True

    def release(self, name: bytes) -> None:
        """Let a name go that was acquired."""
        self._held.discard(name)
        if self._file is not None:
            with contextlib.suppress(OSError):  # as above: there may be no lock
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(name))


def _place(name: bytes) -> int:
    return int.from_bytes(name[:8], "big") % _NAMES


def _arrived(file: Any) -> ProcessLocks:
    """Make the locks of a process that was spawned with them."""
    return ProcessLocks(None if file is None else file.detach())
