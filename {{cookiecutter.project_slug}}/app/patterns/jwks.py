"""JWKS cache: the issuer's public keys, at hand, without a request ever waiting for the issuer in vain.

Threat: a key set that is fetched per request makes the issuer part of every request's latency and failure; one
that is kept for good never learns that a key was withdrawn; one that is fetched whenever a token names an
unknown key lets anybody make this service hammer the issuer; and what comes back may be endless, redirected, or
hold keys that must never verify anything (symmetric, private, meant for encryption, too weak).

What it does (defaults, with their reasons, in ``JwksConfig``):

* keys are fresh for 5 minutes; after that the next lookup starts a fetch in the background and goes on with
  what it has, so that no request waits. Only after a pause of twice that time does a lookup wait, so that a
  withdrawn key does not outlive it; and while the issuer fails, keys stay good for an hour in all;
* a lookup of an unknown ``kid`` fetches at once, because that is how a rotation looks; lookups share one fetch
  (single flight), and two fetches are at least 10 s apart, whatever the kids are;
* a response is read no further than 64 KiB, undecoded (so no compression bomb), without redirects, over https;
* keys that must not verify are left out, each with its reason told to ``observe``. A set with none left is a
  failed fetch: it never replaces keys that work.

What it does not do: obey ``Cache-Control`` (an issuer does not set this service's bounds), discover the URL
(OpenID Connect discovery), or keep keys across restarts. A token signed by a key that the issuer published less
than 10 s after the last fetch is refused until those have passed; issuers publish keys before they use them.

To lift it: needs ``httpx2``, ``joserfc`` and ``tenacity``::

    keys = JwksCache(JwksConfig(url="https://id.example/jwks.json"), client)
    await keys.refresh()   # at start, and in /readyz: costs a fetch only when one is due
    key = await keys.key(kid, "RS256")
    await keys.aclose()    # at the end; the client is yours to close
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, TypedDict

import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

Key = RSAKey | ECKey | OKPKey

_KEY_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("Ed25519", "EdDSA"), "OKP"),
}
"""Key type by signature algorithm (RFC 7518, section 3.1; RFC 8037; RFC 9864)."""

_CURVES: Final[Mapping[str, frozenset[str]]] = {
    "EC": frozenset({"P-256", "P-384", "P-521"}),
    "OKP": frozenset({"Ed25519"}),
}
_SHAPES: Final[Mapping[str, tuple[type[Key], tuple[str, ...]]]] = {
    "RSA": (RSAKey, ("kty", "n", "e")),
    "EC": (ECKey, ("kty", "crv", "x", "y")),
    "OKP": (OKPKey, ("kty", "crv", "x")),
}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_KID_LENGTH: Final = 256
_HEADERS: Final = {"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksConfig:
    """Where the keys are, how long they are good, and what a fetch may cost.

    Attributes:
        url: of the JWK Set; https, because whoever changes this answer can sign any token.
        ttl_seconds: keys are fresh that long, and a withdrawn key lives on for at most twice as long. 5 minutes
            is the default of Spring Security and of PyJWKClient.
        max_stale_seconds: keys are used that long after the last good fetch, while fetches fail; an hour is
            time to repair an issuer, and a bound on how long a withdrawn key can be kept alive by blocking us.
        cooldown_seconds: least time between two fetches. A flood of made-up kids costs the issuer 6 a minute,
            of ``attempts`` requests each while it fails.
        attempt_seconds: for one attempt, from connecting to the last byte.
        attempts: for one fetch, with jittered waits of at most half a second between.
        max_bytes: of the response; 64 KiB holds more than max_keys RSA-4096 keys.
        max_keys: in the set; the largest public issuers have about ten.
        min_rsa_bits: NIST SP 800-131A and RFC 7518, section 3.3.
        max_rsa_bits: beyond that a verification takes milliseconds of the event loop.
        allow_http: for tests and for an issuer on the same host.
    """

    url: str
    ttl_seconds: float = 300.0
    max_stale_seconds: float = 3600.0
    cooldown_seconds: float = 10.0
    attempt_seconds: float = 2.0
    attempts: int = 2
    max_bytes: int = 65_536
    max_keys: int = 64
    min_rsa_bits: int = 2048
    max_rsa_bits: int = 8192
    allow_http: bool = False

    def __post_init__(self) -> None:
        """Refuse an unsafe URL.

        Raises:
            ValueError: the URL is not absolute https (or http, if allowed), or holds credentials; or the
                bounds contradict each other.
        """
        try:
            url = httpx2.URL(self.url)
        except httpx2.InvalidURL as error:
            raise ValueError(f"the JWKS URL is not a URL: {error}") from None
        if url.scheme not in ({"https", "http"} if self.allow_http else {"https"}) or not url.host:
            raise ValueError("the JWKS URL must be an absolute https URL")
        if url.userinfo:
            raise ValueError("the JWKS URL must not hold credentials: it is logged")
        if not 0 < self.ttl_seconds <= self.max_stale_seconds or self.attempts < 1:
            raise ValueError("0 < ttl_seconds <= max_stale_seconds and attempts >= 1 must hold")


class UnknownKeyError(LookupError):
    """The issuer has no usable key of that name, as far as may be asked now."""


class JwksUnavailableError(ConnectionError):
    """No keys can be had: nothing usable is at hand and the issuer does not answer.

    Attributes:
        retry_after: seconds until the issuer is asked again.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the issuer's keys are unavailable, retry in {retry_after:g} s")
        self.retry_after = retry_after


class JwksState(TypedDict):
    """For /readyz. ``age_seconds`` is the time since the last good fetch, None before the first."""

    state: Literal["ok", "stale", "unavailable"]
    age_seconds: float | None
    keys: int


Observe = Callable[[Literal["refreshed", "failed", "key_ignored"], str], None]
"""Told of every fetch and every key left out, with a short text that holds no secret."""


class _RefusedError(ValueError):
    """The issuer answered with what no second attempt makes better."""


class _TransientError(Exception):
    """The issuer answered that it cannot answer now."""


class JwksCache:
    """Keeps one issuer's keys. Owns its background task; ``aclose()`` ends it.

    Belongs to one event loop.

    Args:
        config: where, how long, how much.
        client: makes the requests; not closed here.
        clock: monotonic seconds.
        sleep: waits between attempts.
        observe: told of fetches and of keys left out; must not raise.
    """

    def __init__(
        self,
        config: JwksConfig,
        client: httpx2.AsyncClient,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        observe: Observe | None = None,
    ) -> None:
        self._config = config
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._observe = observe or (lambda _event, _detail: None)
        self._keys: dict[tuple[str, str], Key] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._failed = self._closed = False
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str, algorithm: str) -> Key:
        """Return the public key named ``kid`` of the type that ``algorithm`` needs.

        Waits for the issuer only when there is no usable key of that name.

        Raises:
            UnknownKeyError: the issuer has no such key.
            JwksUnavailableError: whether it has cannot be told now.
        """
        if algorithm not in _KEY_TYPES:
            raise UnknownKeyError("no key is for this algorithm")
        name = (kid, _KEY_TYPES[algorithm])
        age, config = self._clock() - self._fetched_at, self._config
        # 1. Nothing usable of this name, or nobody asked for long although the issuer answers: wait for it.
        # 2. Past its time: refresh, and go on with what there is.
        unusable = name not in self._keys or age >= config.max_stale_seconds
        if unusable or (age >= 2 * config.ttl_seconds and not self._failed):
            await self._join_fetch()
        elif age >= config.ttl_seconds:
            self._start_fetch()
        # Looked at again: a fetch may have brought the key, taken it away or made the rest usable.
        key = self._keys.get(name)
        if key is not None and self._clock() - self._fetched_at < config.max_stale_seconds:
            return key
        # Unknown to a failing issuer is not unknown: it may be the new key of a rotation.
        if self._failed or self._fetched_at == float("-inf") or key is not None:
            raise JwksUnavailableError(max(1.0, self._tried_at + config.cooldown_seconds - self._clock()))
        raise UnknownKeyError("no such key")

    async def refresh(self) -> None:
        """Fetch the keys if they are not fresh and the cooldown is over. Does not raise: ``state()`` tells."""
        if self._clock() - self._fetched_at >= self._config.ttl_seconds:
            await self._join_fetch()

    def state(self) -> JwksState:
        """Say how good the keys at hand are: ``stale`` means past their time because the issuer fails."""
        age = self._clock() - self._fetched_at
        state: Literal["ok", "stale", "unavailable"] = "ok"
        if age >= self._config.max_stale_seconds:
            state = "unavailable"
        elif age >= self._config.ttl_seconds and self._failed:
            state = "stale"
        return {
            "state": state,
            "age_seconds": None if age == float("inf") else age,
            "keys": len(self._keys),
        }

    async def aclose(self) -> None:
        """End a fetch under way. Keys at hand can still be used; nothing is fetched any more."""
        self._closed = True
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    def _start_fetch(self) -> asyncio.Task[None] | None:
        """Return the fetch under way, or a new one, or None if the cooldown (or closing) forbids it."""
        now = self._clock()
        if self._fetching is not None:
            return self._fetching
        if self._closed or now - self._tried_at < self._config.cooldown_seconds:
            return None
        self._tried_at = now
        # An empty context: the fetch is nobody's in particular, and must not inherit the deadline or the trace
        # of the request that happened to start it.
        self._fetching = asyncio.create_task(self._fetch(), name="jwks-fetch", context=contextvars.Context())
        self._fetching.add_done_callback(self._fetch_done)
        return self._fetching

    def _fetch_done(self, _task: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _join_fetch(self) -> None:
        task = self._start_fetch()
        if task is not None:
            # wait() and not await: neither does a waiter that gives up cancel the others' fetch, nor does a
            # cancelled fetch cancel its waiters.
            await asyncio.wait({task})

    async def _fetch(self) -> None:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._config.attempts),
            wait=wait_random_exponential(multiplier=0.1, max=0.5),
            retry=retry_if_exception_type((httpx2.TransportError, TimeoutError, _TransientError)),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            keys = self._usable(await retrying(self._download))
        except Exception as error:  # noqa: BLE001 - whatever failed, the keys at hand stand and state() tells
            self._failed = True
            self._observe("failed", _reason(error))
            return
        self._keys, self._fetched_at, self._failed = keys, self._clock(), False
        self._observe("refreshed", f"{len(keys)} keys")

    async def _download(self) -> bytearray:
        """Return the body of the issuer's answer, reading no more than allowed."""
        config = self._config
        request = self._client.stream(
            "GET", config.url, headers=_HEADERS, follow_redirects=False, timeout=config.attempt_seconds
        )
        body = bytearray()
        # httpx2's timeouts are per read; a peer that sends a byte a second is stopped by this one.
        async with asyncio.timeout(config.attempt_seconds), request as response:
            if response.is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                raise _TransientError(f"status {response.status_code}")
            if response.status_code != HTTPStatus.OK:
                raise _RefusedError(f"status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise _RefusedError("the response is encoded, which was not asked for")
            async for chunk in response.aiter_raw():
                if len(body) + len(chunk) > config.max_bytes:
                    raise _RefusedError(f"the response exceeds {config.max_bytes} bytes")
                body += chunk
        return body

    def _usable(self, body: bytearray) -> dict[tuple[str, str], Key]:
        """Return the keys of a JWK Set that may verify signatures, by kid and key type."""
        document = json.loads(body)
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list) or len(entries) > self._config.max_keys:
            raise _RefusedError(f"not a JWK Set of at most {self._config.max_keys} keys")
        keys: dict[tuple[str, str], Key] = {}
        for position, entry in enumerate(entries):
            try:
                kid, key = _verification_key(entry, self._config)
            except (JoseError, ValueError, TypeError, KeyError) as error:
                self._observe("key_ignored", f"key {position}: {_reason(error)}")
            else:
                # Two keys of one name and type: which one is meant cannot be told, so the first stands.
                if keys.setdefault((kid, key.key_type), key) is not key:
                    self._observe("key_ignored", f"key {position}: its kid is taken")
        if not keys:
            raise _RefusedError("no key in the set may verify signatures")
        return keys


def _verification_key(entry: object, config: JwksConfig) -> tuple[str, Key]:
    """Return kid and key of a JWK (RFC 7517) that may verify signatures.

    Raises:
        _RefusedError: it may not.
        JoseError, ValueError, TypeError, KeyError: it is not a key.
    """
    if not isinstance(entry, dict):
        raise _RefusedError("it is not an object")
    kid, algorithm, key_type = entry.get("kid"), entry.get("alg"), entry.get("kty")
    if not isinstance(kid, str) or not 0 < len(kid) <= _MAX_KID_LENGTH:
        raise _RefusedError("it has no acceptable kid")
    if key_type == "oct" or not _PRIVATE_MEMBERS.isdisjoint(entry):
        # Who publishes its secret shares it with everybody: whatever it signs proves nothing.
        raise _RefusedError("it is symmetric or holds private parts")
    if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ("verify",)):
        raise _RefusedError("it is not for verifying signatures")
    if algorithm is not None and _KEY_TYPES.get(algorithm) != key_type:
        raise _RefusedError("its alg is not a signature algorithm of its type")
    if key_type == "RSA":
        bits = _bit_length(entry["n"])
        if not config.min_rsa_bits <= bits <= config.max_rsa_bits:
            raise _RefusedError(f"its modulus has {bits} bits")
    elif entry.get("crv") not in _CURVES.get(str(key_type), frozenset()):
        raise _RefusedError("its type or curve is not supported")
    key_class, names = _SHAPES[str(key_type)]
    # Only these members go on: what nobody reads can neither fail the import nor mean something.
    members = {name: entry[name] for name in names}
    # An OKP key goes without alg: some issuers spell it EdDSA, some Ed25519, and the curve says it anyway.
    if algorithm is not None and key_type != "OKP":
        members["alg"] = algorithm
    return kid, key_class.import_key(members)


def _bit_length(value: str) -> int:
    """Return the bits of a base64url number; measured before the import, which takes a key of any size."""
    return int.from_bytes(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)), "big").bit_length()


def _reason(error: Exception) -> str:
    """Say what went wrong without the peer's words: only texts from this file, else the type's name."""
    return str(error) if isinstance(error, _RefusedError | _TransientError) else type(error).__name__
