from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from app.patterns.jwks import JwksCache, JwksConfig, JwksUnavailableError, UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

RSA = RSAKey.generate_key(2048)
RSA_2 = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-256")
ED = OKPKey.generate_key("Ed25519")
RAW_2047 = rsa.generate_private_key(65537, 2047)
RSA_2047 = RSAKey(RAW_2047, RAW_2047)
BOUND = 5.0
"""Seconds that a test waits for what must happen at once."""


def jwk(key: RSAKey | ECKey | OKPKey, kid: str, **members: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, **members}


@dataclass
class Issuer:
    """A peer on a real socket that answers as told and counts who asks."""

    keys: list[Any] = field(default_factory=lambda: [jwk(RSA, "rsa")])
    status: int = 200
    headers: str = ""
    body: bytes | None = None
    statuses: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    write: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
    url: str = ""
    serving: list[asyncio.Task[Any]] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.append(task)
        try:
            await self.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(request.split(b" ", 2)[1].decode())
        self.arrived.set()
        await self.open.wait()
        if self.write is not None:
            await self.write(writer)
        else:
            status = self.statuses.pop(0) if self.statuses else self.status
            body = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
            head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{self.headers}\r\n"
            writer.write(head.encode() + body)
            await writer.drain()


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """The cache under test with all that it works with."""

    issuer: Issuer
    client: httpx2.AsyncClient
    clock: Clock = field(default_factory=Clock)
    events: list[tuple[str, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    caches: list[JwksCache] = field(default_factory=list)

    def cache(self, *, url: str | None = None, **config: Any) -> JwksCache:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        cache = JwksCache(
            JwksConfig(url=url or self.issuer.url, allow_http=True, **config),
            self.client,
            clock=self.clock,
            sleep=sleep,
            observe=lambda event, detail: self.events.append((event, detail)),
        )
        self.caches.append(cache)
        return cache

    async def fetched(self, cache: JwksCache) -> None:
        """Wait until no fetch is under way."""
        if cache._fetching is not None:
            await asyncio.wait({cache._fetching}, timeout=BOUND)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    issuer = Issuer()
    issuer.open.set()
    server = await asyncio.start_server(issuer, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"
    async with httpx2.AsyncClient() as client:
        world = World(issuer, client)
        yield world
        issuer.open.set()
        for cache in world.caches:
            await asyncio.wait_for(cache.aclose(), BOUND)
    server.close()
    for task in issuer.serving:
        task.cancel()
    await asyncio.gather(*issuer.serving, return_exceptions=True)
    await server.wait_closed()


async def test_keys_of_all_types_are_found_by_kid_and_algorithm_with_one_fetch(world: World) -> None:
    world.issuer.keys = [
        jwk(RSA, "rsa", use="sig", alg="RS256", x5c=["MIIB"]),
        jwk(EC, "ec", key_ops=["verify"]),
        jwk(ED, "ed", alg="EdDSA"),
    ]
    cache = world.cache()

    found = [await cache.key(*name) for name in (("rsa", "RS256"), ("ec", "ES256"), ("ed", "Ed25519"), ("ed", "EdDSA"))]

    assert [RSA.thumbprint(), EC.thumbprint(), ED.thumbprint(), ED.thumbprint()] == [key.thumbprint() for key in found]
    assert [key.is_private for key in found] == [False] * 4
    assert [key.alg for key in found] == ["RS256", None, None, None]
    assert world.issuer.asked == ["/jwks.json"]
    assert world.events[-1] == ("refreshed", "3 keys")


async def test_one_kid_may_name_keys_of_two_types(world: World) -> None:
    world.issuer.keys = [jwk(RSA, "main"), jwk(EC, "main")]
    cache = world.cache()

    assert RSA.thumbprint() == (await cache.key("main", "PS256")).thumbprint()
    assert EC.thumbprint() == (await cache.key("main", "ES256")).thumbprint()


async def test_a_key_of_another_type_is_not_found(world: World) -> None:
    with pytest.raises(UnknownKeyError):
        await world.cache().key("rsa", "ES256")


@pytest.mark.parametrize("algorithm", ["HS256", "none", "RSA-OAEP", ""])
async def test_an_algorithm_that_is_no_asymmetric_signature_costs_no_fetch(world: World, algorithm: str) -> None:
    with pytest.raises(UnknownKeyError):
        await world.cache().key("rsa", algorithm)

    assert world.issuer.asked == []


async def test_fifty_lookups_at_once_share_one_fetch(world: World) -> None:
    world.issuer.open.clear()
    cache = world.cache()
    lookups = [asyncio.create_task(cache.key("rsa", "RS256")) for _ in range(50)]
    await asyncio.wait_for(world.issuer.arrived.wait(), BOUND)
    assert not any(lookup.done() for lookup in lookups)

    world.issuer.open.set()
    keys = await asyncio.wait_for(asyncio.gather(*lookups), BOUND)

    assert {RSA.thumbprint()} == {key.thumbprint() for key in keys}
    assert len(world.issuer.asked) == 1


async def test_a_lookup_that_gives_up_does_not_end_the_fetch_of_the_others(world: World) -> None:
    world.issuer.open.clear()
    cache = world.cache()
    impatient, patient = (asyncio.create_task(cache.key("rsa", "RS256")) for _ in range(2))
    await asyncio.wait_for(world.issuer.arrived.wait(), BOUND)

    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    world.issuer.open.set()

    assert RSA.thumbprint() == (await asyncio.wait_for(patient, BOUND)).thumbprint()
    assert len(world.issuer.asked) == 1


async def test_a_new_key_is_fetched_as_soon_as_a_token_names_it(world: World) -> None:
    cache = world.cache()
    await cache.key("rsa", "RS256")
    world.issuer.keys = [jwk(RSA_2, "rsa-2")]
    world.clock.now += 10

    assert RSA_2.thumbprint() == (await cache.key("rsa-2", "RS256")).thumbprint()
    with pytest.raises(UnknownKeyError):
        await cache.key("rsa", "RS256")


async def test_a_flood_of_unknown_kids_costs_the_issuer_one_fetch_a_cooldown(world: World) -> None:
    cache = world.cache()
    await cache.key("rsa", "RS256")

    async def flood() -> int:
        for number in range(100):
            with pytest.raises(UnknownKeyError):
                await cache.key(f"made-up-{number}", "RS256")
        return len(world.issuer.asked)

    counts = [await flood()]
    for now in (1009.9, 1010.0, 1019.9, 1020.0):
        world.clock.now = now
        counts.append(await flood())

    assert counts == [1, 1, 2, 2, 3]


async def test_past_their_time_keys_are_used_on_while_new_ones_are_fetched_behind(world: World) -> None:
    cache = world.cache()
    await cache.key("rsa", "RS256")
    world.issuer.keys = [jwk(RSA_2, "rsa-2")]
    world.clock.now += 299.9
    await cache.key("rsa", "RS256")
    assert cache._fetching is None
    world.clock.now += 0.1
    world.issuer.open.clear()

    # The issuer does not answer, and yet nobody waits.
    for _ in range(3):
        assert RSA.thumbprint() == (await asyncio.wait_for(cache.key("rsa", "RS256"), BOUND)).thumbprint()
    world.issuer.open.set()
    await world.fetched(cache)

    assert RSA_2.thumbprint() == (await cache.key("rsa-2", "RS256")).thumbprint()
    with pytest.raises(UnknownKeyError):
        await cache.key("rsa", "RS256")
    assert len(world.issuer.asked) == 2


async def test_after_a_long_pause_a_lookup_waits_so_that_a_withdrawn_key_is_gone(world: World) -> None:
    cache = world.cache()
    await cache.key("rsa", "RS256")
    world.issuer.keys = [jwk(RSA_2, "rsa-2")]
    world.clock.now += 600

    with pytest.raises(UnknownKeyError):
        await cache.key("rsa", "RS256")


async def test_while_the_issuer_fails_keys_are_good_for_an_hour_and_the_state_says_so(world: World) -> None:
    cache = world.cache()
    assert cache.state() == {"state": "unavailable", "age_seconds": None, "keys": 0}
    await cache.key("rsa", "RS256")
    assert cache.state() == {"state": "ok", "age_seconds": 0.0, "keys": 1}

    world.issuer.status = 500
    for age in (300.0, 3599.5):
        world.clock.now = 1000 + age
        assert RSA.thumbprint() == (await cache.key("rsa", "RS256")).thumbprint()
        await world.fetched(cache)
        assert {"state": "stale", "age_seconds": age, "keys": 1} == cache.state()
    world.clock.now = 1000 + 3600
    with pytest.raises(JwksUnavailableError):
        await cache.key("rsa", "RS256")
    assert cache.state() == {"state": "unavailable", "age_seconds": 3600, "keys": 1}

    world.issuer.status = 200
    world.clock.now += 10
    assert RSA.thumbprint() == (await cache.key("rsa", "RS256")).thumbprint()
    assert cache.state() == {"state": "ok", "age_seconds": 0.0, "keys": 1}


async def test_without_any_keys_a_lookup_says_when_to_come_back_and_does_not_ask_again_before(world: World) -> None:
    world.issuer.status = 404
    cache = world.cache()
    waits = []
    for now in (1000.0, 1004.0, 1009.9):
        world.clock.now = now
        with pytest.raises(JwksUnavailableError) as unavailable:
            await cache.key("rsa", "RS256")
        waits.append(unavailable.value.retry_after)

    assert (waits, len(world.issuer.asked)) == ([10.0, 6.0, 1.0], 1)
    world.issuer.status, world.clock.now = 200, 1010.0
    assert RSA.thumbprint() == (await cache.key("rsa", "RS256")).thumbprint()


async def test_an_unknown_kid_is_not_called_unknown_while_the_issuer_fails(world: World) -> None:
    cache = world.cache()
    await cache.key("rsa", "RS256")
    world.issuer.status = 500
    world.clock.now += 10

    with pytest.raises(JwksUnavailableError):
        await cache.key("rsa-2", "RS256")
    assert RSA.thumbprint() == (await cache.key("rsa", "RS256")).thumbprint()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_failure_that_may_pass_is_tried_once_more(world: World, status: int) -> None:
    world.issuer.statuses = [status]

    assert RSA.thumbprint() == (await world.cache().key("rsa", "RS256")).thumbprint()
    assert len(world.issuer.asked) == 2
    assert [0 <= wait <= 0.5 for wait in world.waits] == [True]


@pytest.mark.parametrize(("status", "asked"), [(503, 2), (404, 1), (403, 1), (302, 1), (204, 1)])
async def test_attempts_are_bounded_and_a_refusal_is_not_tried_again(world: World, status: int, asked: int) -> None:
    world.issuer.status, world.issuer.body = status, b""
    cache = world.cache()

    await cache.refresh()

    assert (asked, [("failed", f"status {status}")]) == (len(world.issuer.asked), world.events)
    assert cache.state()["state"] == "unavailable"


async def test_a_peer_that_refuses_connections_is_a_failure_like_any_other(world: World) -> None:
    cache = world.cache(url="http://127.0.0.1:1/jwks.json")

    await cache.refresh()

    assert world.events == [("failed", "ConnectError")]
    assert len(world.waits) == 1


async def test_redirects_are_not_followed_even_if_the_client_would(world: World) -> None:
    world.issuer.status, world.issuer.headers = 302, "location: /elsewhere\r\n"
    world.client.follow_redirects = True

    await world.cache().refresh()

    assert (world.issuer.asked, world.events) == (["/jwks.json"], [("failed", "status 302")])


@pytest.mark.parametrize(("spare", "state"), [(0, "ok"), (1, "unavailable")], ids=["at the cap", "one byte past"])
async def test_the_size_of_the_answer_is_capped(world: World, spare: int, state: str) -> None:
    body = json.dumps({"keys": world.issuer.keys}).encode()
    world.issuer.body = body + b" " * (4096 + spare - len(body))
    cache = world.cache(max_bytes=4096)

    await cache.refresh()

    assert state == cache.state()["state"]


@pytest.mark.parametrize("framing", ["connection: close", "content-length: 9999999999", "transfer-encoding: chunked"])
async def test_an_endless_answer_is_read_no_further_than_the_cap(world: World, framing: str) -> None:
    block = b" " * 65_536
    if framing.endswith("chunked"):
        block = b"10000\r\n" + block + b"\r\n"
    written = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        while not writer.is_closing():
            writer.write(block)
            await writer.drain()
            written += len(block)

    world.issuer.write = endless
    cache = world.cache(attempt_seconds=60.0)

    await asyncio.wait_for(cache.refresh(), BOUND)

    assert world.events == [("failed", "the response exceeds 65536 bytes")]
    assert len(world.issuer.asked) == 1
    assert written < 64 * 1024 * 1024  # what the sockets' buffers took, and no more


async def test_a_peer_that_trickles_is_cut_off_when_the_attempt_is_over(world: World) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    world.issuer.write = trickle
    cache = world.cache(attempt_seconds=0.1, attempts=1)

    await asyncio.wait_for(cache.refresh(), BOUND)

    assert world.events == [("failed", "TimeoutError")]


async def test_a_compressed_answer_is_refused_before_it_can_unfold(world: World) -> None:
    world.issuer.headers = "content-encoding: gzip\r\n"

    await world.cache().refresh()

    assert world.events == [("failed", "the response is encoded, which was not asked for")]


@pytest.mark.parametrize(("count", "state"), [(8, "ok"), (9, "unavailable")], ids=["at the cap", "one past"])
async def test_the_number_of_keys_is_capped(world: World, count: int, state: str) -> None:
    world.issuer.keys = [jwk(RSA, f"rsa-{number}") for number in range(count)]
    cache = world.cache(max_keys=8)

    await cache.refresh()

    assert state == cache.state()["state"]


REFUSED: dict[str, tuple[Any, str]] = {
    "symmetric": (OctKey.generate_key(256).as_dict(private=True, kid="bad"), "it is symmetric or holds private parts"),
    "private RSA": ({**RSA_2.as_dict(private=True), "kid": "bad"}, "it is symmetric or holds private parts"),
    "private EC": ({**EC.as_dict(private=True), "kid": "bad"}, "it is symmetric or holds private parts"),
    "for encryption": (jwk(RSA_2, "bad", use="enc"), "it is not for verifying signatures"),
    "key_ops without verify": (jwk(RSA_2, "bad", key_ops=["encrypt"]), "it is not for verifying signatures"),
    "an encryption algorithm": (jwk(RSA_2, "bad", alg="RSA-OAEP"), "its alg is not a signature algorithm of its type"),
    "an HMAC algorithm": (jwk(RSA_2, "bad", alg="HS256"), "its alg is not a signature algorithm of its type"),
    "another type's algorithm": (jwk(EC, "bad", alg="RS256"), "its alg is not a signature algorithm of its type"),
    "alg not a string": (jwk(EC, "bad", alg=["ES256"]), "TypeError"),
    "weak": (jwk(RSA_2047, "bad"), "its modulus has 2047 bits"),
    "not a point": (jwk(EC, "bad", x="AQ"), "ValueError"),
    "a curve of no use": (jwk(OKPKey.generate_key("X25519"), "bad"), "its type or curve is not supported"),
    "an unknown type": ({"kty": "AKP", "kid": "bad"}, "its type or curve is not supported"),
    "no modulus": ({"kty": "RSA", "kid": "bad", "e": "AQAB"}, "KeyError"),
    "modulus not a string": ({"kty": "RSA", "kid": "bad", "n": 7, "e": "AQAB"}, "TypeError"),
    "no kid": (RSA_2.as_dict(private=False), "it has no acceptable kid"),
    "kid not a string": ({**jwk(RSA_2, ""), "kid": 7}, "it has no acceptable kid"),
    "kid too long": (jwk(RSA_2, "k" * 257), "it has no acceptable kid"),
    "kid taken": (jwk(RSA_2, "rsa"), "its kid is taken"),
    "not an object": ("rsa", "it is not an object"),
}


@pytest.mark.parametrize(("entry", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_key_that_must_not_verify_is_left_out_with_its_reason(world: World, entry: Any, reason: str) -> None:
    world.issuer.keys = [jwk(RSA, "rsa"), entry]
    cache = world.cache()

    await cache.refresh()

    assert [("key_ignored", f"key 1: {reason}"), ("refreshed", "1 keys")] == world.events
    assert RSA.thumbprint() == (await cache.key("rsa", "RS256")).thumbprint()


async def test_an_rsa_key_that_is_too_large_is_left_out(world: World) -> None:
    await world.cache(max_rsa_bits=2047).refresh()

    assert world.events[0] == ("key_ignored", "key 0: its modulus has 2048 bits")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"keys": []}', "no key in the set may verify signatures"),
        (b"[]", "not a JWK Set of at most 64 keys"),
        (b'{"keys": {}}', "not a JWK Set of at most 64 keys"),
        (b"<html>", "JSONDecodeError"),
        (b"\xff", "UnicodeDecodeError"),
        (b"[" * 60_000, "RecursionError|JSONDecodeError"),  # how deep json recurses depends on the interpreter
    ],
    ids=["empty", "a list", "keys not a list", "not JSON", "not text", "nested too deep"],
)
async def test_an_answer_without_usable_keys_never_replaces_keys_that_work(
    world: World, body: bytes, detail: str
) -> None:
    cache = world.cache()
    await cache.key("rsa", "RS256")
    world.issuer.body = body
    world.clock.now += 300

    await cache.refresh()

    event, told = world.events[-1]
    assert event == "failed"
    assert told in detail.split("|")
    assert RSA.thumbprint() == (await cache.key("rsa", "RS256")).thumbprint()


async def test_a_refresh_fetches_only_what_is_due(world: World) -> None:
    cache = world.cache()
    counts = []
    for now in (1000.0, 1299.9, 1300.0, 1300.0):
        world.clock.now = now
        await cache.refresh()
        counts.append(len(world.issuer.asked))

    assert counts == [1, 1, 2, 2]


async def test_closing_ends_the_fetch_and_its_waiters_and_nothing_is_fetched_any_more(world: World) -> None:
    world.issuer.open.clear()
    cache = world.cache(attempt_seconds=60.0)
    waiter = asyncio.create_task(cache.key("rsa", "RS256"))
    await asyncio.wait_for(world.issuer.arrived.wait(), BOUND)

    await asyncio.wait_for(cache.aclose(), BOUND)

    with pytest.raises(JwksUnavailableError):
        await asyncio.wait_for(waiter, BOUND)
    world.clock.now += 3600
    await asyncio.wait_for(cache.refresh(), BOUND)
    assert len(world.issuer.asked) == 1


async def test_a_fetch_inherits_nothing_of_the_request_that_started_it(world: World) -> None:
    deadline: contextvars.ContextVar[str] = contextvars.ContextVar("deadline", default="none")
    deadline.set("the request's")
    seen: list[str] = []
    config = JwksConfig(url=world.issuer.url, allow_http=True)
    cache = JwksCache(config, world.client, observe=lambda _event, _detail: seen.append(deadline.get()))
    world.caches.append(cache)

    await cache.key("rsa", "RS256")

    assert seen == ["none"]


@pytest.mark.parametrize(
    "unsafe",
    [
        {"url": "http://issuer.test/jwks.json"},
        {"url": "file:///etc/passwd", "allow_http": True},
        {"url": "https:///jwks.json"},
        {"url": "/jwks.json"},
        {"url": "https://user:secret@issuer.test/jwks.json"},
        {"url": "https://issuer.test:port/"},
        {"url": "https://issuer.test/", "ttl_seconds": 0},
        {"url": "https://issuer.test/", "ttl_seconds": 20, "max_stale_seconds": 10},
        {"url": "https://issuer.test/", "attempts": 0},
    ],
    ids=str,
)
def test_an_unsafe_config_is_refused(unsafe: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|is not a URL") as refused:
        JwksConfig(**unsafe)

    assert "secret" not in str(refused.value)


def test_https_is_what_the_default_config_takes() -> None:
    assert JwksConfig(url="https://issuer.test/jwks.json").allow_http is False
