"""Interleaved rounds: every contestant in turn, each time in a fresh process, and what a request cost it."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exchanges import ROUTES, exchanges
from load import drive
from servers import Contestant, Cores, Server, get, running, spans_received

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

UNAUTHORIZED = 401
PROBE = "/v1/orders/ord-1"
EXPORT_DELAY_MS = 200
"""How often span batches leave, milliseconds. The SDK's 5 s would export most spans after the measurement; at
this pace the last batch leaves within ``SETTLE``, so its cost is counted."""
SETTLE = 0.35
"""Seconds after the last answer until the CPU clock is read."""
SAMPLING = 0.1
"""Share of traces that a contestant records and exports."""


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: how often each contestant has its turn.
        requests: per turn and route.
        warm_up: requests per turn and route before the clock is read.
        connections: how many are open at once; each has one request in flight.
    """

    rounds: int
    requests: int
    warm_up: int
    connections: int


@dataclass(frozen=True)
class Sample:
    """One turn of one contestant on one route.

    Attributes:
        cpu_us: microseconds of CPU a request, user and system, all threads of the server process.
        per_second: answers a second.
        p50_ms: median latency, milliseconds.
        p99_ms: 99th percentile of latency, milliseconds.
        client_busy: share of the time that the client was on its CPU.
    """

    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float
    client_busy: float


@dataclass
class Proof:
    """What a contestant was seen to do, so that none is fast by doing less than it says.

    Attributes:
        answered: requests that it answered in all.
        log_lines: lines that it wrote.
        spans: server spans that it exported.
        without_token: status of a request without credentials.
        headers: names of the headers of an ordinary answer.
    """

    answered: int = 0
    log_lines: int = 0
    spans: int = 0
    without_token: int = 0
    headers: tuple[str, ...] = ()

    def faults(self) -> list[str]:
        """Say what an armoured contestant did not do."""
        spread = 6 * (self.answered * SAMPLING * (1 - SAMPLING)) ** 0.5  # six standard deviations
        wanted = {"x-request-id", "x-content-type-options", "content-security-policy"}
        checks = (
            (self.log_lines >= self.answered, f"{self.log_lines} log lines for {self.answered} requests"),
            (
                self.spans > 0 and abs(self.spans - self.answered * SAMPLING) <= spread,
                f"{self.spans} server spans for {self.answered} requests sampled at {SAMPLING:.0%}",
            ),
            (self.without_token == UNAUTHORIZED, f"a request without token got {self.without_token}"),
            (any("ratelimit" in name for name in self.headers), "no rate limit headers"),
            (wanted <= set(self.headers), f"headers are only {', '.join(self.headers)}"),
        )
        return [said for held, said in checks if not held]


@dataclass(frozen=True)
class Result:
    """Every sample: ``samples[route][contestant]`` has one a round, in the order of the rounds."""

    samples: Mapping[str, Mapping[str, Sequence[Sample]]]
    proofs: Mapping[str, Proof]


def telemetry(sink_port: int) -> dict[str, str]:
    """Return the SDK's settings, the same for all who use it; metrics are pushed every 60 s, its default."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(SAMPLING),
        "OTEL_BSP_SCHEDULE_DELAY": str(EXPORT_DELAY_MS),
    }


def measure(
    contestants: Sequence[Contestant],
    plan: Plan,
    *,
    cores: Cores,
    sink_port: int,
    logs: Path,
    progress: Callable[[str], None],
) -> Result:
    """Run all rounds: A B C, A B C, and so on.

    Raises:
        LoadError: a contestant answered wrongly.
        ServerError: a contestant did not start.
    """
    samples: dict[str, dict[str, list[Sample]]] = {
        route: {contestant.name: [] for contestant in contestants} for route in ROUTES
    }
    proofs = {contestant.name: Proof() for contestant in contestants}
    if cores.client is not None:
        os.sched_setaffinity(0, {cores.client})
    for number in range(1, plan.rounds + 1):
        for contestant in contestants:
            log = logs / f"{contestant.name}.{number}.log"
            turn = _turn(contestant, plan, cores=cores, log=log, proof=proofs[contestant.name])
            for route, sample in turn.items():
                samples[route][contestant.name].append(sample)
            proofs[contestant.name].spans += spans_received(sink_port)
            with log.open("rb") as lines:
                proofs[contestant.name].log_lines += sum(1 for _ in lines)
            log.unlink()
        progress(f"round {number}/{plan.rounds}, CPU us a request: {_latest(samples)}")
    return Result(samples, proofs)


def _latest(samples: Mapping[str, Mapping[str, Sequence[Sample]]]) -> str:
    first, *others = samples.values()
    return ", ".join(f"{name} {statistics.fmean(of[name][-1].cpu_us for of in (first, *others)):.0f}" for name in first)


def _turn(contestant: Contestant, plan: Plan, *, cores: Cores, log: Path, proof: Proof) -> dict[str, Sample]:
    """Start, warm up, measure both routes, look at what it does, stop."""
    asked = exchanges(contestant.token)
    with running(contestant, cores=cores, log=log, probe=PROBE) as server:
        for route in ROUTES:
            drive(server.port, asked[route], requests=plan.warm_up, connections=plan.connections)
        time.sleep(SETTLE)
        turn = {route: _sample(server, contestant, plan, route) for route in ROUTES}
        _, _, headers = get(server.port, PROBE, contestant.token)
        proof.headers = tuple(sorted(headers))
        proof.without_token, _, _ = get(server.port, PROBE, "")
    proof.answered += len(ROUTES) * (plan.warm_up + plan.requests)
    return turn


def _sample(server: Server, contestant: Contestant, plan: Plan, route: str) -> Sample:
    before = server.cpu()
    load = drive(server.port, exchanges(contestant.token)[route], requests=plan.requests, connections=plan.connections)
    time.sleep(SETTLE)
    cpu = server.cpu() - before
    return Sample(
        cpu_us=cpu / 1_000 / load.requests,
        per_second=load.per_second,
        p50_ms=load.percentile(0.50) * 1_000,
        p99_ms=load.percentile(0.99) * 1_000,
        client_busy=load.client_busy,
    )
