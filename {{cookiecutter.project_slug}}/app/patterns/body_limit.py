"""Body limit: what a client may send is bounded in bytes, in time and in depth.

Threat: an endless body fills memory; a body sent one byte a minute holds a request open; a few kilobytes of
``[[[[`` exhaust the parser's stack; a declared length says nothing about what is sent.

Defaults:

* ``max_bytes`` 64 KiB, counted as they arrive, whatever ``Content-Length`` says: ample for JSON that a person or
  a service fills in, and small enough that a thousand concurrent requests stay under 64 MiB. A declared length
  over the bound is refused before a byte is read, so that ``Expect: 100-continue`` saves the upload;
* ``timeout`` 10 s for the whole body (the default of nginx's client_body_timeout is 60 s, but between two
  reads, so a slow sender passes it for ever);
* ``max_depth`` 32 levels of JSON arrays and objects: real documents stay under ten;
* a multipart form has to end with its last boundary (RFC 2046, section 5.1.1): a parser that does not ask for it takes
  a form that was cut for one that has fewer fields;
* the charset of a form is UTF-8, ASCII or Latin-1, if it is said at all: parsers hand what is said to Python's codecs,
  and ``punycode`` takes ten seconds for a megabyte.

Where the body was not there at once, the seconds that the application waited for it are in
``scope["state"]["body_wait"]``, for who judges whose time a request took.

What it does not do: look into forms and uploads otherwise (bound by bytes only), or decompress. A ``Content-Encoding``
is not undone here, so a compressed body cannot grow.

To lift it: needs ``starlette``. ``app.add_middleware(BodyLimit, max_bytes=65_536)``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 64 * 1024
TIMEOUT = 10.0
MAX_DEPTH = 32

_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?+|[\[{]|[\]}]', re.DOTALL)
"""Strings are matched whole, so that brackets inside them do not count; possessive, so it cannot backtrack."""


class BodyError(HTTPException):
    """A body was refused. An ``HTTPException``, because FastAPI passes only those on from reading a body.

    Attributes:
        code: stable name of the reason.
    """

    code = "body_refused"


class BodyTooLarge(BodyError):
    """More bytes than the route takes; ``limit`` in bytes."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"The body may have at most {limit} bytes.")
        self.limit = limit


class BodyTimeout(BodyError):
    """The body did not arrive in time; ``timeout`` in seconds."""

    code = "body_timeout"

    def __init__(self, timeout: float) -> None:
        super().__init__(408, f"The body must arrive within {timeout:g} seconds.")
        self.timeout = timeout


class BodyTooDeep(BodyError):
    """JSON nested deeper than ``limit`` levels."""

    code = "body_too_deep"

    def __init__(self, limit: int) -> None:
        super().__init__(400, f"JSON may be nested at most {limit} levels deep.")
        self.limit = limit


class BodyUnfinished(BodyError):
    """A multipart form without its last boundary."""

    code = "body_unfinished"

    def __init__(self) -> None:
        super().__init__(400, "The form ends before its last boundary.")


class BodyCharset(BodyError):
    """A form in an encoding that forms are not read in."""

    code = "body_charset"

    def __init__(self) -> None:
        super().__init__(415, "A form is read as UTF-8.")


class BodyLengthInvalid(BodyError):
    """``Content-Length`` is not a number; servers refuse it before, test clients may not."""

    code = "content_length_invalid"

    def __init__(self) -> None:
        super().__init__(400, "Content-Length must be a decimal number.")


_FORMS = (b"multipart/form-data", b"application/x-www-form-urlencoded")
_CHARSET = re.compile(rb"""[;\s]charset\s*=\s*["']?([^;"'\s]*)""")
_CHARSETS = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin-1", b"latin1"})
_BOUNDARY = re.compile(rb"""[;\s]boundary\s*=\s*(?:"([^"]*)"?|([^;\s]*))""", re.IGNORECASE)

Refuse = Callable[["Scope", "Receive", "Send", BodyError], Awaitable[None]]


def json_depth(body: bytes, *, stop: int) -> int:
    """Return how deep ``body`` nests arrays and objects, or ``stop + 1`` as soon as it is deeper than ``stop``."""
    depth = deepest = 0
    for match in _STRUCTURE.finditer(body):
        first = body[match.start()]
        if first in b"[{":
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > stop:
                    return deepest
        elif first in b"]}":
            depth -= 1
    return deepest


_DECLARING = frozenset({b"content-length", b"content-type", b"transfer-encoding"})


def _declared(headers: list[tuple[bytes, bytes]]) -> tuple[bytes | None, bool, bool, bytes]:
    """Return Content-Length as it was sent, whether the body is chunked or calls itself JSON, and a form's type."""
    length: bytes | None = None
    chunked = json = False
    form = b""
    for name, value in headers:
        if name not in _DECLARING:  # one look at most of them
            continue
        if name == b"content-length":
            length = value
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"content-type":
            json = json or b"json" in value.lower()  # of several lines any may be the one that the handler's side reads
            form = value if value.lower().lstrip().startswith(_FORMS) else form
    return length, chunked, json, form


def _end_of(form: bytes) -> bytes:
    """Return what a multipart form ends with; nothing for a body that is none, or names no boundary."""
    found = _BOUNDARY.search(form) if form.lower().lstrip().startswith(_FORMS[0]) else None
    boundary = (found[1] or found[2] or b"") if found is not None else b""
    return b"--%s--" % boundary if boundary else b""


_FRAMED = frozenset({"1.0", "1.1"})
"""Versions in which a body is declared (RFC 9112, 6.3); HTTP/2 may send one without a word about its length."""


class BodyLimit:
    """Bounds the request body on its way to the application.

    Args:
        app: the ASGI application to guard.
        max_bytes: bytes of body that are passed on; 0 allows no body at all.
        timeout: seconds from the application's first read to the last byte.
        max_depth: levels of nesting in a JSON body.
        refuse: answers a refused request; default is a bare problem document.

    Raises:
        ValueError: a bound is negative, or not positive where it must be.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int = MAX_BYTES,
        timeout: float = TIMEOUT,
        max_depth: int = MAX_DEPTH,
        refuse: Refuse | None = None,
    ) -> None:
        if max_bytes < 0 or timeout <= 0 or max_depth < 1:
            raise ValueError("max_bytes must be >= 0, timeout > 0 and max_depth >= 1")
        self.app = app
        self.max_bytes = max_bytes
        self.timeout = timeout
        self.max_depth = max_depth
        self.refuse = refuse or _refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a bounded ``receive``; what HTTP/1.1 says has no body passes untouched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length, chunked, json, form = _declared(scope["headers"])
        if length == b"0" or (length is None and not chunked and scope.get("http_version", "1.1") in _FRAMED):
            await self.app(scope, receive, send)
            return
        if length is not None:
            if not length.isdigit():
                await self.refuse(scope, receive, send, BodyLengthInvalid())
                return
            # The number of digits is bounded by the server's header limit; int() of it is not quadratic below that.
            if len(length) > 18 or int(length) > self.max_bytes:  # noqa: PLR2004 - an exabyte
                await self.refuse(scope, receive, send, BodyTooLarge(self.max_bytes))
                return
        charset = _CHARSET.search(form.lower()) if form else None
        if charset is not None and charset[1] not in _CHARSETS:
            await self.refuse(scope, receive, send, BodyCharset())
            return
        reader = _Reader(self, scope, receive, send, json=json, end=_end_of(form) if form else b"")
        try:
            await self.app(scope, reader.receive, reader.send)
        except BodyError as error:
            if error is not reader.error or reader.started:
                raise
            await self.refuse(scope, receive, send, error)


class _Reader:
    """Counts one request's body as the application reads it."""

    __slots__ = (
        "_began", "_chunks", "_complete", "_end", "_expired", "_guard", "_json", "_receive", "_scope", "_send", "_size",
        "_tail", "_waiting", "error", "started",
    )  # fmt: skip

    def __init__(
        self, guard: BodyLimit, scope: Scope, receive: Receive, send: Send, *, json: bool, end: bytes = b""
    ) -> None:
        self._scope = scope
        self._guard, self._receive, self._send, self._json = guard, receive, send, json
        self._end, self._tail = end, b""  # what is still waited for, and the last bytes that may begin it
        self._size = 0
        self._chunks: list[bytes] = []
        self._began: float | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._expired = self._complete = self.started = False
        self.error: BodyError | None = None

    def send(self, message: Message) -> Awaitable[None]:  # no coroutine of its own: it would cost as much as the rest
        self.started = True
        return self._send(message)

    async def receive(self) -> Message:
        if self.error is not None:
            raise self.error  # a handler that swallowed the refusal does not get the rest of the body
        message = await self._next()
        if message["type"] != "http.request":
            return message
        body: bytes = message.get("body", b"")
        self._size += len(body)
        if self._size > self._guard.max_bytes:
            raise self._fail(BodyTooLarge(self._guard.max_bytes))
        if self._json:
            self._chunks.append(body)
        if self._end:
            seen = self._tail + body
            if self._end in seen:
                self._end = b""
            else:
                self._tail = seen[-len(self._end) :]
        if not message.get("more_body", False):
            self._complete = True
            if self._json:
                self._check_depth()
            if self._end:
                raise self._fail(BodyUnfinished())
        return message

    async def _next(self) -> Message:
        """Wait for the next message of the body, for as long as the whole body has."""
        if self._complete:
            return await self._receive()  # this waits for a disconnect, which has no bound
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._began is None:
            self._began = now
        left = self._guard.timeout - (now - self._began)
        if left <= 0:
            raise self._fail(BodyTimeout(self._guard.timeout))
        # One step by hand: most bodies are there already, and what does not wait needs no timer.
        steps = self._receive().__await__()
        try:
            awaited = next(steps)
        except StopIteration as done:
            message: Message = done.value
            return message
        task = self._waiting = asyncio.current_task(loop)
        timer = loop.call_later(left, self._expire)
        try:
            return await _rest(steps, awaited)
        except asyncio.CancelledError:
            # Only a cancellation that is ours alone becomes a refusal; see asyncio.Task.uncancel.
            if not self._expired or task is None or task.uncancel() > 0:
                raise
            raise self._fail(BodyTimeout(self._guard.timeout)) from None
        finally:
            timer.cancel()
            self._waiting = None
            state = self._scope.setdefault("state", {})
            state["body_wait"] = state.get("body_wait", 0.0) + loop.time() - now

    def _expire(self) -> None:
        self._expired = True
        if self._waiting is not None:
            self._waiting.cancel()

    def _check_depth(self) -> None:
        limit = self._guard.max_depth
        # Counting opening brackets is a memchr and settles almost every body; only then are strings told apart.
        if sum(chunk.count(b"[") + chunk.count(b"{") for chunk in self._chunks) > limit:
            body = b"".join(self._chunks)
            # A NUL means UTF-16 or -32, which RFC 8259 forbids and parsers guess: its strings cannot be told apart
            # byte by byte, so there every bracket counts.
            if b"\0" in body or json_depth(body, stop=limit) > limit:
                raise self._fail(BodyTooDeep(limit))
        self._chunks.clear()

    def _fail(self, error: BodyError) -> BodyError:
        self.error = error
        return error


@coroutine
def _rest(steps: Generator[Any, Any, Message], awaited: Any) -> Generator[Any, Any, Message]:
    """Go on with what has been begun by hand, and waits for ``awaited``."""
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - a cancellation, or a close: it is for who waits there
                awaited = steps.throw(error)
            else:
                awaited = steps.send(sent)
    except StopIteration as done:
        message: Message = done.value
        return message


async def _refuse(_scope: Scope, _receive: Receive, send: Send, error: BodyError) -> None:
    body = b'{"type":"about:blank","title":"Refused","status":%d,"code":"%s"}' % (
        error.status_code,
        error.code.encode(),
    )
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": error.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
