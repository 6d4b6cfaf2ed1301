"""Takes the service apart: ``make torture``, or ``python -m tests.torture kills --kills 500 --points 50``.

Prints what it did and found, as a table for people and, with ``--json FILE``, for programs. Ends with 1 if anything was
lost, doubled or stuck.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.postgres_server import PostgresServer, postgres_server
from tests.support.upstreams import simulated_in_a_thread
from tests.torture.duplicates import storm
from tests.torture.kills import campaign, recovery
from tests.torture.ledger import audit_charges
from tests.torture.outage import outage
from tests.torture.overload import MISBEHAVIOUR, beside, curve, overload, slow_clients, soak
from tests.torture.plot import lines
from tests.torture.upstream import attempts_on_a_dead_one, cost, flap, suffer

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def databases(which: str) -> Iterator[tuple[str, str, PostgresServer | None]]:
    """Yield the URL for the service, the URL for the comparison, and the server if there is one."""
    with tempfile.TemporaryDirectory(prefix="torture-data-") as folder:
        if which == "sqlite":
            url = f"sqlite:///{folder}/app.db"
            yield url, url, None
            return
        with postgres_server(durable=True) as server:
            name = server.create_database()
            yield server.url(name), server.superuser_url(name), server


def tell(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def kills(arguments: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for which in arguments.database:
        with databases(which) as (url, audit_url, _server):
            started = time.monotonic()
            tell(f"{which}: {arguments.kills} kills at random, {arguments.points} at each of five places")
            done = asyncio.run(
                campaign(url, audit_url, at_random=arguments.kills, at_points=arguments.points, tell=tell)
            )
            recovery = sorted(done.ledger.recovery) or [0.0]
            report[which] = {
                "kills": dict(done.kills),
                "orders acknowledged": done.orders,
                "answers replayed": done.ledger.replayed,
                "tried again after": dict(done.ledger.refused),
                "recovery of a broken request, s": {
                    "median": round(recovery[len(recovery) // 2], 3),
                    "p99": round(recovery[int(len(recovery) * 0.99)], 3),
                    "max": round(recovery[-1], 3),
                },
                "seconds": round(time.monotonic() - started),
                "faults": done.faults,
            }
    return report


def duplicates(arguments: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for where, one_machine in (("four workers", True), ("four machines", False)):
        with databases("postgresql") as (url, audit_url, _server):
            done = asyncio.run(
                storm(
                    url, audit_url, keys=arguments.keys, copies=arguments.copies, processes=4, one_machine=one_machine
                )
            )
        report[where] = {
            "answers": dict(done.answers),
            "unrelated request, idle, ms (median, p99)": done.idle,
            "unrelated request, under the storm, ms (median, p99)": done.loaded,
            "p99 ratio": round(done.loaded[1] / done.idle[1], 2),
            "faults": done.faults,
        }
    return report


def away(_arguments: argparse.Namespace) -> dict[str, Any]:
    with databases("postgresql") as (url, audit_url, server):
        assert server is not None
        done = asyncio.run(outage(server, url, audit_url))
    return {
        "postgresql": {
            "orders acknowledged": done.orders,
            "clients met": dict(done.statuses),
            "slowest answer, s": round(done.slowest, 2),
            "first order after its return, s": round(done.recovery, 2),
            "connections before and after": done.connections,
            "faults": done.faults,
        }
    }


def recover(arguments: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for which in arguments.database:
        with databases(which) as (url, _audit_url, _server):
            taken = sorted(asyncio.run(recovery(url, times=max(1, arguments.points // 5))))
        figures = {"median": round(taken[len(taken) // 2], 3), "max": round(taken[-1], 3)}
        slow = [f"{taken[-1]:.2f} s"] if taken[-1] > 1 and which == "postgresql" else []
        report[which] = {"kills": len(taken), "from its return to the answer, s": figures, "faults": slow}
    return report


def wide(_: argparse.Namespace) -> dict[str, Any]:
    """Run the suite with twenty times as many generated examples, and with what it leaves out otherwise."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--wide", "--numprocesses", "auto", "--dist", "loadfile", "-q"],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    said = done.stdout.splitlines()
    faults = [line for line in said if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not faults:
        faults = said[-20:]
    return {"suite": {"said": said[-1], "seconds": round(time.monotonic() - started), "faults": faults}}


def outbox(arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill the service and its workers while orders are charged; compare orders, charges and what follows."""
    report: dict[str, Any] = {}
    for which in arguments.database:
        with databases(which) as (url, audit_url, _server), simulated_in_a_thread() as (simulator, payments):
            started = time.monotonic()
            tell(f"{which}: {arguments.kills} kills of the service and its workers while orders are charged")
            done = asyncio.run(
                campaign(url, audit_url, at_random=arguments.kills, at_points=0, tell=tell, payments=payments)
            )
            report[which] = {
                "kills": dict(done.kills),
                "orders acknowledged": done.orders,
                "charges": len(simulator.charges),
                "steps whose jobs are in order": sum(done.ledger.walks.values()),
                "tried again after": dict(done.ledger.refused),
                "seconds": round(time.monotonic() - started),
                "faults": [*done.faults, *audit_charges(audit_url, simulator.charges)],
            }
    return report


def upstream(arguments: argparse.Namespace) -> dict[str, Any]:
    """Call a payments service that is healthy, dead, hangs and flaps."""
    spent = asyncio.run(cost(calls=500, rounds=7))
    more = round(spent["guarded"] - spent["plain"], 1)
    report: dict[str, Any] = {
        "healthy": {
            "CPU us a call": spent,
            "the pipeline over plain httpx2, us": more,
            "faults": [f"the pipeline costs {more} us"] if more > 60 else [],
        }
    }
    tell("dead: 1,000 calls, 100 a second, twice")
    budget = asyncio.run(attempts_on_a_dead_one(calls=1000, rate=100, without_breaker=True))
    breaker = asyncio.run(attempts_on_a_dead_one(calls=1000, rate=100, without_breaker=False))
    report["dead"] = {
        "attempts of 1,000 calls, without the breaker": budget,
        "with it": breaker,
        "faults": [f"{budget} and {breaker} attempts"] if budget > 1250 or breaker > 100 else [],
    }
    for mode in ("dead", "hangs"):
        tell(f"service: 1,000 orders, 20 a second, payments {mode}")
        with databases("sqlite") as (url, _audit_url, _server):
            found = asyncio.run(suffer(url, mode, orders=1000, rate=20))
        ratio = round(found.loaded[1] / found.idle[1], 2)
        report[f"service, payments {mode}"] = {
            "answers": found.statuses,
            "p99 of the orders, s": round(found.p99, 3),
            "unrelated request, idle, ms (median, p99)": found.idle,
            "meanwhile, ms (median, p99)": found.loaded,
            "p99 ratio": ratio,
            "faults": [f"p99 {found.p99:.2f} s"] if found.p99 > 5.05 else [],
        }
    tell("flaps: 60 s, 50 calls a second")
    flaps = asyncio.run(flap(seconds=60, rate=50))
    late = flaps.after_the_end > flaps.longest_break + 0.1
    report["flaps"] = {
        "attempts in 100 ms, before": round(flaps.steady, 1),
        "the most in the first second after a return": flaps.worst,
        "first success after the end, s": round(flaps.after_the_end, 2),
        "longest break, s": round(flaps.longest_break, 2),
        "calls that went well, of all": flaps.well,
        "faults": [f"a wave of {flaps.worst}"] * (flaps.worst > 3 * flaps.steady) + ["late"] * late,
    }
    return report


def overloaded(arguments: argparse.Namespace) -> dict[str, Any]:
    """Ask for three times the capacity; hold connections open; let handlers misbehave."""
    report: dict[str, Any] = {}
    for what, path in (("a processor", "/unruly/work?milliseconds=8"), ("a backend", "/unruly/backend")):
        tell(f"three times what {what} can, for {arguments.seconds:g} s")
        found = asyncio.run(overload(path, seconds=arguments.seconds))
        faults = []
        if found.goodput < 0.9 * found.peak:
            faults.append(f"goodput {found.goodput} of {found.peak}")
        if found.p99 > 2 * found.unloaded_p99 + 50:
            faults.append(f"p99 {found.p99} ms, unloaded {found.unloaded_p99} ms")
        if 0 in found.statuses:
            faults.append(f"{found.statuses[0]} without an answer")
        report[f"three times what {what} can"] = {
            "unloaded p99, ms": found.unloaded_p99,
            "peak, answers/s": found.peak,
            "goodput at three times that": found.goodput,
            "share of the peak": round(found.goodput / found.peak, 3),
            "p99 of what was accepted, ms": found.p99,
            "refusals, ms (median, p99)": found.refused,
            "answers": found.statuses,
            "p99 five seconds after, ms": found.back,
            "faults": faults,
        }
    tell("1,000 silent connections and 500 slow bodies")
    report["slow clients"] = asyncio.run(slow_clients(silent=1000, bodies=500, seconds=20))
    for name in MISBEHAVIOUR:
        tell(f"a handler that misbehaves: {name}")
        report[f"beside one that {name}"] = asyncio.run(beside(name, seconds=20))
    return report


def curves(arguments: argparse.Namespace) -> dict[str, Any]:
    """Draw goodput against what is offered, with load shedding and without."""
    report: dict[str, Any] = {}
    for what, path, peak in (("computes", "/unruly/work?milliseconds=8", 108), ("waits", "/unruly/backend", 190)):
        series = {}
        for name, without in (("with load shedding", None), ("without", "load_shedding,stage")):
            tell(f"goodput of what {what}, {name}")
            series[name] = asyncio.run(curve(path, peak, without=without, seconds=arguments.seconds / 2))
        report[what] = {**series, "faults": []}
        if arguments.plots is not None:
            drawn = lines(
                f"A route that {what}: answers in time",
                f"offered, as a multiple of {peak} a second",
                "answers a second",
                series,
            )
            (arguments.plots / f"overload-{what}.svg").write_text(drawn, "utf-8")
    return report


def soaked(arguments: argparse.Namespace) -> dict[str, Any]:
    tell(f"soak: {arguments.minutes:g} minutes at 70 % load")
    return {"soak": asyncio.run(soak(minutes=arguments.minutes))}


CAMPAIGNS = {
    "kills": kills, "recovery": recover, "duplicates": duplicates, "outage": away, "outbox": outbox,
    "upstream": upstream, "overload": overloaded, "curves": curves, "soak": soaked, "wide": wide,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("campaign", nargs="*", choices=[*CAMPAIGNS, []], help="which; all by default")
    parser.add_argument("--database", nargs="+", choices=["postgresql", "sqlite"], default=["postgresql", "sqlite"])
    parser.add_argument("--kills", type=int, default=500, help="kills at random moments, on each database")
    parser.add_argument("--points", type=int, default=50, help="kills at each of the five places")
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--copies", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30, help="of three times the load")
    parser.add_argument("--minutes", type=float, default=20, help="of the soak")
    parser.add_argument("--plots", type=Path, help="folder for the curves")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    for name in arguments.campaign or CAMPAIGNS:
        report[name] = CAMPAIGNS[name](arguments)
        print(json.dumps({name: report[name]}, indent=2), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    faults = [fault for results in report.values() for result in results.values() for fault in result["faults"]]
    print(f"{len(faults)} faults" if faults else "nothing lost, nothing doubled, nothing stuck")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
