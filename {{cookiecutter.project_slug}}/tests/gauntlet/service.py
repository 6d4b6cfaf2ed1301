"""The service under attack: a process of its own, on a database of its own, with tokens for whoever is needed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.patterns.development_issuer import DevelopmentIssuer
from app.policy import load_policy
from tests.gauntlet.stores import Store, store_of
from tests.support.forks import Forked, forks
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.upstreams import simulated_in_a_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.simulators.payments import PaymentsSimulator
    from tests.support.postgres_server import PostgresServer

ROOT: Final = Path(__file__).resolve().parents[2]
ROLE: Final = "gauntlet"
"""A role that the copy of the policy grants everything that any route asks for."""

ORIGIN: Final = "https://app.example"
PATIENCE: Final = 60.0
"""Seconds after which a wait is a failure; a loaded machine is no defect."""


TOLD: Final = 2.0
"""Seconds that are waited for the line that says why a request failed: it is written before the answer is."""


class DidNotStart(Exception):
    """The service does not start; the text is what it said."""


@dataclass
class Target:
    """A running service.

    Attributes:
        url: where it listens.
        port: its port.
        folder: where its policy and its keys lie.
        secret: what switches the sabotage on.
        routes: what its routes are, by ``serve.describe``.
        telemetry: takes its spans and metrics.
        store: its database.
        simulator: the payments service that it calls.
        output: the lines that it logged.
    """

    port: int
    folder: Path
    secret: str
    process: Forked
    telemetry: OtlpReceiver
    store: Store
    routes: list[dict[str, Any]] = field(default_factory=list)
    simulator: PaymentsSimulator | None = None
    output: list[str] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, subject: str, roles: tuple[str, ...] = (ROLE,), **issuer: Any) -> str:
        """Return a token; ``issuer`` changes whose it is, for tokens that must not be accepted."""
        lifetime = issuer.pop("lifetime", 3600)
        key = issuer.pop("key", self.folder / "issuer.json")
        return DevelopmentIssuer(key, **{"audience": "api", **issuer}).issue(subject, roles, None, lifetime)

    def parsed(self) -> list[dict[str, Any]]:
        """Return the log lines that are JSON."""
        with self.arrived:
            return [json.loads(line) for line in self.output if line.startswith("{")]

    def lines_of(self, request_id: str) -> list[dict[str, Any]]:
        """Return the lines that close a request, waiting until there is one."""

        def found() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in self.output if request_id in line and line.startswith("{")]
            return [line for line in lines if line.get("event") == "request" and line.get("request_id") == request_id]

        with self.arrived:
            self.arrived.wait_for(found, timeout=PATIENCE)
            return found()

    def raised(self, request_id: str, handler: str) -> str:
        """Return what a request raised, and where in which handler's file; empty if nothing is known of it.

        Args:
            request_id: of a request that was answered with 500.
            handler: the file of its handler, whose name need not be said.
        """

        def found() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in self.output if request_id in line and line.startswith("{")]
            return [line["exception"] for line in lines if line.get("event") == "unhandled_exception"]

        with self.arrived:
            self.arrived.wait_for(found, timeout=TOLD)
            exceptions = found()
        if not exceptions:
            return ""
        kind = str(exceptions[0].get("type")).rpartition(".")[2]
        said = f"{kind}: {exceptions[0].get('message')}"[:120]
        frames = [frame for frame in exceptions[0].get("frames", ()) if f"{os.sep}handlers{os.sep}" in frame]
        file, _, rest = frames[-1].rpartition(":") if frames else ("", "", "")
        place = "" if file.endswith(handler) else f" of {file.removeprefix(f'{ROOT}{os.sep}')}"
        return f"{said}, raised from line {rest.partition(' ')[0]}{place}" if frames else said

    def snapshot(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table that is the service's own."""
        return self.store.rows()

    def forget_peak(self) -> None:
        """Have the peak begin anew from what it has now, where the system can (proc_pid_clear_refs(5))."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")

    def peak(self) -> int | None:
        """Return how many bytes of memory it had at most, where the system says so."""
        status = Path(f"/proc/{self.process.pid}/status")
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8")) if status.exists() else None
        return int(found[1]) * 1024 if found else None

    def read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        for line in stream:
            with self.arrived:
                self.output.append(line.decode("utf-8", "replace").rstrip("\n"))
                self.arrived.notify_all()


@contextlib.contextmanager
def target(
    *,
    without: str | None = None,
    candidates: Path | None = None,
    environ: Mapping[str, str] | None = None,
    postgres: PostgresServer | None = None,
) -> Iterator[Target]:
    """Run the service until the block ends.

    Args:
        without: a layer or guard to leave out, to see that its absence is noticed.
        candidates: a folder with handlers that are not among the service's.
        environ: more settings.
        postgres: a server to give it a database of; without one it has a file.

    Raises:
        DidNotStart: it does not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gauntlet-") as name,
        OtlpReceiver() as telemetry,
        simulated_in_a_thread() as (simulator, payments),
        store_of(Path(name), postgres) as store,
    ):
        folder = Path(name)
        secret = secrets.token_hex(16)
        facts = folder / "routes.json"
        command = ["tests.gauntlet.serve", "--facts", str(facts)]
        command += ["--without", without] if without else []
        command += ["--candidates", str(candidates)] if candidates else []
        settings = {
            **_settings(folder, telemetry.endpoint, candidates),
            "GAUNTLET_SECRET": secret,
            "APP_PAYMENTS_URL": payments,
            "APP_DATABASE_URL": store.url,
            **(environ or {}),
        }
        process = forks().start(*command, cwd=ROOT, env=settings)
        running = Target(0, folder, secret, process, telemetry, store, simulator=simulator)
        reader = threading.Thread(target=running.read, daemon=True)
        reader.start()
        try:
            running.port = _wait_for_port(running)
            running.routes = json.loads(facts.read_text("utf-8"))
            yield running
        finally:
            process.terminate()
            try:
                process.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join(timeout=PATIENCE)
            if process.stdout is not None:
                process.stdout.close()


def _settings(folder: Path, endpoint: str, candidates: Path | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("APP_", "OTEL_"))}
    policy = folder / "policy.toml"
    policy.write_text(_with_role(candidates), "utf-8")
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "APP_POLICY_PATH": str(policy),
        "APP_ROUTES_PATH": str(folder / "routes"),  # what an attack provokes is no evidence against a route
        "APP_DEVELOPMENT_KEY_PATH": str(folder / "issuer.json"),
        "APP_LOG_FORMAT": "json",
        # What a request has done later is an effect of its own; here the message that says so is what is looked for.
        "APP_JOBS_IN_PROCESS": "false",
        "APP_DRAIN_TIMEOUT": "1",
        # One address sends everything here; what is counted by address is attacked on its own.
        "APP_FLOOD_RATE": "1000000/minute",
        "APP_FAILED_AUTHENTICATION_RATE": "100000/minute",
        "APP_TRUST_REMOTE_SAMPLING": "true",
        "APP_CORS_ORIGINS": ORIGIN,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


def _with_role(candidates: Path | None) -> str:
    """Return the policy with a role that may call everything, and with the entries that candidates still need."""
    path = (candidates.parent / "policy.toml") if candidates else ROOT / "policy.toml"
    policy = load_policy(path, upstreams=_upstreams())
    wanted = {name for entry in policy.routes.values() for name in entry.allow} - {"breakwater:closed"}
    permissions = ", ".join(json.dumps(name) for name in sorted(wanted)) or '"gauntlet:nothing"'
    text = path.read_text("utf-8")
    if candidates:  # nobody holds a closed permission; a candidate is attacked behind one that somebody holds
        permissions += ', "gauntlet:candidate"'
        text = text.replace('"breakwater:closed"', '"gauntlet:candidate"')
    role = f"{ROLE} = [{permissions}]"
    changed, count = re.subn(r"(?m)^(\[roles\][^\n]*)$", rf"\1\n{role}", text, count=1)
    return changed if count else f"[roles]\n{role}\n\n{text}"


def _upstreams() -> frozenset[str]:
    from app.upstreams import NAMES

    return NAMES


def _wait_for_port(running: Target) -> int:
    deadline = time.monotonic() + PATIENCE
    with running.arrived:
        while time.monotonic() < deadline:
            for line in running.output:
                if "listening on http://127.0.0.1:" in line:
                    return int(line.partition("127.0.0.1:")[2].partition('"')[0])
            if running.process.poll() is not None:
                break
            running.arrived.wait(timeout=0.2)
    raise DidNotStart("\n".join(running.output[-30:]))
