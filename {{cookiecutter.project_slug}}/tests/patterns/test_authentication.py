from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from app.patterns import authentication
from app.patterns.authentication import (
    Authentication,
    AuthenticationConfig,
    AuthenticationError,
    Key,
    KeysUnavailableError,
    Principal,
    TokenVerifier,
)
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Message, Receive, Scope, Send

ISSUER = "https://issuer.test"
AUDIENCE = "orders"
NOW = 1_800_000_000.0
CONFIG = AuthenticationConfig(issuer=ISSUER, audience=AUDIENCE)

RSA = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-256")
EC_384 = ECKey.generate_key("P-384")
ED = OKPKey.generate_key("Ed25519")
ED_448 = OKPKey.generate_key("Ed448")
ATTACKER = RSAKey.generate_key(2048)
PUBLISHED: dict[str, Key] = {"rsa": RSA, "ec": EC, "ec-384": EC_384, "ed": ED, "ed-448": ED_448}

UNKNOWN = 'Bearer realm="orders"'
INVALID = 'Bearer realm="orders", error="invalid_token"'


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Keys:
    """A source of keys that counts how often it is asked and can be taken away."""

    published: dict[str, Key] = field(default_factory=lambda: dict(PUBLISHED))
    lookups: int = 0
    outage: Exception | None = None

    async def key(self, kid: str, algorithm: str) -> Key:
        self.lookups += 1
        if self.outage is not None:
            raise self.outage
        return self.published[kid]


@dataclass
class Attempts:
    """Blocks when told to, and counts what it is asked."""

    retry_after: float | None = None
    asked: int = 0
    failures: int = 0

    async def blocked(self, _scope: Scope) -> float | None:
        self.asked += 1
        return self.retry_after

    async def failed(self, _scope: Scope) -> None:
        self.failures += 1


class OutageError(ConnectionError):
    retry_after = 6.2


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def encoded(part: dict[str, Any] | bytes) -> bytes:
    return b64(part if isinstance(part, bytes) else json.dumps(part).encode())


def claims(**changes: Any) -> dict[str, Any]:
    """Return good claims with ``changes``; a change to None takes the claim out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": NOW, "exp": NOW + 600, "roles": ["customer"]}
    return {name: value for name, value in (good | changes).items() if value is not None}


def header(**changes: Any) -> dict[str, Any]:
    """Return a good header with ``changes``; a change to None takes the member out."""
    good = {"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(
    payload: dict[str, Any] | bytes | None = None,
    head: dict[str, Any] | bytes | None = None,
    key: Key = RSA,
    algorithm: str = "RS256",
) -> bytes:
    """Sign whatever it is told to, well-formed or not."""
    message = encoded(head or header()) + b"." + encoded(claims() if payload is None else payload)
    return message + b"." + b64(JWSRegistry.algorithms[algorithm].sign(message, key))


def unsigned(alg: str) -> bytes:
    return encoded(header(alg=alg)) + b"." + encoded(claims()) + b"."


def hmac_signed(secret: bytes) -> bytes:
    message = encoded(header(alg="HS256")) + b"." + encoded(claims())
    return message + b"." + b64(hmac.digest(secret, message, "sha256"))


def tampered() -> bytes:
    head, _payload, signature = signed().split(b".")
    return b".".join((head, encoded(claims(sub="root")), signature))


def encrypted() -> bytes:
    protected = {"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "rsa"}
    return jwe.encrypt_compact(protected, json.dumps(claims()), RSA).encode()


def sized(size: int) -> bytes:
    """Return a good token of exactly ``size`` bytes."""
    for spare in ("", "x", "xx", "xxx"):
        head = header(spare=spare)
        missing = size - len(signed(claims(pad=""), head))
        for pad in range(missing * 3 // 4 - 3, missing * 3 // 4 + 4):
            if len(token := signed(claims(pad="x" * pad), head)) == size:
                return token
    raise AssertionError("no padding gives this size")


def padded(part: int) -> bytes:
    """Return a token, signed as it stands, one of whose parts ends in base64 padding."""
    plain = [json.dumps(header()).encode(), json.dumps(claims()).encode()]
    parts = [b64(text) for text in plain]
    parts[part] = base64.urlsafe_b64encode(plain[part].ljust(200))
    assert parts[part].endswith(b"=")
    message = b".".join(parts)
    return message + b"." + b64(JWSRegistry.algorithms["RS256"].sign(message, RSA))


def containers(count: int) -> bytes:
    """Return a good token whose claims are made of ``count`` objects and arrays."""
    return signed(claims(roles=None, deep=[[]] * (count - 2)))


@dataclass
class Service:
    """The guard behind a real server, and what it works with."""

    url: str
    client: httpx2.Client
    clock: Clock
    keys: Keys
    attempts: Attempts
    refused: list[str]

    def get(self, *authorization: bytes) -> httpx2.Response:
        return self.client.get(self.url, headers=[(b"authorization", value) for value in authorization])


async def echo(scope: Scope, _receive: Receive, send: Send) -> None:
    principal: Principal = scope["state"]["principal"]
    body = json.dumps([principal.subject, principal.roles, principal.tenant, principal.expires_at]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    clock, keys, attempts = Clock(), Keys(), Attempts()
    refused: list[str] = []

    async def refuse(scope: Scope, receive: Receive, send: Send, error: authentication.Refusal) -> None:
        refused.append(error.code if isinstance(error, AuthenticationError) else type(error).__name__)
        await authentication._refuse(scope, receive, send, error)

    verifier = TokenVerifier(CONFIG, keys, clock)
    guard = Authentication(echo, verifier=verifier, realm="orders", refuse=refuse, attempts=attempts)
    with serve(guard) as url, httpx2.Client() as client:
        yield Service(url, client, clock, keys, attempts, refused)


@pytest.fixture
def service(running: Service) -> Service:
    running.clock.now = NOW
    running.keys.outage = running.attempts.retry_after = None
    running.keys.lookups = running.attempts.asked = running.attempts.failures = 0
    running.refused.clear()
    return running


GOOD: dict[str, Callable[[], bytes]] = {
    "RS256": signed,
    "ES256": lambda: signed(head=header(alg="ES256", kid="ec"), key=EC, algorithm="ES256"),
    "Ed25519": lambda: signed(head=header(alg="Ed25519", kid="ed"), key=ED, algorithm="Ed25519"),
    "the deprecated name EdDSA": lambda: signed(head=header(alg="EdDSA", kid="ed"), key=ED, algorithm="EdDSA"),
    "typ JWT": lambda: signed(head=header(typ="JWT")),
    "typ application/at+jwt": lambda: signed(head=header(typ="application/AT+JWT")),
    "no typ": lambda: signed(head=header(typ=None)),
    "a header nobody knows": lambda: signed(head=header(cat="x", x5t="dGh1bWI")),
    "several audiences": lambda: signed(claims(aud=["billing", AUDIENCE])),
    "expired, just within the leeway": lambda: signed(claims(exp=NOW - 29.9)),
    "not yet valid, at the leeway": lambda: signed(claims(nbf=NOW + 30)),
    "issued in the future, at the leeway": lambda: signed(claims(iat=NOW + 30)),
    "no iat": lambda: signed(claims(iat=None)),
    "as large as allowed": lambda: sized(8192),
    "as many containers as allowed": lambda: containers(256),
    "a subject as long as allowed": lambda: signed(claims(sub="s" * 255)),
    "as many roles as allowed": lambda: signed(claims(roles=[f"r{n}" for n in range(64)])),
    "a role as long as allowed": lambda: signed(claims(roles=["r" * 64])),
    "a tenant as long as allowed": lambda: signed(claims(tenant="t" * 255)),
}


@pytest.mark.parametrize("build", GOOD.values(), ids=GOOD.keys())
def test_a_good_token_is_let_in(service: Service, build: Callable[[], bytes]) -> None:
    response = service.get(b"Bearer " + build())

    assert (service.refused, response.status_code) == ([], 200)


def payload_with(text: str) -> bytes:
    """Return good claims with ``text`` put in as it stands, for what json.dumps would not write."""
    return json.dumps(claims(exp=None)).encode()[:-1] + b", " + text.encode() + b"}"


ATTACKS: dict[str, tuple[str, Callable[[], bytes]]] = {
    **{f"alg {alg}": ("token_unverified", partial(unsigned, alg)) for alg in ("none", "None", "NONE", "nOnE")},
    "alg none with a signature": ("token_unverified", lambda: signed(head=header(alg="none"))),
    "HMAC with the public key as PEM": ("token_unverified", lambda: hmac_signed(RSA.as_pem(private=False))),
    "HMAC with the public key as DER": ("token_unverified", lambda: hmac_signed(RSA.as_der(private=False))),
    "HMAC with the public key as JWK": ("token_unverified", lambda: hmac_signed(json.dumps(RSA.as_dict()).encode())),
    "an algorithm not on the list": (
        "token_unverified",
        lambda: signed(head=header(alg="RS512"), algorithm="RS512"),
    ),
    "alg missing": ("token_unverified", lambda: signed(head=header(alg=None))),
    "alg not a string": ("token_unverified", lambda: signed(head=header(alg=["RS256"]))),
    "unknown kid": ("token_unverified", lambda: signed(head=header(kid="other"))),
    "another key's kid": ("token_unverified", lambda: signed(key=ATTACKER)),
    "kid missing": ("header_refused", lambda: signed(head=header(kid=None))),
    "kid empty": ("header_refused", lambda: signed(head=header(kid=""))),
    "kid not a string": ("header_refused", lambda: signed(head=header(kid=7))),
    "RS256 with an EC key's kid": ("token_unverified", lambda: signed(head=header(kid="ec"))),
    "ES256 with an RSA key's kid": (
        "token_unverified",
        lambda: signed(head=header(alg="ES256"), key=EC, algorithm="ES256"),
    ),
    "ES256 with a P-384 key": (
        "token_unverified",
        lambda: signed(head=header(alg="ES256", kid="ec-384"), key=EC_384, algorithm="ES256"),
    ),
    "EdDSA with an Ed448 key": (
        "token_unverified",
        lambda: signed(head=header(alg="EdDSA", kid="ed-448"), key=ED_448, algorithm="EdDSA"),
    ),
    "payload tampered with": ("token_unverified", tampered),
    "signature taken off": ("token_unverified", lambda: signed().rpartition(b".")[0] + b"."),
    "crit unknown": ("header_refused", lambda: signed(head=header(crit=["exp"], exp=1))),
    "crit empty": ("header_refused", lambda: signed(head=header(crit=[]))),
    "b64 false": ("header_refused", lambda: signed(head=header(crit=["b64"], b64=False))),
    "b64 without crit": ("header_refused", lambda: signed(head=header(b64=False))),
    "jwk with the attacker's key": (
        "header_refused",
        lambda: signed(head=header(jwk=ATTACKER.as_dict()), key=ATTACKER),
    ),
    "jwk with the attacker's small key": (
        "header_refused",
        lambda: signed(head=header(alg="ES256", kid="ec", jwk=EC.as_dict()), key=EC, algorithm="ES256"),
    ),
    "jku": ("header_refused", lambda: signed(head=header(jku="https://attacker.test/jwks.json"))),
    "x5u": ("header_refused", lambda: signed(head=header(x5u="https://attacker.test/chain.pem"))),
    "x5c": ("header_refused", lambda: signed(head=header(x5c=["MIIB"]))),
    "typ of a DPoP proof": ("header_refused", lambda: signed(head=header(typ="dpop+jwt"))),
    "typ of a logout token": ("header_refused", lambda: signed(head=header(typ="logout+jwt"))),
    "typ not a string": ("header_refused", lambda: signed(head=header(typ=1))),
    "another issuer": ("issuer_mismatch", lambda: signed(claims(iss="https://issuer.test/"))),
    "issuer missing": ("issuer_mismatch", lambda: signed(claims(iss=None))),
    "issuer in a list": ("issuer_mismatch", lambda: signed(claims(iss=[ISSUER]))),
    "another audience": ("audience_mismatch", lambda: signed(claims(aud="billing"))),
    "audience missing": ("audience_mismatch", lambda: signed(claims(aud=None))),
    "audience a part of the name": ("audience_mismatch", lambda: signed(claims(aud=["orders-admin"]))),
    "audience an object": ("audience_mismatch", lambda: signed(claims(aud={AUDIENCE: 1}))),
    "expired": ("token_expired", lambda: signed(claims(exp=NOW - 600))),
    "expired, at the leeway": ("token_expired", lambda: signed(claims(exp=NOW - 30))),
    "not yet valid, past the leeway": ("token_not_yet_valid", lambda: signed(claims(nbf=NOW + 30.1))),
    "issued in the future, past the leeway": ("token_not_yet_valid", lambda: signed(claims(iat=NOW + 30.1))),
    "exp missing": ("claims_invalid", lambda: signed(claims(exp=None))),
    "exp null": ("claims_invalid", lambda: signed(payload_with('"exp": null'))),
    "exp a string": ("claims_invalid", lambda: signed(claims(exp=str(NOW + 600)))),
    "exp a boolean": ("claims_invalid", lambda: signed(claims(exp=True))),
    "exp NaN": ("token_malformed", lambda: signed(payload_with('"exp": NaN'))),
    "exp Infinity": ("token_malformed", lambda: signed(payload_with('"exp": Infinity'))),
    "exp beyond a float": ("claims_invalid", lambda: signed(payload_with('"exp": 1e999'))),
    "exp an endless integer": ("claims_invalid", lambda: signed(payload_with(f'"exp": {"9" * 4000}'))),
    "exp an integer Python refuses": ("token_malformed", lambda: signed(payload_with(f'"exp": {"9" * 4400}'))),
    "exp negative": ("claims_invalid", lambda: signed(claims(exp=-1))),
    "nbf a string": ("claims_invalid", lambda: signed(claims(nbf="0"))),
    "iat a boolean": ("claims_invalid", lambda: signed(claims(iat=True))),
    "too large by one byte": ("token_too_large", lambda: sized(8193)),
    "huge": ("token_too_large", lambda: b"a" * 50_000),
    "too many containers by one": ("token_malformed", lambda: containers(257)),
    "nested too deep": ("token_malformed", lambda: signed(b'{"a":' + b"[" * 4000 + b"]" * 800)),
    "nested too deep in the header": ("token_malformed", lambda: signed(head=b'{"a":' + b"[" * 700)),
    "header too large": ("token_malformed", lambda: signed(head=header(kid="k" * 1000))),
    "claims repeated": ("token_malformed", lambda: signed(payload_with(f'"exp": {NOW - 600}, "exp": {NOW + 600}'))),
    "claims repeated deeper": ("token_malformed", lambda: signed(payload_with('"exp": 9, "a": {"b": 1, "b": 2}'))),
    "header members repeated": (
        "token_malformed",
        lambda: signed(head=b'{"alg":"none","alg":"RS256","kid":"rsa"}'),
    ),
    "payload not an object": ("token_malformed", lambda: signed(b'["sub"]')),
    "payload not JSON": ("token_malformed", lambda: signed(b"sub=alice")),
    "payload in UTF-16": ("token_malformed", lambda: signed(json.dumps(claims()).encode("utf-16"))),
    "payload not UTF-8": ("token_malformed", lambda: signed(b'{"sub":"\xff\xfe"}')),
    "an encrypted token": ("token_malformed", encrypted),
    "two parts": ("token_malformed", lambda: b"e30.e30"),
    "no parts": ("token_malformed", lambda: b"secret"),
    "empty parts": ("token_malformed", lambda: b".."),
    "bytes that are not ASCII": ("token_malformed", lambda: b"\xff\xfe\xfa.\x80.\x80"),
    "header in padded base64": ("token_malformed", lambda: padded(0)),
    "payload in padded base64": ("token_malformed", lambda: padded(1)),
    "trailing bytes": ("token_unverified", lambda: signed() + b" ,x"),
    "subject missing": ("claims_invalid", lambda: signed(claims(sub=None))),
    "subject empty": ("claims_invalid", lambda: signed(claims(sub=""))),
    "subject too long by one": ("claims_invalid", lambda: signed(claims(sub="s" * 256))),
    "subject a number": ("claims_invalid", lambda: signed(claims(sub=7))),
    "subject with a line break": ("claims_invalid", lambda: signed(claims(sub="alice\nlevel=info"))),
    "subject with a direction mark": ("claims_invalid", lambda: signed(claims(sub="alice\u202e"))),
    "subject with half a surrogate pair": ("claims_invalid", lambda: signed(claims(sub="\ud800"))),
    "tenant too long by one": ("claims_invalid", lambda: signed(claims(tenant="t" * 256))),
    "tenant a list": ("claims_invalid", lambda: signed(claims(tenant=["acme"]))),
    "roles a string": ("claims_invalid", lambda: signed(claims(roles="admin"))),
    "too many roles by one": ("claims_invalid", lambda: signed(claims(roles=[f"r{n}" for n in range(65)]))),
    "a role too long by one": ("claims_invalid", lambda: signed(claims(roles=["r" * 65]))),
    "a role that is not a string": ("claims_invalid", lambda: signed(claims(roles=[None]))),
}


@pytest.mark.parametrize(("code", "build"), ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_refused_counted_and_not_explained(
    service: Service, code: str, build: Callable[[], bytes]
) -> None:
    response = service.get(b"Bearer " + build())

    assert ([code], 401, INVALID) == (service.refused, response.status_code, response.headers["www-authenticate"])
    assert response.json() == {"type": "about:blank", "title": "Unauthorized", "status": 401, "code": "unauthenticated"}
    assert service.attempts.failures == 1


@pytest.mark.parametrize(
    "authorization",
    [(), (b"Bearer",), (b"Basic YWxpY2U6cHc=",), (b"Bearer\tabc",), (b"Token abc",), (b"",)],
    ids=["none", "scheme only", "basic", "tab", "another scheme", "empty"],
)
def test_who_presents_no_token_is_asked_for_one_and_not_counted(
    service: Service, authorization: tuple[bytes, ...]
) -> None:
    response = service.get(*authorization)

    assert (
        service.refused,
        response.status_code,
        response.headers["www-authenticate"],
    ) == (["token_missing"], 401, UNKNOWN)
    assert (service.attempts.asked, service.attempts.failures) == (0, 0)


@pytest.mark.parametrize("value", [b"Bearer ", b"bearer    "])
def test_an_empty_token_is_no_token_even_if_the_server_did_not_trim_it(value: bytes) -> None:
    assert authentication._bearer([(b"authorization", value)]) == b""


@pytest.mark.parametrize("second", [signed(), b"x"], ids=["good", "bad"])
def test_two_authorization_headers_are_refused_even_if_both_are_good(service: Service, second: bytes) -> None:
    response = service.get(b"Bearer " + signed(), b"Bearer " + second)

    assert (
        service.refused,
        response.status_code,
        response.headers["www-authenticate"],
    ) == (["token_malformed"], 401, INVALID)
    assert service.attempts.failures == 1


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"Bearer   "])
def test_the_scheme_is_case_insensitive(service: Service, scheme: bytes) -> None:
    assert service.get(scheme + signed()).status_code == 200


def test_the_principal_reaches_the_application(service: Service) -> None:
    token = signed(claims(sub="bob", roles=["support", "customer", "support"], tenant="acme"))

    assert service.get(b"Bearer " + token).json() == ["bob", ["support", "customer"], "acme", NOW + 600]


def test_a_caller_without_roles_and_tenant_has_none(service: Service) -> None:
    assert service.get(b"Bearer " + signed(claims(roles=None))).json() == ["alice", [], None, NOW + 600]


def test_a_blocked_caller_is_told_when_to_come_back_and_its_token_is_not_looked_at(service: Service) -> None:
    service.attempts.retry_after = 12.3

    response = service.get(b"Bearer " + signed(claims(sub="blocked")))

    assert (service.refused, response.status_code, response.headers["retry-after"]) == (["TooManyFailures"], 429, "13")
    assert "www-authenticate" not in response.headers
    assert (service.attempts.asked, service.attempts.failures, service.keys.lookups) == (1, 0, 0)


def test_a_token_known_good_is_let_in_without_asking_whether_the_caller_is_blocked(service: Service) -> None:
    token = signed(claims(sub="regular"))
    service.get(b"Bearer " + token)
    service.attempts.retry_after = 12.3

    response = service.get(b"Bearer " + token)

    assert (response.status_code, service.attempts.asked, service.keys.lookups) == (200, 1, 1)


def test_without_keys_the_answer_is_503_and_nobody_is_counted(service: Service) -> None:
    service.keys.outage = OutageError()

    response = service.get(b"Bearer " + signed(claims(sub="during an outage")))

    assert (
        service.refused,
        response.status_code,
        response.headers["retry-after"],
    ) == (["KeysUnavailableError"], 503, "7")
    assert "www-authenticate" not in response.headers
    assert service.attempts.failures == 0


def test_nothing_is_read_of_a_request_that_is_refused() -> None:
    async def receive() -> Message:
        raise AssertionError("the body was read")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    guard = Authentication(echo, verifier=TokenVerifier(CONFIG, Keys(), Clock()), realm="orders")
    run(guard({"type": "http", "headers": [(b"authorization", b"Bearer x")]}, receive, send))

    assert sent[0]["status"] == 401


def test_a_websocket_is_refused_and_a_lifespan_passes() -> None:
    passed: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope["type"])

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    guard = Authentication(app, verifier=TokenVerifier(CONFIG, Keys(), Clock()), realm="orders")
    run(guard({"type": "websocket", "headers": []}, receive, send))
    run(guard({"type": "lifespan"}, receive, send))

    assert (passed, sent) == (["lifespan"], [{"type": "websocket.close", "code": 1008}])


def run(coroutine: Any) -> None:
    """Run what never waits."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def test_a_verified_token_is_remembered_by_its_hash_and_not_verified_again() -> None:
    keys, token = Keys(), signed()
    verifier = TokenVerifier(CONFIG, keys, Clock())

    first = await verifier.verify(token)
    second = await verifier.verify(token.decode())

    assert (first, 1) == (second, keys.lookups)
    assert [hashlib.sha256(token).digest()] == list(verifier._cache)


async def test_a_remembered_token_is_verified_again_after_a_minute_so_a_withdrawn_key_ends_it() -> None:
    clock, keys, token = Clock(), Keys(), signed()
    verifier = TokenVerifier(CONFIG, keys, clock)
    await verifier.verify(token)
    del keys.published["rsa"]

    clock.now = NOW + 59.9
    assert (await verifier.verify(token)).subject == "alice"
    clock.now = NOW + 60
    with pytest.raises(AuthenticationError) as refused:
        await verifier.verify(token)
    assert refused.value.code == "token_unverified"


async def test_a_remembered_token_is_forgotten_when_it_expires() -> None:
    clock, token = Clock(), signed(claims(exp=NOW + 10))
    verifier = TokenVerifier(CONFIG, Keys(), clock)
    await verifier.verify(token)

    clock.now = NOW + 9.9
    assert verifier.cached(token) is not None
    clock.now = NOW + 10
    assert verifier.cached(token) is None
    assert len(verifier._cache) == 0


async def test_a_token_within_the_leeway_is_good_but_not_remembered() -> None:
    verifier = TokenVerifier(CONFIG, Keys(), Clock())

    await verifier.verify(signed(claims(exp=NOW)))

    assert len(verifier._cache) == 0


async def test_the_cache_holds_no_more_than_its_size_and_forgets_the_least_recently_used() -> None:
    keys = Keys()
    verifier = TokenVerifier(AuthenticationConfig(issuer=ISSUER, audience=AUDIENCE, cache_size=2), keys, Clock())
    first, second, third = (signed(claims(sub=name)) for name in ("first", "second", "third"))

    for token in (first, second, first, third):
        await verifier.verify(token)

    assert tuple(verifier.cached(token) is not None for token in (first, second, third)) == (True, False, True)
    assert len(verifier._cache) == 2


async def test_a_token_that_is_too_large_is_not_even_hashed() -> None:
    verifier, token = TokenVerifier(CONFIG, Keys(), Clock()), b"a" * 8193
    verifier._cache[hashlib.sha256(token).digest()] = (NOW + 60, Principal("alice", (), None, NOW + 60))

    assert verifier.cached(token) is None


async def test_a_refused_token_is_not_remembered() -> None:
    verifier = TokenVerifier(CONFIG, Keys(), Clock())

    with pytest.raises(AuthenticationError):
        await verifier.verify(tampered())

    assert len(verifier._cache) == 0


@pytest.mark.parametrize(
    ("token", "code"), [("", "token_missing"), (b"", "token_missing"), ("ü.ü.ü", "token_malformed")]
)
async def test_a_verifier_used_by_itself_refuses_what_is_no_token(token: str | bytes, code: str) -> None:
    with pytest.raises(AuthenticationError) as refused:
        await TokenVerifier(CONFIG, Keys(), Clock()).verify(token)

    assert code == refused.value.code


async def test_an_outage_without_a_time_is_worth_another_try_in_a_second() -> None:
    with pytest.raises(KeysUnavailableError) as unavailable:
        await TokenVerifier(CONFIG, Keys(outage=ConnectionError()), Clock()).verify(signed())

    assert unavailable.value.retry_after == 1.0


async def test_roles_and_tenant_may_lie_deeper_in_the_claims() -> None:
    config = AuthenticationConfig(
        issuer=ISSUER, audience=AUDIENCE, roles_claim=("realm_access", "roles"), tenant_claim=("org", "id")
    )
    verifier = TokenVerifier(config, Keys(), Clock())

    principal = await verifier.verify(signed(claims(realm_access={"roles": ["admin"]}, org={"id": "acme"})))
    nobody = await verifier.verify(signed(claims(realm_access="admin")))

    assert (principal.roles, principal.tenant) == (("admin",), "acme")
    assert (nobody.roles, nobody.tenant) == ((), None)


@pytest.mark.parametrize("typ", ["JWT", None])
async def test_an_issuer_that_follows_rfc_9068_can_be_held_to_it(typ: str | None) -> None:
    config = AuthenticationConfig(issuer=ISSUER, audience=AUDIENCE, token_types=frozenset({"at+jwt"}))

    with pytest.raises(AuthenticationError) as refused:
        await TokenVerifier(config, Keys(), Clock()).verify(signed(head=header(typ=typ)))

    assert refused.value.code == "header_refused"


@pytest.mark.parametrize(
    "unsafe",
    [
        {"issuer": ""},
        {"audience": ""},
        {"algorithms": ()},
        {"algorithms": ("RS256", "HS256")},
        {"algorithms": ("none",)},
        {"leeway_seconds": -1},
        {"leeway_seconds": 301},
    ],
    ids=str,
)
def test_an_unsafe_config_is_refused(unsafe: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        AuthenticationConfig(**{"issuer": ISSUER, "audience": AUDIENCE} | unsafe)


@pytest.mark.parametrize("realm", ['or"ders', "orders\\", "orders\r\nx: y", "örders"])
def test_a_realm_that_would_break_the_header_is_refused(realm: str) -> None:
    with pytest.raises(ValueError, match="realm must be"):
        Authentication(echo, verifier=TokenVerifier(CONFIG, Keys()), realm=realm)
