"""Deadline: a request ends in time, whatever its handler waits for.

Threat: a handler awaits something that never answers. Its task, its connection and what it holds stay taken,
callers retry, and a slow dependency becomes an outage of everything else.

Defaults: the route's timeout (5 s here; Envoy's default is 15 s, AWS API Gateway cuts at 29 s). There is no
HTTP standard for a caller's deadline, so the three spellings in use are read, first match wins:
``x-request-timeout-ms``, Envoy's ``x-envoy-expected-rq-timeout-ms`` and gRPC's ``grpc-timeout``. A caller can
only shorten the route's timeout, never lengthen it; what does not parse is ignored.

When time is up the handler is cancelled and the caller gets 504. A handler that does not end on cancellation
(it swallowed it, or sits in a thread, which cannot be cancelled) is left behind after a short grace: the 504
goes out all the same, and whatever the handler sends later is dropped. A cancellation that nobody asked for (the
handler awaited a task that was cancelled) becomes :class:`StrayCancellation`: it is the handler's failure, and servers
would take it for their own end.

What it does not do: stop a handler that blocks the event loop, or undo what it already did: that is the
transaction's work. Once the response has begun, time running out can only end the connection, and
only if the handler lets its cancellation through.

To lift it: needs ``starlette`` for its types only. ``app.add_middleware(Deadline, timeout=5.0)``; what is left
for a call downstream is ``remaining(request.scope)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRACE = 0.1
"""Seconds a cancelled handler has to clean up before its caller is answered without it."""

SLOT = 0.01
"""Seconds to which deadlines are rounded up, so that requests share timers: arming and cancelling one timer each
costs more than all the rest of this guard."""

_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_GRPC_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_MILLISECONDS = re.compile(rb"[0-9]{1,8}")
_RANKS = {b"x-request-timeout-ms": 0, b"x-envoy-expected-rq-timeout-ms": 1, b"grpc-timeout": 2}
"""Precedence; at most eight digits each, as the gRPC over HTTP/2 specification has it."""


class DeadlineExceeded(Exception):
    """Time ran out before the response began.

    Attributes:
        timeout: the seconds that this request had.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(f"the request had {timeout:g} s and did not end in time")
        self.timeout = timeout


class StrayCancellation(Exception):
    """The application raised ``CancelledError``, and nobody had cancelled it: a failure, and no end of the server."""

    def __init__(self) -> None:
        super().__init__("the application awaited what was cancelled, and let that out")


Refuse = Callable[["Scope", "Receive", "Send", DeadlineExceeded], Awaitable[None]]


def requested_timeout(headers: list[tuple[bytes, bytes]]) -> float | None:
    """Return the seconds that the caller is willing to wait, or None if it does not say."""
    found: tuple[int, bytes] | None = None
    for name, value in headers:
        if name in _RANKS and (found is None or _RANKS[name] < found[0]):
            found = (_RANKS[name], value)
    if found is None:
        return None
    if found[0] < 2:  # noqa: PLR2004 - the first two count milliseconds
        return int(found[1]) / 1000 if _MILLISECONDS.fullmatch(found[1]) else None
    match = _GRPC_TIMEOUT.fullmatch(found[1])
    return int(match[1]) * _UNITS[match[2]] if match else None


def remaining(scope: Scope) -> float | None:
    """Return the seconds left for this request (negative when it is late), or None without a deadline.

    Must be called from the event loop that serves the request.
    """
    deadline: float | None = scope.get("state", {}).get("deadline")
    return None if deadline is None else deadline - asyncio.get_running_loop().time()


class Deadline:
    """Cancels the application when the request's time is up and answers 504.

    Args:
        app: the ASGI application to guard.
        timeout: seconds a request may take, from here to the end of its response.
        grace: seconds between cancelling the application and answering without it.
        refuse: answers the request when time is up; default is a bare problem document.

    Raises:
        ValueError: ``timeout`` is not a positive, finite number.
    """

    def __init__(self, app: ASGIApp, *, timeout: float, grace: float = GRACE, refuse: Refuse | None = None) -> None:
        if not 0 < timeout < float("inf"):
            raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")
        self.app = app
        self.timeout = timeout
        self.grace = grace
        self.refuse = refuse or _refuse
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots: _Slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application within its time."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        countdown = self._begin(scope, receive, send)
        slot = self._slots.add(countdown)
        try:
            await self.app(scope, receive, countdown.send)
        except asyncio.CancelledError as error:
            if not countdown.takes_back():
                raise countdown.told(error)  # noqa: B904 - it has its cause
        except Exception:
            # A handler that turns its cancellation into another error is still late, and not broken.
            if not countdown.expired or countdown.started:
                raise
            countdown.forgive()
        else:
            if countdown.expired:
                countdown.forgive()
        finally:
            slot.discard(countdown)
            if countdown.later is not None:
                countdown.later.cancel()
        if countdown.expired:
            await countdown.close()

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> _Countdown:
        """Return the time that this request has; note its end in the scope."""
        timeout = self.timeout
        requested = requested_timeout(scope["headers"])
        if requested is not None and requested < timeout:
            timeout = requested
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._slots = loop, _slots.setdefault(loop, _Slots())
        countdown = _Countdown(self, scope, receive, send, asyncio.current_task(loop))
        countdown.timeout = timeout
        countdown.at = scope.setdefault("state", {})["deadline"] = loop.time() + timeout
        return countdown


class _Slots:
    """The deadlines of one event loop, gathered into slots of :data:`SLOT` seconds with one timer each."""

    def __init__(self) -> None:
        self._slots: dict[int, set[_Countdown]] = {}

    def add(self, countdown: _Countdown) -> set[_Countdown]:
        """Have ``countdown.expire()`` called at its time or up to a slot later; return the set to leave again."""
        number = int(countdown.at / SLOT) + 1
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = set()
            asyncio.get_running_loop().call_at(number * SLOT, self._end, number)
        slot.add(countdown)
        return slot

    def _end(self, number: int) -> None:
        for countdown in tuple(self._slots.pop(number)):
            countdown.expire()


_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, _Slots] = WeakKeyDictionary()
"""By loop; a loop that is gone takes its slots with it."""


class _Countdown:
    """One request's time."""

    __slots__ = (
        "_answer", "_guard", "_receive", "_scope", "_send", "_task", "at", "expired", "later", "started", "timeout"
    )  # fmt: skip

    def __init__(
        self, guard: Deadline, scope: Scope, receive: Receive, send: Send, task: asyncio.Task[None] | None
    ) -> None:
        self._guard, self._scope, self._receive, self._send, self._task = guard, scope, receive, send, task
        self.at = self.timeout = 0.0
        self.expired = self.started = False
        self._answer: asyncio.Task[None] | None = None
        self.later: asyncio.TimerHandle | None = None

    def takes_back(self) -> bool:
        """Tell whether a cancellation that came out of the application was this guard's, and take it back.

        1. Somebody else cancelled (shutdown, a client that left): not ours to answer.
        2. We did, and nobody else: uncancel() says so, and the task lives on to answer.
        """
        return self.expired and self._task is not None and self._task.uncancel() == 0

    def told(self, error: asyncio.CancelledError) -> BaseException:
        """Return a cancellation that is not this guard's as what it is: somebody else's, or nobody's."""
        if self.expired or self._task is None or self._task.cancelling():
            return error
        stray = StrayCancellation()
        stray.__cause__ = error
        return stray

    def forgive(self) -> None:
        """Take back a cancellation that the application swallowed, so that it does not hit what comes after."""
        if self._task is not None:
            self._task.uncancel()

    async def close(self) -> None:
        """Answer, or break off, what time ran out for."""
        if self._answer is not None:
            await self._answer
        elif self.started:
            raise DeadlineExceeded(self.timeout)
        else:
            await self._refuse()

    def send(self, message: Message) -> Awaitable[None]:  # no coroutine of its own: it would cost as much as the rest
        if self.expired and not self.started:
            return _dropped()  # too late: the 504 is this request's answer
        self.started = True
        return self._send(message)

    def expire(self) -> None:
        self.expired = True
        if self._task is not None:
            self._task.cancel()
            self.later = self._task.get_loop().call_later(self._guard.grace, self._leave_behind)

    def _leave_behind(self) -> None:
        """Answer without the application, which did not end although it was cancelled."""
        if self._task is not None and not self.started:
            self._answer = self._task.get_loop().create_task(self._refuse())

    async def _refuse(self) -> None:
        await self._guard.refuse(self._scope, self._receive, self._send, DeadlineExceeded(self.timeout))


async def _dropped() -> None:
    """Send nothing."""


_BODY = b'{"type":"about:blank","title":"Gateway Timeout","status":504,"code":"deadline_exceeded"}'


async def _refuse(_scope: Scope, _receive: Receive, send: Send, _error: DeadlineExceeded) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(_BODY))]
    with contextlib.suppress(OSError):
        await send({"type": "http.response.start", "status": 504, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})
