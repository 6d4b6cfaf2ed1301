"""The client's address, as far as it can be known: ``X-Forwarded-For`` from trusted proxies only.

**The threat.** Limits, logs and blocks go by address. ``X-Forwarded-For`` is a header that anyone can send:
whoever believes it lets each request claim an address of its own (and so evade every limit), or somebody
else's (and so have them blocked). Whoever ignores it behind a proxy counts all clients as one.

**How it works.** The peer of the connection is the client, unless the peer is a trusted proxy. Then the list
is read from its right end, where the nearest proxy wrote down its own peer; entries that are trusted proxies
are stepped over, and the first that is not is the client. What a client wrote itself stands further left and
is never reached. If all entries are trusted, the leftmost is the client: the request began inside. An entry
that is no address, or too many hops, ends the walk, and the peer is the client.

**Defaults** stand in `ClientAddressConfig`, each with its reason. No proxy is trusted by default.

**What it does not do.** It does not read ``Forwarded`` (RFC 7239), ``X-Real-IP`` or the PROXY protocol. Each
trusted proxy must append to ``X-Forwarded-For`` (nginx: ``$proxy_add_x_forwarded_for``): one that passes the
header through lets its clients choose their addresses. The server in front must leave ``scope["client"]``
alone: uvicorn by default rewrites it for peers on 127.0.0.1, so run it with ``proxy_headers=False``.

**How to lift it.** Copy this file; it has no dependencies::

    client = ClientAddress(["10.0.0.0/8"])
    client(scope)  # "203.0.113.7"
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

UNKNOWN = "unknown"  # a peer without an address, as on a Unix socket
MAX_ENTRY = 64  # characters: the longest address with brackets, port and a space takes 48
_MAPPED = "::ffff:"


@dataclass(frozen=True, slots=True)
class ClientAddressConfig:
    """The numbers of the walk.

    Attributes:
        max_hops: entries looked at. A CDN, a load balancer, an ingress and a mesh are four; 8 is twice that.
        max_header: bytes read from the right end of the header; 8 IPv6 addresses with ports take 400.
        cache_size: parsed addresses kept, about 0.2 KiB each; proxies and returning clients hit it.
    """

    max_hops: int = 8
    max_header: int = 1024
    cache_size: int = 4096


DEFAULTS = ClientAddressConfig()


class InvalidTrustedProxies(ValueError):
    """An entry of the trusted proxies is no network, or trusts everyone."""


def _networks(trusted_proxies: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    if isinstance(trusted_proxies, str):
        raise InvalidTrustedProxies("trusted proxies: want a list of networks, not one text")
    networks = []
    for text in trusted_proxies:
        try:
            network = ip_network(text)
        except ValueError as error:
            raise InvalidTrustedProxies(f"trusted proxy {text!r}: {error}") from error
        if network.prefixlen == 0:
            raise InvalidTrustedProxies(f"trusted proxy {text!r} trusts everyone: anyone could pose as anyone")
        networks.append(network)
    return tuple(networks)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address as proxies write it: bare, ``1.2.3.4:80``, ``[2001:db8::1]`` or ``[2001:db8::1]:80``.

    Returns:
        The address, IPv4-mapped IPv6 as IPv4; None if it is none, or has a zone (RFC 4007), which means
        nothing outside the host that wrote it.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address


class ClientAddress:
    """Callable that returns the client address of an ASGI scope; it never raises.

    Args:
        trusted_proxies: networks or addresses of the proxies in front, e.g. ``["10.0.0.0/8", "fd00::/8"]``.
        config: the numbers.

    Raises:
        InvalidTrustedProxies: an entry is no network, or has prefix length 0.
    """

    def __init__(self, trusted_proxies: Sequence[str] = (), *, config: ClientAddressConfig = DEFAULTS) -> None:
        self._networks = _networks(trusted_proxies)
        self._config = config
        self._look_up = lru_cache(maxsize=config.cache_size)(self._parse)

    def __call__(self, scope: Scope) -> str:
        """Return the address in canonical form, or ``"unknown"``."""
        client = scope.get("client")
        peer = client[0] if client else ""
        if not peer:
            return UNKNOWN
        if self._networks and self._look_up(peer)[1]:
            return self._forwarded(scope) or self._look_up(peer)[0]
        if ":" in peer:
            return peer[7:] if peer.startswith(_MAPPED) and "." in peer else peer.partition("%")[0]
        return str(peer)

    def _parse(self, text: str) -> tuple[str, bool]:
        """Return an address in canonical form ("" if it is none) and whether it is a trusted proxy's."""
        address = parse_address(text)
        if address is None:
            return "", False
        return str(address), any(address in network for network in self._networks)

    def _forwarded(self, scope: Scope) -> str:
        """Return the client's address from X-Forwarded-For, or "" if it says nothing usable."""
        # Several header lines are one list (RFC 9110, 5.2); its right end is the end of the last line.
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        whole = b",".join(lines)
        text = whole[-self._config.max_header :].decode("latin-1")
        entries = text.rsplit(",", self._config.max_hops)
        cut = len(entries) > self._config.max_hops or len(text) < len(whole)
        address = ""
        for entry in reversed(entries[cut:]):  # of a list that was cut, the first part is no whole entry
            address, trusted = self._look_up(entry) if len(entry) <= MAX_ENTRY else ("", False)
            if not trusted:
                return address
        return "" if cut else address
