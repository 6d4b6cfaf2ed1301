"""A handler that wants too much memory fails alone, and a process that fills up is replaced; over a real socket."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx2
import pytest

from app.patterns.graceful_shutdown import RETIRED
from tests.guards.probes import is_problem
from tests.support.service import PATIENCE, Service, copy_project, drop_in, environment, running, until_served

if TYPE_CHECKING:
    from pathlib import Path

BOUND = {"APP_MAX_MEMORY": "400"}
"""Twice what a process holds when it is ready, and a little."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("service"))
    drop_in(folder, "unruly")
    return folder


def fill(service: Service, client: httpx2.Client) -> int:
    """Have 10 MB kept at a time, on one connection, until the process has no more; return its number."""
    keep = f"{service.url}/unruly/keep?megabytes=10"
    while (answer := until_served(lambda: client.get(keep))).status_code == 200:
        kept_by: int = answer.json()["pid"]
    is_problem(answer, 500, "internal_error")
    return kept_by


def test_a_request_that_wants_too_much_fails_alone(project: Path) -> None:
    with running(project, environ=BOUND) as service, httpx2.Client(timeout=PATIENCE) as client:
        check = client.get(f"{service.url}/readyz").json()["checks"]["memory"]
        assert (check["state"], check["most_mib"]) == ("ok", 400)
        assert 50 < check["resident_mib"] < 300
        is_problem(client.get(f"{service.url}/unruly/hoard?megabytes=600"), 500, "internal_error")
        (line,) = service.lines(event="unhandled_exception", route="/unruly/hoard")
        assert "MemoryError" in str(line)
        assert client.get(f"{service.url}/unruly/hoard?megabytes=50").json() == {"hoarded": 50}
        assert client.get(f"{service.url}/readyz").status_code == 200
        assert service.process.poll() is None


def test_without_a_bound_it_would_have_had_it(project: Path) -> None:
    with running(project) as service, httpx2.Client(timeout=PATIENCE) as client:
        assert client.get(f"{service.url}/unruly/hoard?megabytes=600").json() == {"hoarded": 600}


def test_a_worker_that_fills_up_is_replaced_while_the_other_serves(project: Path) -> None:
    with running(project, environ=BOUND, workers=2) as service, httpx2.Client(timeout=PATIENCE) as client:
        before = set(service.worker_pids())
        full = fill(service, client)
        (line,) = service.lines(event="memory_full")
        assert line["resident_mib"] >= 0.8 * line["most_mib"] == 320
        service.wait_for_output(f"worker {full} ended with {RETIRED}; starting another")
        end = time.monotonic() + PATIENCE
        while len(set(service.worker_pids()) - before) < 1:
            assert time.monotonic() < end
            fine = until_served(lambda: client.get(f"{service.url}/unruly/fine"))  # between two looks
            assert fine.status_code == 200
        assert full not in service.worker_pids()


FILLS = """
import functools, sys
import app.components as parts
from app.cli import main
from app.patterns.memory_limit import Memory

class Fills:
    looks = 0
    def __call__(self):
        self.looks += 1
        return Memory(resident=(100 if self.looks == 1 else 500) * 2**20, mapped=200 * 2**20)

parts.MemoryLimit = functools.partial(parts.MemoryLimit, read=Fills(), set_limit=lambda most: None)
parts.MemoryLimitConfig = functools.partial(parts.MemoryLimitConfig, interval=0.01)
main(["worker"])
"""


def test_a_worker_of_jobs_that_fills_up_ends_in_order(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLS], cwd=project, env=environment(BOUND), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == RETIRED, done.stderr
    assert "memory_full" in done.stdout
