"""The outbox of one process: its jobs, its worker, and how both fare."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from app.background.embedded import Embedded
from app.background.outbox import Outbox
from app.background.queue import Queue
from app.background.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.background.declaration import Job
    from app.database import Database
    from app.patterns.containment import ContainmentError
    from app.patterns.outbox import Message
    from app.upstreams import Upstreams

LOOK_SECONDS: Final = 10.0
"""Between two counts of the messages."""

DEFAULT_LONGEST: Final = 60.0
"""Seconds of a job, where none is declared."""


class Background:
    """Everything about work that is done after the answer.

    Args:
        database: of the service.
        upstreams: the services that jobs may call.
        tracer: sees what is done.
        log: gets a line for each message, and for what becomes of it.
        seen: counts what becomes of messages.
        contained: told of what a job was kept from.

    Attributes:
        backend: where messages are kept.
        jobs: the jobs that there are, by name.
    """

    def __init__(
        self,
        database: Database,
        upstreams: Upstreams,
        tracer: Tracer,
        log: Any,
        seen: Callable[[str], None],
        *,
        contained: Callable[[ContainmentError], None],
    ) -> None:
        self.jobs: Mapping[str, Job] = {}
        self._log, self._seen = log, seen
        self._runner = Runner(
            database,
            tracer,
            lambda: self.jobs,
            log=log,
            upstreams=upstreams,
            contained=contained,
            outbox=lambda session, about: self.outbox(lambda: session, about),
        )
        kind = Queue if database.dialect == "postgresql" else Embedded
        self.backend: Queue | Embedded = kind(database, self._runner.deliver, self._longest, self._observe)
        self._counts: Mapping[str, int] = {}
        self._works = False

    def declare(self, jobs: Mapping[str, Job]) -> None:
        """Do messages by these jobs from now on."""
        self.jobs = dict(jobs)

    def outbox(self, session: Callable[[], AsyncSession], about: Mapping[str, str]) -> Outbox:
        """Return the outbox of one request, or of one job."""
        return Outbox(self.backend, self.jobs, session, about)

    async def work(self) -> None:
        """Do messages until cancelled; what is being done then has ten seconds to end."""
        self._works = True
        while True:
            working = asyncio.create_task(self.backend.work())
            try:
                await asyncio.shield(working)
            except (Exception, asyncio.CancelledError) as error:
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                    self.backend.stop()
                    await asyncio.gather(working, return_exceptions=True)
                    raise
                self._log.error("worker_failed", reason=type(error).__name__)
                await asyncio.sleep(1.0)

    async def watch(self) -> None:
        """Keep counting the messages."""
        while True:
            try:
                self._counts = await self.backend.counts()
            except Exception:  # noqa: BLE001 - that the database is away is said by its own check
                self._counts = {}
            await asyncio.sleep(LOOK_SECONDS)

    def counts(self) -> Mapping[str, float]:
        """Return how many messages are ``todo``, ``doing`` and ``dead``, as last seen."""
        return {name: float(count) for name, count in self._counts.items()}

    def check(self) -> Mapping[str, object]:
        """Return the state for the readiness report: dead messages want a person."""
        dead = self._counts.get("dead", 0)
        return {"state": "degraded" if dead else "ok", "worker": self._works, **self._counts}

    def _longest(self) -> float:
        return max((job.policy.timeout for job in self.jobs.values()), default=DEFAULT_LONGEST)

    def _observe(self, event: str, *, message: Message | None, reason: str) -> None:
        self._seen(event)
        if event in {"dead", "store_failed", "overtaken", "rescued"}:
            name = None if message is None else message.name
            self._log.warning("outbox", what=event, job=name, reason=reason)
