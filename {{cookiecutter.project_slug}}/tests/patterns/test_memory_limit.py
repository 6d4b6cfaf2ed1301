"""A process that fills up is replaced in time, and what wants too much at once fails alone."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.patterns.memory_limit import (
    SPARE,
    Memory,
    MemoryLimit,
    MemoryLimitConfig,
    container_limit,
    read_memory,
)

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20


class Process:
    """A process whose memory is what a test says."""

    def __init__(self, *, most: int = 1000 * MIB, draw: float = 0.0, resident: int = 100 * MIB) -> None:
        self.memory: Memory | None = Memory(resident, 300 * MIB)
        self.limits: list[int] = []
        self.full: list[Memory] = []
        config = MemoryLimitConfig(most=most, interval=0.0)
        self.limit = MemoryLimit(
            config, on_full=self.full.append, read=lambda: self.memory, set_limit=self.limits.append, draw=lambda: draw
        )

    def look(self, resident: int, times: int = 1) -> None:
        self.memory = Memory(resident, 300 * MIB)
        for _ in range(times):
            self.limit.look()


def test_what_may_still_be_taken_is_what_is_left_to_the_bound() -> None:
    process = Process()
    process.look(100 * MIB)
    assert process.limits == [300 * MIB + 900 * MIB]
    process.look(990 * MIB)
    assert process.limits[-1] == 300 * MIB + SPARE


@pytest.mark.parametrize("resident", [1000, 1200])
def test_a_process_at_its_bound_has_enough_left_to_end_in_order(resident: int) -> None:
    process = Process()
    process.look(resident * MIB)
    assert process.limits == [300 * MIB + SPARE]


@pytest.mark.parametrize(("below", "called"), [(0, 1), (1, 0)], ids=["at the share", "a byte below it"])
def test_a_process_at_its_share_is_replaced(below: int, called: int) -> None:
    process = Process()
    process.look(100 * MIB)
    process.look(800 * MIB - below, times=20)
    assert len(process.full) == called
    assert process.limit.state == ("full" if called else "ok")


def test_five_looks_in_a_row_have_to_find_it_so() -> None:
    process = Process()
    process.look(100 * MIB)
    for _ in range(3):
        process.look(900 * MIB, times=4)
        process.look(700 * MIB)
    assert process.full == []
    process.look(900 * MIB, times=4)
    assert process.full == []
    process.look(900 * MIB)
    assert process.full == [Memory(900 * MIB, 300 * MIB)]


def test_what_only_waits_for_the_collector_is_no_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    process.look(100 * MIB)

    def collect() -> int:
        process.memory = Memory(200 * MIB, 300 * MIB)
        return 0

    monkeypatch.setattr(gc, "collect", collect)
    process.look(900 * MIB, times=5)
    assert process.full == []
    monkeypatch.undo()
    process.look(900 * MIB, times=4)
    assert process.full == []
    process.look(900 * MIB)
    assert len(process.full) == 1


def test_processes_beside_each_other_do_not_leave_at_once() -> None:
    assert Process(draw=0.0).limit.retire_at == 800 * MIB
    assert Process(draw=1.0).limit.retire_at == 900 * MIB
    config = MemoryLimitConfig(most=1000, retire_at=0.98, spread=0.1)
    assert MemoryLimit(config, on_full=lambda _memory: None, draw=lambda: 1.0).retire_at == 1000


def test_a_process_that_was_full_from_the_start_is_not_replaced_by_one_that_would_be_too() -> None:
    process = Process(resident=850 * MIB)
    process.look(850 * MIB, times=20)
    assert process.full == []
    assert process.limit.state == "too_small"
    assert process.limits[-1] == 300 * MIB + 150 * MIB  # the bound holds


def test_where_nothing_is_known_nothing_is_done() -> None:
    process = Process()
    process.memory = None
    process.limit.look()
    assert (process.limits, process.full, process.limit.state) == ([], [], "unknown")


async def test_it_looks_until_it_is_cancelled() -> None:
    process = Process()
    looking = asyncio.create_task(process.limit.run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(process.limits) >= 3
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


def test_a_process_knows_what_it_has() -> None:
    before = read_memory()
    assert before is not None
    more = bytearray(50 * MIB)
    after = read_memory()
    assert after is not None
    assert after.mapped - before.mapped >= len(more) - MIB
    assert after.resident > 10 * MIB


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "536870912\n"}, 536_870_912),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "268435456\n"}, 268_435_456),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"memory.max": "max\n", "memory/memory.limit_in_bytes": "268435456\n"}, 268_435_456),
        ({}, None),
    ],
    ids=["a limit", "none", "first version", "first version, none", "both", "no container"],
)
def test_what_a_container_may_have(files: dict[str, str], limit: int | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert container_limit(tmp_path) == limit


TAKES = """
import sys
sys.path.insert(0, {folder!r})
from memory_limit import MemoryLimit, MemoryLimitConfig, read_memory
MIB = 2**20
had = read_memory().resident
limit = MemoryLimit(MemoryLimitConfig(most=had + 100 * MIB), on_full=print)
for _ in range({looks}):
    limit.look()
try:
    much = bytearray({mib} * MIB)
except MemoryError:
    print("refused")
else:
    print("taken")
del locals()["much" if "much" in locals() else "had"]
much = bytearray(20 * MIB)
print("goes on")
"""


@pytest.mark.parametrize(
    ("mib", "looks", "said"),
    [(60, 1, "taken"), (200, 1, "refused"), (200, 0, "taken")],
    ids=["below the bound", "past it", "past it, without"],
)
def test_who_asks_for_too_much_is_refused_and_the_process_goes_on(mib: int, looks: int, said: str) -> None:
    import app.patterns.memory_limit as module

    folder = str(module.__file__).rpartition("/")[0]
    program = TAKES.format(folder=folder, looks=looks, mib=mib)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:2] == [said, "goes on"]
