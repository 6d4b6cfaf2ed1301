"""Tokens of a real issuer, through the whole service: who forges one does not get in, who has one does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.support.service import Service, copy_project, run_to_end, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from joserfc.jwk import Key

ISSUER = "https://issuer.test/"


class Issuer:
    """Publishes keys over HTTP and signs with them."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {
            "RS256": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}, auto_kid=False),
            "ES256": ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}),
            "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"}),
        }
        self.fetches = 0
        self.broken = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                issuer.fetches += 1
                body = json.dumps(KeySet(list(issuer.keys.values())).as_dict(private=False)).encode()
                self.send_response(500 if issuer.broken else 200)
                self.send_header("content-type", "application/jwk-set+json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/jwks.json"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "api", "sub": "alice", "roles": ["writer"], "iat": now, "exp": now + 300}
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def sign(self, algorithm: str = "RS256", *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        key = self.keys[algorithm]
        protected = {"alg": algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
        registry = JWSRegistry(algorithms=["RS256", "ES256", "EdDSA"], strict_check_header=False)
        return jwt.encode(protected, self.claims(**changes), key, registry=registry)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as started:
        yield started


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("issuer"))


def settings(issuer: Issuer) -> dict[str, str]:
    return {
        "APP_ISSUER": ISSUER,
        "APP_JWKS_URL": issuer.url,
        "APP_ALLOW_PLAIN_JWKS": "true",
        "APP_FAILED_AUTHENTICATION_RATE": "10000/minute",
    }


@pytest.fixture(scope="module")
def service(project: Path, issuer: Issuer) -> Iterator[Service]:
    with running(project, environ=settings(issuer)) as started:
        yield started


def status(service: Service, token: str) -> int:
    return httpx2.get(f"{service.url}/probe/items/1", headers={"authorization": f"Bearer {token}"}).status_code


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_of_the_issuer_gets_in(service: Service, issuer: Issuer, algorithm: str) -> None:
    assert status(service, issuer.sign(algorithm)) == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.test/"},
        {"iss": ISSUER.rstrip("/")},
        {"aud": "another"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "9999999999"},
        {"nbf": 9999999999},
        {"sub": None},
        {"sub": ""},
        {"roles": "customer"},
    ],
)
def test_wrong_claims_do_not_get_in(service: Service, issuer: Issuer, changes: dict[str, Any]) -> None:
    assert status(service, issuer.sign(**changes)) == 401


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "unknown"},
        {"typ": "secevent+jwt"},
        {"jku": "https://evil.test/jwks.json"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
    ],
)
def test_wrong_headers_do_not_get_in(service: Service, issuer: Issuer, header: dict[str, Any]) -> None:
    assert status(service, issuer.sign(header=header)) == 401


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_does_not_get_in(service: Service, issuer: Issuer, algorithm: str) -> None:
    unsigned = f"{encoded({'alg': algorithm, 'kid': 'rsa', 'typ': 'JWT'})}.{encoded(issuer.claims())}."
    assert status(service, unsigned) == 401


def test_the_public_key_is_no_shared_secret(service: Service, issuer: Issuer) -> None:
    parts = f"{encoded({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}.{encoded(issuer.claims())}"
    rsa = issuer.keys["RS256"]
    assert isinstance(rsa, RSAKey)
    for secret in (
        rsa.as_pem(private=False),
        rsa.as_der(private=False),
        json.dumps(rsa.as_dict(private=False)).encode(),
    ):
        signature = (
            base64.urlsafe_b64encode(hmac.new(secret, parts.encode(), hashlib.sha256).digest()).decode().rstrip("=")
        )
        assert status(service, f"{parts}.{signature}") == 401


def test_a_huge_token_does_not_get_in_and_does_not_hurt(service: Service, issuer: Issuer) -> None:
    assert status(service, issuer.sign(padding="x" * 9000)) == 401
    assert status(service, issuer.sign()) == 200


def test_a_role_from_the_token_grants_what_the_policy_says_and_no_more(service: Service, issuer: Issuer) -> None:
    for roles, expected in ((["reader"], 200), (["probe:read"], 403), (["breakwater:closed"], 403), ([], 403)):
        assert status(service, issuer.sign(roles=roles)) == expected


def test_a_new_key_of_the_issuer_is_found_and_unknown_ones_do_not_flood_it(project: Path) -> None:
    with Issuer() as issuer, running(project, environ=settings(issuer)) as service:
        assert status(service, issuer.sign()) == 200
        before = issuer.fetches
        for number in range(20):
            assert status(service, issuer.sign(header={"kid": f"made-up-{number}"})) == 401
        assert issuer.fetches - before <= 1


def test_an_issuer_that_is_away_is_said_so_and_nobody_is_called_a_forger(project: Path) -> None:
    with Issuer() as issuer:
        issuer.broken = True
        with running(project, environ=settings(issuer)) as service:
            answer = httpx2.get(
                f"{service.url}/probe/items/1", headers={"authorization": f"Bearer {issuer.sign()}"}, timeout=20
            )
            assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert httpx2.get(f"{service.url}/readyz").status_code == 503
            assert httpx2.get(f"{service.url}/livez").status_code == 200


def test_refused_tokens_are_counted_on_their_own_and_hard(project: Path, issuer: Issuer) -> None:
    with running(project, environ={**settings(issuer), "APP_FAILED_AUTHENTICATION_RATE": "3/minute"}) as service:
        good = issuer.sign()
        assert status(service, good) == 200
        assert [status(service, issuer.sign(iss="https://evil.test/", n=n)) for n in range(5)] == [401] * 3 + [429] * 2
        # Who is known already is not punished for what others at this address try.
        assert status(service, good) == 200
        (line, *_) = service.lines(event="request", code="too_many_failures")
        assert line["status"] == 429


def test_plain_keys_are_refused_where_nobody_allowed_them(project: Path, issuer: Issuer) -> None:
    done = run_to_end(project, "check", "--layer", "boot", environ={"APP_ISSUER": ISSUER, "APP_JWKS_URL": issuer.url})
    assert done.returncode == 1
    assert "APP_JWKS_URL" in done.stdout
