"""Real processes that share a file, and one of them killed; the supervisor's way (spawn) and a descriptor's."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import multiprocessing
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from app.patterns import process_locks
from app.patterns.process_locks import ProcessLocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; never the time that something takes."""


def name(of: str) -> bytes:
    return hashlib.sha256(of.encode()).digest()


def work(orders: Connection, locks: ProcessLocks) -> None:
    """Another process: acquires and releases what it is told to, and tells what came of it."""
    while True:
        order, which = orders.recv()
        acquired = order == "acquire" and locks.acquire(which)
        if order == "release":
            locks.release(which)
        orders.send(acquired)


class Worker:
    """Another process with the same locks."""

    def __init__(self, locks: ProcessLocks) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=work, args=(theirs, locks), daemon=True)
        self.process.start()
        theirs.close()

    def _ask(self, order: str, which: bytes) -> Any:
        self._pipe.send((order, which))
        assert self._pipe.poll(PATIENCE), "the other process says nothing"
        return self._pipe.recv()

    def acquire(self, which: bytes) -> bool:
        answer: bool = self._ask("acquire", which)
        return answer

    def release(self, which: bytes) -> None:
        self._ask("release", which)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(PATIENCE)


@pytest.fixture
def locks() -> Iterator[ProcessLocks]:
    shared = ProcessLocks.shared()
    yield shared
    assert shared.file is not None
    os.close(shared.file)


def test_a_name_is_one_processes_at_a_time(locks: ProcessLocks) -> None:
    worker = Worker(locks)
    assert locks.acquire(name("a"))
    assert not worker.acquire(name("a"))
    assert worker.acquire(name("b"))
    assert not locks.acquire(name("b"))
    locks.release(name("a"))
    assert worker.acquire(name("a"))
    worker.release(name("b"))
    assert locks.acquire(name("b"))
    worker.kill()


def test_a_process_does_not_give_a_name_to_itself_twice(locks: ProcessLocks) -> None:
    assert locks.acquire(name("a"))
    assert not locks.acquire(name("a"))
    locks.release(name("a"))
    assert locks.acquire(name("a"))


def test_a_process_that_is_killed_leaves_nothing_held(locks: ProcessLocks) -> None:
    worker = Worker(locks)
    assert worker.acquire(name("a"))
    assert not locks.acquire(name("a"))
    worker.kill()
    assert locks.acquire(name("a"))


def test_one_that_starts_later_shares_them_too(locks: ProcessLocks) -> None:
    assert locks.acquire(name("a"))  # as a worker that replaces another
    worker = Worker(locks)
    assert not worker.acquire(name("a"))
    locks.release(name("a"))
    assert worker.acquire(name("a"))
    worker.kill()


def test_what_another_released_is_not_held_by_who_asked_meanwhile(locks: ProcessLocks) -> None:
    worker = Worker(locks)
    assert worker.acquire(name("a"))
    assert not locks.acquire(name("a"))
    worker.release(name("a"))
    assert locks.acquire(name("a"))
    worker.kill()


def test_by_its_descriptor_another_program_shares_them(locks: ProcessLocks) -> None:
    assert locks.acquire(name("a"))
    assert locks.file is not None
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"from {process_locks.__name__} import ProcessLocks\n"
        f"locks = ProcessLocks({locks.file})\n"
        f"print(locks.acquire({name('a')!r}), locks.acquire({name('b')!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], pass_fds=[locks.file], capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"True"]


def test_alone_there_is_no_file() -> None:
    alone = ProcessLocks()
    assert alone.file is None
    assert alone.acquire(name("a"))
    assert not alone.acquire(name("a"))
    assert ProcessLocks().acquire(name("a"))  # and nothing is shared
    alone.release(name("a"))
    assert alone.acquire(name("a"))


def test_alone_it_crosses_to_another_process_too() -> None:
    worker = Worker(ProcessLocks())
    assert worker.acquire(name("a"))
    assert not worker.acquire(name("a"))
    worker.kill()


def test_the_largest_and_the_smallest_place_can_be_locked(locks: ProcessLocks) -> None:
    worker = Worker(locks)
    for which in (b"\xff" * 32, b"\0" * 32):
        assert locks.acquire(which)
        assert not worker.acquire(which)
    worker.kill()


def test_a_thousand_names_are_held_apart(locks: ProcessLocks) -> None:
    worker = Worker(locks)
    names = [name(str(number)) for number in range(1000)]
    assert all(locks.acquire(each) for each in names)
    assert not any(worker.acquire(each) for each in names[::100])
    for each in names[::2]:
        locks.release(each)
    assert [worker.acquire(each) for each in names[:4]] == [True, False, True, False]
    worker.kill()


def test_a_kernel_without_locks_to_give_keeps_nobody_out(locks: ProcessLocks, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", exhausted)
    assert locks.acquire(name("a"))
    assert not locks.acquire(name("a"))  # what this process knows, it knows
    locks.release(name("a"))
    assert locks.acquire(name("a"))


def test_where_the_system_has_no_files_in_memory_a_temporary_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    locks = ProcessLocks.shared()
    assert locks.file is not None
    assert os.fstat(locks.file).st_nlink == 0  # it has no name that could be left behind
    worker = Worker(locks)
    assert worker.acquire(name("a"))
    assert not locks.acquire(name("a"))
    worker.kill()
    assert locks.acquire(name("a"))
    os.close(locks.file)
