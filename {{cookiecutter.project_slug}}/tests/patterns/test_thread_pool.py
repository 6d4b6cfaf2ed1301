"""Places are counted by what runs, and not by who still waits for it; nobody gets all."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.patterns import thread_pool
from app.patterns.thread_pool import ThreadPool, ThreadPoolConfig, ThreadsBusy

WORD: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="")


async def until(condition: object) -> None:
    while not condition():  # type: ignore[operator]  # noqa: ASYNC110 - it waits for threads
        await asyncio.sleep(0)


async def test_it_runs_in_a_thread_and_in_its_callers_context() -> None:
    pool = ThreadPool()
    WORD.set("mine")
    thread, word = await pool.run("k", lambda: (threading.get_ident(), WORD.get()))
    assert thread != threading.get_ident()
    assert word == "mine"
    WORD.set("other")
    again, word = await pool.run("k", lambda: (threading.get_ident(), WORD.get()))
    assert (again, word) == (thread, "other")  # an idle thread is used again
    pool.close()


async def test_arguments_results_and_errors_pass() -> None:
    pool = ThreadPool()

    @pool.wrap("k")
    def divide(left: int, *, by: int) -> float:
        """Divide."""
        return left / by

    assert (await divide(6, by=3), divide.__doc__) == (2, "Divide.")
    with pytest.raises(ZeroDivisionError):
        await divide(6, by=0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await pool.run("k", next, iter(()))
    assert pool.running == 0
    pool.close()


async def test_one_key_gets_its_share_and_others_the_rest() -> None:
    pool = ThreadPool(ThreadPoolConfig(threads=4, per_key=2, max_wait=0.01))
    stuck = threading.Event()
    hanging = [asyncio.create_task(pool.run("stuck", stuck.wait)) for _ in range(2)]
    await until(lambda: pool.running == 2)
    with pytest.raises(ThreadsBusy) as caught:
        await pool.run("stuck", stuck.wait)
    assert (caught.value.key, caught.value.reason, caught.value.retry_after) == ("stuck", "waited", 0.01)
    assert await pool.run("other", lambda: "done") == "done"
    stuck.set()
    await asyncio.gather(*hanging)
    assert await pool.run("stuck", lambda: "done") == "done"
    pool.close()


async def test_who_leaves_does_not_take_the_place_along() -> None:
    """AnyIO's limiter gives it back when the caller is cancelled, and so lets threads grow."""
    pool = ThreadPool(ThreadPoolConfig(threads=2, per_key=2, max_wait=0.01))
    stuck = threading.Event()
    hanging = [asyncio.create_task(pool.run("k", stuck.wait)) for _ in range(2)]
    await until(lambda: pool.running == 2)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert pool.running == 2
    before = set(threading.enumerate())  # a thread of a test before may still be about to end
    for _ in range(5):
        with pytest.raises(ThreadsBusy):
            await pool.run("other", stuck.wait)
    assert set(threading.enumerate()) <= before
    stuck.set()
    await until(lambda: pool.running == 0)
    assert await pool.run("other", lambda: "done") == "done"
    pool.close()


async def test_so_many_wait_and_the_next_is_told_at_once() -> None:
    pool = ThreadPool(ThreadPoolConfig(threads=1, per_key=1, queue=2, max_wait=60))
    stuck = threading.Event()
    order: list[str] = []
    hanging = asyncio.create_task(pool.run("a", stuck.wait))
    await until(lambda: pool.running == 1)
    waiting = [asyncio.create_task(pool.run(key, order.append, key)) for key in "bc"]
    await until(lambda: pool.waiting == 2)
    with pytest.raises(ThreadsBusy) as caught:
        await pool.run("d", order.append, "d")
    assert caught.value.reason == "queue_full"
    stuck.set()
    await asyncio.gather(hanging, *waiting)
    assert order == ["b", "c"]
    pool.close()


async def test_who_may_not_have_a_thread_does_not_hold_up_who_may() -> None:
    pool = ThreadPool(ThreadPoolConfig(threads=2, per_key=1, max_wait=60))
    stuck, other = threading.Event(), threading.Event()
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(pool.run("stuck", stuck.wait)) for _ in range(2)]
    await until(lambda: pool.waiting == 1)
    assert await pool.run("other", lambda: "at once") == "at once"  # although somebody waits, who may not
    tasks.append(asyncio.create_task(pool.run("other", other.wait)))
    await until(lambda: pool.running == 2)
    tasks.append(asyncio.create_task(pool.run("third", lambda: "third")))
    await until(lambda: pool.waiting == 2)
    other.set()
    assert await tasks[-1] == "third"  # past the one before it, who still may not
    assert pool.waiting == 1
    stuck.set()
    await asyncio.gather(*tasks)
    pool.close()


async def test_a_place_that_comes_as_its_caller_leaves_is_not_lost() -> None:
    pool = ThreadPool(ThreadPoolConfig(threads=1, per_key=1, max_wait=60))
    stuck = threading.Event()
    hanging = asyncio.create_task(pool.run("a", stuck.wait))
    await until(lambda: pool.running == 1)
    waiting = asyncio.create_task(pool.run("b", lambda: "b"))
    await until(lambda: pool.waiting == 1)
    pool._give_back("a")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (pool.running, pool.waiting) == (0, 0)
    pool._take("a")
    stuck.set()
    await hanging
    assert pool.running == 0
    pool.close()


async def test_a_thread_that_cannot_be_had_costs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ThreadPool(ThreadPoolConfig(threads=2, per_key=1, queue=0))

    def no_thread(_serve: object) -> None:
        raise RuntimeError("can't start new thread")  # as Python says it

    with monkeypatch.context() as patched:
        patched.setattr(thread_pool, "_start", no_thread)
        with pytest.raises(ThreadsBusy) as caught:
            await pool.run("k", threading.get_ident)
    assert (caught.value.reason, pool.running) == ("no_thread", 0)
    assert await pool.run("k", threading.get_ident) != threading.get_ident()
    pool.close()


@pytest.mark.parametrize("config", [{"per_key": 0}, {"per_key": 41}, {"queue": -1}, {"max_wait": 0}])
def test_bounds_without_a_meaning_are_refused(config: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="per_key"):
        ThreadPool(ThreadPoolConfig(**config))  # type: ignore[arg-type]


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    program = (
        "import asyncio, threading\n"
        "from app.patterns.thread_pool import ThreadPool\n"
        "async def main():\n"
        "    pool = ThreadPool()\n"
        "    try:\n"
        "        async with asyncio.timeout(0.2):\n"
        "            await pool.run('k', threading.Event().wait)\n"
        "    except TimeoutError:\n"
        "        print('left', pool.running)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "left 1\n"), done.stderr
