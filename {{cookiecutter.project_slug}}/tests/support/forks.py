"""Starts ``python -m MODULE`` from an interpreter that has imported the libraries already, and forks for each.

What runs is what would run otherwise: folder, environment, arguments and output are its own, no module of the service
or of the tests is imported beforehand, and it ends as any interpreter does. Importing the libraries takes three
quarters of what a service needs to start, and the tests start hundreds.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from io import TextIOWrapper
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIBRARIES = (
    "aiosqlite", "alembic.command", "click", "fastapi", "httpx2", "joserfc.jwt", "limits.aio.storage", "procrastinate",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk.metrics", "opentelemetry.sdk.trace",
    "psycopg", "pydantic_settings", "redis.asyncio", "slowapi", "sqlalchemy.dialects.postgresql",
    "sqlalchemy.ext.asyncio", "structlog", "tenacity", "uvicorn.protocols.http.httptools_impl", "uvloop",
)  # fmt: skip
"""What a service imports of others. One that is missing here costs time, and nothing else."""

MESSAGE = 1 << 20
"""Bytes of a request at most: an environment may be large."""


class Forked:
    """A process that was forked. Looks like :class:`subprocess.Popen` as far as the tests need it.

    Attributes:
        pid: its number.
        stdout: what it prints.
        stderr: what it prints there; None if that goes into ``stdout``.
        returncode: its status once it was seen to have ended; negative for a signal.
    """

    def __init__(self, pid: int, stdout: int, stderr: int | None, status: int) -> None:
        self.pid = pid
        self.stdout: BinaryIO | None = os.fdopen(stdout, "rb")
        self.stderr: BinaryIO | None = os.fdopen(stderr, "rb") if stderr is not None else None
        self.returncode: int | None = None
        self._status = os.fdopen(status, "rb")

    def poll(self) -> int | None:
        """Return its status if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and return its status.

        Raises:
            subprocess.TimeoutExpired: it has not, after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            said = self._status.readline()
            assert said, "the interpreter that was forked from is gone"
            self.returncode = int(said)
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """End it in good order."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[bytes, bytes]:
        """Wait until it has ended, and return what it printed, there and there.

        Raises:
            subprocess.TimeoutExpired: it has not, after so many seconds; it is killed.
        """
        end = time.monotonic() + timeout
        streams = {stream: bytearray() for stream in (self.stdout, self.stderr) if stream is not None}
        reading = set(streams)
        while reading:
            ready, _, _ = select.select([*reading], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                self.kill()
                for stream in reading:
                    stream.close()
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            for stream in ready:
                read = os.read(stream.fileno(), 65_536)
                streams[stream] += read
                if not read:
                    reading.discard(stream)
                    stream.close()
        self.wait(max(0.0, end - time.monotonic()))
        out, err = (bytes(streams.get(stream, b"")) if stream else b"" for stream in (self.stdout, self.stderr))
        return out, err


class Forks:
    """The interpreter to fork from; it ends with the process that has started it."""

    def __init__(self) -> None:
        self._own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen([sys.executable, __file__, *LIBRARIES], stdin=theirs.fileno())
        theirs.close()

    def start(self, module: str, *arguments: str, cwd: Path, env: Mapping[str, str], apart: bool = False) -> Forked:
        """Start ``python -m module arguments``.

        Args:
            module: its name, found from ``cwd`` and ``PYTHONPATH``.
            arguments: as the command line has them.
            cwd: its folder.
            env: its environment, whole.
            apart: keep what it prints as errors apart.
        """
        out, out_end = os.pipe()
        err, err_end = os.pipe() if apart else (None, out_end)
        status, status_end = os.pipe()
        asked = {"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}
        socket.send_fds(self._own, [json.dumps(asked).encode()], [out_end, err_end, status_end])
        for end in {out_end, err_end, status_end}:
            os.close(end)
        pid = self._own.recv(32)
        assert pid, "the interpreter to fork from is gone"
        return Forked(int(pid), out, err, status)

    def close(self) -> None:
        """End it; what was forked goes on."""
        self._own.close()
        self._process.wait()


@functools.cache
def forks() -> Forks:
    """Return this process's own interpreter to fork from."""
    made = Forks()
    atexit.register(made.close)
    return made


def _reap(children: dict[int, int]) -> None:
    """Tell of each child that has ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it
            os.write(children[pid], b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(children.pop(pid))


def _become(module: str, arguments: list[str], cwd: str, env: dict[str, str], *, out: int, err: int) -> None:
    """Be the process that was asked for, from its first line to its last."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(old, new)
    os.closerange(3, 1024)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(line_buffering=True)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    sys.path[:0] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Import what the arguments name, then fork for each request on standard input, until that is closed."""
    del sys.path[0]  # where this file lies, whose neighbours have names that others may have
    for library in sys.argv[1:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    gc.freeze()
    asking = socket.socket(fileno=os.dup(0))
    ended, wakes = os.pipe()
    for end in (ended, wakes):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks ends what was started
    children: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asking.fileno(), ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _reap(children)
        if asking.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(asking, MESSAGE, 3)
            if not message:
                return
            out, err, status = descriptors
            pid = os.fork()
            if not pid:
                asking.detach()  # _become closes what it finds open
                _become(**json.loads(message), out=out, err=err)
                return
            children[pid] = status
            os.close(out)
            os.close(err)
            asking.send(b"%d" % pid)


if __name__ == "__main__":
    main()
