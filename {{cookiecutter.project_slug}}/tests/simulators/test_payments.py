"""The payments simulator charges once for each key, and misbehaves as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, get_args

import httpx2
import pytest

from app.simulators.misbehaviour import MISBEHAVIOURS
from app.simulators.payments import HOST, MAX_BODY, Mode, PaymentsSimulator
from tests.support.service import ROOT, environment
from tests.support.upstreams import simulated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHARGE = {"amount": 500, "currency": "EUR", "reference": "order 7"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def client(simulator: PaymentsSimulator) -> AsyncIterator[httpx2.AsyncClient]:
    async with simulated(simulator) as url, httpx2.AsyncClient(base_url=url, timeout=5.0) as http:
        yield http


async def charge(http: httpx2.AsyncClient, key: str = "a", **changes: Any) -> httpx2.Response:
    return await http.post("/v1/charges", json=CHARGE | changes, headers={"idempotency-key": key})


async def test_a_charge_is_made_found_listed_and_given_back() -> None:
    async with client(PaymentsSimulator()) as http:
        made = await charge(http)
        assert made.status_code == 201
        assert made.json() == {"id": made.json()["id"], "status": "succeeded", **CHARGE}
        assert (await http.get(f"/v1/charges/{made.json()['id']}")).json() == made.json()
        back = await http.post(f"/v1/charges/{made.json()['id']}/refund", headers={"idempotency-key": "b"})
        assert (back.status_code, back.json()["status"]) == (201, "refunded")
        assert (await http.get("/v1/charges")).json() == {"items": [back.json()], "count": 1}


async def test_a_key_charges_once_and_its_answer_is_given_again() -> None:
    async with client(PaymentsSimulator()) as http:
        first, second, other = await charge(http), await charge(http), await charge(http, "other")
    assert first.json() == second.json()
    assert (first.headers.get("idempotent-replayed"), second.headers["idempotent-replayed"]) == (None, "true")
    assert other.json()["id"] != first.json()["id"]


@pytest.mark.parametrize(
    ("path", "key", "body", "status"),
    [
        ("/v1/charges", "", CHARGE, 400),
        ("/v1/charges", "a", CHARGE | {"amount": 0}, 422),
        ("/v1/charges", "a", CHARGE | {"price": 1}, 422),
        ("/v1/charges", "a", CHARGE | {"reference": "declined"}, 402),
        ("/v1/charges/ch_1/refund", "a", {}, 404),
        ("/v1/nothing", "a", {}, 404),
    ],
)
async def test_what_is_wrong_is_refused_and_charges_nothing(path: str, key: str, body: Any, status: int) -> None:
    simulator = PaymentsSimulator()
    async with client(simulator) as http:
        answer = await http.post(path, json=body, headers={"idempotency-key": key} if key else {})
    assert (answer.status_code, len(simulator.charges)) == (status, 0)


async def test_a_key_that_is_used_for_another_charge_is_refused() -> None:
    async with client(PaymentsSimulator()) as http:
        await charge(http)
        assert (await charge(http, amount=501)).status_code == 422


async def test_it_is_steered_while_it_runs_and_says_how_it_behaves() -> None:
    simulator = PaymentsSimulator()
    async with client(simulator) as http:
        assert (await http.put("/behaviour", json={"latency": 0.01, "retry_after": "9999999"})).status_code == 200
        await charge(http)
        state = (await http.get("/behaviour")).json()
        assert (state["latency"], state["mode"], state["requests"], state["charges"]) == (0.01, "normal", 1, 1)
        assert (await http.put("/behaviour", json={"mode": "surprising"})).status_code == 422
        assert simulator.behaviour.latency == 0.01


async def test_it_flaps_by_its_clock() -> None:
    clock = Clock()
    async with client(PaymentsSimulator(clock=clock)) as http:
        await http.put("/behaviour", json={"mode": "flapping", "period": 2, "retry_after": "1"})
        statuses = []
        for clock.now in (0.0, 1.9, 2.0, 3.9, 4.0, 6.5):
            answer = await http.get("/v1/charges")
            statuses.append((answer.status_code, answer.headers.get("retry-after")))
    assert statuses == [(200, None), (200, None), (503, "1"), (503, "1"), (200, None), (503, "1")]


async def test_so_many_fail_as_it_is_told_and_charge_nothing() -> None:
    simulator = PaymentsSimulator(rng=random.Random(1))
    async with client(simulator) as http:
        await http.put("/behaviour", json={"error_rate": 0.3})
        statuses = [(await charge(http, str(number))).status_code for number in range(200)]
    assert 40 <= statuses.count(500) <= 80
    assert statuses.count(201) == len(simulator.charges) == 200 - statuses.count(500)


async def test_it_limits_rates_with_the_retry_after_that_it_is_told() -> None:
    async with client(PaymentsSimulator()) as http:
        await http.put("/behaviour", json={"mode": "rate_limited", "retry_after": "-5"})
        answer = await charge(http)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "-5")


def test_every_mode_is_something_that_it_does() -> None:
    assert set(get_args(Mode)) == MISBEHAVIOURS.keys() | {"normal", "flapping", "rate_limited"}


class TooLarge(Exception):
    """More than any answer of this service has."""


async def take(http: httpx2.AsyncClient) -> None:
    """Charge, and read the answer or four megabytes of it."""
    request = http.stream("POST", "/v1/charges", json=CHARGE, headers={"idempotency-key": "a"})
    async with request as answer:
        size = 0
        async for part in answer.aiter_bytes():
            size += len(part)
            if size > 4 * 1024 * 1024:
                raise TooLarge


@pytest.mark.parametrize("mode", sorted(MISBEHAVIOURS.keys() - {"html", "redirect"}))
async def test_a_misbehaving_charge_happens_all_the_same_and_its_answer_is_none(mode: str) -> None:
    simulator = PaymentsSimulator()
    async with client(simulator) as http:
        await http.put("/behaviour", json={"mode": mode})
        taking = asyncio.create_task(take(http))
        await simulator.arrived.wait()
        with pytest.raises((httpx2.HTTPError, TimeoutError, TooLarge)):
            await asyncio.wait_for(taking, 0.3)  # what takes longer than that from here on hangs, or drips
    assert len(simulator.charges) == 1


async def test_a_page_and_a_redirect_look_like_answers() -> None:
    async with client(PaymentsSimulator()) as http:
        await http.put("/behaviour", json={"mode": "html"})
        page = await charge(http)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
        await http.put("/behaviour", json={"mode": "redirect"})
        assert (await charge(http)).headers["location"].startswith("http://169.254.169.254/")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"x" * 20_000 + b"\r\n\r\n",
        b"POST /v1/charges HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY + 1),
        b"POST /v1/charges HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ],
)
async def test_what_is_too_large_or_no_request_ends_the_connection(request_bytes: bytes) -> None:
    simulator = PaymentsSimulator()
    async with simulated(simulator) as url:
        reader, writer = await asyncio.open_connection(HOST, int(url.rpartition(":")[2]))
        writer.write(request_bytes)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
    assert simulator.requests == 0


def test_the_command_ends_though_a_client_is_still_connected() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "simulate", "payments", "--port", "0"],
        cwd=ROOT, env=environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rstrip().rpartition(":")[2])
        with socket.create_connection((HOST, port)) as client:
            client.sendall(b"GET /behaviour HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)  # it would wait until the client has idled for thirty
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "")


def test_the_command_says_that_its_port_is_taken() -> None:
    with socket.create_server((HOST, 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "app", "simulate", "payments", "--port", str(taken.getsockname()[1])],
            cwd=ROOT, env=environment({}), capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "cannot listen on port" in done.stderr
    assert "Traceback" not in done.stderr
