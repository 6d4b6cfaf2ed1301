from __future__ import annotations

import json
import multiprocessing
import os
import stat
from typing import TYPE_CHECKING

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

from app.patterns import development_issuer
from app.patterns.development_issuer import ISSUER, DevelopmentIssuer, KeyFileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

NOW = 1_800_000_000.5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key.json"


def issuer(path: Path) -> DevelopmentIssuer:
    return DevelopmentIssuer(path, audience="orders", clock=lambda: NOW)


async def test_a_token_verifies_by_the_key_that_the_issuer_gives_out(path: Path) -> None:
    token = issuer(path).issue("alice", ("customer", "support"), "acme", 60)

    decoded = jwt.decode(token, await issuer(path).key(issuer(path).kid, "Ed25519"), algorithms=["Ed25519"])

    assert len(decoded.claims.pop("jti")) == 22
    assert decoded.header == {"alg": "Ed25519", "kid": issuer(path).kid, "typ": "at+jwt"}
    assert decoded.claims == {
        "iss": ISSUER,
        "aud": "orders",
        "sub": "alice",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
        "roles": ["customer", "support"],
        "tenant": "acme",
    }


def test_no_two_tokens_are_alike(path: Path) -> None:
    assert issuer(path).issue("alice", ()) != issuer(path).issue("alice", ())


async def test_the_key_given_out_is_public(path: Path) -> None:
    key = await issuer(path).key(issuer(path).kid, "Ed25519")

    assert not key.is_private
    assert "d" not in key.as_dict()


def test_the_claims_for_roles_and_tenant_can_be_named_and_no_tenant_is_no_claim(path: Path) -> None:
    named = DevelopmentIssuer(path, audience="orders", roles_claim="groups", tenant_claim="org")
    key = OKPKey.import_key(json.loads(path.read_text()))

    claims = jwt.decode(named.issue("alice", ("admin",), "acme"), key, algorithms=["Ed25519"]).claims
    without = jwt.decode(named.issue("alice", ()), key, algorithms=["Ed25519"]).claims

    assert (claims["groups"], claims["org"]) == (["admin"], "acme")
    assert "org" not in without


@pytest.mark.parametrize(
    ("kid", "algorithm"), [("other", "Ed25519"), ("", "Ed25519"), (None, "RS256"), (None, "HS256")]
)
async def test_another_kid_or_algorithm_has_no_key(path: Path, kid: str | None, algorithm: str) -> None:
    with pytest.raises(LookupError):
        await issuer(path).key(issuer(path).kid if kid is None else kid, algorithm)


@pytest.mark.parametrize("lifetime", [1, 86_400])
def test_a_lifetime_lasts_at_least_a_second_and_at_most_a_day(path: Path, lifetime: int) -> None:
    issuer(path).issue("alice", (), lifetime_seconds=lifetime)


@pytest.mark.parametrize(("subject", "lifetime"), [("", 60), ("alice", 0), ("alice", -1), ("alice", 86_401)])
def test_a_token_without_subject_or_with_another_lifetime_is_not_issued(
    path: Path, subject: str, lifetime: int
) -> None:
    with pytest.raises(ValueError, match=r"subject|lifetime_seconds"):
        issuer(path).issue(subject, (), lifetime_seconds=lifetime)


def test_the_key_is_made_once_for_its_owner_alone_and_nothing_else_is_left_behind(path: Path) -> None:
    before = os.umask(0)
    try:
        first = issuer(path)
    finally:
        os.umask(before)

    assert first.kid == issuer(path).kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path] == list(path.parent.iterdir())


def test_a_key_that_another_process_made_meanwhile_is_not_replaced(path: Path) -> None:
    development_issuer._create(path)
    first = path.read_bytes()

    development_issuer._create(path)

    assert first == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def make(path: Path, barrier: Barrier, kids: multiprocessing.Queue[str]) -> None:
    """Runs in a worker process."""
    barrier.wait(60)
    kids.put(issuer(path).kid)


def test_processes_that_start_together_agree_on_one_key(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, kids = context.Barrier(3), context.Queue()
    workers = [context.Process(target=make, args=(path, barrier, kids), daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()

    found = {kids.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(60)
        worker.close()
    kids.close()
    kids.join_thread()

    assert {issuer(path).kid} == found


def readable_by_others(path: Path) -> None:
    issuer(path)
    path.chmod(0o640)


def symbolic_link(path: Path) -> None:
    issuer(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def directory(path: Path) -> None:
    path.mkdir(0o700)


def pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def holding(content: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.touch(0o600)
        path.write_text(content)

    return write


UNTRUSTED: dict[str, Callable[[Path], None]] = {
    "readable by others": readable_by_others,
    "a symbolic link": symbolic_link,
    "a directory": directory,
    "a pipe": pipe,
    "empty": holding(""),
    "not JSON": holding("secret"),
    "not an object": holding("[]"),
    "another type": holding(json.dumps(ECKey.generate_key("P-256").as_dict(private=True))),
    "another curve": holding(json.dumps(OKPKey.generate_key("Ed448").as_dict(private=True))),
    "a public key": holding(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False))),
    "longer than any key": holding("{" + " " * 5000 + "}"),
}


@pytest.mark.parametrize("make_file", UNTRUSTED.values(), ids=UNTRUSTED.keys())
def test_a_file_that_cannot_be_trusted_is_refused_and_named(path: Path, make_file: Callable[[Path], None]) -> None:
    make_file(path)

    with pytest.raises(KeyFileError, match=r"key\.json"):
        issuer(path)


def test_a_file_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)

    with pytest.raises(KeyFileError, match="of the user who runs this"):
        issuer(path)


def test_a_missing_directory_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        issuer(tmp_path / "missing" / "key.json")
