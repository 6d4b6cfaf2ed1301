"""Measures what it costs that an order is placed once: the worked example, and its handler on bare FastAPI.

    python benchmarks/data.py                five rounds, about three minutes
    python benchmarks/data.py --quick        a smoke test; its numbers mean little

``POST /v1/orders`` with a new Idempotency-Key each time, on SQLite and on PostgreSQL (without fsync, so that the disk
is not what is measured), of articles that cost nothing. The bare handler looks, reserves, orders and notes what follows
in the same statements, commits by itself, and knows of no key, owner or policy. Rounds are
interleaved, every turn is a fresh process; CPU is the server's process alone, not the database's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import service
from exchanges import authorized
from issuer import Issuer
from load import Exchange, LoadError, drive
from measure import SETTLE, Plan, Sample, telemetry
from servers import HERE, Contestant, Cores, ServerError, helper, inherited, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLANS = {"full": Plan(5, 1_000, 200, 8), "quick": Plan(1, 200, 50, 8)}
ARTICLES = ("swatch-oak", "swatch-pine", "swatch-brass")
PROBE = "/livez"

POSTGRES = """
import sys
from tests.support.postgres_server import postgres_server
with postgres_server() as server:
    print(server.url(server.create_database()), server.url(server.create_database()), flush=True)
    sys.stdin.read()
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; return 0, or 1 when something answered wrongly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="smoke test")
    parser.add_argument("--rounds", type=int, help="interleaved rounds")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for the JSON")
    given = parser.parse_args(arguments)
    base = PLANS["quick" if given.quick else "full"]
    plan = Plan(given.rounds or base.rounds, base.requests, base.warm_up, base.connections)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-data-") as scratch:
            samples = _run(plan, Path(scratch))
    except (LoadError, ServerError) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    report = _report(samples)
    print(_table(report))
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "data.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return 0


def _run(plan: Plan, scratch: Path) -> dict[str, list[Sample]]:
    cores = Cores.choose()
    os.environ["PYTHONPYCACHEPREFIX"] = str(scratch / "bytecode")
    issuer = Issuer.create(scratch / "issuer")
    with contextlib.ExitStack() as stack:
        sink_port = stack.enter_context(helper("sink.py", core=cores.client))
        issuer_port = stack.enter_context(helper("issuer.py", str(issuer.folder), core=cores.client))
        settings = service.settings(issuer_port) | telemetry(sink_port)
        built = service.build_example(scratch / "service", issuer, settings)
        databases = {"sqlite": (f"sqlite:///{scratch}/one.db", f"sqlite+aiosqlite:///{scratch}/two.db")}
        databases["postgresql"] = stack.enter_context(_postgres(built, cores))
        contestants: list[Contestant] = []
        for name, (ours, bare) in databases.items():
            script = str(HERE / "contestants" / "bare_data.py")
            environment = {"BENCH_DATABASE_URL": bare}
            contestants.append(
                Contestant(f"bare, {name}", (str(built.python), script, "{port}"), "", environment=environment)
            )
            ours_environment = {**built.environment, "APP_DATABASE_URL": ours}
            ours_environment["APP_IDEMPOTENCY_KEYS_PER_CALLER"] = "1000000"
            ours_environment["APP_JOBS_IN_PROCESS"] = "false"  # what follows is noted by both, and done elsewhere
            served = service.Service(built.directory, built.python, built.token, ours_environment).contestant()
            contestants.append(
                Contestant(
                    f"{service.NAME}, {name}", served.command, served.token, served.directory, served.environment
                )
            )
        if cores.client is not None:
            os.sched_setaffinity(0, {cores.client})
        samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
        for number in range(1, plan.rounds + 1):
            for contestant in contestants:
                samples[contestant.name].append(_turn(contestant, plan, cores, scratch / "log"))
            latest = ", ".join(f"{name} {taken[-1].cpu_us:.0f}" for name, taken in samples.items())
            print(f"round {number}/{plan.rounds}, CPU us a request: {latest}", flush=True)
    return samples


def _turn(contestant: Contestant, plan: Plan, cores: Cores, log: Path) -> Sample:
    with running(contestant, cores=cores, log=log, probe=PROBE) as server:
        drive(server.port, _orders(plan.warm_up, contestant.token), requests=plan.warm_up, connections=plan.connections)
        time.sleep(SETTLE)
        asked = _orders(plan.requests, contestant.token)
        before = server.cpu()
        load = drive(server.port, asked, requests=plan.requests, connections=plan.connections)
        time.sleep(SETTLE)
        cpu = server.cpu() - before
    return Sample(
        cpu_us=cpu / 1_000 / load.requests,
        per_second=load.per_second,
        p50_ms=load.percentile(0.50) * 1_000,
        p99_ms=load.percentile(0.99) * 1_000,
        client_busy=load.client_busy,
    )


def _orders(count: int, token: str) -> list[Exchange]:
    """Return requests that place one order each, every one with a key of its own."""
    made = []
    for number in range(count):
        body = json.dumps({"sku": ARTICLES[number % 3], "quantity": 1, "note": "leave it at the harbour office"})
        head = f"Content-Type: application/json\r\nIdempotency-Key: {uuid4()}\r\nContent-Length: {len(body)}\r\n"
        made.append(Exchange(authorized("POST", "/v1/orders", token or None, head, body), 201, b'{"id":"'))
    return made


@contextlib.contextmanager
def _postgres(built: service.Service, cores: Cores) -> Iterator[tuple[str, str]]:
    """Run a PostgreSQL of the service's own tests, beside the client, and yield the URLs of two databases."""
    process = subprocess.Popen(  # noqa: S603 - our own code
        [str(built.python), "-c", POSTGRES],
        cwd=built.directory,
        env=inherited() | {"PYTHONPATH": str(built.directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: os.sched_setaffinity(0, {cores.client})) if cores.client is not None else None,  # noqa: PLW1509 - no threads yet
    )
    try:
        urls = (process.stdout.readline() if process.stdout else "").split()
        if len(urls) != 2:  # noqa: PLR2004 - one for each contestant
            raise ServerError("PostgreSQL did not start")
        yield urls[0], urls[1]
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait(30)


def _report(samples: dict[str, list[Sample]]) -> dict[str, dict[str, float]]:
    report: dict[str, dict[str, float]] = {}
    for name, taken in samples.items():
        bare = samples[f"bare, {name.partition(', ')[2]}"]
        ratios = [one.cpu_us / other.cpu_us for one, other in zip(taken, bare, strict=True)]
        report[name] = {
            "cpu_us": round(statistics.median(sample.cpu_us for sample in taken), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_min": round(min(ratios), 2),
            "ratio_max": round(max(ratios), 2),
            "per_second": round(statistics.median(sample.per_second for sample in taken)),
            "p50_ms": round(statistics.median(sample.p50_ms for sample in taken), 1),
            "p99_ms": round(statistics.median(sample.p99_ms for sample in taken), 1),
        }
    return report


def _table(report: dict[str, dict[str, float]]) -> str:
    lines = [f"\n{'POST /v1/orders':26}{'CPU us':>9}{'ratio':>8}{'(spread)':>14}{'req/s':>8}{'p50 ms':>8}{'p99 ms':>8}"]
    for name, row in report.items():
        spread = f"({row['ratio_min']}-{row['ratio_max']})"
        lines.append(
            f"{name:26}{row['cpu_us']:>9}{row['ratio']:>8}{spread:>14}{row['per_second']:>8.0f}{row['p50_ms']:>8}"
            f"{row['p99_ms']:>8}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
