"""SSRF guard: URLs that came from outside lead to the public internet, or nowhere.

Threat (server-side request forgery, OWASP API7): a caller names a URL for the service to fetch, and it leads to the
cloud's metadata address and its credentials, to a database beside the service, or to the service itself. The name may
be public and its address not; it may have two addresses; it may have another one a second later (DNS rebinding); the
address may be written as ``0x7f.1`` or ``::ffff:169.254.169.254``. Or the name's servers never answer: the C library
waits for them for half a minute, and on uvloop two such names keep every other look-up of the process waiting.

What it does: :meth:`SsrfGuard.check` takes a URL apart by strict rules, looks its host up once, judges *every* address,
and returns the pieces with these addresses. Who connects to one of them, and not to the name, is safe from rebinding.
Addresses are judged and never spellings, so it does not matter how one is written. Names are looked up in threads of
their own, so that one that hangs holds up no name but those that callers send.

Defaults: http and https, ports 80 and 443; 2048 characters; 2 s for the look-up, 8 at a time. Refused is whatever
IANA's special-purpose registries do not call globally reachable, multicast, IPv6 that tunnels IPv4, and Azure's
metadata service, which has a public address.

What it does not do: follow redirects (whoever does has to come back here with each), limit what the public internet
may answer, or stop a fetch from a public address that belongs to the service's own company. A firewall for outgoing
connections is the second line.

To lift it: needs nothing. ``target = await SsrfGuard().check(url)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_REFUSED_V4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",  # Azure's WireServer
        ),
    )
)  # fmt: skip
"""IANA IPv4 special-purpose address registry, October 2025, and multicast. Written out, because what the standard
library calls global has changed between Python's patch releases (CVE-2024-4032)."""

_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Of the only block that is given out (2000::/3): protocol assignments with Teredo, documentation, 6to4."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: IPv4 behind a translator; judged by the IPv4 address."""

LOOK_UPS: Final = 8
"""That run at a time, those included whose caller has given up. A name with an address takes 50 ms, so 8 are 160 a
second; each has a thread, whose stack takes 8 MiB of address space."""

_VISIBLE: Final = re.compile(r"[!-\[\]-~]+")
_NAME: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SsrfGuardConfig:
    """What may be fetched.

    Attributes:
        schemes: of the URL.
        ports: that may be connected to: 25 is mail, 6379 is Redis, and neither is meant.
        max_url: characters; what browsers and sitemaps agree on.
        timeout: seconds for the look-up.
    """

    schemes: frozenset[str] = frozenset({"http", "https"})
    ports: frozenset[int] = frozenset({80, 443})
    max_url: int = 2048
    timeout: float = 2.0


class UrlRefused(Exception):
    """A URL may not be fetched.

    Attributes:
        reason: stable word for logs; the URL itself belongs in none.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NameNotResolved(Exception):
    """The host's name has no address, or the look-up took too long."""


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """A URL that may be fetched, and from where.

    Attributes:
        scheme: http or https.
        host: name or address, for the certificate.
        netloc: the host with its port, for the Host header.
        port: to connect to.
        path: path and query.
        addresses: every address of the host; all of them are public.
    """

    scheme: str
    host: str
    netloc: str
    port: int
    path: str
    addresses: tuple[str, ...]


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public internet; False for what is no address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)))
        return ip in _UNICAST_V6 and not any(ip in network for network in _REFUSED_V6)
    return not any(ip in network for network in _REFUSED_V4)


class SystemResolver:
    """Returns the addresses of a host, as the system's resolver has them. Belongs to one event loop.

    In threads of its own: those of the loop look up every name that the process connects to, and a caller who may name
    names could have all of them wait. They are daemons, for one that hangs must not keep the process from ending.

    Args:
        most: look-ups at a time; the next one waits.
    """

    def __init__(self, most: int = LOOK_UPS) -> None:
        self._places = asyncio.Semaphore(most)

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host.

        Raises:
            OSError: there are none, or the system gives no thread.
            UnicodeError: it is no name.
        """
        await self._places.acquire()
        loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def done(found: list[str], error: Exception | None) -> None:
            self._places.release()  # only now: whose caller has given up still holds its thread
            if answer.done():
                return
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def look_up() -> None:
            found: list[str] = []
            error: Exception | None = None
            try:
                found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
            except Exception as raised:  # noqa: BLE001 - it is raised where somebody waits
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(done, found, error)

        try:
            threading.Thread(target=look_up, name="look-up", daemon=True).start()
        except RuntimeError as error:
            self._places.release()
            raise OSError("the system gives no thread") from error
        return await answer


class SsrfGuard:
    """Decides which URLs may be fetched.

    Args:
        config: what may be fetched.
        resolve: (host, port) -> its addresses; raises OSError if there are none. Default is a :class:`SystemResolver`.
    """

    def __init__(
        self,
        config: SsrfGuardConfig | None = None,
        *,
        resolve: Callable[[str, int], Awaitable[list[str]]] | None = None,
    ) -> None:
        self.config = config or SsrfGuardConfig()
        self._resolve = resolve or SystemResolver()

    async def check(self, url: str) -> CheckedUrl:
        """Take a URL apart, look its host up, and judge its addresses.

        Raises:
            UrlRefused: it is not a plain URL, or one of its host's addresses is not public.
            NameNotResolved: its host has no address.
        """
        scheme, host, netloc, port, path = self._parts(url)
        try:
            async with asyncio.timeout(self.config.timeout):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):  # a timeout is an OSError too; an over-long label is a UnicodeError
            raise NameNotResolved("the host's name has no address") from None
        if not addresses:
            raise NameNotResolved("the host's name has no address")
        # All of them: to pick the good ones would let who owns the name decide by retrying.
        if not all(map(is_public, addresses)):
            raise UrlRefused("address_not_public")
        return CheckedUrl(scheme, host, netloc, port, path, tuple(dict.fromkeys(addresses)))

    def _parts(self, url: str) -> tuple[str, str, str, int, str]:
        if len(url) > self.config.max_url:
            raise UrlRefused("too_long")
        # No space, control or backslash, on which parsers disagree; other scripts come as percent code and punycode.
        if not _VISIBLE.fullmatch(url):
            raise UrlRefused("not_plain_ascii")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise UrlRefused("malformed") from None
        if parts.scheme not in self.config.schemes:
            raise UrlRefused("scheme")
        if "@" in parts.netloc:
            raise UrlRefused("credentials")
        if not (_is_v6(host) or _NAME.fullmatch(host)):
            raise UrlRefused("host")
        default = 443 if parts.scheme == "https" else 80
        port = default if port is None else port
        if port not in self.config.ports:
            raise UrlRefused("port")
        netloc = f"[{host}]" if ":" in host else host
        if port != default:
            netloc = f"{netloc}:{port}"
        path = parts.path or "/"
        return parts.scheme, host, netloc, port, f"{path}?{parts.query}" if parts.query else path


def _is_v6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host
