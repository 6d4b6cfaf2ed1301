"""Asks for three times what a service can, holds connections open against it, lets handlers misbehave beside others."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.otlp_receiver import OtlpReceiver
from tests.support.service import Service, copy_project, drop_in, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEADLINE = 1.0
"""Seconds that a client waits; what comes later is no goodput."""


@contextlib.contextmanager
def unruly(
    environ: Mapping[str, str] | None = None, *, without: str | None = None, telemetry: OtlpReceiver | None = None
) -> Iterator[Service]:
    """Run the service, whole, with handlers beside its own that work, wait and misbehave."""
    with tempfile.TemporaryDirectory(prefix="torture-overload-") as folder:
        project = copy_project(Path(folder) / "service")
        drop_in(project, "unruly")
        with running(project, environ=environ, flood=900_000, without=without, telemetry=telemetry) as service:
            yield service


@dataclass
class Seen:
    """What clients met.

    Attributes:
        statuses: of the answers; 0 for none.
        well: seconds of the answers 200.
        refused: seconds of the answers 503.
        began: when each request began that was answered 200, in seconds from the start.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    well: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    began: list[float] = field(default_factory=list)

    def goodput(self, seconds: float) -> float:
        """Return the answers a second that came in time."""
        return sum(taken <= DEADLINE for taken in self.well) / seconds


def quantile(values: list[float], share: float) -> float:
    """Return a quantile in milliseconds."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000, 1) if values else 0.0


class Client:
    """Sends one request over and over, over connections that are kept; as little work as can be.

    A ``#`` in the path is another number each time.
    """

    def __init__(self, port: int, path: str) -> None:
        head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-request-timeout-ms: {DEADLINE * 1000:.0f}\r\n\r\n"
        self._request, self._port, self._numbers = head.encode(), port, itertools.count()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, seen: Seen, start: float) -> None:
        began = time.perf_counter()
        status = 0
        try:
            async with asyncio.timeout(10):
                reader, writer = self._idle.pop() if self._idle else await self._connect()
                writer.write(self._request.replace(b"#", b"%d" % next(self._numbers)))
                head = await reader.readuntil(b"\r\n\r\n")
                status = int(head[9:12])
                length = head.lower().find(b"content-length: ")
                if length > 0:
                    await reader.readexactly(int(head[length + 16 : head.index(b"\r\n", length)]))
                if b"connection: close" in head.lower():
                    writer.close()
                else:
                    self._idle.append((reader, writer))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            status = 0
        taken = time.perf_counter() - began
        seen.statuses[status] += 1
        if status == 200:
            seen.well.append(taken)
            seen.began.append(began - start)
        elif status == 503:
            seen.refused.append(taken)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def offered(service: Service, path: str, *, rate: float, seconds: float) -> Seen:
    """Begin requests at a steady rate, whatever becomes of those before."""
    client, seen, start = Client(service.port, path), Seen(), time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()
    for number in range(int(rate * seconds)):
        wait = start + number / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(client.send(seen, start))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    client.close()
    return seen


async def closed(service: Service, path: str, *, clients: int, seconds: float) -> Seen:
    """Have so many clients send one request after the other."""
    client, seen, start = Client(service.port, path), Seen(), time.perf_counter()

    async def one() -> None:
        while time.perf_counter() - start < seconds:
            await client.send(seen, start)

    await asyncio.gather(*(one() for _ in range(clients)))
    client.close()
    return seen


@dataclass(frozen=True)
class Overload:
    """Three times what it can, for a while.

    Attributes:
        unloaded_p99: milliseconds.
        peak: answers a second at the best load found.
        goodput: answers a second in time, at three times that.
        p99: milliseconds of what was answered 200 meanwhile.
        refused: milliseconds, median and p99, of what was answered 503.
        statuses: of all answers meanwhile.
        back: milliseconds, p99, of the second five seconds after, at half of the peak.
    """

    unloaded_p99: float
    peak: float
    goodput: float
    p99: float
    refused: tuple[float, float]
    statuses: dict[int, int]
    back: float


async def overload(path: str, *, seconds: float, **environ: str) -> Overload:
    """Offer three times the capacity of a route."""
    with unruly(environ) as service:
        await closed(service, path, clients=4, seconds=2)  # warm
        idle = await offered(service, path, rate=10, seconds=10)
        peak = 0.0
        for clients in (4, 8, 16, 32):
            found = await closed(service, path, clients=clients, seconds=5)
            peak = max(peak, found.goodput(5))
        loaded = await offered(service, path, rate=3 * peak, seconds=seconds)
        await offered(service, path, rate=peak / 2, seconds=5)
        after = await offered(service, path, rate=peak / 2, seconds=5)
    return Overload(
        unloaded_p99=quantile(idle.well, 0.99),
        peak=round(peak, 1),
        goodput=round(loaded.goodput(seconds), 1),
        p99=quantile(loaded.well, 0.99),
        refused=(quantile(loaded.refused, 0.5), quantile(loaded.refused, 0.99)),
        statuses=dict(loaded.statuses),
        back=quantile(after.well, 0.99),
    )


FACTORS = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Of the peak, that are offered for a curve."""


async def curve(path: str, peak: float, *, without: str | None, seconds: float) -> list[tuple[float, float]]:
    """Return the goodput at each factor of the peak, each on a fresh service."""
    points = []
    for factor in FACTORS:
        with unruly(without=without) as service:
            await closed(service, path, clients=4, seconds=2)
            seen = await offered(service, path, rate=factor * peak, seconds=seconds)
        points.append((factor, round(seen.goodput(seconds), 1)))
    return points


async def slow_clients(*, silent: int, bodies: int, seconds: float) -> dict[str, Any]:
    """Hold connections open that say nothing, or send a body a byte at a time; measure honest clients meanwhile."""
    with unruly({"APP_MAX_CONNECTIONS": "3000"}) as service:
        await closed(service, "/unruly/fine", clients=4, seconds=2)
        idle = await offered(service, "/unruly/fine", rate=100, seconds=10)
        holder = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.torture.holder",
            str(service.port),
            service.token("writer"),
            str(silent),
            str(bodies),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert holder.stdout is not None
        await holder.stdout.readline()
        loaded = await offered(service, "/unruly/fine", rate=100, seconds=seconds)
        said, _ = await holder.communicate(b"")
    ratio = round(quantile(loaded.well, 0.99) / max(quantile(idle.well, 0.99), 0.1), 2)
    return {
        "honest clients, idle, ms (median, p99)": (quantile(idle.well, 0.5), quantile(idle.well, 0.99)),
        "meanwhile, ms (median, p99)": (quantile(loaded.well, 0.5), quantile(loaded.well, 0.99)),
        "p99 ratio": ratio,
        "connections opened in all": int(said),
        "answers": dict(loaded.statuses),
        "faults": [f"{loaded.statuses} of honest clients"] if set(loaded.statuses) != {200} else [],
    }


MISBEHAVIOUR = {
    "raises always": ("/unruly/raise", 50.0),
    "hangs": ("/unruly/hang", 20.0),
    "leaks 1 MB a request": ("/unruly/leak", 20.0),
    "hangs in a thread": ("/unruly/stuck", 20.0),
    "time.sleep(1)": ("/unruly/sleep?seconds=1", 0.2),
    "spins for 5 s": ("/unruly/spin?seconds=5", 0.05),
}
"""What it does -> path, requests a second."""


async def beside(name: str, *, seconds: float) -> dict[str, Any]:
    """Have one handler misbehave under load, and look how all others fare."""
    path, rate = MISBEHAVIOUR[name]
    with unruly() as service:
        await closed(service, "/unruly/fine", clients=4, seconds=2)
        before = await offered(service, "/unruly/fine", rate=100, seconds=10)
        bad, good = await asyncio.gather(
            offered(service, path, rate=rate, seconds=seconds),
            offered(service, "/unruly/fine", rate=100, seconds=seconds),
        )
        held = [line["seconds"] for line in service.parsed() if line["event"] == "event_loop_free"]
        states = [f"{line['state']} ({line['reason']})" for line in service.parsed() if line["event"] == "route_state"]
    usual = before.goodput(10) or 1.0
    # What was to be answered while the loop was held is the spinning one's: so many of them as that took.
    free = max(seconds - sum(held), 0.1)
    share = round(good.goodput(seconds) * seconds / (usual * free), 3)
    return {
        "others' goodput, share of before": min(share, 1.0),
        "others' p99, ms (before, meanwhile)": (quantile(before.well, 0.99), quantile(good.well, 0.99)),
        "the loop was held, s": [round(each, 2) for each in held],
        "its answers": dict(bad.statuses),
        "its states": states,
        "faults": [f"{name}: others had {share:.0%}"] if share < 0.9 else [],
    }


async def soak(*, minutes: float, share: float = 0.7) -> dict[str, Any]:
    """Keep a service at a share of its capacity with mixed traffic; resident memory and all that may grow must not."""
    paths = ("/unruly/fine", "/unruly/work?milliseconds=4", "/unruly/sum?left=1&right=#", "/nowhere/#?a=#")
    with OtlpReceiver() as receiver, unruly(telemetry=receiver) as service:
        peak = (await closed(service, paths[1], clients=8, seconds=5)).goodput(5)
        samples: list[dict[str, int]] = []
        rate = peak * share / 2  # half of the requests are the dear ones; the others cost a fraction
        for _ in range(max(2, int(minutes * 2))):
            each = [offered(service, path, rate=rate if "work" in path else rate / 3, seconds=30) for path in paths]
            await asyncio.gather(*each)
            samples.append({**await _census(service), **_exported(receiver)})
            receiver.forget()
        warm, end = samples[min(len(samples) // 4, 4)], samples[-1]
    growth = end["resident KiB"] / warm["resident KiB"] - 1
    faults = [f"memory grew by {growth:.1%}"] if growth > 0.02 else []
    counted = ("tasks", "threads", "files", "connections", "label sets")
    faults += [f"{name}: {warm[name]} -> {end[name]}" for name in counted if end[name] > warm[name] + 5]
    return {
        "minutes": minutes,
        "requests a second": round(rate * 2, 1),
        "after the warm-up": warm,
        "at the end": end,
        "growth of resident memory": f"{growth:.2%}",
        "median of samples, KiB": statistics.median(sample["resident KiB"] for sample in samples),
        "faults": faults,
    }


async def _census(service: Service) -> dict[str, int]:
    import httpx2

    async with httpx2.AsyncClient(trust_env=False) as client:
        inside = (await client.get(f"{service.url}/unruly/census")).json()
    return {**_of_the_process(service.process.pid), **inside}


def _exported(receiver: OtlpReceiver) -> dict[str, int]:
    """Return the label sets of all metrics in the last export, and the open connections."""
    metrics = receiver.metrics()
    kinds = {name: metric.WhichOneof("data") for name, metric in metrics.items()}
    sets = sum(len(getattr(metrics[name], kind).data_points) for name, kind in kinds.items() if kind is not None)
    (open_now,) = metrics["breakwater.connections"].gauge.data_points
    return {"label sets": sets, "connections": int(open_now.as_double or open_now.as_int)}


def _of_the_process(pid: int) -> dict[str, int]:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return {"resident KiB": int(resident.split()[1]), "files": sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())}
