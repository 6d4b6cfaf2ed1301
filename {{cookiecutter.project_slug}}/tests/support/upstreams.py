"""A payments simulator on a real socket and the declared client for it, in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider, Tracer

from app.settings import Settings
from app.simulators.payments import Behaviour, PaymentsSimulator
from app.upstreams import CallContext, PaymentsClient, Upstreams, UpstreamTelemetry
from app.upstreams.pipeline import LAYERS, Layer, Pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

CONTEXT = CallContext(
    outbound=frozenset({"payments"}), route="POST /v1/orders", request_id="a" * 32, key_for=lambda name: f"key-{name}"
)


@dataclass
class Seen:
    """What telemetry was told: log lines, and the histograms that it made."""

    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    producers: list[Callable[[], Any]] = field(default_factory=list)

    def counts(self, name: str) -> dict[tuple[Any, ...], int]:
        """Return how many durations a histogram has counted, by the values of its labels."""
        (metric,) = [metric for produce in self.producers for metric in produce() if metric.name == name]
        return {tuple((point.attributes or {}).values()): point.count for point in metric.data.data_points}


def telemetry(seen: Seen | None = None, tracer: Tracer | None = None) -> UpstreamTelemetry:
    seen = seen or Seen()
    return UpstreamTelemetry(
        tracer or NoOpTracerProvider().get_tracer("test"),
        NoOpMeterProvider().get_meter("test"),
        seen.producers.append,
        lambda event, **fields: seen.lines.append((event, fields)),
    )


@dataclass
class Bench:
    """A simulator, and the way to it.

    Attributes:
        simulator: steer it by ``simulator.behaviour``, or :meth:`behave`.
        upstreams: the registry.
        seen: what telemetry was told.
    """

    simulator: PaymentsSimulator
    upstreams: Upstreams
    seen: Seen
    kind: type[PaymentsClient]

    def client(self, context: CallContext = CONTEXT, **changes: Any) -> PaymentsClient:
        return self.upstreams.client(self.kind, replace(context, **changes))

    @property
    def pipeline(self) -> Pipeline:
        return self.upstreams.pipeline("payments")

    def behave(self, **behaviour: Any) -> None:
        self.simulator.behaviour = Behaviour(**behaviour)


@contextlib.asynccontextmanager
async def simulated(simulator: PaymentsSimulator) -> AsyncIterator[str]:
    """Run a simulator and yield its base URL."""
    tasks: set[asyncio.Task[Any]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await simulator.connection(reader, writer)
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=16 * 1024)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


@contextlib.contextmanager
def simulated_in_a_thread() -> Iterator[tuple[PaymentsSimulator, str]]:
    """Run a simulator beside a test that has no loop; yield it, to look at, and its base URL."""
    loop = asyncio.new_event_loop()
    ready: Future[tuple[PaymentsSimulator, str]] = Future()
    over = asyncio.Event()

    async def run() -> None:
        simulator = PaymentsSimulator(rng=random.Random(7))
        async with simulated(simulator) as url:
            ready.set_result((simulator, url))
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        yield ready.result(timeout=10)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(timeout=10)
        loop.close()


@contextlib.asynccontextmanager
async def bench(
    *,
    layers: tuple[Layer, ...] = LAYERS,
    tracer: Tracer | None = None,
    rng: random.Random | None = None,
    token: str | None = None,
    url: str | None = None,
    clocks: dict[str, Any] | None = None,
    **declared: Any,
) -> AsyncIterator[Bench]:
    """Run a simulator, with a payments client whose declaration has these changes.

    Args:
        layers: of the pipeline.
        tracer: default records nothing.
        rng: of the simulator.
        token: credentials.
        url: where the client looks; default is the simulator.
        clocks: of the pipeline.
        declared: changes to the declaration.
    """
    simulator, seen = PaymentsSimulator(rng=rng or random.Random(7)), Seen()
    async with simulated(simulator) as at:
        kind = type("Payments", (PaymentsClient,), {"upstream": replace(PaymentsClient.upstream, **declared)})
        settings = Settings(payments_url=url or at, payments_token=token)
        upstreams = Upstreams(settings, telemetry(seen, tracer), declared=(kind,), layers=layers, **(clocks or {}))
        upstreams.open(["payments"])
        try:
            yield Bench(simulator, upstreams, seen, kind)
        finally:
            await upstreams.aclose()
