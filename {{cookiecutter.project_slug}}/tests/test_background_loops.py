"""What runs beside the requests, and nobody waits for, does not end unheard."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from structlog.testing import CapturingLogger

from app.background import Background
from app.components import FAILED_LATELY_SECONDS, background_check, keep_running
from tests.support.service import copy_project, running

if TYPE_CHECKING:
    from pathlib import Path


class Loop:
    """Fails as it is told, and then goes on for as long as it is wanted."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures, self.begun = list(failures), 0
        self.waits: list[float] = []
        self.goes_on = asyncio.Event()

    async def run(self) -> None:
        self.begun += 1
        if self.failures:
            raise self.failures.pop()
        self.goes_on.set()
        await asyncio.Event().wait()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_a_loop_that_fails_is_told_of_and_begins_again() -> None:
    # The second is what a loop lets out that awaited what somebody else cancelled.
    failures = OSError("no thread, no memory, no file"), asyncio.CancelledError()
    loop, log, failed = Loop(*failures), CapturingLogger(), dict[str, float]()
    running = asyncio.create_task(keep_running(loop.run, failed, log, sleep=loop.sleep))
    await asyncio.wait_for(loop.goes_on.wait(), 30)
    assert (loop.begun, loop.waits, list(failed)) == (3, [5.0, 5.0], ["Loop.run"])
    assert [(call.method_name, call.kwargs["loop"]) for call in log.calls] == [("exception", "Loop.run")] * 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):  # the end of the process is no failure
        await running


class Backend:
    """A worker that lets a cancellation of its own out the first time, and then works until it is stopped."""

    def __init__(self) -> None:
        self.begun = 0
        self.works, self.stopped = asyncio.Event(), asyncio.Event()

    async def work(self) -> None:
        self.begun += 1
        if self.begun == 1:
            raise asyncio.CancelledError
        self.works.set()
        await self.stopped.wait()

    def stop(self) -> None:
        self.stopped.set()


async def test_a_worker_of_jobs_that_ends_by_a_stray_cancellation_begins_again() -> None:
    log, backend, nothing = CapturingLogger(), Backend(), SimpleNamespace(dialect="sqlite", transaction=None)
    background: Any = Background(nothing, nothing, nothing, log, nothing, contained=nothing)  # type: ignore[arg-type]
    background.backend = backend
    running, going = asyncio.create_task(background.work()), asyncio.create_task(backend.works.wait())
    await asyncio.wait({running, going}, return_when=asyncio.FIRST_COMPLETED)
    assert (going.done(), backend.stopped.is_set()) == (True, False)
    assert [call.kwargs for call in log.calls] == [{"reason": "CancelledError"}]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert backend.stopped.is_set()


async def test_a_loop_that_is_done_is_done() -> None:
    async def once() -> None:
        """Do all there is to do."""

    failed = dict[str, float]()
    await asyncio.wait_for(keep_running(once, failed, CapturingLogger()), 30)
    assert failed == {}


def test_a_failure_is_reported_for_a_while() -> None:
    failed, now = {"Loop.run": 100.0}, [100.0]
    check: Any = background_check(failed, clock=lambda: now[0])
    assert check() == {"state": "degraded", "failed": ["Loop.run"]}
    now[0] += FAILED_LATELY_SECONDS
    assert check() == {"state": "ok", "failed": []}


def test_the_readiness_report_speaks_of_them(tmp_path: Path) -> None:
    with running(copy_project(tmp_path)) as service:
        checks = httpx2.get(f"{service.url}/readyz").json()["checks"]
    assert checks["background"] == {"state": "ok", "failed": []}
