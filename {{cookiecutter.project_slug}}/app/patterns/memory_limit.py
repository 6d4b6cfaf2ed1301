"""Memory limit: a request that wants too much fails alone, and a process that fills up is replaced before it is killed.

Threat: one handler builds a list of everything, another keeps a little of each request. The kernel ends the process
without a word, and every request that was in it is lost; the next process goes the same way.

What it does, at each look:

* what the process may take until the next one becomes its ``RLIMIT_DATA``: what it has mapped, and as much as what is
  resident lacks to the bound. Who asks for more gets a ``MemoryError``: a handler, whose request fails and lets go of
  what it had, while the others go on;
* past ``retire_at`` of the bound, at ``looks`` looks in a row and after the garbage was collected once more,
  ``on_full`` is called, once: let the server drain, and whoever started this process start another.

The address space (``RLIMIT_AS``) would be the wrong limit: it counts what allocators and mapped files only reserve. So
do the stacks of threads, 8 MiB each, in the data; that is why the limit is set anew at each look.

Defaults: a look a second; 80 % of the bound, and up to 10 % more that each process draws for itself, so that workers
that share their load do not all leave at once; five looks in a row, because a large request is no leak.
:func:`container_limit` reads what the container may have, so the bound needs no second number.

What it does not do: find who keeps what; hold back memory that is shared, or other processes. What is mapped and not
yet touched is not resident, so what is mapped over several looks and first touched between two passes the bound: four
times 120 MiB did, by 300 MiB of a bound of 200. A library in C that does
not look whether it got what it asked for may end the process where Python raises. Only Linux says what a process
holds and heeds the limit; elsewhere nothing is known, and nothing is done.

To lift it: needs nothing. ``limit = MemoryLimit(MemoryLimitConfig(most=400 * 2**20), on_full=server.drain)``, and
``asyncio.create_task(limit.run())`` once the service is ready.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

CGROUPS: Final = Path("/sys/fs/cgroup")
UNLIMITED: Final = 2**60
"""Bytes from which on a limit is none: the first version of cgroups writes a very large number where it has none."""

SPARE: Final = 16 * 2**20
"""Bytes that may be taken even past the bound: a process that is to end in order needs a little for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimitConfig:
    """The bound of one process.

    Attributes:
        most: bytes of resident memory.
        retire_at: share of them past which the process is to be replaced.
        spread: share that is added to that, times a number from 0 to 1 that each process draws.
        looks: looks in a row that have to find it so.
        interval: seconds between two looks.
    """

    most: int
    retire_at: float = 0.8
    spread: float = 0.1
    looks: int = 5
    interval: float = 1.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process has, in bytes.

    Attributes:
        resident: pages that are in memory.
        mapped: private pages that it may write, touched or not: what ``RLIMIT_DATA`` counts.
    """

    resident: int
    mapped: int


def read_memory() -> Memory | None:
    """Return what this process has, or None where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a third of the time of a Path's
            fields = file.read().split()
    except OSError:
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    return Memory(int(fields[1]) * page, int(fields[5]) * page)


def container_limit(cgroups: Path = CGROUPS) -> int | None:
    """Return the bytes that this container may have, or None where there is no limit or no container."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (cgroups / name).read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isdecimal() and int(text) < UNLIMITED:
            return int(text)
    return None


class MemoryLimit:
    """Keeps this process below a bound.

    Args:
        config: the bound.
        on_full: is called once, in the loop, when this process is to be replaced.
        read: returns what it has.
        set_limit: sets what may be mapped, in bytes.
        draw: returns a number from 0 to 1.

    Attributes:
        retire_at: resident bytes past which it is to be replaced.
        resident: bytes at the last look; 0 before it.
        state: ``ok``; ``full`` once ``on_full`` was called; ``too_small`` where the process held so much from the
            start that replacing it would mend nothing, so that it is left to the bound; ``unknown`` before the first
            look, and where nothing is known.
    """

    def __init__(
        self,
        config: MemoryLimitConfig,
        *,
        on_full: Callable[[Memory], None],
        read: Callable[[], Memory | None] = read_memory,
        set_limit: Callable[[int], None] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.config = config
        self.retire_at = int(config.most * min(1.0, config.retire_at + config.spread * draw()))
        self.state: Literal["unknown", "ok", "full", "too_small"] = "unknown"
        self._on_full, self._read, self._set_limit = on_full, read, set_limit or _set_limit
        self.resident = 0
        self._over = 0

    async def run(self) -> None:
        """Look at this process until cancelled; start it when the service is ready, so that its own size is known."""
        while True:
            self.look()
            await asyncio.sleep(self.config.interval)

    def look(self) -> None:
        """Set what may be taken until the next look, and see whether the process is to be replaced."""
        memory = self._read()
        if memory is None:
            return
        self.resident = memory.resident
        self._set_limit(memory.mapped + max(self.config.most - memory.resident, SPARE))
        if self.state == "unknown":
            self.state = "ok" if memory.resident < self.retire_at else "too_small"
        if self.state != "ok":
            return
        self._over = self._over + 1 if memory.resident >= self.retire_at else 0
        if self._over < self.config.looks:
            return
        gc.collect()  # what is only waiting for that is no leak
        memory = self._read()
        if memory is None or memory.resident < self.retire_at:
            self._over = 0
            return
        self.state = "full"
        self._on_full(memory)


def _set_limit(most: int) -> None:
    """Set how much this process may map; a hard limit that others have set stays, and bounds it."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
