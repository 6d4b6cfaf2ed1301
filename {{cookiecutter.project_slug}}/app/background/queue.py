"""The outbox on PostgreSQL: procrastinate, whose jobs are deferred in the request's own transaction.

Its tables stand behind row security that only the service itself passes, so the statement that defers introduces the
service to the database, and then the caller again; a handler's own SQL sees no job, and can make none.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import text

from app.background.outbox import DeadMessage
from app.patterns.outbox import Discard, Message, OutboxConfig
from app.patterns.ownership import TRUSTED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import psycopg
    from procrastinate import App, JobContext
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.database import Database
    from app.patterns.outbox import Observer

TASK: Final = "message"
"""The one task of procrastinate's: which job a message is for stands in it, so that a worker of older code keeps it."""

QUEUE: Final = "outbox"
HEARTBEAT: Final = 5.0
"""Seconds between signs of life of a worker."""

POLL: Final = 0.2
"""Seconds between two looks for jobs. New ones are told at once (NOTIFY); one that waited for another of its key is
not, so this bounds how many of one key are done in a second."""

STALLED: Final = 20.0
"""Seconds after which a worker without one is taken for dead, and its jobs are done by others."""

_DEFER: Final = text(
    "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(:queue, :task, 0, :lock, NULL, CAST(:args AS jsonb),"
    " CAST(:due AS timestamptz))]::procrastinate_job_to_defer_v1[])"
)


class Queue:
    """Messages as procrastinate's jobs. Arguments as of :class:`app.background.embedded.Embedded`."""

    def __init__(
        self,
        database: Database,
        deliver: Callable[[Message], Awaitable[None]],
        longest: Callable[[], float],
        observe: Observer,
        config: OutboxConfig | None = None,
    ) -> None:
        self._database, self._deliver, self._longest, self._observe = database, deliver, longest, observe
        self._config = config or OutboxConfig()
        self._stop = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def add(self, session: AsyncSession, message: Message, delay: float) -> None:
        """Defer a job in the transaction of ``session``; at its commit PostgreSQL tells the workers (NOTIFY)."""
        args = {"name": message.name, "payload": message.payload, "about": message.context}
        values = {
            "queue": QUEUE,
            "task": TASK,
            "lock": message.key,
            "args": orjson.dumps(args).decode(),
            "due": datetime.now(UTC) + timedelta(seconds=delay) if delay else None,
        }
        async with self._database.as_service(session) as connection:
            # Ours, so that it is no text of a handler, after which the connection would be cleaned.
            await connection.execute(_DEFER, values, execution_options={TRUSTED: True})

    async def work(self) -> None:
        """Do jobs until :meth:`stop`."""
        async with self._app() as app:
            app.task(name=TASK, queue=QUEUE, pass_context=True, retry=_strategy(self._config))(self._perform)
            self._working = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=self._config.concurrency,
                    fetch_job_polling_interval=POLL,
                    shutdown_graceful_timeout=self._config.grace,
                    delete_jobs="successful",
                    update_heartbeat_interval=HEARTBEAT,
                    stalled_worker_timeout=STALLED,
                    install_signal_handlers=False,
                )
            )
            rescuing = asyncio.create_task(self._rescue(app))
            stopping = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait({self._working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                rescuing.cancel()
                stopping.cancel()
                self._working.cancel()  # procrastinate takes the first cancellation as a request to stop
                await asyncio.gather(rescuing, stopping, return_exceptions=True)
                await asyncio.gather(self._working, return_exceptions=True)
            if not self._stop.is_set():
                self._working.result()

    def stop(self) -> None:
        """Take no more jobs."""
        self._stop.set()

    async def dead(self, limit: int) -> list[DeadMessage]:
        """Return jobs that were given up, oldest first."""
        async with self._app() as app:
            found = await app.job_manager.list_jobs_async(queue=QUEUE, status="failed")
        return [
            DeadMessage(job.id or 0, str(job.task_kwargs.get("name", "")), job.attempts, "")
            for job in list(found)[:limit]
        ]

    async def replay(self, ids: Sequence[int] | None) -> int:
        """Have these, or all, done again; return how many."""
        async with self._app() as app:
            found = await app.job_manager.list_jobs_async(queue=QUEUE, status="failed")
            chosen = [job for job in found if ids is None or job.id in ids]
            for job in chosen:
                await app.job_manager.retry_job(job)
        return len(chosen)

    async def counts(self) -> Mapping[str, int]:
        """Return how many jobs are ``todo``, ``doing`` and ``dead``."""
        statement = text(
            "SELECT status::text, count(*) FROM procrastinate_jobs WHERE queue_name = :queue GROUP BY status"
        )
        async with self._database.transaction() as session:
            rows = (await session.execute(statement, {"queue": QUEUE})).all()
        found = {str(row[0]): int(row[1]) for row in rows}
        return {"todo": found.get("todo", 0), "doing": found.get("doing", 0), "dead": found.get("failed", 0)}

    async def _perform(self, context: JobContext, *, name: str, payload: str, about: str = "") -> None:
        """Do one job of procrastinate's."""
        job = context.job
        message = Message(
            name=name, payload=payload, key=job.lock, context=about, id=job.id or 0, attempt=job.attempts + 1
        )
        try:
            async with asyncio.timeout(self._longest() + 5.0):
                await self._deliver(message)
        except asyncio.CancelledError:
            self._observe("returned", message=message, reason="")
            raise
        except Exception as error:
            dead = isinstance(error, Discard) or message.attempt >= self._config.attempts
            self._observe("dead" if dead else "retried", message=message, reason=type(error).__name__)
            raise
        self._observe("done", message=message, reason="")

    async def _rescue(self, app: App) -> None:
        """Keep giving the jobs of dead workers to the living."""
        while True:
            await asyncio.sleep(STALLED / 2)
            try:
                for job in await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=STALLED):
                    await app.job_manager.retry_job(job)
                    self._observe("rescued", message=None, reason="")
            except Exception as error:  # noqa: BLE001 - the database may be away; this goes on
                self._observe("store_failed", message=None, reason=type(error).__name__)

    def _app(self) -> Any:
        """Return procrastinate's application, to be opened by ``async with``."""
        # A tenth of a second of imports that a service on SQLite does without.
        from procrastinate import App, PsycopgConnector  # noqa: PLC0415

        logging.getLogger("procrastinate").setLevel(logging.WARNING)  # a line for each message is the runner's

        async def introduce(connection: psycopg.AsyncConnection[Any]) -> None:
            await connection.set_autocommit(True)
            await connection.execute(*self._database.introduction())
            await connection.set_autocommit(False)

        connector = PsycopgConnector(
            conninfo=self._database.conninfo(), min_size=1, max_size=4, timeout=10.0, configure=introduce
        )
        return App(connector=connector).open_async()


def _strategy(config: OutboxConfig) -> Any:
    from procrastinate import BaseRetryStrategy, RetryDecision  # noqa: PLC0415 - as above

    class Strategy(BaseRetryStrategy):
        """The delays and the end of :class:`OutboxConfig`."""

        def get_retry_decision(self, *, exception: BaseException, job: Any) -> RetryDecision | None:
            if isinstance(exception, Discard) or job.attempts + 1 >= config.attempts:
                return None
            delay = min(config.base * 2.0 ** min(job.attempts, 30), config.cap) * random.uniform(0.5, 1.0)  # noqa: S311
            return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=delay))

    return Strategy()
