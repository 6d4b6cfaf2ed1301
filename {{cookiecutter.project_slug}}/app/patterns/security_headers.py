"""Security headers: every answer tells the browser to do nothing with it but read it.

Threat: an API's JSON is sniffed as HTML, framed, cached by a shared proxy, or fetched by a hostile page; a
reflected error becomes a script. A service that never serves pages can forbid all of it at once.

Defaults, after the OWASP Secure Headers Project and the OWASP REST Security Cheat Sheet:

* ``Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; sandbox``: should a browser ever render an
  answer, nothing loads, nothing runs, nothing frames it, and it has no origin;
* ``X-Content-Type-Options: nosniff``: the declared type is the type;
* ``Referrer-Policy: no-referrer``: URLs carry identifiers, so they go to nobody;
* ``Cross-Origin-Resource-Policy: same-origin``: no other site embeds an answer;
* ``Cache-Control: no-store`` unless the handler said otherwise: answers here belong to one caller;
* ``Strict-Transport-Security`` only where asked for, because it outlives a mistake by its whole max-age.

The headers above cannot be changed by a handler, except ``Cache-Control``; ``Server`` and
``X-Powered-By`` are dropped. A handler's own Content-Security-Policy stays beside this one: browsers enforce
both, so it can only tighten. There is no CORS here: without its headers a browser refuses cross-origin reads.

What it does not do: protect a browser session (no cookies, no CSRF token), or encrypt anything.

To lift it: needs ``starlette`` for its types only. ``app.add_middleware(SecurityHeaders)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]

API_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""Content-Security-Policy of an answer that is data and never a page. With ``sandbox``, headers that speak to documents
(Permissions-Policy, Cross-Origin-Opener-Policy) have nothing left to say, and each header costs every answer."""

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Policy for development's Swagger UI from local files; it sets inline styles, but needs no inline script."""

OPS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""Policy for a page with a style, a script and forms of its own, and nothing inline."""

HSTS = "max-age=63072000; includeSubDomains"
"""Two years, the value that the HSTS preload list recommends; seconds."""


@dataclass(frozen=True)
class SecurityHeadersConfig:
    """Which headers are sent.

    Attributes:
        content_security_policy: the policy of every answer.
        path_policies: exact path -> policy, for the few paths that serve pages.
        strict_transport_security: value of that header, or None to leave it out.
        cache_control: value where the application set none.
        extra: further headers, in place of the application's own.
    """

    content_security_policy: str = API_POLICY
    path_policies: Mapping[str, str] = field(default_factory=dict)
    strict_transport_security: str | None = None
    cache_control: str = "no-store"
    extra: Mapping[str, str] = field(
        default_factory=lambda: {
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
        }
    )


_DROPPED = frozenset({b"server", b"x-powered-by"})


class SecurityHeaders:
    """Adds the configured headers to every response.

    Raises:
        ValueError: a configured name or value is not ASCII or holds a line break.
    """

    def __init__(self, app: ASGIApp, *, config: SecurityHeadersConfig | None = None) -> None:
        config = config or SecurityHeadersConfig()
        headers = dict(config.extra)
        if config.strict_transport_security is not None:
            headers["strict-transport-security"] = config.strict_transport_security
        self.app = app
        fixed = tuple(_encode(name, value) for name, value in headers.items())
        self._owned = frozenset(name for name, _ in fixed) | _DROPPED
        self._names = self._owned | {b"cache-control"}
        self._cache = _encode("cache-control", config.cache_control)
        self._ending = (*fixed, _encode("content-security-policy", config.content_security_policy))
        self._endings = {
            path: (*fixed, _encode("content-security-policy", value)) for path, value in config.path_policies.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and complete the head of its response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        ending = self._endings.get(scope["path"], self._ending) if self._endings else self._ending

        def complete(message: Message) -> Awaitable[None]:  # no coroutine of its own: it would cost as much as the rest
            if message["type"] == "http.response.start":
                message["headers"] = self._completed(message.get("headers") or (), ending)
            return send(message)

        await self.app(scope, receive, complete)

    def _completed(self, given: Iterable[Header], ending: tuple[Header, ...]) -> list[Header]:
        names, headers, cached = self._names, list(given), False
        for name, _ in headers:
            if name in names:
                if name != b"cache-control":
                    return self._completed([pair for pair in headers if pair[0] not in self._owned], ending)
                cached = True
        headers += ending
        if not cached:
            headers.append(self._cache)
        return headers


def _encode(name: str, value: str) -> tuple[bytes, bytes]:
    if any(ord(character) < 32 or ord(character) > 126 for character in name + value):  # noqa: PLR2004 - visible ASCII, RFC 9110 section 5.5
        raise ValueError(f"header {name!r} must be printable ASCII")
    return name.lower().encode("ascii"), value.encode("ascii")
