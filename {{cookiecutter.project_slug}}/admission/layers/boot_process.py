"""The process in which handlers are loaded and the service is composed; the gate itself stays outside of it.

Run as ``python -m admission.layers.boot_process``, with what to do as JSON on standard input. What is found is written
to a file, step by step, so that the gate knows which module was being loaded when this process did not come back.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final, TextIO

from admission.layers.fingerprint import Fingerprint

CPU_SECONDS: Final = 60
FILE_BYTES: Final = 64 * 1024 * 1024


def main() -> None:
    """Read the task, load every handler, compose the service, write what was found."""
    task = json.loads(sys.stdin.buffer.read())
    report = Report(Path(task["report"]), task["nonce"])
    _bound_resources()
    trace = Path(task["trace"]).open("w", encoding="utf-8")  # noqa: SIM115 - open until this process ends
    faulthandler.dump_traceback_later(task["start_seconds"], exit=True, file=trace)
    with contextlib.suppress(SystemExit):
        _boot(task, report, trace)
    faulthandler.cancel_dump_traceback_later()
    report.write(done=True)
    os._exit(0)  # whatever a handler started or registered for the end does not get another turn


class Report:
    """What is known so far; each step replaces the file."""

    def __init__(self, path: Path, nonce: str) -> None:
        self._path = path
        self._process = os.getpid()
        self.found: dict[str, Any] = {
            "nonce": nonce,
            "loading": None,
            "effects": [],
            "problems": [],
            "settings": [],
            "routes": [],
            "missing": "",
        }

    def write(self, *, done: bool = False) -> None:
        """Replace the file by what is known now."""
        if os.getpid() != self._process:
            os._exit(0)  # a copy that a handler made of this process
        partial = self._path.with_suffix(".part")
        partial.write_text(json.dumps({**self.found, "done": done}), "utf-8")
        partial.replace(self._path)


def _bound_resources() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))


def _boot(task: dict[str, Any], report: Report, trace: TextIO) -> None:
    from app.settings import BootRefused, load_settings  # noqa: PLC0415 - after the bounds are set

    try:
        settings = load_settings(log_level="error")
        from app.main import compose  # noqa: PLC0415, F401 - so that the scaffold is whole before a handler loads
    except BootRefused as refused:
        report.found["settings"] = refused.problems
        return
    faulthandler.dump_traceback_later(task["seconds"], exit=True, file=trace)  # from here on it is the handlers' time
    _load_handlers(task["candidates"], report)
    try:
        _compose(settings, task, report)
    except BootRefused as refused:
        report.found["problems"] += refused.problems
    except Exception as error:  # noqa: BLE001 - a handler can break the composition in any way
        report.found["problems"].append(
            f"app/main.py:1: the service cannot be composed with these handlers: {type(error).__name__}: {error}"
        )


def _load_handlers(candidates: str | None, report: Report) -> None:
    """Import each handler by itself, and note what that did beside defining things."""
    package = importlib.import_module("app.handlers")
    if candidates is not None:
        package.__path__.append(candidates)
    before, handlers = Fingerprint.take(), _signal_handlers()
    output = _written()
    for name in sorted(module.name for module in pkgutil.walk_packages(package.__path__, "app.handlers.", _ignore)):
        report.found["loading"] = name
        report.write()
        threads = threading.active_count()
        with contextlib.suppress(BaseException):  # the composition reports it, with its line
            importlib.import_module(name)
        now = Fingerprint.take()
        for what, detail in _effects(before.changed(now), handlers, output, threads):
            report.found["effects"].append({"module": name, "what": what, "detail": detail})
        before, output = now, _written()
    report.found["loading"] = None
    report.write()


def _signal_handlers() -> dict[signal.Signals, Any]:
    """What is done at the signals that end a service: compared, because a shell may have made it ignore one."""
    return {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}


def _effects(
    changed: list[str], handlers: dict[signal.Signals, Any], output: int, threads: int
) -> list[tuple[str, str]]:
    found = [("changed", name) for name in changed]
    for number, handler in _signal_handlers().items():
        if handler is not handlers[number]:
            found.append(("changed", f"signal.{number.name}"))
            signal.signal(number, handlers[number])
    if _written() != output:
        found.append(("printed", ""))
    if threading.active_count() > threads:
        found.append(("started", "a thread"))
    found += [("started", "a process")] * (_end_children() > 0)
    return found


def _end_children() -> int:
    """End the processes that were started, so that each is named once; return how many."""
    count = 0
    with contextlib.suppress(OSError):
        for name in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text("ascii").split():
            os.kill(int(name), signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
            count += 1
    return count


def _written() -> int:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    return os.fstat(1).st_size + os.fstat(2).st_size


def _ignore(_name: str) -> None:
    """A package that does not load is reported by the composition."""


def _compose(settings: Any, task: dict[str, Any], report: Report) -> None:
    from app.components import build_components  # noqa: PLC0415
    from app.definition import read_definition  # noqa: PLC0415
    from app.main import compose  # noqa: PLC0415
    from app.policy import render_missing  # noqa: PLC0415

    definition = read_definition(settings, check=False)
    folder = task["candidates"]
    candidates = [route for route in definition.mounted if folder and route.file.startswith(folder)]
    if candidates:
        report.found["missing"] = render_missing(definition.policy, definition.mounted)
        with Path(task["policy"]).open("w", encoding="utf-8") as policy:
            policy.write(settings.policy_path.read_text("utf-8") + "\n" + report.found["missing"])
        settings = load_with(Path(task["policy"]))
    definition = read_definition(settings)
    composed = compose(definition, build_components(settings))
    report.found["routes"] = [
        {"method": route.method, "path": route.path, "file": route.file, "line": route.line, "name": route.name}
        for route in definition.mounted
    ]
    report.found["count"] = len(composed.routes)


def load_with(policy: Path) -> Any:
    """Return the settings with another policy file."""
    from app.settings import load_settings  # noqa: PLC0415

    return load_settings(log_level="error", policy_path=policy)


if __name__ == "__main__":
    main()
