"""A URL from outside leads to the public internet, or nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.patterns.ssrf_guard import (
    CheckedUrl,
    NameNotResolved,
    SsrfGuard,
    SsrfGuardConfig,
    SystemResolver,
    UrlRefused,
    is_public,
)

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Awaitable, Callable, Iterator

PATIENCE = 20.0
"""Seconds after which a wait is a failure."""

PUBLIC = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


def resolving(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return resolve


async def refusal(url: str, guard: SsrfGuard | None = None) -> str:
    with pytest.raises(UrlRefused) as refused:
        await (guard or SsrfGuard(resolve=resolving(*PUBLIC))).check(url)
    return refused.value.reason


async def test_a_public_url_is_taken_apart_and_comes_with_its_addresses() -> None:
    checked = await SsrfGuard(resolve=resolving(*PUBLIC, PUBLIC[0])).check(
        "https://Pictures.example/cat.jpg?size=2#top"
    )
    assert checked == CheckedUrl(
        "https", "pictures.example", "pictures.example", 443, "/cat.jpg?size=2", (PUBLIC[0], PUBLIC[1])
    )


@pytest.mark.parametrize(
    ("url", "netloc", "port", "path"),
    [
        ("http://a.example", "a.example", 80, "/"),
        ("http://a.example:80/", "a.example", 80, "/"),
        ("http://a.example:443/x", "a.example:443", 443, "/x"),
        ("http://[2606:2800:21f::1]/x", "[2606:2800:21f::1]", 80, "/x"),
        ("https://a.example?q=1", "a.example", 443, "/?q=1"),
        ("https://xn--bcher-kva.example/%E2%82%AC", "xn--bcher-kva.example", 443, "/%E2%82%AC"),
    ],
)
async def test_the_pieces_of_a_url(url: str, netloc: str, port: int, path: str) -> None:
    checked = await SsrfGuard(resolve=resolving(PUBLIC[0])).check(url)
    assert (checked.netloc, checked.port, checked.path) == (netloc, port, path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not_plain_ascii"),
        ("pictures.example/cat.jpg", "scheme"),
        ("//pictures.example/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://pictures.example:70/_", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("http://", "host"),
        ("http:///path", "host"),
        ("http://user:secret@pictures.example/", "credentials"),
        ("http://pictures.example@169.254.169.254/", "credentials"),
        ("http://pictures.example\\@169.254.169.254/", "not_plain_ascii"),
        ("http://pictures.example /", "not_plain_ascii"),
        ("http://pictures.example/\r\nhost: evil", "not_plain_ascii"),
        ("http://pictures.example/\x00", "not_plain_ascii"),
        ("http://ⓔvil.example/", "not_plain_ascii"),
        ("http://[::1/", "malformed"),
        ("http://pictures.example:99999/", "malformed"),
        ("http://pictures.example:x/", "malformed"),
        ("http://pictures.example:25/", "port"),
        ("http://pictures.example:0/", "port"),
        ("http://pictures.example:6379/", "port"),
        ("http://-pictures.example/", "host"),
        ("http://pic%74ures.example/", "host"),
        ("http://[fe80::1%25eth0]/", "host"),
        ("http://pictures.example/" + "x" * 2048, "too_long"),
    ],
)
async def test_what_is_no_plain_url_is_refused(url: str, reason: str) -> None:
    assert await refusal(url) == reason


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.100.100.200", "100.64.0.1", "127.0.0.1", "127.255.255.255", "169.254.169.254",
        "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "192.88.99.1",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:93.184.215.14", "::127.0.0.1",
        "64:ff9b::169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1",
        "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
        "fe80::1", "fec0::1", "ff02::1", "4000::1", "localhost", "", "127.1", "1.2.3", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *PUBLIC, "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17", "2600::", "2003::1",
        "2001:200::1", "64:ff9b::1.1.1.1",
    ],
)  # fmt: skip
def test_an_address_that_is_public_is_known_also_next_to_one_that_is_not(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_what_the_standard_library_calls_private_is_never_public(address: ipaddress.IPv4Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_loopback:
        assert not is_public(str(address))
        assert not is_public(f"::ffff:{address}")
        assert not is_public(f"64:ff9b::{address}")


@pytest.mark.parametrize("last", ["169.254.169.254", "127.0.0.1", "::1", "fd00:ec2::254"])
async def test_one_bad_address_among_good_ones_refuses_the_url(last: str) -> None:
    assert await refusal("http://a.example/", SsrfGuard(resolve=resolving(*PUBLIC, last))) == "address_not_public"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "[::ffff:7f00:1]"]
)
async def test_the_systems_resolver_makes_every_spelling_of_the_loopback_an_address(host: str) -> None:
    with pytest.raises((UrlRefused, NameNotResolved)) as refused:
        await SsrfGuard().check(f"http://{host}/")
    assert str(refused.value) in {"address_not_public", "the host's name has no address"}


async def test_the_name_is_looked_up_once_so_its_owner_cannot_change_the_answer() -> None:
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"] if len(asked) == 1 else ["169.254.169.254"]

    checked = await SsrfGuard(resolve=rebinding).check("http://rebinding.example/")
    assert (checked.addresses, asked) == (("93.184.215.14",), ["rebinding.example"])


async def test_a_name_without_an_address_and_one_that_takes_too_long() -> None:
    async def fails(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    async def hangs(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(60)
        return PUBLIC

    for guard in (
        SsrfGuard(resolve=fails),
        SsrfGuard(resolve=resolving()),
        SsrfGuard(SsrfGuardConfig(timeout=0.01), resolve=hangs),
    ):
        with pytest.raises(NameNotResolved):
            await guard.check("http://a.example/")


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Have the servers of hangs.example answer only when the event is set, and those of other names at once."""
    real, answered = socket.getaddrinfo, threading.Event()

    def getaddrinfo(host: str, *args: Any, **options: Any) -> Any:
        if host == "hangs.example":
            answered.wait()
        return real("127.0.0.1" if host == "hangs.example" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield answered
    answered.set()


async def test_a_name_that_hangs_holds_up_no_other_name_of_the_process(dns: threading.Event) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads, contextlib.ExitStack() as before:
        before.callback(dns.set)  # the threads are waited for at the end
        loop.set_default_executor(threads)
        with pytest.raises(NameNotResolved):
            await SsrfGuard(SsrfGuardConfig(timeout=0.05)).check("http://hangs.example/")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            async with asyncio.timeout(PATIENCE):  # another service, which the process knows by its name
                transport, _ = await loop.create_connection(asyncio.Protocol, "localhost", port, family=socket.AF_INET)
            transport.close()


async def test_names_that_hang_hold_their_places_until_they_are_answered(dns: threading.Event) -> None:
    guard = SsrfGuard(SsrfGuardConfig(timeout=0.05), resolve=SystemResolver(1))
    for name in ("hangs.example", "93.184.215.14"):
        with pytest.raises(NameNotResolved):
            await guard.check(f"http://{name}/")
    dns.set()
    guard.config = SsrfGuardConfig(timeout=PATIENCE)
    assert (await guard.check("http://93.184.215.14/")).addresses == ("93.184.215.14",)


async def test_a_system_that_gives_no_thread_is_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    guard = SsrfGuard(resolve=SystemResolver(1))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(NameNotResolved):
            await guard.check("http://93.184.215.14/")
    assert (await guard.check("http://93.184.215.14/")).addresses == ("93.184.215.14",)


async def test_a_refusal_repeats_nothing_of_the_url() -> None:
    with pytest.raises(UrlRefused) as refused:
        await SsrfGuard().check("http://user:hunter2@a.example/")
    assert "hunter2" not in repr(refused.value)
