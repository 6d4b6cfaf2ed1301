"""The whole service as a process of its own, on a copy of the project, with handlers dropped in.

Nothing is patched: what runs is ``app run``, or the same server with a composition that leaves one layer or guard out
(see :mod:`tests.support.compose`). Log lines are read from its standard output as they come.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from app.database import schema
from app.patterns.development_issuer import DevelopmentIssuer
from tests.support.forks import Forked, forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from httpx2 import Response

    from tests.support.otlp_receiver import OtlpReceiver

T = TypeVar("T")
Process = Forked | subprocess.Popen[bytes]
ROOT = Path(__file__).resolve().parents[2]
DROPPED = Path(__file__).parent / "dropped"
ROLES = """reader = ["probe:read"]
writer = ["probe:read", "probe:write"]
"""
"""Roles of the tests' own, so that they hold in a service without the example too."""

PATIENCE = 60.0
"""Seconds after which a wait is a failure. Long, because a loaded machine is no defect."""


def drop_in(project: Path, name: str) -> None:
    """Put a handler of ``tests/support/dropped``, with its policy, into a copy of the project."""
    shutil.copy(DROPPED / f"{name}.py", project / "app" / "handlers" / f"{name}.py")
    with (project / "policy.toml").open("a", encoding="utf-8") as policy:
        policy.write((DROPPED / f"{name}.toml").read_text("utf-8"))


def copy_project(target: Path, *, dropped: bool = True, gate: bool = False) -> Path:
    """Copy what a service is made of; with ``dropped``, put the probe handler and its policy into it.

    The policy gets the roles ``reader`` and ``writer``. With ``gate`` the copy has its own gate and gauntlet.
    """
    target.mkdir(parents=True, exist_ok=True)
    # With the compiled files, which stay valid: a copy that compiles everything anew takes seconds to start.
    shutil.copytree(ROOT / "app", target / "app")
    shutil.copytree(ROOT / "migrations", target / "migrations")
    if gate:
        shutil.copytree(ROOT / "admission", target / "admission")
        for name in ("gauntlet", "support"):
            shutil.copytree(ROOT / "tests" / name, target / "tests" / name)
        shutil.copy(ROOT / "tests" / "__init__.py", target / "tests" / "__init__.py")
    for name in ("policy.toml", "pyproject.toml", "alembic.ini"):
        shutil.copy(ROOT / name, target / name)
    policy = target / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace("\n[roles]\n", f"\n[roles]\n{ROLES}", 1), "utf-8")
    if dropped:
        shutil.copy(DROPPED / "probe.py", target / "app" / "handlers" / "probe.py")
        shutil.copy(DROPPED / "notes.py", target / "app" / "models" / "notes.py")
        migrations = target / "migrations" / "versions"
        migration = (DROPPED / "0999_notes.py").read_text("utf-8").replace("@HEAD@", str(schema.head()))
        (migrations / "0999_notes.py").write_text(migration, "utf-8")
        with policy.open("a", encoding="utf-8") as entries:
            entries.write((DROPPED / "policy.toml").read_text("utf-8"))
    return target


def until_served(send: Callable[[], Response]) -> Response:
    """Send a request again for as long as it is shed: nothing was done, and a loaded machine is no defect."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = send()
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE or answer.json()["code"] != "overloaded":
            return answer
        assert time.monotonic() < end, "it is shed again and again"


@dataclass
class Service:
    """A running service.

    Attributes:
        folder: the copy of the project that it runs from.
        url: where it listens.
        process: it, or its supervisor.
        flood: requests per minute that one address may send; set by the fixture that starts it.
        telemetry: where it sends traces and metrics, if anywhere.
    """

    folder: Path
    port: int
    process: Process
    flood: int = 100_000
    telemetry: OtlpReceiver | None = None
    output: list[str] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)
    _tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, *roles: str, subject: str = "alice", tenant: str | None = None) -> str:
        key = (subject, tenant or "", *roles)
        if key not in self._tokens:
            issuer = DevelopmentIssuer(self.folder / ".development-issuer.json", audience="api")
            self._tokens[key] = issuer.issue(subject, roles, tenant)
        return self._tokens[key]

    def bearer(self, *roles: str, subject: str = "alice", tenant: str | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(*roles, subject=subject, tenant=tenant)}"}

    def read(self) -> None:
        """Collect the output; runs in a thread until the process closes it."""
        stream = self.process.stdout
        assert stream is not None
        for line in stream:
            with self._arrived:
                self.output.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._arrived.notify_all()

    def wait_for_output(self, text: str) -> str:
        """Return the first line that holds ``text``, waiting for it."""
        return self._wait(lambda: next((line for line in self.output if text in line), None), f"a line with {text!r}")

    def lines(self, *, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
        """Return the JSON log lines with these fields, waiting until there are ``count`` of them."""

        def found() -> list[dict[str, Any]] | None:
            matching = [
                line for line in self.parsed() if all(line.get(name) == value for name, value in fields.items())
            ]
            return matching if len(matching) >= count else None

        return self._wait(found, f"{count} log lines with {fields}")

    def parsed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output if line.startswith("{")]

    def _wait(self, find: Callable[[], T | None], what: str) -> T:
        with self._arrived:
            self._arrived.wait_for(lambda: find() is not None, timeout=PATIENCE)
            found = find()
        if found is None:
            raise AssertionError(f"{what} did not come; there was:\n" + "\n".join(self.output[-40:]))
        return found

    def exported_count(self, name: str, *, route: str, status: int) -> int:
        """Return how many requests an exported histogram counts for a route and status, in an export made from now.

        A request is counted before its line is logged, and not before its answer leaves: wait for the line first.
        """
        receiver = self.telemetry
        assert receiver is not None, "this service exports no telemetry"
        metric = receiver.metrics_from_now().get(name)
        for point in metric.histogram.data_points if metric is not None else ():
            attributes = {attribute.key: attribute.value for attribute in point.attributes}
            if (
                attributes["http.route"].string_value == route
                and attributes["http.response.status_code"].int_value == status
            ):
                return int(point.count)
        return 0

    def worker_pids(self) -> list[int]:
        """Return the processes that a supervisor has started to serve, without multiprocessing's own helper."""
        folder = Path(f"/proc/{self.process.pid}/task/{self.process.pid}")
        children = [int(pid) for pid in (folder / "children").read_text().split()]
        return [pid for pid in children if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def stop(self) -> int:
        """End it by SIGTERM and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without settings of a service, and with ``extra``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("APP_", "OTEL_"))}
    # Compiled files are kept, whoever runs the tests: without them each process compiles every library first.
    return {**kept, "PYTHONDONTWRITEBYTECODE": "", "PYTHONUNBUFFERED": "1", **extra}


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    without: str | None = None,
    workers: int = 1,
    telemetry: OtlpReceiver | None = None,
    flood: int | None = None,
) -> Iterator[Service]:
    """Run the service in ``folder`` until the block ends.

    Args:
        folder: a copy of the project, from :func:`copy_project`.
        environ: settings.
        without: name of a layer or guard to leave out.
        workers: processes that serve.
        telemetry: where traces and metrics go.
        flood: requests per minute and address before the flood limit fires.
    """
    settings = {"APP_LOG_FORMAT": "json", "APP_DRAIN_TIMEOUT": "2", **(environ or {})}
    if telemetry is not None:
        settings |= {"OTEL_EXPORTER_OTLP_ENDPOINT": telemetry.endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "100"}
        settings |= {"OTEL_BSP_SCHEDULE_DELAY": "50"}
    flood = flood or 50_000
    settings["APP_FLOOD_RATE"] = f"{flood}/minute"
    if without is None:
        command = ["app", "run", "--port", "0", "--workers", str(workers)]
    else:
        command = ["tests.support.compose", without, "0"]
        settings["PYTHONPATH"] = f"{folder}{os.pathsep}{ROOT}"
    process = forks().start(*command, cwd=folder, env=environment(settings))
    service = Service(folder, 0, process, flood=flood, telemetry=telemetry)
    reader = threading.Thread(target=service.read, daemon=True)
    reader.start()
    try:
        listening = service.wait_for_output("listening on http://127.0.0.1:")
        service.port = int(listening.partition("127.0.0.1:")[2].partition('"')[0])
        yield service
    finally:
        if process.poll() is None:
            service.stop()
        reader.join(timeout=PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def run_to_end(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command of the service, such as ``app check``, and return what it said."""
    process = forks().start("app", *arguments, cwd=folder, env=environment(environ or {}), apart=True)
    out, err = process.communicate(PATIENCE)
    return subprocess.CompletedProcess([*arguments], process.wait(), out.decode(), err.decode())
