"""The embedded outbox: a table beside the others, and a worker in the service's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event

from app.background.outbox import DeadMessage
from app.models.base import OUTBOX
from app.patterns.outbox import Message, OutboxConfig, OutboxStore, OutboxWorker
from app.patterns.ownership import TRUSTED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from app.database import Database
    from app.patterns.outbox import Observer


class Embedded:
    """Messages in the service's own table.

    Args:
        database: where it is.
        deliver: does a message.
        longest: returns the seconds that the slowest job may take.
        observe: sees what becomes of messages.
    """

    def __init__(
        self,
        database: Database,
        deliver: Callable[[Message], Awaitable[None]],
        longest: Callable[[], float],
        observe: Observer,
    ) -> None:
        self._store = OutboxStore(OUTBOX, database.transaction, options={TRUSTED: True})
        self._deliver, self._longest, self._observe = deliver, longest, observe
        self._worker: OutboxWorker | None = None

    async def add(self, session: AsyncSession, message: Message, delay: float) -> None:
        """Write a message in the transaction of ``session``."""
        await self._store.add(session, message, delay=delay)
        if self._worker is not None:
            nudge = self._worker.nudge
            event.listen(session.sync_session, "after_commit", lambda _session: nudge(), once=True)

    async def work(self) -> None:
        """Do messages until :meth:`stop`."""
        # The runner ends a job at its own limit; this one is for what hangs in spite of that.
        config = OutboxConfig(timeout=self._longest() + 5.0)
        self._worker = OutboxWorker(self._store, self._deliver, config, observe=self._observe)
        await self._worker.run()

    def stop(self) -> None:
        """Take no more messages."""
        if self._worker is not None:
            self._worker.stop()

    async def dead(self, limit: int) -> list[DeadMessage]:
        """Return messages that were given up, oldest first."""
        found = await self._store.dead(limit=limit)
        return [DeadMessage(message.id, message.name, message.attempt, message.error) for message in found]

    async def replay(self, ids: Sequence[int] | None) -> int:
        """Have these, or all, done again; return how many."""
        return await self._store.replay(ids)

    async def counts(self) -> Mapping[str, int]:
        """Return how many messages are ``todo``, ``doing`` and ``dead``."""
        return await self._store.counts()
