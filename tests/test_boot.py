"""A baked service over a real socket, started as its README says."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import environment, run, succeed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.reader import Begun

BOOT = 180.0  # seconds to wait for a service whose environment is made already
STOP = 30.0  # seconds to wait for its end
POLL = 0.05  # seconds between two looks at a port
LEAST_PORT = 10_000

INTRUDER = '''"""A handler that nobody has decided about."""

from fastapi import APIRouter

router = APIRouter()


@router.get("/v1/intruder")
async def intrude() -> str:
    return "in"
'''


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that the kernel gives to nobody who asks for any port.

    One that it has just given out may be somebody else's before `make run` has come to bind it.
    """
    span = Path("/proc/sys/net/ipv4/ip_local_port_range")
    kernels_own = int(span.read_text("ascii").split()[0]) if span.exists() else 32_768
    for _ in range(100 if kernels_own > 2 * LEAST_PORT else 0):
        port = LEAST_PORT + secrets.randbelow(kernels_own - LEAST_PORT)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (names in lower case) and body of one GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a session of processes that this test began, gently and then not."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP)
            return


@contextmanager
def make_run(service: Path, log: Path) -> Iterator[tuple[int, float]]:
    """Run `make run`; yield its port and the seconds until /readyz said 200.

    Raises:
        AssertionError: it did not become ready; the text is what it printed.
    """
    port = free_port()
    begun = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=service,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while True:
            assert process.poll() is None, f"make run ended with {process.returncode}:\n{log.read_text()}"
            assert time.monotonic() < begun + BOOT, f"not ready after {BOOT} s:\n{log.read_text()}"
            with suppress(OSError, http.client.HTTPException):
                if get(port, "/readyz")[0] == http.HTTPStatus.OK:
                    break
            time.sleep(POLL)
        yield port, time.monotonic() - begun
    finally:
        stop(process)


@pytest.fixture(scope="module")
def project(begun: Begun) -> Path:
    """Return a service whose environment is made already, so that a boot's figure does not contain it.

    Without the example: the one with it is started by its own tests, a hundred times.
    """
    return begun.service


@pytest.fixture(scope="module")
def running(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, float]]:
    with make_run(project, tmp_path_factory.mktemp("run") / "log") as started:
        yield started


def test_it_is_alive_and_ready(running: tuple[int, float], figures: dict[str, str]) -> None:
    port, seconds = running
    figures["ready"] = f"{seconds:.2f} s after `make run`"
    assert get(port, "/livez")[0] == 200
    status, headers, body = get(port, "/readyz")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert json.loads(body)


def test_what_is_not_there_is_a_problem_document(running: tuple[int, float]) -> None:
    status, headers, body = get(running[0], "/nothing-here")
    assert status == 404
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == json.loads(body)["request_id"]


def test_the_example_is_absent_where_it_was_not_wanted(running: tuple[int, float]) -> None:
    assert get(running[0], "/v1/orders")[0] == 404


def test_the_service_refuses_a_handler_without_a_policy(project: Path) -> None:
    intruder = project / "app" / "handlers" / "intruder.py"
    intruder.write_text(INTRUDER)
    try:
        done = run("make", "check", "ARGS=--layer boot", cwd=project)
    finally:
        intruder.unlink()
    assert done.returncode != 0
    assert "/v1/intruder" in done.stdout


@pytest.mark.parametrize("hostile", ["x'; touch pwned; '", 'x"; touch pwned; "', "$$(touch pwned)", "`touch pwned`"])
def test_what_a_user_writes_after_a_target_is_no_code(service: Path, hostile: str) -> None:
    # What is at stake is the recipes' shell, not the command that they start: `true` stands for uv.
    for target, *names in (
        ("token", "SUBJECT", "ROLE"),
        ("check", "FORMAT"),
        ("migration", "NAME"),
        ("run", "HOST", "PORT"),
    ):
        succeed("make", target, "UV=true", *(f"{name}={hostile}" for name in names), cwd=service)
    assert not (service / "pwned").exists()
