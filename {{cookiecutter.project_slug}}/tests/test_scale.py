"""Several processes, Redis between them, proxies in front: the same service, from settings alone."""

from __future__ import annotations

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.support.redis_server import redis_server
from tests.support.service import PATIENCE, Service, copy_project, running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("scale"))


PATIENT = {"APP_REDIS_TIMEOUT": "2"}
"""A fifth of a second is right for a service, and shorter than a loaded machine may stand still."""


def limited(service: Service, subject: str, times: int) -> list[int]:
    """Call the route that admits three a minute, each time over a connection of its own."""
    headers = service.bearer("writer", subject=subject)
    return [httpx2.get(f"{service.url}/probe/limited", headers=headers).status_code for _ in range(times)]


def test_callers_are_counted_across_processes_by_redis(project: Path, redis_url: str) -> None:
    with running(project, environ={"APP_REDIS_URL": redis_url, **PATIENT}, workers=2) as service:
        statuses = limited(service, "shared-alice", 12)
        assert sorted(statuses) == [200] * 3 + [429] * 9
        boots = service.lines(event="composed", count=2)
        assert len(boots) == 2


def test_callers_are_told_apart_in_redis_only_by_a_hash(project: Path, redis_url: str) -> None:
    import redis

    with running(project, environ={"APP_REDIS_URL": redis_url, **PATIENT}) as service:
        limited(service, "very-identifiable-subject", 1)
        with redis.Redis.from_url(redis_url) as store:
            keys = b"\n".join(store.scan_iter())
    assert b"rate-limit" in keys
    assert b"very-identifiable-subject" not in keys


def test_without_redis_it_counts_alone_says_so_and_comes_back_by_itself(project: Path) -> None:
    with redis_server() as store, running(project, environ={"APP_REDIS_URL": store.url, **PATIENT}) as service:
        assert limited(service, "before", 4) == [200, 200, 200, 429]
        store.stop()
        assert limited(service, "during", 4) == [200, 200, 200, 429]
        (line,) = service.lines(event="rate_limit_store", state="degraded")
        assert store.url not in str(line)
        ready = httpx2.get(f"{service.url}/readyz")
        assert ready.status_code == 200
        assert ready.json()["checks"]["rate_limit_store"]["state"] == "degraded"
        store.start()
        headers = service.bearer("writer", subject="after")
        back = {"event": "rate_limit_store", "state": "ok"}
        while not [entry for entry in service.parsed() if back.items() <= entry.items()]:
            httpx2.get(f"{service.url}/probe/items/1", headers=headers)
        assert httpx2.get(f"{service.url}/readyz").json()["checks"]["rate_limit_store"]["state"] == "ok"
        assert len(service.lines(event="rate_limit_store")) == 2


def test_a_redis_that_hangs_costs_one_wait_and_not_one_a_request(project: Path) -> None:
    with redis_server() as store, running(project, environ={"APP_REDIS_URL": store.url}) as service:
        limited(service, "before", 1)
        store.freeze()
        try:
            assert limited(service, "during", 3) == [200, 200, 200]
            lines = service.lines(event="request", route="/probe/limited", count=4)
        finally:
            store.thaw()
        _, first, *later = [line["duration_ms"] for line in lines]
        assert first >= 190
        assert min(later) < 190  # one of them may have been held up by something else


def test_a_worker_that_dies_is_replaced(project: Path) -> None:
    with running(project, workers=2) as service:
        service.lines(event="composed", count=2)
        service.lines(logger="app.server", count=2)  # both listen
        assert httpx2.get(f"{service.url}/livez", timeout=PATIENCE).status_code == 200
        children = service.worker_pids()
        assert len(children) == 2
        os.kill(children[0], signal.SIGKILL)
        service.lines(event="composed", count=3)
        assert service.lines(logger="app.patterns.worker_processes")  # the supervisor's own lines are JSON too
        assert httpx2.get(f"{service.url}/livez", timeout=PATIENCE).status_code == 200


def test_a_copy_that_reaches_another_worker_is_told_at_once_and_a_dead_one_holds_nothing(project: Path) -> None:
    with running(project, workers=2) as service, ThreadPoolExecutor() as pool:
        service.lines(logger="app.server", count=2)  # both listen

        def write(then: str) -> httpx2.Response:
            headers = {**service.bearer("writer"), "idempotency-key": "k-1"}
            return httpx2.post(f"{service.url}/probe/notes?then={then}", headers=headers, timeout=PATIENCE)

        def first() -> None:
            with contextlib.suppress(httpx2.HTTPError):  # its worker is killed under it
                write("wait")

        other, holder = service.worker_pids()
        os.kill(other, signal.SIGSTOP)  # so that it is not this one that accepts
        held = pool.submit(first)
        service.lines(event="waiting")
        os.kill(holder, signal.SIGSTOP)
        os.kill(other, signal.SIGCONT)
        copy = write("wait")
        assert (copy.status_code, copy.json()["code"]) == (409, "idempotency_key_in_use")
        os.kill(holder, signal.SIGKILL)
        held.result(PATIENCE)
        assert write("ok").status_code == 201


def forwarded(service: Service, address: str, times: int) -> list[int]:
    return [
        httpx2.get(f"{service.url}/nowhere", headers={"x-forwarded-for": address}).status_code for _ in range(times)
    ]


def test_nobodys_word_for_its_address_is_taken(project: Path) -> None:
    with running(project, flood=5) as service:
        answers = [forwarded(service, f"198.51.100.{number}", 1)[0] for number in range(6)]
    assert answers == [404] * 5 + [429]


def test_a_trusted_proxys_word_is_taken(project: Path) -> None:
    with running(project, flood=5, environ={"APP_TRUSTED_PROXIES": "127.0.0.0/8"}) as service:
        assert forwarded(service, "198.51.100.1", 6) == [404] * 5 + [429]
        assert forwarded(service, "198.51.100.2", 1) == [404]
        # What the client itself wrote in front of it counts for nothing.
        assert forwarded(service, "203.0.113.9, 198.51.100.1", 1) == [429]
        assert len(service.lines(event="request", client="198.51.100.1", count=7)) == 7


def test_who_has_a_network_of_ipv6_is_one_stranger(tmp_path: Path) -> None:
    """A host is given 2^64 addresses: neither a public route's rate nor its keys may begin anew with each."""
    project = copy_project(tmp_path)
    policy = project / "policy.toml"
    visits = '[routes."POST /probe/visits"]\npublic = true\n'
    policy.write_text(policy.read_text("utf-8").replace(visits, f'{visits}rate = "3/minute"\n'), "utf-8")
    environ = {"APP_TRUSTED_PROXIES": "127.0.0.0/8", "APP_IDEMPOTENCY_KEYS_PER_CALLER": "2"}

    def visit(service: Service, address: str, key: str) -> tuple[int, str | None]:
        headers = {"x-forwarded-for": address, "idempotency-key": f"{key}-of-a-stranger"}
        answer = httpx2.post(f"{service.url}/probe/visits", headers=headers)
        return answer.status_code, answer.json().get("code")

    with running(project, environ=environ) as service:
        codes = [visit(service, f"2001:db8:0:1::{number}", f"key-{number}")[1] for number in range(4)]
        assert codes == [None, None, "too_many_idempotency_keys", "rate_limited"]
        assert visit(service, "2001:db8:0:2::1", "key-0") == (201, None)
