"""Measures what the armour costs: bare FastAPI, this service and the usual middleware stack, in one run.

    python benchmarks/run.py                 about two minutes
    python benchmarks/run.py --quick         a smoke test; its numbers mean little
    python benchmarks/run.py --guards        what each guard costs: the service with one left out at a time

Each contestant serves the same two routes in one process of uvicorn with httptools, uvloop and no access log,
on loopback. Rounds are interleaved, every turn is a fresh process, and what is reported is CPU time, because
on a busy machine it wavers less than requests a second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import plot
import service
from exchanges import ROUTES
from issuer import Issuer
from load import LoadError
from measure import EXPORT_DELAY_MS, SAMPLING, Plan, Result, measure, telemetry
from provenance import drift, machine, versions
from report import BOTH, as_data, guards_table, summarise, table
from servers import HERE, Contestant, Cores, ServerError, helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from measure import Proof
    from report import Summary

SCHEMA = 1
BARE, USUAL = "bare", "usual"
CONTESTANTS = (BARE, service.NAME, USUAL)

PLANS = {
    "full": Plan(rounds=7, requests=1_000, warm_up=200, connections=8),
    "quick": Plan(rounds=1, requests=200, warm_up=50, connections=8),
    "guards": Plan(rounds=3, requests=2_000, warm_up=300, connections=8),
}

SERVED_BY = (
    "uvicorn with httptools and uvloop, one process, access log off, loopback, HTTP/1.1 keep-alive; "
    "same requests, each with a bearer token and without traceparent"
)


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    mode: str
    plan: Plan
    only: tuple[str, ...]
    output: Path
    service_python: Path | None
    limit: float | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write.

    Returns:
        0; 1 when a contestant failed, did less than it should or exceeded ``--limit``; 2 when this machine
        cannot measure.
    """
    options = _options(arguments)
    if not sys.platform.startswith("linux"):
        print("The benchmark reads per-process CPU clocks and uses epoll: it needs Linux.", file=sys.stderr)
        return 2
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            document, summary, problems = _run(options, Path(scratch))
    except (LoadError, ServerError) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    document["seconds"] = round(time.monotonic() - started, 1)
    _write(options, document, summary)
    for problem in problems:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", dest="mode", action="store_const", const="quick", help="smoke test, under 25 s")
    mode.add_argument("--guards", dest="mode", action="store_const", const="guards", help="cost of each guard")
    parser.add_argument("--rounds", type=int, help="interleaved rounds")
    parser.add_argument("--requests", type=int, help="requests a round, route and contestant")
    parser.add_argument("--connections", type=int, help="connections, with one request in flight on each")
    parser.add_argument("--only", help=f"some of {','.join(CONTESTANTS)}; with --guards, guards to leave out")
    parser.add_argument("--limit", type=float, help=f"fail when {service.NAME} costs more than this many times bare")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for the JSON and the SVG")
    parser.add_argument(
        "--service-python",
        type=Path,
        help="interpreter that has the service's dependencies; default: uv makes one",
    )
    given = parser.parse_args(arguments)
    mode_name = given.mode or "full"
    base = PLANS[mode_name]
    plan = Plan(
        rounds=given.rounds or base.rounds,
        requests=given.requests or base.requests,
        warm_up=base.warm_up,
        connections=given.connections or base.connections,
    )
    only = tuple(given.only.split(",")) if given.only else ()
    return Options(mode_name, plan, only, given.output, given.service_python, given.limit)


def _run(options: Options, scratch: Path) -> tuple[dict[str, object], Summary, list[str]]:
    cores = Cores.choose()
    # Compiled once, and nothing left in the tree.
    os.environ["PYTHONPYCACHEPREFIX"] = str(scratch / "bytecode")
    issuer = Issuer.create(scratch / "issuer")
    with ExitStack() as stack:
        sink_port = stack.enter_context(helper("sink.py", core=cores.client))
        issuer_port = stack.enter_context(helper("issuer.py", str(issuer.folder), core=cores.client))
        contestants = _contestants(options, scratch, issuer, issuer_port, telemetry(sink_port))
        _say(f"{SERVED_BY}; {cores}")
        _say(
            f"{len(contestants)} contestants, {options.plan.rounds} interleaved rounds, fresh processes, "
            f"{options.plan.requests} requests to each route over {options.plan.connections} connections"
        )
        result = measure(contestants, options.plan, cores=cores, sink_port=sink_port, logs=scratch, progress=_say)
    _say(_seen(contestants, result.proofs))
    baseline = service.NAME if options.mode == "guards" else contestants[0].name
    summary = summarise(result, baseline)
    found = {contestant.name: versions(contestant) for contestant in contestants}
    problems = [*_idlers(contestants, result, options), *drift(found), *_over(summary, options)]
    document: dict[str, object] = {
        "schema": SCHEMA,
        "mode": options.mode,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(cores),
        "served_by": SERVED_BY,
        "plan": asdict(options.plan) | {"trace_sampling": SAMPLING, "export_delay_ms": EXPORT_DELAY_MS},
        "baseline": baseline,
        "versions": found,
        "proofs": {name: asdict(proof) for name, proof in result.proofs.items()},
        "summary": as_data(summary),
        "rounds": {
            route: {name: [asdict(sample) for sample in samples] for name, samples in by_name.items()}
            for route, by_name in result.samples.items()
        },
        "problems": problems,
    }
    return document, summary, problems


def _contestants(
    options: Options, scratch: Path, issuer: Issuer, issuer_port: int, exported: dict[str, str]
) -> list[Contestant]:
    chosen = [name for name in CONTESTANTS if not options.only or name in options.only]
    if options.mode != "guards" and service.NAME not in chosen:
        return [_served(name, sys.executable, issuer, exported) for name in chosen]
    built = service.build(
        scratch / "service",
        issuer,
        service.settings(issuer_port) | exported,
        python=options.service_python,
    )
    bare = _served(BARE, str(built.python), issuer, {})  # the baseline runs on what the service runs on
    if options.mode == "guards":
        names = [name for name in built.guards() if not options.only or name in options.only]
        return [bare, built.contestant(), *map(built.without, names)]
    found = {
        BARE: bare,
        service.NAME: built.contestant(),
        USUAL: _served(USUAL, sys.executable, issuer, exported),
    }
    return [found[name] for name in chosen]


def _served(name: str, python: str, issuer: Issuer, exported: dict[str, str]) -> Contestant:
    command = (python, str(HERE / "contestants" / "serve.py"), name, "{port}")
    environment = {} if name == BARE else exported | {"BENCH_PUBLIC_KEY": str(issuer.public_key)}
    return Contestant(name, command, issuer.token, environment=environment, armoured=name != BARE)


def _idlers(contestants: Sequence[Contestant], result: Result, options: Options) -> list[str]:
    """Name contestants that are fast because they do less than they are compared for."""
    if options.mode == "guards":
        contestants = [contestant for contestant in contestants if contestant.name == service.NAME]
    return [
        f"{contestant.name}: {fault}"
        for contestant in contestants
        if contestant.armoured
        for fault in result.proofs[contestant.name].faults()
    ]


def _seen(contestants: Sequence[Contestant], proofs: Mapping[str, Proof]) -> str:
    """Say what the armoured contestants were seen to do."""
    armoured = [(contestant.name, proofs[contestant.name]) for contestant in contestants if contestant.armoured]
    return "\n".join(
        f"{name} was seen to write {proof.log_lines / proof.answered:.2f} log lines a request, to export "
        f"{proof.spans / proof.answered:.1%} as spans, and to answer {proof.without_token} without a token"
        for name, proof in armoured
    )


def _over(summary: Summary, options: Options) -> list[str]:
    row = summary[BOTH].get(service.NAME)
    if options.limit is None or row is None or row.ratio <= options.limit:
        return []
    return [f"{service.NAME} costs {row.ratio:.2f} x bare, more than {options.limit:g}"]


def _write(options: Options, document: dict[str, object], summary: Summary) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    stem = {"full": "benchmark", "quick": "quick", "guards": "guards"}[options.mode]
    path = options.output / f"{stem}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    written = [path]
    if options.mode == "guards":
        print(guards_table(summary, service.NAME, BARE))
    else:
        print(table(summary, str(document["baseline"])))
        svg = options.output / f"{stem}.svg"
        svg.write_text(_plot(document, summary))
        written.append(svg)
    print(f"\n{document['seconds']:.0f} s; written: {', '.join(os.path.relpath(path) for path in written)}")


def _plot(document: dict[str, object], summary: Summary) -> str:
    host, plan = document["machine"], document["plan"]
    assert isinstance(host, dict)  # noqa: S101 - built above; for the type checker
    assert isinstance(plan, dict)  # noqa: S101 - built above; for the type checker
    return plot.bars(
        {route: summary[route] for route in ROUTES},
        title="CPU time of one request, all threads of the server",
        subtitle="uvicorn, httptools, uvloop, one process, access log off, loopback; shorter is better",
        footer=[
            f"median of {plan['rounds']} rounds; whiskers: a round's smallest and largest ratio to bare",
            f"{host['cpu']}, {host['cores']} cores, {str(document['at'])[:10]}",
        ],
        classes={BARE: "bare", service.NAME: "ours", USUAL: "other"},
        baseline=str(document["baseline"]),
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
