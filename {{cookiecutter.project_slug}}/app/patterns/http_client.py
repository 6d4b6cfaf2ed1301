"""HTTP client: calls to one declared service, or to a URL that somebody sent, with everything bounded.

Threat: the other side sends ten gigabytes, one byte a second, headers without end, a gzip file that grows a
thousandfold, a login page with status 200, or a redirect to the cloud's metadata address. Or the path of a call is
built from what a caller sent, and reaches another resource or another host.

What it does:

* :class:`HttpClient` speaks to one base URL. A call names a path *template* (``/charges/{id}``) and the values for it,
  which are encoded so that none can leave its segment; an absolute URL, ``//host`` or ``..`` is refused.
* :class:`UrlFetcher` takes URLs from outside, once somebody has checked their addresses (``ssrf_guard.py`` does). It
  connects to such an address and never to the name, so that a second answer of the DNS changes nothing.
* No redirect is followed, no cookie kept, no proxy or certificate file taken from the environment.
* The whole exchange has a time limit, from the wait for a connection to the last byte; each step of connecting
  has its own. The head and the body have a size limit, which holds for the decompressed body too.
* What goes wrong is one of four errors, each with a ``reason`` for the log and never with a byte of the answer. An
  answer of 400 or more is an error as well, unless the call says that it can use it (``accept``).

Defaults stand with their reasons in :class:`HttpClientConfig`.

What it does not do: retry, hedge or shed (other patterns' work); stream; HTTP/2; tell a truncated answer from a
complete one if the server neither declares a length nor uses chunks (its JSON will not parse). A resolver that hangs
holds one thread of the loop's pool beyond the time limit, for as long as the C library waits.

To lift it: needs ``httpx2`` (imported when the first client is made, for it takes a sixth of a second) and ``orjson``::

    payments = HttpClient("https://payments.example/v1", headers={"authorization": f"Bearer {secret}"})
    answer = await payments.send("GET", "/charges/{id}", values={"id": charge_id})
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode, urlsplit

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import httpx2

MAX_RETRY_AFTER: Final = 3600.0
"""Seconds of a ``Retry-After`` that are believed: a longer outage is somebody's news, and not a header."""

MAX_ADDRESSES: Final = 3
"""Addresses of one name that are tried in turn."""

MAX_PATH: Final = 2048
"""Characters of a template, and of one value for it: servers take 8000 octets in all (RFC 9110, 4.1)."""

_SECONDS: Final = re.compile(r"[0-9]{1,10}")
_TEMPLATE: Final = re.compile(
    r"(?:/(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%(?!2[EeFf]|5[Cc]|00)[0-9A-Fa-f]{2}|\{[a-z_]+\})+)+"
)
_VALUE: Final = re.compile(r"\{([a-z_]+)\}")
_RESERVED: Final = frozenset(
    {
        "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect",
        "proxy-authorization", "accept-encoding",
    }
)  # fmt: skip
"""Headers that decide about framing, routing or decoding: the client's own business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpClientConfig:
    """Bounds of one client. Times in seconds, sizes in bytes."""

    timeout: float | None = 10.0
    """For the whole exchange (the attempt timeout of .NET's standard resilience handler). None only where something
    outside bounds every call."""
    connect_timeout: float = 2.0
    """For each of these: a free connection, DNS and TCP, TLS. One lost SYN is sent again after 1 s (RFC 6298)."""
    max_response: int = 1024 * 1024
    """Of the body, decompressed. JSON that a handler works with stays far below."""
    max_headers: int = 32 * 1024
    """Of the head of the answer; nginx and Node send at most 16 KiB unless told to."""
    max_connections: int = 20
    """Open at a time; a bulkhead outside should be as wide."""
    keepalive: float = 4.0
    """That a connection may idle. Node and uvicorn close theirs after 5, and a request must not meet that."""
    proxy: str | None = None
    """URL of a proxy; the environment's is not looked at."""


class UpstreamError(Exception):
    """A call to another service failed.

    Attributes:
        reason: stable word for logs and metrics; holds nothing that the other side sent.
        sent: False if the other side certainly did not see the request.
        retry_after: seconds after which to try again, or None.
        upstream: name of the service, where somebody outside of the client has one.
    """

    def __init__(self, reason: str, *, sent: bool = True, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.retry_after = retry_after
        self.upstream = ""


class UpstreamUnavailable(UpstreamError):
    """It could not be reached, or should not be tried now."""


class UpstreamTimeout(UpstreamError):
    """It did not answer in time; whether it did what was asked is unknown."""


class UpstreamBadAnswer(UpstreamError):
    """What it sent is no answer: not HTTP, cut short, too large, a redirect, not the content that was asked for."""


class UpstreamRefused(UpstreamError):
    """It answered with a status of 400 or more.

    Attributes:
        status: the status.
    """

    def __init__(self, status: int, *, retry_after: float | None = None) -> None:
        super().__init__(f"status_{status}", retry_after=retry_after)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        status: below 400, or one that the call accepts.
        headers: names in any case.
        body: decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON value, whose shape nobody has promised: put it through a model.

        Raises:
            UpstreamBadAnswer: it is declared as something else, or does not parse.
        """
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            raise UpstreamBadAnswer("content_type")
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise UpstreamBadAnswer("json") from None


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a ``Retry-After`` (RFC 9110, 10.2.3), at most :data:`MAX_RETRY_AFTER`.

    Args:
        value: seconds or an HTTP date; None, a negative number and anything else mean None.
        now: seconds since 1970, for dates; one that has passed means 0.
    """
    if value is None or len(value) > 40:  # noqa: PLR2004 - the longest HTTP date has 33 characters
        return None
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        return min(max(parsedate_to_datetime(value).timestamp() - now, 0.0), MAX_RETRY_AFTER)
    except (ValueError, OverflowError, OSError):
        return None


class HttpClient:
    """Speaks to one service.

    Args:
        base_url: of the service; calls stay below its path.
        config: the bounds.
        headers: sent with every call, such as the credentials.
        tls: whom to trust; default is the public authorities.
        now: seconds since 1970, for dates in ``Retry-After``.

    Raises:
        ValueError: ``base_url`` is not a plain http(s) URL, or ``headers`` are not for callers to set.
    """

    def __init__(
        self,
        base_url: str,
        config: HttpClientConfig | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.config = config or HttpClientConfig()
        parts = urlsplit(base_url)
        plain = parts.scheme in {"http", "https"} and parts.hostname and not parts.username and not parts.password
        path = parts.path.rstrip("/")
        if not plain or parts.query or parts.fragment or (path and not _is_template(path)):
            raise ValueError("a base URL is http(s)://host[:port][/path], without credentials and query")
        self._base = f"{parts.scheme}://{parts.netloc}{path}"
        self._headers = [
            ("host", parts.netloc),
            ("accept", "application/json"),
            ("accept-encoding", "gzip"),
            *_checked(headers or {}),
        ]
        self._now = now
        self._transport = _transport(self.config, tls or _authorities(secure=parts.scheme == "https"), keepalive=True)
        self._templates: dict[str, bool] = {}

    async def send(
        self,
        method: str,
        path: str,
        *,
        values: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """Send one request and return its answer.

        Args:
            method: HTTP method.
            path: template below the base URL, such as ``/charges/{id}``; from the code, never from a caller.
            values: for the template.
            params: the query.
            json: the body, unless None.
            headers: for this call.
            accept: statuses of 400 and more that are answers to the caller, and not failures.

        Raises:
            UpstreamError: in one of its four kinds.
            ValueError: the path, a value or a header is not what it has to be; nothing was sent.
        """
        import httpx2  # noqa: PLC0415 - see the module's docstring

        target = self._target(path, values or {})
        query = f"?{urlencode(params)}" if params else ""
        fields = self._headers
        if json is not None:
            fields = [*fields, ("content-type", "application/json")]
        if headers:
            fields = [*fields, *_checked(headers)]
        request = httpx2.Request(
            method,
            f"{self._base}{target}{query}",
            headers=fields,
            content=None if json is None else orjson.dumps(json),
            extensions={"timeout": _timeouts(self.config)},
        )
        return await _exchange(self._transport, request, self.config, accept, self._now)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _target(self, path: str, values: Mapping[str, str]) -> str:
        if path not in self._templates:
            if not _is_template(path):
                raise ValueError("a path is a template such as /charges/{id}, below the base URL and without ..")
            if len(self._templates) < 256:  # noqa: PLR2004 - a client has a dozen; the bound is for mistakes
                self._templates[path] = True
        return _VALUE.sub(lambda match: _segment(values[match[1]]), path) if "{" in path else path


class Target(Protocol):
    """A URL from outside, after somebody has checked it and looked its host up."""

    @property
    def scheme(self) -> str: ...  # noqa: D102
    @property
    def host(self) -> str:
        """The name, for the certificate."""

    @property
    def netloc(self) -> str:
        """The name with its port, for the Host header."""

    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def path(self) -> str:
        """Path and query."""

    @property
    def addresses(self) -> Sequence[str]:
        """Where it may be connected to, in order of preference; at least one."""


class UrlFetcher:
    """Fetches URLs that came from outside, from the addresses that were checked and no others.

    Args:
        config: the bounds; a proxy would look names up itself, so it is refused.
        tls: whom to trust; default is the public authorities.
        now: seconds since 1970.

    Raises:
        ValueError: a proxy is configured.
    """

    def __init__(
        self,
        config: HttpClientConfig | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.config = config or HttpClientConfig()
        if self.config.proxy is not None:
            raise ValueError("a proxy looks names up itself, so it would not keep to the addresses that were checked")
        self._now = now
        # A connection is verified for one name, and the next URL may name another one at the same address.
        self._transport = _transport(self.config, tls or _authorities(secure=True), keepalive=False)

    async def fetch(self, target: Target, *, accept: Collection[int] = ()) -> Answer:
        """Get a URL.

        Raises:
            UpstreamError: in one of its four kinds.
        """
        try:
            async with asyncio.timeout(self.config.timeout):
                *others, last = target.addresses[:MAX_ADDRESSES]
                for address in others:
                    with contextlib.suppress(UpstreamUnavailable):  # no route to IPv6, say; there may be one to IPv4
                        return await self._get(target, address, accept)
                return await self._get(target, last, accept)
        except TimeoutError:
            raise UpstreamTimeout("timeout") from None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _get(self, target: Target, address: str, accept: Collection[int]) -> Answer:
        import httpx2  # noqa: PLC0415 - see the module's docstring

        at = f"[{address}]" if ":" in address else address
        request = httpx2.Request(
            "GET",
            f"{target.scheme}://{at}:{target.port}{target.path}",
            headers=[("host", target.netloc), ("accept", "*/*"), ("accept-encoding", "gzip")],
            extensions={"timeout": _timeouts(self.config), "sni_hostname": target.host},
        )
        return await _exchange(self._transport, request, self.config, accept, self._now)


def _is_template(path: str) -> bool:
    return len(path) <= MAX_PATH and _TEMPLATE.fullmatch(path) is not None


def _segment(value: str) -> str:
    """Encode a value so that it stays one segment; dots would be read as a way up even when they are encoded."""
    if value in {"", ".", ".."} or len(value) > MAX_PATH:
        raise ValueError(f"a value of a path is neither empty, nor dots, nor longer than {MAX_PATH} characters")
    return quote(value, safe="")


def _checked(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    fields = [(name.lower(), value) for name, value in headers.items()]
    for name, _ in fields:
        if name in _RESERVED:
            raise ValueError(f"{name!r} is for the client to set")
    return fields


def _timeouts(config: HttpClientConfig) -> dict[str, float | None]:
    """Return what the transport is to bound; reads and writes are bounded together, by the whole exchange's limit."""
    return {"connect": config.connect_timeout, "pool": config.connect_timeout, "read": None, "write": None}


def _authorities(*, secure: bool) -> ssl.SSLContext:
    """Return whom to trust. Loading them takes a fifth of a second; without TLS one that trusts nobody will do."""
    import httpx2  # noqa: PLC0415 - see the module's docstring

    return httpx2.create_ssl_context(trust_env=False) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _transport(config: HttpClientConfig, tls: ssl.SSLContext, *, keepalive: bool) -> httpx2.AsyncHTTPTransport:
    """Make a transport of its own: it follows nothing, keeps no cookies and logs no URL, which a client would."""
    import httpx2  # noqa: PLC0415 - see the module's docstring

    limits = httpx2.Limits(
        max_connections=config.max_connections,
        max_keepalive_connections=config.max_connections if keepalive else 0,
        keepalive_expiry=config.keepalive,
    )
    return httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits, proxy=config.proxy)


async def _exchange(
    transport: httpx2.AsyncHTTPTransport,
    request: httpx2.Request,
    config: HttpClientConfig,
    accept: Collection[int],
    now: Callable[[], float],
) -> Answer:
    """Send a request and read its answer whole, within every bound."""
    import httpx2  # noqa: PLC0415 - see the module's docstring

    try:
        async with asyncio.timeout(config.timeout):
            response = await transport.handle_async_request(request)
            try:
                _check_head(response, config)
                body = await _read(response, config.max_response)
            finally:
                await response.aclose()
    # 1. Nothing was sent: there was no connection to send it on.
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
        raise UpstreamUnavailable(_REASONS.get(type(error).__name__, "connect"), sent=False) from None
    # 2. What was to be sent is not HTTP: our own mistake.
    except (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol) as error:
        raise ValueError("the request cannot be written as HTTP") from error
    # 3. The time is up, wherever it went.
    except TimeoutError:
        raise UpstreamTimeout("timeout") from None
    # 4. It is not HTTP, or the connection broke before the answer was complete.
    except httpx2.TransportError as error:
        raise UpstreamBadAnswer(_REASONS.get(type(error).__name__, "protocol")) from None
    if response.status_code >= 400 and response.status_code not in accept:  # noqa: PLR2004 - RFC 9110, section 15
        retry_after = parse_retry_after(response.headers.get("retry-after"), now())
        raise UpstreamRefused(response.status_code, retry_after=retry_after)
    return Answer(response.status_code, response.headers, body)


_REASONS: Final = {
    "ConnectError": "connect",
    "ConnectTimeout": "connect_timeout",
    "PoolTimeout": "no_connection_free",
    "ProxyError": "proxy",
    "RemoteProtocolError": "protocol",
    "ReadError": "connection_lost",
    "WriteError": "connection_lost",
}


def _check_head(response: httpx2.Response, config: HttpClientConfig) -> None:
    status = response.status_code
    if sum(len(name) + len(value) + 4 for name, value in response.headers.raw) > config.max_headers:
        raise UpstreamBadAnswer("headers_too_large")
    if not 200 <= status < 600:  # noqa: PLR2004 - RFC 9110, section 15
        raise UpstreamBadAnswer("status")
    if 300 <= status < 400:  # noqa: PLR2004
        raise UpstreamBadAnswer("redirect")


async def _read(response: httpx2.Response, limit: int) -> bytes:
    """Return the body, which may have ``limit`` bytes on the wire and after decompression.

    Decompressed here and not by httpx2, whose chain of up to five codings could be fed a bomb that never comes out.
    """
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in {"", "identity", "gzip"}:
        raise UpstreamBadAnswer("content_encoding")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if coding == "gzip" else None
    body, received = bytearray(), 0
    async for part in response.stream:  # type: ignore[union-attr]  # an asynchronous transport's stream is one
        received += len(part)
        if received > limit:
            raise UpstreamBadAnswer("too_large")
        body += part if inflate is None else _inflated(inflate, part, limit - len(body))
        if len(body) > limit:
            raise UpstreamBadAnswer("too_large")
    if inflate is not None and received and not inflate.eof:
        raise UpstreamBadAnswer("content_encoding")
    return bytes(body)


def _inflated(inflate: zlib._Decompress, part: bytes, room: int) -> bytes:
    """Return what ``part`` unpacks to, but at most one byte more than there is room for."""
    try:
        unpacked = inflate.decompress(part, room + 1)
    except zlib.error:
        raise UpstreamBadAnswer("content_encoding") from None
    if inflate.unused_data:
        raise UpstreamBadAnswer("content_encoding")  # bytes after the end: zlib would keep them, uncounted
    return unpacked
