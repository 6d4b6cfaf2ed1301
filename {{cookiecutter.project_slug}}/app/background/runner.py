"""Does one message: as whoever caused it, within its time, in one transaction, seen in one trace with the request."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from pydantic import ValidationError

from app.background.declaration import JobContext
from app.background.outbox import UnknownJob, read_context
from app.patterns.containment import contained
from app.patterns.outbox import Discard
from app.patterns.ownership import OwnerScope
from app.settings import ROOT
from app.upstreams import CallContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Tracer
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.background.declaration import Job
    from app.background.outbox import Outbox
    from app.database import Database
    from app.patterns.containment import ContainmentError
    from app.patterns.outbox import Message
    from app.upstreams import Upstreams

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class CancelledByItself(Exception):
    """A job raised ``CancelledError``, and nobody had cancelled it."""


class Runner:
    """Does messages.

    Args:
        database: gives each its session.
        tracer: sees each.
        jobs: returns the jobs that there are, by name.
        log: gets one line for each message.
        upstreams: the services that a job may call.
        outbox: makes that of a job.
        contained: told of what a job was kept from.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        database: Database,
        tracer: Tracer,
        jobs: Callable[[], Mapping[str, Job]],
        *,
        log: Any,
        upstreams: Upstreams,
        outbox: Callable[[AsyncSession, Mapping[str, str]], Outbox],
        contained: Callable[[ContainmentError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._tracer, self._jobs, self._log, self._clock = database, tracer, jobs, log, clock
        self._upstreams, self._outbox, self._contained = upstreams, outbox, contained

    async def deliver(self, message: Message) -> None:
        """Do what a message says; what it writes is committed if its function returns, and else is not.

        Raises:
            UnknownJob: this code has no such job; older or newer code may have it, so it is tried again.
            Discard: the payload is not the job's, and will never be.
            Exception: whatever the job raises.
        """
        jobs, about = self._jobs(), read_context(message.context)
        started = self._clock()
        outcome = "done"
        with structlog.contextvars.bound_contextvars(request_id=about.get("request_id"), job=message.name):
            try:
                job = _found(message.name, jobs)
                with self._span(message, about) as span:
                    try:
                        await self._do(job, message, about)
                    except Exception as error:
                        # The type, and not the text: that may hold what somebody sent.
                        span.set_attribute("error.type", type(error).__name__)
                        span.set_status(Status(StatusCode.ERROR))
                        raise
            except BaseException as error:
                outcome = type(error).__name__
                if isinstance(error, Exception) and not isinstance(error, Discard | UnknownJob):
                    self._log.error("job_failed", exc_info=error)
                raise
            finally:
                self._log.info(
                    "job",
                    outcome=outcome,
                    attempt=message.attempt,
                    message_id=about.get("id"),
                    duration_ms=round((self._clock() - started) * 1000, 1),
                )

    async def _do(self, job: Job, message: Message, about: Mapping[str, str]) -> None:
        signature, policy = job.signature, job.policy
        try:
            payload = signature.model.model_validate_json(message.payload)
        except ValidationError:
            raise Discard(f"the payload is no {signature.model.__name__}") from None
        end = self._clock() + policy.timeout

        def remaining() -> float:
            return end - self._clock()

        calls = CallContext(
            outbound=policy.outbound,
            route=f"job {message.name}",
            request_id=about.get("request_id"),
            remaining=remaining,
            key_for=lambda name: _key(about.get("id", ""), name),
        )
        subject = about.get("subject", "")
        # Where nobody is known there is nothing that belongs to them: shared tables only.
        scope = OwnerScope(subject, about.get("tenant", ""), "own" if subject else "none")
        cause = {name: value for name, value in about.items() if name not in {"id", "traceparent"}}
        session = self._database.session(scope, read_only=False, remaining=remaining)
        commit = False
        try:
            async with asyncio.timeout(policy.timeout):
                context = JobContext(session, calls, self._upstreams, lambda: self._outbox(session, cause))
                asked = {name: provide(context) for name, provide in job.providers.items()}
                with self._containment(job):
                    await _done(job.declared.function(**{signature.payload: payload}, **asked))
                if session.in_transaction():
                    await self._database.verify(session)
            commit = True
        finally:
            await session.end(commit=commit and session.in_transaction())

    def _containment(self, job: Job) -> AbstractContextManager[None]:
        files = job.policy.files
        read = (str(ROOT / "app"), *(str(ROOT / path) for path in files.read))
        write = tuple(str(ROOT / path) for path in files.write)
        return contained(f"job {job.policy.name}", read=read, write=write, on_refusal=self._contained)

    def _span(self, message: Message, about: Mapping[str, str]) -> Any:
        """Begin a span in the request's trace, if that is recorded."""
        attributes = {"messaging.operation.type": "process", "messaging.destination.name": message.name}
        found = _TRACEPARENT.fullmatch(about.get("traceparent", ""))
        context, links = None, []
        if found is not None:
            cause = SpanContext(int(found[1], 16), int(found[2], 16), True, TraceFlags(int(found[3], 16)))
            if cause.is_valid:
                context, links = trace.set_span_in_context(NonRecordingSpan(cause)), [Link(cause)]
        return self._tracer.start_as_current_span(
            f"process {message.name}",
            context=context,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        )


async def _done(job: Awaitable[None]) -> None:
    """Wait for a job. A cancellation that nobody asked for is a failure like any other, and no end of the worker."""
    try:
        await job
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise CancelledByItself("the job awaited what was cancelled, and let that out") from error


def _found(name: str, jobs: Mapping[str, Job]) -> Job:
    job = jobs.get(name)
    if job is None:
        raise UnknownJob(name, tuple(jobs))
    return job


def _key(message_id: str, name: str) -> str:
    """Derive the idempotency key of a call from the message's id: the same each time that it is tried."""
    return hashlib.sha256(f"{message_id}\n{name}".encode()).hexdigest()
