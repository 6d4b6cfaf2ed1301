"""The served process from outside: its signals, its exit codes, its messages, its workers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0
"""Seconds after which a test gives up waiting; never the time that something takes."""


class Process:
    """A serving process, with its standard error as a stream of lines to wait for."""

    def __init__(self, options: dict[str, Any], path: Path | None) -> None:
        code = "import sys; from tests.support.served import main; sys.exit(main())"
        command = [sys.executable, "-c", code, json.dumps(options)]
        environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
        self.popen = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        with self.popen.stderr as lines:
            for line in lines:
                self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def end(self) -> None:
        """Kill it, and wait for it and for its workers: they hold its standard error open."""
        self.popen.kill()
        self.popen.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def line(self, pattern: str) -> re.Match[str]:
        """Wait for a line on standard error that ``pattern`` matches."""
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        pytest.fail(f"no line with {pattern!r} in {self.lines}")

    def exit(self) -> int:
        """Wait for the end and return the exit code; ``lines`` is complete then."""
        code = self.popen.wait(PATIENCE)
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        return code

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)


Run = Callable[..., Process]


@pytest.fixture
def run() -> Iterator[Run]:
    with contextlib.ExitStack() as stack:

        def started(path: Path | None = None, **options: Any) -> Process:
            process = Process(options, path)
            stack.callback(process.end)
            return process

        yield started


def port_of(process: Process) -> int:
    return int(process.line(r"listening on http://127\.0\.0\.1:(\d+)")[1])


def ask(port: int) -> dict[str, Any]:
    """One request on a connection of its own; the answer with its ``connection`` header."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        return answer | {"connection": response.headers["connection"]}
    finally:
        connection.close()


class InFlight:
    """A request that the application has begun, and whose end the test decides."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.sendall(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert self._socket.recv(1024).startswith(b"HTTP/1.1 100 ")

    def finish(self) -> tuple[int, dict[str, Any]]:
        self._socket.sendall(b"body")
        return self.answer()

    def answer(self) -> tuple[int, dict[str, Any]]:
        """Status and body, with the ``connection`` header in it."""
        with self._socket, http.client.HTTPResponse(self._socket) as response:
            response.begin()
            body: dict[str, Any] = json.loads(response.read())
            return response.status, body | {"connection": response.headers["connection"]}

    def close(self) -> None:
        self._socket.close()


def until_gone(pids: set[int]) -> None:
    """Wait for processes that are not our children to end."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                assert select.select([descriptor], [], [], PATIENCE)[0], f"{pid} still runs"
            finally:
                os.close(descriptor)


# -- one process ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_exits_0(run: Run, number: signal.Signals) -> None:
    process = run()
    assert ask(port_of(process))["phase"] == "ready"

    process.signal(number)

    assert process.exit() == 0
    assert process.lines[-3:] == ["draining", "no longer accepting; 0 requests in flight", "stopped in order"]


def test_while_draining_it_still_accepts_and_says_so(run: Run) -> None:
    process = run(shutdown={"drain_delay": PATIENCE * 2})
    port = port_of(process)

    process.signal(signal.SIGTERM)
    process.line("draining")

    answer = ask(port)
    assert (answer["phase"], answer["connection"]) == ("draining", "close")


def test_a_request_in_flight_finishes_and_new_ones_are_refused(run: Run) -> None:
    process = run()
    port = port_of(process)
    request = InFlight(port)

    process.signal(signal.SIGTERM)
    process.line("no longer accepting; 1 requests")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    status, answer = request.finish()
    assert (status, answer["body"], answer["connection"]) == (200, "body", "close")
    assert process.exit() == 0


def test_an_idle_connection_does_not_hold_up_the_end(run: Run) -> None:
    process = run(http={"keep_alive_timeout": PATIENCE * 2}, shutdown={"drain_timeout": PATIENCE * 2})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port_of(process), timeout=PATIENCE)) as connection:
        connection.request("GET", "/")
        connection.getresponse().read()

        process.signal(signal.SIGTERM)

        assert process.exit() == 0


def test_a_request_that_does_not_finish_in_time_is_answered_503(run: Run) -> None:
    process = run(shutdown={"drain_timeout": 0.1})
    request = InFlight(port_of(process))

    process.signal(signal.SIGTERM)

    status, answer = request.answer()
    assert (status, answer["code"]) == (503, "shutting_down")
    assert process.exit() == 0
    assert process.lines[-1] == "stopped in order"


def test_a_second_signal_ends_it_at_once(run: Run) -> None:
    process = run(shutdown={"drain_timeout": PATIENCE * 2})
    request = InFlight(port_of(process))
    process.signal(signal.SIGTERM)
    process.line("no longer accepting")

    process.signal(signal.SIGTERM)

    assert process.exit() == 128 + signal.SIGTERM
    assert "stopped in order" not in process.lines
    request.close()


def test_a_signal_during_the_boot_ends_it(run: Run) -> None:
    process = run(arguments={"boot": "lifespan hangs"})
    process.line("booting")

    process.signal(signal.SIGTERM)

    assert process.exit() == 0


@pytest.mark.parametrize("stop", ["hangs", "raises"])
def test_a_lifespan_that_does_not_stop_is_an_error_and_no_hang(run: Run, stop: str) -> None:
    process = run(arguments={"stop": stop}, shutdown={"shutdown_timeout": 0.1})
    port_of(process)

    process.signal(signal.SIGTERM)

    assert process.exit() == 1


def test_a_port_that_was_in_use_a_moment_ago_can_be_bound(run: Run) -> None:
    first = run(http={"keep_alive_timeout": 0.1, "sweep_interval": 0.02})
    port = port_of(first)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while connection.recv(4096):  # until the server ends it, and has to remember it
            pass
    first.signal(signal.SIGTERM)
    assert first.exit() == 0

    assert port_of(run(port=port)) == port


def test_the_collector_leaves_alone_what_the_boot_has_made(run: Run) -> None:
    assert ask(port_of(run()))["collector"] == [20_000, True]


def test_a_slow_header_is_refused(run: Run) -> None:
    process = run(http={"header_timeout": 0.1, "sweep_interval": 0.02})

    with socket.create_connection(("127.0.0.1", port_of(process)), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")

        assert connection.recv(1024).startswith(b"HTTP/1.1 408 ")


# -- a boot that fails ---------------------------------------------------------------------------------------

MESSAGES = {
    "refuses": ["first reason", "second reason"],
    "lifespan refuses": ["booting", "the lifespan refuses"],
    "lifespan fails": ["booting", "the lifespan failed"],
    "lifespan hangs": ["booting", "the application did not start within 0.2 s"],
    "lifespan ends": ["booting", "the application's lifespan ended without having started"],
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("boot", MESSAGES)
def test_a_known_failure_is_one_message(run: Run, boot: str, workers: int) -> None:
    shutdown = {"startup_timeout": 0.2} if boot == "lifespan hangs" else {}
    process = run(arguments={"boot": boot}, shutdown=shutdown, workers=workers)

    assert process.exit() == 3
    said = [line for line in process.lines if line != "booting"]
    assert said == [line for line in MESSAGES[boot] if line != "booting"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("boot", ["raises", "lifespan raises"])
def test_an_unknown_failure_is_a_traceback(run: Run, boot: str, workers: int) -> None:
    process = run(arguments={"boot": boot}, workers=workers)

    assert process.exit() == 3
    assert process.lines[-1].startswith("ZeroDivisionError: in the ")
    assert len([line for line in process.lines if line.startswith("Traceback")]) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_is_one_message(run: Run, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = run(port=port, workers=workers)

        assert process.exit() == 3

    assert process.lines == [f"cannot listen on 127.0.0.1 port {port}: Address already in use"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.nowhere:create", "cannot serve 'tests.nowhere:create': there is no module 'tests.nowhere'"),
        ("nowhere.at.all:create", "cannot serve 'nowhere.at.all:create': there is no module 'nowhere'"),
        ("tests.support.served", "cannot serve 'tests.support.served': 'tests.support.served' has no ''"),
        ("tests.support.served:x", "cannot serve 'tests.support.served:x': 'tests.support.served' has no 'x'"),
    ],
)
def test_a_factory_that_is_not_there_is_one_message(run: Run, name: str, message: str) -> None:
    process = run(app=name)

    assert process.exit() == 3
    assert process.lines == [message]


def test_a_module_that_the_factory_lacks_is_a_traceback(run: Run, tmp_path: Path) -> None:
    (tmp_path / "lacking.py").write_text("import nowhere_at_all\n")
    process = run(tmp_path, app="lacking:create")

    assert process.exit() == 3
    assert process.lines[-1] == "ModuleNotFoundError: No module named 'nowhere_at_all'"


def test_more_connections_than_files_do_not_boot(run: Run) -> None:
    process = run(http={"max_connections": 2**40})

    assert process.exit() == 3
    assert process.lines[0].startswith("this many connections need ")


# -- several workers -----------------------------------------------------------------------------------------


def pids(port: int, count: int, *, without: frozenset[int] = frozenset()) -> set[int]:
    """Ask until ``count`` different processes have answered that are not among ``without``."""
    seen: set[int] = set()
    deadline = time.monotonic() + PATIENCE
    while len(seen) < count:
        assert time.monotonic() < deadline, f"only {seen} answered"
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            seen |= {ask(port)["pid"]} - without
    return seen


def workers_of(run: Run, **options: Any) -> tuple[Process, int, set[int]]:
    process = run(workers=2, **options)
    port = port_of(process)
    port_of(process)
    return process, port, pids(port, 2)


def test_all_workers_serve_and_all_stop(run: Run) -> None:
    process, _, seen = workers_of(run)

    process.signal(signal.SIGTERM)

    assert process.exit() == 0
    until_gone(seen)
    assert process.popen.pid not in seen
    assert process.lines.count("stopped in order") == 2


def test_a_terminal_that_interrupts_the_whole_group_drains_it(run: Run) -> None:
    process, port, seen = workers_of(run)
    request = InFlight(port)

    for pid in (process.popen.pid, *seen):
        os.kill(pid, signal.SIGINT)
    process.line("no longer accepting; 1 requests")

    assert request.finish()[0] == 200
    assert process.exit() == 0


def test_a_request_in_flight_in_a_worker_finishes_and_new_ones_are_refused(run: Run) -> None:
    process, port, _ = workers_of(run)
    request = InFlight(port)

    process.signal(signal.SIGTERM)
    process.line("no longer accepting")
    process.line("no longer accepting")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    assert request.finish()[0] == 200
    assert process.exit() == 0


def test_a_second_signal_ends_all_workers_at_once(run: Run) -> None:
    process, port, seen = workers_of(run, shutdown={"drain_timeout": PATIENCE * 2})
    request = InFlight(port)
    process.signal(signal.SIGTERM)
    process.line("no longer accepting; 1 requests")

    process.signal(signal.SIGINT)

    assert process.exit() == 128 + signal.SIGINT
    until_gone(seen)
    request.close()


def test_a_worker_that_is_killed_is_replaced(run: Run) -> None:
    process, port, seen = workers_of(run)
    victim, survivor = seen

    os.kill(victim, signal.SIGKILL)
    process.line(f"worker {victim} ended with -9; starting another in 0.1 s")
    port_of(process)

    assert pids(port, 1, without=frozenset(seen))
    assert survivor in pids(port, 2)
    process.signal(signal.SIGTERM)
    assert process.exit() == 0


def test_a_replacement_that_cannot_boot_is_tried_again_while_others_serve(run: Run, tmp_path: Path) -> None:
    obstacle = tmp_path / "obstacle"
    process, port, seen = workers_of(run, arguments={"refuse_if": str(obstacle)})
    victim, survivor = seen
    obstacle.touch()

    os.kill(victim, signal.SIGKILL)
    process.line("could not boot: first reason")
    assert pids(port, 1) == {survivor}
    obstacle.unlink()

    assert pids(port, 1, without=frozenset(seen))


def test_workers_whose_supervisor_is_killed_end_by_themselves(run: Run) -> None:
    process, port, seen = workers_of(run, shutdown={"drain_delay": PATIENCE * 2})

    process.popen.kill()

    until_gone(seen)
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_request_in_flight_survives_the_supervisor(run: Run) -> None:
    process, port, seen = workers_of(run)
    request = InFlight(port)

    process.popen.kill()
    process.line("no longer accepting; 1 requests")

    assert request.finish()[0] == 200
    until_gone(seen)
