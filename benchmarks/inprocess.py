"""CPU of one call of a contestant's ASGI application, without server or socket: to shave the hot path.

    python inprocess.py breakwater              microseconds a call beside bare FastAPI's, interleaved
    python inprocess.py breakwater --guards     and what each guard adds to it
    python inprocess.py breakwater --profile    where the time goes, after cProfile

Run it with the interpreter of the project that is measured: the service's for ``breakwater``, the template's
with its ``bench`` group for ``usual``. Telemetry goes to a local sink, log lines to /dev/null; the batch
exporter's thread counts, as it does in a real process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import gc
import importlib
import io
import os
import pstats
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import service
from exchanges import ROUTES, exchanges
from issuer import Issuer
from measure import telemetry
from servers import helper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from load import Exchange

FULL = service.NAME
START_TIMEOUT = 30.0
"""Seconds for an application's lifespan to start, and again to stop."""


@dataclass(frozen=True)
class Subject:
    """An application and the calls made of it, by route."""

    name: str
    app: Callable[[Any, Any, Any], Awaitable[None]]
    calls: dict[str, tuple[Call, ...]]


@dataclass(frozen=True)
class Call:
    """One request as ASGI has it, and the status that it must get."""

    scope: dict[str, Any]
    body: bytes
    status: int

    async def send_to(self, app: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        """Make the call.

        Raises:
            RuntimeError: the status is another.
        """
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": self.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        await app(self.scope | {"state": {}}, receive, send)
        if status != self.status:
            raise RuntimeError(f"{self.scope['method']} {self.scope['path']} got {status} instead of {self.status}")


def calls(token: str) -> dict[str, tuple[Call, ...]]:
    """Return the calls of both routes: what uvicorn makes of the requests that the benchmark sends."""
    return {route: tuple(map(_call, found)) for route, found in exchanges(token).items()}


def _call(exchange: Exchange) -> Call:
    head, _, body = exchange.request.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    method, path, _ = line.decode().split()
    headers = [(name.lower(), value.strip()) for name, _, value in (field.partition(b":") for field in fields)]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }
    return Call(scope, body, exchange.status)


async def measure(subjects: Sequence[Subject], *, number: int, repeat: int) -> dict[str, dict[str, list[float]]]:
    """Return microseconds of CPU a call: ``[route][subject]``, one value a batch; batches are interleaved."""
    found: dict[str, dict[str, list[float]]] = {route: {subject.name: [] for subject in subjects} for route in ROUTES}
    for subject in subjects:
        for route in ROUTES:
            await _batch(subject, route, number)
    gc.collect()
    gc.freeze()
    for _ in range(repeat):
        for subject in subjects:
            for route in ROUTES:
                found[route][subject.name].append(await _batch(subject, route, number))
    return found


async def _batch(subject: Subject, route: str, number: int) -> float:
    made = subject.calls[route]
    started = time.process_time_ns()
    for index in range(number):
        await made[index % len(made)].send_to(subject.app)
    return (time.process_time_ns() - started) / 1_000 / number


@contextlib.asynccontextmanager
async def lifespan(app: Callable[[Any, Any, Any], Awaitable[None]]) -> AsyncIterator[None]:
    """Start an application as a server does, and stop it at the end."""
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue(2)
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue(2)
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, inbox.get, outbox.put))
    for step in ("startup", "shutdown"):
        await inbox.put({"type": f"lifespan.{step}"})
        answer = await asyncio.wait_for(outbox.get(), START_TIMEOUT)
        if not answer["type"].endswith(".complete"):
            raise RuntimeError(f"{step} failed: {answer}")
        if step == "startup":
            try:
                yield
            except BaseException:
                task.cancel()
                raise
    await task


def main() -> int:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("contestant", choices=("bare", FULL, "usual"))
    parser.add_argument("--guards", action="store_true", help=f"{FULL} only: leave each guard out once")
    parser.add_argument("--without", help=f"{FULL} only: leave one guard out")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--sort", default="tottime", choices=("tottime", "cumtime", "ncalls"), help="for --profile")
    parser.add_argument("--top", type=int, default=30, help="lines of --profile")
    parser.add_argument("--number", type=int, default=100, help="calls a batch")
    parser.add_argument("--repeat", type=int, default=60, help="batches a route")
    options = parser.parse_args()
    with _quiet_stdout() as out, contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        issuer = Issuer.create(scratch / "issuer")
        issuer_port = stack.enter_context(helper("issuer.py", str(issuer.folder), core=None))
        os.environ |= telemetry(stack.enter_context(helper("sink.py", core=None)))
        subjects = _subjects(options, scratch, issuer, issuer_port)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            print(runner.run(_report(subjects, options)), file=out, flush=True)
    return 0


async def _report(subjects: list[Subject], options: argparse.Namespace) -> str:
    async with contextlib.AsyncExitStack() as stack:
        for subject in subjects:
            await stack.enter_async_context(lifespan(subject.app))
        if options.profile:
            return await _profile(subjects[-1], options)
        return _table(await measure(subjects, number=options.number, repeat=options.repeat), options.contestant)


async def _profile(subject: Subject, options: argparse.Namespace) -> str:
    texts = []
    for route in ROUTES:
        await _batch(subject, route, options.number)
        profile = cProfile.Profile()
        profile.enable()
        await _batch(subject, route, options.number)
        profile.disable()
        text = io.StringIO()
        stats = pstats.Stats(profile, stream=text)
        stats.sort_stats(options.sort).print_stats(options.top)
        texts.append(f"{subject.name}, {route}, {options.number} calls\n{_shortened(text.getvalue())}")
    return "\n".join(texts)


def _shortened(text: str) -> str:
    for folder in sorted({*sys.path, str(Path(os.__file__).parent)}, key=len, reverse=True):
        if len(folder) > 1:
            text = text.replace(f"{folder}/", "")
    return text


def _table(found: dict[str, dict[str, list[float]]], contestant: str) -> str:
    """Compare the best batches: whatever else runs on the machine only ever adds to one."""
    lines = ["CPU us a call in process: best batch (median), what the best adds to bare's best"]
    for route, by_name in found.items():
        lines.append(route)
        best = {name: min(values) for name, values in by_name.items()}
        for name, values in by_name.items():
            line = (
                f"  {name:28} {best[name]:7.1f} ({statistics.median(values):.1f})"
                f"   {best[name] - best['bare']:+.1f}   x {best[name] / best['bare']:.2f}"
            )
            if name.startswith("without"):
                line += f"   saves {best[contestant] - best[name]:.1f}"
            lines.append(line)
    return "\n".join(lines)


def _subjects(options: argparse.Namespace, scratch: Path, issuer: Issuer, issuer_port: int) -> list[Subject]:
    made = calls(issuer.token)
    found = [Subject("bare", importlib.import_module("contestants.bare").create_app(), made)]
    if options.contestant == "usual":
        os.environ["BENCH_PUBLIC_KEY"] = str(issuer.public_key)
        found.append(Subject("usual", importlib.import_module("contestants.usual").create_app(), made))
    if options.contestant == FULL:
        environment = service.settings(issuer_port)
        built = service.build(scratch / "service", issuer, environment, python=Path(sys.executable))
        os.environ |= built.environment
        os.chdir(built.directory)
        sys.path.insert(0, str(built.directory))
        # As ``app run`` does in development: the service does not start behind its migrations.
        importlib.import_module("app.cli").migrate_in_development(
            importlib.import_module("app.settings").load_settings()
        )
        without = importlib.import_module("contestants.breakwater_without")
        left_out = [None, *without.names()] if options.guards else [options.without]
        found += [
            Subject(FULL if name is None else f"without {name}", without.create_app(name), made) for name in left_out
        ]
    return found


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[io.TextIOWrapper]:
    """Send log lines to /dev/null, and give back what was stdout."""
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    yield out


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ModuleNotFoundError:
        return None
    return factory


if __name__ == "__main__":
    code = main()
    os._exit(code)  # without the exporters' farewell: the sink is gone, and they would try again for seconds
