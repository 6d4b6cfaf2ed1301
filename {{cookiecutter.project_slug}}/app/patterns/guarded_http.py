"""Bound what a peer can cost before, beside and after the application: an HTTP/1.1 protocol class for uvicorn.

The threat: uvicorn with httptools parses strictly, but it waits for ever for a slow or silent peer, keeps a
megabyte of headers, takes any number of connections and of pipelined requests, reads the body of a request that
it has answered without end, and never gives up on a peer that does not read. No ASGI middleware can see any of
this. Request smuggling is the second threat: two ``Host`` lines, framing that another server may read
otherwise, trailers that turn into headers, and a body that is parsed as the next request (``Upgrade``).

What it does: each limit of ``HttpLimits`` (reasons beside the numbers); every refusal, the fallback 500 and the
503 of ``limit_concurrency`` leave as ``application/problem+json`` with a stable ``code``; a refusal waits for
the answers that are due before it, so it is never read as the answer to another request. Trailer fields are
dropped, an offered ``Upgrade`` is ignored and the request served as HTTP/1.1 (RFC 9110, 7.8). A request never
runs in the contextvars of the one before it.

What it does not do: HTTP/2, TLS policy, WebSockets (refused by ``ws="none"``; the handshake is served as a plain
GET), and anything that depends on the route. A request *in flight* whose body crawls is not cut here: the
deadline and the body limit of the ASGI layer own it; here remain the body that nobody reads any more, the
bytes of a chunked body that are not body, and the answer that nobody reads.

Cost: one sweep over the connections every ``sweep_interval`` instead of a timer per request, one pass over the
headers at their end. Since an ordinary answer leaves in one write, a request takes about 20 us of CPU over a socket
instead of the 25 us of the class that it extends. It is one long file because it is one protocol class, whose
callbacks share their state.

To lift it: copy this file (needs ``uvicorn`` 0.54 and ``httptools``; it overrides uvicorn's protocol methods, so
pin uvicorn's minor version and keep the test) and wire, one guard per server::

    guard = HttpGuard(HttpLimits())
    uvicorn.Config(app, http=guard.protocol_class(), ws="none", loop="uvloop", proxy_headers=False)
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import http
import json
import logging
import re
import secrets
import time
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from starlette.types import Message
    from uvicorn import Config
    from uvicorn._types import ASGI3Application
    from uvicorn.server import ServerState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one peer, and all of them together, may use. Times in seconds, sizes in bytes."""

    header_timeout: float = 5.0
    """First byte of a request to the end of its headers, and connect to first byte: a client needs a round trip
    or two, Slowloris needs minutes (5 is the usual advice for Go's ``ReadHeaderTimeout``)."""
    max_header_bytes: int = 16 * 1024
    """Request line and header fields with their separators (Node's default). Also bounds what of a chunked body
    is not body, extensions and trailers (CVE-2024-22019)."""
    max_headers: int = 100
    """Header fields (Apache's ``LimitRequestFields``)."""
    max_target_bytes: int = 8 * 1024
    """Request target; RFC 9112, 3 asks for at least 8000 octets."""
    keep_alive_timeout: float = 65.0
    """Between two requests. The balancer in front must give up first, else it sends into a connection that is
    closing: AWS ALB and nginx give up after 60 s."""
    crowded_keep_alive_timeout: float = 2.0
    """Takes its place while three quarters of ``max_connections`` are in use."""
    max_connections: int = 1000
    """Open connections of one process. Past it the answer is 503, and past a tenth more a reset."""
    max_pipelined: int = 8
    """Requests that wait behind the one in flight on a connection; hardly any client pipelines."""
    write_timeout: float = 30.0
    """For a peer to take what it was sent. A paused writer must get from uvloop's high-water mark to its low one,
    48 KiB, so the floor is 1.6 KiB/s."""
    linger_timeout: float = 2.0
    """How long the rest of a body that nobody reads, or a refused peer, is drained, so that the answer is not lost
    in a reset (RFC 9112, 9.6)."""
    max_discarded_bytes: int = 256 * 1024
    """How much of it is drained (Go's ``maxPostHandlerReadBytes``)."""
    retry_after: int = 1
    """Whole seconds, told with each 503."""
    sweep_interval: float = 0.25
    """How often deadlines are looked at, which is what they may be late by."""


class RequestRefused(Exception):
    """The server refuses a request, or a connection, that the application never sees.

    Args:
        status: HTTP status.
        code: stable name of the reason.
        detail: one sentence; never holds what the peer sent.
        retry_after: whole seconds, or none.
    """

    def __init__(self, status: int, code: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after

    def answer(self, request_id: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return the headers and the body of the answer (RFC 9457); the connection ends with it."""
        problem = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        body = json.dumps(problem).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id.encode("latin-1", "replace")),
            (b"connection", b"close"),
        ]
        if self.retry_after is not None:
            headers.append((b"retry-after", b"%d" % self.retry_after))
        return headers, body


def _bad_request(detail: str) -> RequestRefused:
    return RequestRefused(400, "bad_request", detail)


class HttpGuard:
    """What the connections of one server share: the limits, the sweep, the count of refusals.

    Attributes:
        limits: see ``HttpLimits``.
        refusals: how often each code was answered; the codes are few and fixed.
        on_refusal: called with the code of each refusal, for a metric; may be set later.
    """

    def __init__(self, limits: HttpLimits | None = None, *, on_refusal: Callable[[str], None] | None = None) -> None:
        self.limits = limits or HttpLimits()
        self.on_refusal = on_refusal
        self.refusals: dict[str, int] = {}
        self.draining = False
        self.context = contextvars.Context()
        self._connections: Collection[Any] = ()
        self._sweeping = False

    @property
    def open_connections(self) -> int:
        """Connections open now, those being turned away included."""
        return len(self._connections)

    def protocol_class(self) -> type[GuardedHttp]:
        """Return the protocol class for ``uvicorn.Config(http=...)``; one guard serves one server."""
        return type("GuardedHttp", (GuardedHttp,), {"guard": self})

    def drain(self) -> None:
        """Answer what is in flight, and all that follows, with ``connection: close``."""
        self.draining = True
        for connection in tuple(self._connections):
            if connection.cycle is not None:
                connection.cycle.keep_alive = False

    def count(self, code: str) -> None:
        """Note one refusal."""
        self.refusals[code] = self.refusals.get(code, 0) + 1
        logger.debug("refused: %s", code)
        if self.on_refusal is not None:
            self.on_refusal(code)

    def watch(self, connections: Collection[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Sweep ``connections`` for as long as there are any."""
        if not self._sweeping:
            self._sweeping = True
            self._connections = connections
            self.context = contextvars.copy_context()  # the server's: requests start from it
            loop.call_later(self.limits.sweep_interval, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._connections:
            self._sweeping = False
            return
        loop.call_later(self.limits.sweep_interval, self._sweep, loop)
        limits, now = self.limits, loop.time()
        crowded = len(self._connections) * 4 > limits.max_connections * 3
        idle = limits.keep_alive_timeout
        if crowded:
            idle = min(idle, limits.crowded_keep_alive_timeout)
        for connection in tuple(self._connections):
            connection.expire(now, idle)


_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09})
"""What no value may hold (RFC 9110, 5.5), line breaks among them: those of a head are counted."""

_NAME = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_FRAMING = frozenset({b"connection", b"transfer-encoding"})
"""Fields that change how a response ends; uvicorn knows how."""

_COPIED = 16 * 1024
"""Bytes of a body up to which one copy is cheaper than a second system call."""

_names: set[bytes] = {b"content-length"}
"""Field names seen to be plain; an application has a few dozen, so 256 are never reached by an honest one."""


def _is_plain_name(name: bytes) -> bool:
    if name in _FRAMING or _NAME.fullmatch(name) is None:
        return False
    if len(_names) < 256:  # noqa: PLR2004 - said above
        _names.add(name)
    return True


class _Cycle(RequestResponseCycle):
    """One request and its response; differs from uvicorn's in what a failure looks like, and in how it is written.

    Nearly every answer is a head that declares its length and one body. The head is held until the body comes, and
    both leave by one system call, which costs as much as all of the guards' arithmetic. Anything else, and anything
    about a head that is out of the ordinary, goes uvicorn's own way.
    """

    _held: Message | None = None

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Send an ASGI message; a head with a declared length waits for what follows it."""
        held = self._held
        if held is None:
            if message["type"] == "http.response.start" and not self.response_started and _declares_length(message):
                self._held = message
                return
        else:
            self._held = None
            if self._send_whole(held, message):
                return
            await super().send(held)  # type: ignore[arg-type]
        await super().send(message)  # type: ignore[arg-type]

    def _send_whole(self, head: Message, message: Message) -> bool:
        """Write a whole response at once and return true; or false if it is no such response, with nothing written."""
        body, status = message.get("body", b""), head["status"]
        if (
            message["type"] != "http.response.body"
            or message.get("more_body", False)
            or self.disconnected
            or self.access_log
            or self.flow.write_paused
            or not self.keep_alive
            or self.scope["method"] == "HEAD"
            or status not in _WITH_BODY
        ):
            return False
        fields: list[tuple[bytes, bytes]] = [*self.default_headers, *head["headers"]]
        named = dict(fields)
        if named.get(b"content-length") != b"%d" % len(body):
            return False
        if not named.keys() <= _names and not all(name in _names or _is_plain_name(name) for name in named):
            return False
        if len(named) < len(fields) and sum(name == b"content-length" for name, _ in fields) > 1:
            return False
        whole = b"%b%b\r\n\r\n" % (STATUS_LINE[status], b"\r\n".join(map(b": ".join, fields)))
        # Nothing but the line breaks that are ours, and no other control character: then no value breaks out.
        if len(whole) - len(whole.translate(None, _CONTROLS)) != 2 * (len(fields) + 2):
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        if len(body) > _COPIED:
            self.transport.write(whole)
            self.transport.write(body)
        else:
            self.transport.write(whole + body)
        self.message_event.set()
        self.on_response()
        return True

    async def run_asgi(self, app: ASGI3Application) -> None:
        try:
            await app(self.scope, self.receive, self.send)  # type: ignore[arg-type]  # uvicorn types messages one by one
            if not self.response_complete and not self.disconnected:
                logger.error("the application returned without completing its response")
                await self._fail(RequestRefused(500, "internal_error", "The service failed."))
        except asyncio.CancelledError:
            await self._fail(RequestRefused(503, "shutting_down", "The service is stopping.", retry_after=1))
        except BaseException:
            logger.exception("the application raised")
            await self._fail(RequestRefused(500, "internal_error", "The service failed."))
        finally:
            self.on_response = lambda: None  # breaks the cycle with the protocol object

    async def _fail(self, problem: RequestRefused) -> None:
        self._held = None  # nothing of it has left, so the failure can still be told
        if self.response_started:
            self.transport.close()
        elif not self.disconnected:
            await _send_problem(self.scope, self.send, problem)


_WITH_BODY = frozenset(STATUS_LINE) - {204, 304} - frozenset(range(100, 200))


def _declares_length(head: Message) -> bool:
    headers = head.get("headers")  # any iterable, by ASGI; only what can be read twice is looked into
    if isinstance(headers, list):
        for name, _ in headers:  # the first one, in Starlette's responses
            if name == b"content-length":
                return True
    return False


async def _send_problem(scope: Any, send: Any, problem: RequestRefused) -> None:
    request_id = scope["state"].get("request_id") or secrets.token_hex(16)
    headers, body = problem.answer(request_id)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# A name, an IPv4 or a bracketed IPv6 address, and a port: what RFC 9110, 7.2 allows without the empty and the
# percent-encoded names that no origin is called by.
_HOST = re.compile(rb"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


@functools.lru_cache(maxsize=64)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


# What the parser is in, by message. The answers have a state of their own (``cycle.response_complete``).
_BETWEEN, _IN_HEAD, _IN_UPGRADE, _IN_BODY, _DEAF, _LINGERING = range(6)


class GuardedHttp(HttpToolsProtocol):
    """uvicorn's httptools protocol within ``HttpLimits``. Made by ``HttpGuard.protocol_class``.

    ``_since`` is when the present wait began (``loop.time()``). ``_partial`` counts the bytes of an unfinished
    head, of an unfinished body what is not body, or what is thrown away: by the phase.
    """

    guard: ClassVar[HttpGuard]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn looks for any reachable handler, and would log raw URLs where the setting says no.
        self.access_log = config.access_log and self.access_log
        # uvicorn parses on after "connection: close"; nothing that follows it is a request (RFC 9112, 9.6).
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._phase = _BETWEEN
        self._since = self._stalled = 0.0
        self._partial = self._size = self._content = 0
        self._deferred: RequestRefused | None = None
        self._running: _Cycle | None = None

    # -- the connection ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the wait for the first request, or turn the connection away."""
        super().connection_made(transport)
        self.write = transport.write  # with close and is_closing: what a cycle uses of its transport
        self.is_closing = transport.is_closing
        self._since = self.loop.time()
        self.guard.watch(self.connections, self.loop)
        limits = self.guard.limits
        excess = len(self.connections) - limits.max_connections
        if excess > limits.max_connections // 10 + 1:
            transport.abort()
        elif excess > 0:
            detail = "The service has as many connections as it takes."
            self._refuse(RequestRefused(503, "too_many_connections", detail, retry_after=limits.retry_after))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, whichever request it is at."""
        running = self._running
        if running is not None and not running.response_complete:
            # uvicorn tells the newest request only: with pipelining the running one would wait for ever.
            running.disconnected = True
            running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse ``data`` and look at what it leaves unfinished."""
        if self._phase >= _DEAF:
            self._discard(len(data))
            return
        self._size, self._content = len(data), 0
        headers, cycle, between = self.headers, self.cycle, self._phase == _BETWEEN
        rest: bytes | None = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            reason = error.__context__
            if not isinstance(reason, RequestRefused):
                if reason is not None:
                    logger.exception("a parser callback failed", exc_info=reason)
                reason = _bad_request("The request is malformed.")
            self._refuse(reason)
        else:
            if self._phase == _IN_HEAD:
                whole = self.headers is headers or (between and self.cycle is cycle)
                self._check_open_head(whole_chunk=whole)
            elif self._phase == _IN_BODY:
                self._check_open_body(whole_chunk=self.cycle is cycle)
        if rest is not None:  # not above: what is malformed in it would have the upgrade for its context
            self._ignore_upgrade(rest)

    def close(self) -> None:
        """Close once the answer is out; while the peer still sends, drain it so that the answer arrives."""
        self._since = self.loop.time()
        if self._phase == _BETWEEN or not self.transport.can_write_eof():
            self._phase = _DEAF
            self.transport.close()
        elif self._phase != _LINGERING and not self.transport.is_closing():
            self._phase, self._partial = _LINGERING, 0
            self.transport.write_eof()
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Stop after the requests at hand (called by the server)."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def pause_writing(self) -> None:
        """Note since when the peer takes nothing."""
        self._stalled = self.loop.time()
        super().pause_writing()

    def expire(self, now: float, idle: float) -> None:
        """End what has waited too long; ``idle`` bounds the wait for the next request (seconds)."""
        limits, waited = self.guard.limits, now - self._since
        if self.transport.is_closing() or self._phase == _LINGERING:
            if self.transport.get_write_buffer_size():
                self._expire_write(waited)
            elif waited > limits.linger_timeout:
                self.transport.abort()
        elif self.flow.write_paused:
            self._expire_write(now - self._stalled)
        elif self._running is None or self.cycle.response_complete:  # one in flight has a deadline of its own
            self._expire_wait(waited, idle)

    def _expire_write(self, waited: float) -> None:
        if waited > self.guard.limits.write_timeout:
            self.guard.count("write_timeout")
            self.transport.abort()

    def _expire_wait(self, waited: float, idle: float) -> None:
        limits = self.guard.limits
        if self._phase == _IN_HEAD:
            if waited > limits.header_timeout:
                self._refuse(RequestRefused(408, "header_timeout", "The headers took too long."))
        elif self._phase == _IN_BODY:
            if waited > limits.linger_timeout:
                self.transport.abort()
        elif self._running is not None:
            if waited > idle:
                self.close()
        elif waited > limits.header_timeout:  # nothing was asked, so nothing is answered
            self.guard.count("header_timeout")
            self.close()

    # -- the parser's callbacks, in their order; on_url and on_header are uvicorn's -------------------------

    def on_message_begin(self) -> None:
        """Forget the request before."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._phase, self._partial = _IN_HEAD, 0
        self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Check the whole head once and start the request."""
        guard, parser, headers, url = self.guard, self.parser, self.headers, self.url
        limits = guard.limits
        if self._partial or self._size > limits.max_header_bytes:  # most heads come whole and need no counting
            self._count_head()
        if len(headers) > limits.max_headers:
            raise self._headers_too_large()
        if len(url) > limits.max_target_bytes:
            raise self._target_too_long()
        if self.pipeline and len(self.pipeline) >= limits.max_pipelined:
            raise _bad_request("Too many requests were sent ahead of their answers.")
        version = parser.get_http_version()
        if parser.should_upgrade():
            self._phase = _IN_UPGRADE
            return
        host = self._check_fields(version)
        method = parser.get_method().decode("ascii")
        if url.startswith(b"/") and b"#" not in url:
            raw_path, _, query = url.partition(b"?")
        else:
            raw_path, query = _other_form(method, url, host)
        path = raw_path.decode("ascii")
        if "%" in path:
            path = urllib.parse.unquote(path)
        self._phase, self._partial = _IN_BODY, 0
        self.headers = []  # for trailers, which are dropped: uvicorn would add them to the request's headers
        self._begin(
            {
                "type": "http",
                "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
                "http_version": version,
                "server": self.server,
                "client": self.client,
                "scheme": self.scheme,
                "method": method,
                "root_path": self.root_path,
                "path": self.root_path + path,
                "raw_path": self.root_path.encode("ascii") + raw_path,
                "query_string": query,
                "headers": headers,
                "state": {**self.app_state, "arrived": time.monotonic()},
            },
            keep_alive=version == "1.1" and not guard.draining and parser.should_keep_alive(),
        )

    def on_body(self, body: bytes) -> None:
        """Hand over a piece of the body, or drop it when the answer has gone."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self._content += len(body)
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """End the body."""
        if self._phase == _IN_UPGRADE:
            return
        self._phase = _BETWEEN
        cycle = self.cycle
        if cycle.response_complete:
            self._since = self.loop.time()
            return
        cycle.more_body = False
        cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it."""
        self.server_state.total_requests += 1
        if self._phase == _LINGERING or self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        if self._deferred is not None:
            self._answer(self._deferred)
            return
        self._since = self.loop.time()

    # -- checks --------------------------------------------------------------------------------------------

    def _check_fields(self, version: str) -> bytes:
        """Return the one valid host, or nothing for HTTP/1.0 without.

        RFC 9112, 3.2 (Host), 6.1 (Transfer-Encoding). The parser itself refuses, as uvicorn sets it: a length
        beside a transfer coding, two lengths, folded lines, bare CR or LF, a space before the colon, NUL.
        """
        host, hosts, coded = b"", 0, False
        for name, value in self.headers:
            if name == b"host":
                host = value
                hosts += 1
            elif name == b"transfer-encoding":
                coded = True
                if value.lower() != b"chunked":
                    raise RequestRefused(501, "not_implemented", "The only transfer coding is chunked.")
        if version != "1.1":
            if version != "1.0":
                raise RequestRefused(505, "http_version_unsupported", "The service speaks HTTP/1.1.")
            if coded:
                raise _bad_request("HTTP/1.0 has no transfer codings.")
        if (hosts != 1 and (hosts or version == "1.1")) or (hosts and not _is_host(host)):
            raise RequestRefused(400, "host_invalid", "A request needs one valid Host field.")
        return host

    def _count_head(self) -> None:
        size = len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1\r\n\r\n")
        for name, value in self.headers:
            size += len(name) + len(value) + len(": \r\n")
        if size > self.guard.limits.max_header_bytes:
            raise self._headers_too_large()

    def _check_open_head(self, *, whole_chunk: bool) -> None:
        # Of a head that begins behind other bytes the first chunk goes uncounted: until its end, when it is
        # counted exactly, it may exceed the bound by one read of the transport.
        self._partial = self._partial + self._size if whole_chunk else 1
        if self._partial > self.guard.limits.max_header_bytes or (len(self.headers) > self.guard.limits.max_headers):
            self._refuse(self._headers_too_large())

    def _check_open_body(self, *, whole_chunk: bool) -> None:
        if self.cycle.response_complete:
            self._discard(self._size)
        elif whole_chunk:
            # A byte of body pays for 16 of framing (Go's chunked reader), and none of it is saved up for later.
            framing = self._size - self._content
            self._partial = max(self._partial + framing - 16 * self._content, 0)
            if self._partial > self.guard.limits.max_header_bytes:
                self._refuse(_bad_request("The body has more framing than content."))

    def _headers_too_large(self) -> RequestRefused:
        if len(self.url) > self.guard.limits.max_target_bytes:
            return self._target_too_long()
        return RequestRefused(431, "headers_too_large", "The header fields are too many or too long.")

    @staticmethod
    def _target_too_long() -> RequestRefused:
        return RequestRefused(414, "uri_too_long", "The request target is too long.")

    # -- requests ------------------------------------------------------------------------------------------

    def _begin(self, scope: Any, *, keep_alive: bool) -> None:
        app = self.app
        if self.limit_concurrency is not None and len(self.tasks) >= self.limit_concurrency:
            app = self._overloaded
        waiting = self.cycle is not None and not self.cycle.response_complete
        self.cycle = _Cycle(
            scope=scope,
            transport=self,  # type: ignore[arg-type]  # so that close() is ours
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if waiting:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))
        else:
            self._start_asgi_task(self.cycle, app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle  # type: ignore[assignment]
        task = self.loop.create_task(cycle.run_asgi(app), context=self.guard.context.copy())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _overloaded(self, scope: Any, _receive: Any, send: Any) -> None:
        self.guard.count("overloaded")
        retry_after = self.guard.limits.retry_after
        problem = RequestRefused(503, "overloaded", "The service is busy.", retry_after=retry_after)
        await _send_problem(scope, send, problem)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse the request again without its ``Upgrade``.

        The parser has jumped over the body, whose bytes it would read as the next request.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self._refuse(RequestRefused(501, "not_implemented", "The service is no proxy."))
            return
        lines = [b"%s %s HTTP/%s" % (method, self.url, version.encode())]
        lines += [b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._phase, self._partial = _BETWEEN, 0
        self.data_received(b"\r\n".join((*lines, b"", rest)))

    # -- refusals ------------------------------------------------------------------------------------------

    def _refuse(self, refusal: RequestRefused) -> None:
        """Answer ``refusal`` and close, after the answers that are due before it."""
        self.guard.count(refusal.code)
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._answer(refusal)
        elif self._phase != _IN_BODY or self.pipeline:
            if self._phase == _IN_BODY:  # of a request that waits its turn: the refusal takes its place
                self.pipeline.popleft()
            self._phase, self._partial, self._deferred = _DEAF, 0, refusal
            self.flow.pause_reading()
        else:  # the body of the request that runs: the refusal is its answer
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.close()
            else:
                self._answer(refusal)

    def _answer(self, refusal: RequestRefused) -> None:
        fields, body = refusal.answer(secrets.token_hex(16))
        head = [b"HTTP/1.1 %d %s" % (refusal.status, http.HTTPStatus(refusal.status).phrase.encode())]
        head += [b"%s: %s" % field for field in (*self.server_state.default_headers, *fields)]
        self.transport.write(b"\r\n".join((*head, b"", body)))
        self._phase = _DEAF
        self.close()

    def _discard(self, size: int) -> None:
        self._partial += size
        if self._partial > self.guard.limits.max_discarded_bytes:
            self.transport.abort()


def _other_form(method: str, url: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Return path and query of a target in absolute or asterisk form (RFC 9112, 3.2.2 and 3.2.4)."""
    if method == "OPTIONS" and url == b"*":
        return b"*", b""
    scheme, _, rest = url.partition(b"://")
    target = re.fullmatch(rb"([^/?#]*)(/[^?#]*)?(?:\?([^#]*))?", rest)
    if scheme.lower() not in {b"http", b"https"} or target is None:
        raise _bad_request("The request target is malformed.")
    # The authority in the target overrules Host: where the two differ, servers disagree on whose request it is.
    if not host or target[1].lower() != host.lower():
        raise RequestRefused(400, "host_invalid", "Host and the request target differ.")
    return target[2] or b"/", target[3] or b""
