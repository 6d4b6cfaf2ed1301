"""Request log: one id and exactly one line for every request, however it ends.

Threat
    A request leaves no trace because the handler crashed, the client hung up or a middleware answered; or it leaves
    five that nobody can join. A client chooses the id, the method or the path so as to forge lines, flood an index
    with distinct values, or put a secret from its query string into storage.

Defaults and their reasons
    *Id*: a client's ``X-Request-Id`` is taken over only if it is the only one and 8 to 64 letters, digits, ``.``, ``_``
    or ``-``: room for a UUID or a trace id, none for a payload. Else 16 random bytes in hexadecimal.
    *Fields*: method (a known one, else ``OTHER``), route template (never the path, never the query),
    status, duration in milliseconds until the last byte of the answer was handed over, bytes of its body, address,
    caller, trace and span id, and the problem's code and reason. Each is bounded and of a fixed vocabulary or checked
    above, so the line needs no redaction; ``caller`` and ``scope["state"]["reason"]`` owe that to whoever sets them.
    *Level*: ``error`` for 5xx and for an answer that broke off; ``warning`` for an answer slower than
    ``slow_seconds``; ``info`` for all else. 4xx is ``info``: a client's mistake is no alarm of ours, and counting
    them is the metrics' task.
    *Status*: what was sent; 500 if the application failed or was cancelled before it answered; 499 (nginx's number)
    and the code ``client_disconnected`` if the client left before the answer was complete, with what the application
    had begun to answer in ``answer``: whether an effect happened is read from there.

What it does not do
    It writes no exception's text: whoever shapes the error logs that, with the same id. It re-raises what it sees.
    A client that leaves unnoticed is known on uvicorn only (see `left_early`); on another server it takes an
    application that reads ``http.disconnect``. Websockets pass untouched.

Lift it
    No dependencies beyond Starlette's types. Outermost layer of the application::

        app = RequestLog(app, emit=logs.emit, context=REQUEST_CONTEXT)

    ``emit(level, event, **fields)`` is anything that writes a line and does not raise; ``context`` is set to the scope
    for the request, so that other log lines can read the id from ``scope["state"]["request_id"]``.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextvars import ContextVar

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RequestLog", "caller_subject", "left_early", "new_request_id", "route_template"]

SLOW_SECONDS: Final = 1.0
"""Nielsen's limit for an uninterrupted flow of thought; slower is worth a warning whatever the status says."""

CLIENT_CLOSED_REQUEST: Final = 499
"""nginx's number for a client that closed the connection first; IANA has none."""

METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""RFC 9110, section 9, PATCH (RFC 5789) and QUERY; what a client invents beyond that is ``OTHER``."""

_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}").fullmatch
_PLAIN_SUBJECT = re.compile(r"[A-Za-z0-9._:|/-]{1,64}").fullmatch


def new_request_id() -> str:
    """Return 16 random bytes in hexadecimal: as long and as unique as a trace id (W3C Trace Context).

    From the Mersenne Twister, which Python seeds anew in each process and after each fork: an id is no secret, and
    the kernel's generator costs a system call.
    """
    return random.getrandbits(128).to_bytes(16).hex()


def route_template(scope: Scope) -> str:
    """Return the path template of the route that matched, ``unmatched`` if none did."""
    return getattr(scope.get("route"), "path_format", None) or "unmatched"


def caller_subject(scope: Scope) -> str | None:
    """Return who called, fit for a log: the principal's subject, or a stable pseudonym of it.

    A subject that is no plain identifier, an e-mail address say, is told as the first 16 digits of its BLAKE2b hash:
    lines of one caller can still be joined, and the log holds no personal data of that kind.
    """
    principal = scope["state"].get("principal")
    if principal is None:
        return None
    subject = str(principal.subject)
    if _PLAIN_SUBJECT(subject):
        return subject
    return "~" + hashlib.blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def left_early(receive: Receive) -> bool:
    """Tell whether the client closed the connection before its answer was complete, as far as the server says so.

    uvicorn's ``receive`` is a method of its request cycle, which knows. Asking by ``receive()`` instead could swallow
    a part of the body, or wait. Servers that do not tell give ``False``.
    """
    return getattr(getattr(receive, "__self__", None), "disconnected", False) is True


class RequestLog:
    """Gives every request an id and writes one line when it ends. The outermost layer.

    Args:
        app: everything else.
        emit: writes a line, ``emit(level, event, **fields)``; must not raise.
        context: set to the scope while the request is served.
        new_id: makes an id where the client sent none that is acceptable.
        clock: seconds, monotonic.
        route: the route's template; read when the answer is complete.
        caller: who called, bounded and fit for a log, or ``None``.
        disconnected: whether the client is gone, from the server's ``receive``.
        slow_seconds: an answer that takes longer is a warning.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        emit: Callable[..., None],
        context: ContextVar[Mapping[str, Any] | None],
        new_id: Callable[[], str] = new_request_id,
        clock: Callable[[], float] = time.perf_counter,
        route: Callable[[Scope], str] = route_template,
        caller: Callable[[Scope], str | None] = caller_subject,
        disconnected: Callable[[Receive], bool] = left_early,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        self.app = app
        self.emit = emit
        self.context = context
        self.new_id = new_id
        self.clock = clock
        self.route = route
        self.caller = caller
        self.disconnected = disconnected
        self.slow_seconds = slow_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request inside its context and write its line."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, receive, send)
        token = self.context.set(scope)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.end(complete=False, error=error)
            raise
        else:
            if not exchange.ended:
                exchange.end(complete=False)
        finally:
            self.context.reset(token)


class _Exchange:
    """One request and its answer, seen from outside."""

    __slots__ = ("_bytes", "_gone", "_id", "_log", "_receive", "_scope", "_send", "_start", "_status", "ended")

    def __init__(self, log: RequestLog, scope: Scope, receive: Receive, send: Send) -> None:
        self._start = log.clock()
        self._log = log
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status = self._bytes = 0
        self._gone = self.ended = False
        self._id = scope.setdefault("state", {})["request_id"] = _inbound_id(scope) or log.new_id()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Send on; only a piece of the body needs a coroutine of its own, which costs as much as the rest."""
        kind = message["type"]
        if kind == "http.response.body":
            return self._send_body(message)
        if kind == "http.response.start":
            self._status = message["status"]
            # New objects: the application may keep its own, and send them again.
            message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", self._id.encode())]}
        return self._send(message)

    async def _send_body(self, message: Message) -> None:
        await self._send(message)
        self._bytes += len(message.get("body", b""))
        if not message.get("more_body", False):
            self.end(complete=True)

    def end(self, *, complete: bool, error: BaseException | None = None) -> None:
        """Write the line, the first time that this is called.

        That is when the last byte was handed over, so that background work does not count as waiting, or else when
        the application returned or failed.
        """
        if self.ended:
            return
        self.ended = True
        log, scope = self._log, self._scope
        state, method = scope["state"], scope["method"]
        seconds = log.clock() - self._start
        level, status, code, answer = self._outcome(state.get("code"), seconds, complete=complete)
        fields: dict[str, Any] = {
            "method": method if method in METHODS else "OTHER",
            "route": log.route(scope),
            "status": status,
            # Rounded by hand: round() writes the number out and reads it again.
            "duration_ms": int(seconds * 1_000_000 + 0.5) / 1000,
            "bytes_out": self._bytes,
            "request_id": self._id,
            "client": state.get("client") or (scope.get("client") or ("unknown",))[0],
        }
        if (caller := log.caller(scope)) is not None:
            fields["caller"] = caller
        if "trace_id" in state:
            fields["trace_id"] = state["trace_id"]
            fields["span_id"] = state.get("span_id")
        if code is not None:
            fields["code"] = code
        if "reason" in state:
            fields["reason"] = state["reason"]
        if answer:
            fields["answer"] = answer
        if error is not None:
            fields["error"] = type(error).__name__
        log.emit(level, "request", **fields)

    def _outcome(self, code: str | None, seconds: float, *, complete: bool) -> tuple[str, int, str | None, int]:
        """Return level, status, code, and for a client that left what the application had begun to answer."""
        log, status = self._log, self._status
        if self._gone or log.disconnected(self._receive):
            return "info", CLIENT_CLOSED_REQUEST, "client_disconnected", status
        if not complete:
            return "error", status or 500, code or ("response_truncated" if status else "internal_error"), 0
        if status >= 500:  # noqa: PLR2004 - RFC 9110, section 15.6
            return "error", status, code, 0
        return "info" if seconds < log.slow_seconds else "warning", status, code, 0


def _inbound_id(scope: Scope) -> str | None:
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if found is not None:
                return None  # two of them: neither is believed
            found = value
    return found.decode("ascii") if found is not None and _ACCEPTED_ID(found) else None
