"""Starts one contestant's server, pins it to its core, and reads the CPU time of its process."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HERE = Path(__file__).resolve().parent

START_TIMEOUT = 30.0
"""Seconds a server may take until it answers."""
STOP_TIMEOUT = 15.0
"""Seconds a server may take to drain and flush after SIGTERM."""


class ServerError(RuntimeError):
    """A server did not start, or did not stay."""


@dataclass(frozen=True)
class Cores:
    """Which core the server has to itself, and which the client shares with the helpers.

    Both are None on a machine with one core, or without affinity: nothing is pinned then.
    """

    server: int | None
    client: int | None

    @classmethod
    def choose(cls) -> Cores:
        """Take the last core for the server, because interrupts prefer the first, and that for the rest."""
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return cls(allowed[-1], allowed[0]) if len(allowed) > 1 else cls(None, None)

    def __str__(self) -> str:
        if self.server is None:
            return "server and client share what there is (not pinned)"
        return f"server on core {self.server}, client, telemetry sink and issuer on core {self.client}"


@dataclass(frozen=True)
class Contestant:
    """One server to measure.

    Attributes:
        name: as it stands in the report.
        command: what starts it; ``{port}`` stands for the port.
        token: the bearer token that it accepts.
        directory: its working directory.
        environment: what it gets besides the inherited variables; ``{port}`` as above.
        armoured: True if it claims to log, trace, limit and authenticate, and must show it.
    """

    name: str
    command: tuple[str, ...]
    token: str
    directory: Path = HERE
    environment: Mapping[str, str] = field(default_factory=dict)
    armoured: bool = True


@dataclass(frozen=True)
class Server:
    """A contestant that runs."""

    pid: int
    port: int

    def cpu(self) -> int:
        """Nanoseconds of user and system time so far, of all threads, exited ones too."""
        return process_cpu(self.pid)


def process_cpu(pid: int) -> int:
    """Return a process's CPU time in nanoseconds, from its CPU clock.

    The clock is the kernel's own for that process (``clock_getcpuclockid(3)``): in nanoseconds what
    ``/proc/PID/stat`` shows in ticks of 10 ms. All threads count, children do not.
    """
    return time.clock_gettime_ns(~pid << 3 | 2)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextlib.contextmanager
def running(contestant: Contestant, *, cores: Cores, log: Path, probe: str) -> Iterator[Server]:
    """Run a contestant's server until the block ends, then let it drain.

    Args:
        contestant: what to start.
        cores: where to pin it.
        log: file that its stdout and stderr go to, appended.
        probe: path that answers once it is ready.

    Raises:
        ServerError: it ended, or did not answer in time.
    """
    port = free_port()
    with log.open("ab") as output, _process(contestant, port, output, cores.server) as process:
        _wait_until_ready(process, contestant.name, lambda: _answers(port, probe, contestant.token), log)
        yield Server(process.pid, port)


@contextlib.contextmanager
def helper(script: str, *arguments: str, core: int | None) -> Iterator[int]:
    """Run one of our own servers in a process of its own, and yield its port.

    Args:
        script: its file; it is given a port, then ``arguments``.
        arguments: what else it needs.
        core: where to pin it.

    Raises:
        ServerError: it does not listen in time.
    """
    port = free_port()
    command = (sys.executable, str(HERE / script), "{port}", *arguments)
    with _process(Contestant(script, command, token=""), port, subprocess.DEVNULL, core) as process:
        _wait_until_ready(process, script, lambda: _listens(port), None)
        yield port


def spans_received(sink_port: int) -> int:
    """How many server spans the sink got since it was last asked."""
    return int(get(sink_port, "/spans", "")[1])


def get(port: int, path: str, token: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Send one request on a connection of its own; return status, body, and headers by lower-case name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


@contextlib.contextmanager
def _process(contestant: Contestant, port: int, output: object, core: int | None) -> Iterator[subprocess.Popen[bytes]]:
    command = [part.format(port=port) for part in contestant.command]
    environment = inherited() | {name: value.format(port=port) for name, value in contestant.environment.items()}
    process = subprocess.Popen(  # noqa: S603 - our own commands
        command,
        cwd=contestant.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,  # type: ignore[call-overload]  # a file or DEVNULL
        stderr=subprocess.STDOUT,
    )
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def inherited() -> dict[str, str]:
    """Return this process's environment, less the caller's settings of the software that is measured."""
    foreign = (
        "APP_",
        "OTEL_",
        "UV_PROJECT",
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "PYTHONDONT",
        "HOST",
        "PORT",
        "WEB_CONCURRENCY",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _wait_until_ready(process: subprocess.Popen[bytes], name: str, ready: Callable[[], str], log: Path | None) -> None:
    """Ask ``ready`` until it has nothing to say."""
    give_up = time.monotonic() + START_TIMEOUT
    missing = "was not asked"
    while time.monotonic() < give_up:
        if process.poll() is not None:
            missing = f"ended with {process.returncode}"
            break
        try:
            missing = ready()
        except OSError as error:
            missing = str(error)
        if not missing:
            return
        time.sleep(0.05)
    tail = log.read_text(errors="replace")[-2_000:] if log else ""
    raise ServerError(f"{name} is not ready: {missing}\n{tail}")


def _listens(port: int) -> str:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    return ""


def _answers(port: int, path: str, token: str) -> str:
    status, body, _ = get(port, path, token)
    return "" if status == 200 else f"{status} {body[:400]!r}"  # noqa: PLR2004 - OK
