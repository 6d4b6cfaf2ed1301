"""What a handler writes to, and what travels with a message: who caused it, its trace, its own id."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

import orjson
from opentelemetry import trace
from pydantic import BaseModel, ValidationError

from app.patterns.outbox import Message, check_message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from app.background.declaration import Job

FIELDS: Final = ("id", "subject", "tenant", "request_id", "traceparent")
"""Of what travels along."""


class UnknownJob(Exception):
    """A message names a job that this code does not have."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        super().__init__(f"no module of app/jobs has @jobs.on({name!r}){hint}")
        self.name = name


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that was given up.

    Attributes:
        id: of the message.
        name: of its job.
        attempts: how often it was tried.
        error: of the last attempt; empty where only the log has it.
    """

    id: int
    name: str
    attempts: int
    error: str


class Backend(Protocol):
    """Where messages are kept."""

    async def add(self, session: AsyncSession, message: Message, delay: float) -> None:
        """Write a message in the transaction of ``session``."""

    async def dead(self, limit: int) -> list[DeadMessage]:
        """Return messages that were given up, oldest first."""

    async def replay(self, ids: Sequence[int] | None) -> int:
        """Have these, or all, done again; return how many."""

    async def counts(self) -> Mapping[str, int]:
        """Return how many messages are ``todo``, ``doing`` and ``dead``."""


class Outbox:
    """Work that is done after the transaction of this request, and only if that was committed.

    Args:
        backend: where messages are kept.
        jobs: the jobs that there are, by name.
        session: returns the session whose transaction the message belongs to.
        about: who causes it.
    """

    def __init__(
        self,
        backend: Backend,
        jobs: Mapping[str, Job],
        session: Callable[[], AsyncSession],
        about: Mapping[str, str],
    ) -> None:
        self._backend, self._jobs, self._session, self._about = backend, jobs, session, about

    async def add(
        self, name: str, payload: BaseModel | Mapping[str, object], *, key: str | None = None, delay: float = 0.0
    ) -> None:
        """Have a job done: at least once, after the commit; never, if there is none.

        Args:
            name: of the job.
            payload: what happened; the job's model, or what makes one. Ids rather than rows, and no secrets.
            key: messages with the same one are done in the order in which they were added, such as an order's id.
            delay: seconds to wait before.

        Raises:
            UnknownJob: there is no such job.
            ValueError: the payload is not the job's, or too large (64 KiB).
        """
        job = self._jobs.get(name)
        if job is None:
            raise UnknownJob(name, tuple(self._jobs))
        model = job.signature.model
        try:
            told = payload if isinstance(payload, model) else model.model_validate(_plain(payload))
        except ValidationError as error:
            places = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False))
            raise ValueError(f"the payload is no {model.__name__}: look at {places}") from None
        message = Message(name=name, payload=told.model_dump_json(), key=key, context=self._context())
        check_message(message)
        await self._backend.add(self._session(), message, max(delay, 0.0))

    def _context(self) -> str:
        context = {"id": uuid4().hex, **self._about}
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            context["traceparent"] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
        return orjson.dumps(context).decode()


def _plain(payload: BaseModel | Mapping[str, object]) -> object:
    return payload.model_dump() if isinstance(payload, BaseModel) else dict(payload)


def read_context(text: str) -> dict[str, str]:
    """Return what travelled along; what is no text, or unknown, is left out."""
    found = orjson.loads(text) if text else {}
    return {name: found[name] for name in FIELDS if isinstance(found.get(name), str)}
