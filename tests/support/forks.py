"""Runs many small programs with one interpreter, which has imported the libraries already and forks for each.

A program is a file in a folder of its own: it finds what lies beside it, and nothing of another program. What is
imported beforehand are libraries of others; starting an interpreter and importing them takes longer than nearly all of
the programs do.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

TIMEOUT = 120.0
"""Seconds for a program to end; none takes a tenth of it."""


class Forks:
    """An interpreter to fork from."""

    def __init__(self, python: Path, libraries: Sequence[str], env: Mapping[str, str]) -> None:
        """Take what it is started with.

        Args:
            python: which one.
            libraries: what it imports beforehand.
            env: its environment.
        """
        self._command = [str(python), __file__, *libraries]
        self._env = dict(env)

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(
            self._command, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self._process.communicate()

    def run(self, folder: Path, program: str) -> str:
        """Run a program to its end and return what it printed.

        Raises:
            AssertionError: it failed, or did not end in time; the text is what it printed.
        """
        log = folder / "printed"
        pid = self._ask("start", path=str(_written(folder / "run.py", program)), log=str(log))
        status = self._ask("wait", pid=pid, timeout=TIMEOUT)
        printed = log.read_text("utf-8", "replace")
        assert status == 0, f"{program}\nended with {status}:\n{printed}"
        return printed

    @contextlib.contextmanager
    def running(self, folder: Path, program: str, log: Path) -> Iterator[int]:
        """Run a program while the block runs; yield its process number.

        Args:
            folder: where it runs.
            program: its text.
            log: gets what it prints.
        """
        pid = self._ask("start", path=str(_written(folder / "running.py", program)), log=str(log))
        try:
            yield pid
        finally:
            self._ask("end", pid=pid, timeout=TIMEOUT)

    def ended(self, pid: int) -> bool:
        """Return whether a program that was started has ended."""
        return self._ask("wait", pid=pid, timeout=0.0) != RUNS

    def _ask(self, what: str, **about: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what, **about}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _written(path: Path, program: str) -> Path:
    path.write_text(program, "utf-8")
    return path


RUNS = -1000
"""No status of a process: it has none yet."""

ENDED: dict[int, int] = {}


def _start(path: str, log: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(old, new)
        sys.path[0] = str(Path(path).parent)
        os.chdir(sys.path[0])
        sys.argv = [path]
        runpy.run_path(path, run_name="__main__")
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - it is printed, as an interpreter of its own would
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _wait(pid: int, timeout: float) -> int:
    end = time.monotonic() + timeout
    while pid not in ENDED:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            ENDED[pid] = os.waitstatus_to_exitcode(status)
        elif time.monotonic() >= end:
            return RUNS
        else:
            time.sleep(0.005)  # between two looks
    return ENDED[pid]


def _end(pid: int, timeout: float) -> int:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _wait(pid, 0.0) == RUNS:
            os.kill(pid, number)
            _wait(pid, timeout)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what it may have started
    return _wait(pid, 0.0)


def main() -> None:
    """Import what the arguments name, then do what each line of the input says, and answer with a number."""
    for library in sys.argv[1:]:
        importlib.import_module(library)
    gc.freeze()
    actions: dict[str, Callable[..., int]] = {"start": _start, "wait": _wait, "end": _end}
    for line in sys.stdin:
        asked = json.loads(line)
        print(actions[asked.pop("what")](**asked), flush=True)


if __name__ == "__main__":
    main()
