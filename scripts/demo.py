"""Shows the template at work: generate a service, run it, drop a handler in, and see each guard fire.

``make demo``. Everything happens in a folder of its own that is removed at the end. Ends with 0 only if every guard
did what it is there for.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Headers = dict[str, str]

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
"""Seconds that a step may take before the demonstration gives up."""

HANDLER = '''"""Reports, as a model wrote them an hour ago: nothing here knows of any guard."""

import asyncio
import time

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/v1/reports")


class Report(BaseModel):
    title: str
    pages: int


@router.post("", status_code=201)
async def create_report(report: Report) -> Report:
    return report


@router.get("/slow")
async def slow_report() -> Report:
    await asyncio.sleep(3600)
    return Report(title="never", pages=0)


@router.get("/template")
def read_template(name: str) -> Report:
    return Report(title=open(name).read(), pages=1)


@router.get("/sum")
async def sum_pages(formula: str) -> Report:
    return Report(title="sum", pages=eval(formula))


@router.get("/crunch")
async def crunch() -> Report:
    time.sleep(0.5)
    return Report(title="crunched", pages=1)


@router.get("/broken")
async def broken_report() -> Report:
    raise RuntimeError("cannot connect to postgresql://admin:hunter2@db/reports")
'''

ENTRIES = """
[routes."POST /v1/reports"]
allow = ["orders:write"]
rate = "5/minute"
max_body = "1KiB"

[routes."GET /v1/reports/slow"]
allow = ["orders:read"]
timeout = "500ms"

[routes."GET /v1/reports/broken"]
allow = ["orders:read"]

[routes."GET /v1/reports/template"]
allow = ["orders:read"]

[routes."GET /v1/reports/sum"]
allow = ["orders:read"]
stage = "probation"

[routes."GET /v1/reports/crunch"]
allow = ["orders:read"]
"""


class Stage:
    """What the audience sees."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.shown = 0
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def act(self, text: str) -> None:
        """Begin a part."""
        print(f"\n{self._paint(text, '1')}", flush=True)

    def say(self, text: str) -> None:
        """Show what happens."""
        print(textwrap.indent(text.rstrip(), "    "), flush=True)

    def verdict(self, what: str, *, good: bool, why: str = "") -> None:
        """Say whether a guard did its work."""
        self.shown += 1
        mark = self._paint("fired ", "32") if good else self._paint("FAILED", "31;1")
        print(f"  {mark}  {what}", flush=True)
        if not good:
            self.failed.append(what)
            self.say(why)


@dataclass
class Answer:
    """One response, read whole."""

    status: int
    headers: Headers
    body: str

    @property
    def code(self) -> str:
        """The stable code of a problem, or nothing."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return ""
        return str(document.get("code", "")) if isinstance(document, dict) else ""


@dataclass
class Service:
    """The generated service while it runs."""

    folder: Path
    port: int
    process: subprocess.Popen[str]
    lines: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    said: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, *, body: bytes | None = None, headers: Headers | None = None) -> Answer:
        """Send one request and return its answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
        finally:
            connection.close()

    def raw(self, data: bytes) -> str:
        """Send bytes as they are and return what comes back until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as peer:
            peer.sendall(data)
            received = b""
            while chunk := peer.recv(65_536):
                received += chunk
        return received.decode("latin-1")

    def read(self) -> None:
        """Collect what it logs, until it ends."""
        assert self.process.stdout is not None  # noqa: S101 - for the type checker: it was started with a pipe
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def wait_for(self, text: str) -> str:
        """Return the next log line with ``text`` in it.

        Raises:
            SystemExit: it did not come; what was logged is printed.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise SystemExit(f"the service did not say {text!r}:\n" + "\n".join(self.said[-30:])) from None
            self.said.append(line)
            if text in line:
                return line


def run(stage: Stage, *command: str, cwd: Path) -> str:
    """Run a command, showing it, and return what it printed.

    Raises:
        SystemExit: it failed; what it said is printed.
    """
    stage.say("$ " + " ".join(command))
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment())
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def environment() -> Headers:
    """Return this process's environment without what belongs to the template's own project."""
    foreign = ("APP_", "OTEL_", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONDONTWRITEBYTECODE", "MAKE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def generate(stage: Stage, target: Path) -> Path:
    """Bake the template into ``target``."""
    from cookiecutter.main import cookiecutter  # noqa: PLC0415 - takes its time, and --help needs none

    stage.act("1. Generate a service")
    source = target / "template"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".venv", ".uv", ".git", "*_cache", "__pycache__"))
    stage.say("$ cookiecutter breakwater --no-input project_name='Demo Service'")
    started = time.monotonic()
    with Path(os.devnull).open("w", encoding="utf-8") as silence, redirected(silence.fileno()):
        folder = cookiecutter(
            str(source), no_input=True, extra_context={"project_name": "Demo Service"}, output_dir=str(target)
        )
    stage.say(f"{Path(folder).name}/ in {time.monotonic() - started:.1f} s")
    return Path(folder)


@contextmanager
def redirected(descriptor: int) -> Iterator[None]:
    """Send standard output elsewhere, that of child processes (the hooks) included."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def simulating(stage: Stage, folder: Path, uv: str) -> Iterator[str]:
    """Run a payments service that misbehaves when it is told to, and yield its URL."""
    stage.say("$ app simulate payments")
    process = subprocess.Popen(
        [uv, "run", "--frozen", "app", "simulate", "payments", "--port", "0"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said = process.stdout.readline() if process.stdout is not None else ""
        if "http://" not in said:
            raise SystemExit(f"the simulator did not start: {said}")
        stage.say(said)
        yield said.split()[-1]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def serving(stage: Stage, folder: Path, uv: str, payments: str, telemetry: str | None) -> Iterator[Service]:
    """Run the service until the block ends; it exports its telemetry each second, if anywhere."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    stage.say(f"$ make run PORT={port}")
    process = subprocess.Popen(
        [uv, "run", "--frozen", "app", "run", "--port", str(port)],
        cwd=folder,
        env={
            **environment(),
            "APP_LOG_FORMAT": "json",
            "APP_FLOOD_RATE": "300/minute",
            "APP_PAYMENTS_URL": payments,
            **({"OTEL_EXPORTER_OTLP_ENDPOINT": telemetry, "OTEL_METRIC_EXPORT_INTERVAL": "1000"} if telemetry else {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    service = Service(folder, port, process)
    reader = threading.Thread(target=service.read, daemon=True)
    reader.start()
    try:
        service.wait_for("listening on")
        yield service
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(timeout=PATIENCE)


class Demonstration:
    """The guards, one after the other, each with the request that provokes it and the answer."""

    def __init__(self, stage: Stage, service: Service, tokens: dict[str, str], payments: str) -> None:
        self.stage, self.service, self.tokens, self.simulator = stage, service, tokens, payments

    def bearer(self, role: str) -> Headers:
        """Return the header that carries a token of a role."""
        return {"authorization": f"Bearer {self.tokens[role]}"}

    def provoke(
        self,
        what: str,
        method: str,
        path: str,
        status: int,
        code: str = "",
        *,
        body: bytes | None = None,
        headers: Headers | None = None,
        must_not_say: str = "",
        header: str = "",
    ) -> Answer:
        """Send a request, show it with its answer, and judge the answer."""
        if method == "POST":
            headers = {"idempotency-key": uuid4().hex, **(headers or {})}
        answer = self.service.request(method, path, body=body, headers=headers)
        size = f"  ({len(body)} bytes)" if body else ""
        self.stage.say(f"{method} {path}{size}  ->  {answer.status}  {answer.body[:150]}")
        if header and header in answer.headers:
            self.stage.say(f"{header}: {answer.headers[header]}")
        good = (
            answer.status == status
            and (not code or answer.code == code)
            and (not must_not_say or must_not_say not in answer.body)
            and (not header or header in answer.headers)
        )
        self.stage.verdict(what, good=good, why=f"expected {status} {code}, got {answer.status}: {answer.body[:300]}")
        return answer

    def identity(self) -> None:
        """Show who gets in."""
        self.stage.act("5. Who may call")
        malformed = b'{"title": '
        self.provoke(
            "authentication: no token, and the malformed body is not even read",
            "POST",
            "/v1/reports",
            401,
            "unauthenticated",
            body=malformed,
            header="www-authenticate",
        )
        self.provoke(
            "authentication: a token that anybody can make (alg none)",
            "POST",
            "/v1/reports",
            401,
            "unauthenticated",
            headers={"authorization": f"Bearer {forged(self.tokens['customer'])}"},
        )
        self.provoke(
            "authorization: support may read, not write",
            "POST",
            "/v1/reports",
            403,
            "forbidden",
            body=malformed,
            headers=self.bearer("support"),
            must_not_say="orders",
        )
        body = b'{"title": "Q3", "pages": 12}'
        headers = {**self.bearer("customer"), "content-type": "application/json"}
        self.provoke(
            "a customer gets through all of them",
            "POST",
            "/v1/reports",
            201,
            body=body,
            headers=headers,
            header="ratelimit",
        )

    def bounds(self) -> None:
        """Show how much, how long, how often."""
        self.stage.act("6. How much, how long, how often")
        headers = {**self.bearer("customer"), "content-type": "application/json"}
        self.provoke(
            "body limit: 1 KiB for this route",
            "POST",
            "/v1/reports",
            413,
            "body_too_large",
            body=b'{"title": "' + b"x" * 2000 + b'"}',
            headers=headers,
        )
        self.provoke(
            "body limit: JSON nested too deep",
            "POST",
            "/v1/reports",
            400,
            "body_too_deep",
            body=b"[" * 200 + b"]" * 200,
            headers=headers,
        )
        self.provoke(
            "validation: what is wrong is named, what was sent is not repeated",
            "POST",
            "/v1/reports",
            422,
            "validation_failed",
            body=b'{"title": "<script>", "pages": "many"}',
            headers=headers,
            must_not_say="<script>",
        )
        self.provoke(
            "deadline: the handler sleeps an hour, its caller half a second",
            "GET",
            "/v1/reports/slow",
            504,
            "deadline_exceeded",
            headers=self.bearer("customer"),
        )
        answers = [
            self.service.request(
                "POST",
                "/v1/reports",
                body=b'{"title": "Q3", "pages": 1}',
                headers={**headers, "idempotency-key": uuid4().hex},
            )
            for _ in range(5)
        ]
        self.stage.say("POST /v1/reports, five more times  ->  " + " ".join(str(answer.status) for answer in answers))
        self.provoke(
            "rate limit: five a minute for this caller and route",
            "POST",
            "/v1/reports",
            429,
            "rate_limited",
            body=b"{}",
            headers=headers,
            header="retry-after",
        )

    def effects(self) -> None:
        """Show that an order is placed once, and is there for who placed it."""
        self.stage.act("7. Once, and only for its owner")
        before = self.stock()
        headers = {**self.bearer("customer"), "content-type": "application/json", "idempotency-key": "demo-1"}
        body = b'{"sku": "chair-oak", "quantity": 2}'
        self.provoke(
            "idempotency: a request that says nothing of a retry is refused",
            "POST",
            "/v1/orders",
            400,
            "idempotency_key_invalid",
            body=body,
            headers={**headers, "idempotency-key": ""},
        )
        first = self.provoke("an order is placed", "POST", "/v1/orders", 201, body=body, headers=headers)
        again = self.provoke(
            "idempotency: the client lost the answer and sends it again",
            "POST",
            "/v1/orders",
            201,
            body=body,
            headers=headers,
            header="idempotent-replayed",
        )
        self.stage.say(f"in stock: {before}, then {self.stock()}")
        self.stage.verdict(
            "idempotency: one order, one answer, two chairs fewer",
            good=first.body == again.body and self.stock() == before - 2,
            why=f"{first.body} {again.body}",
        )
        self.provoke(
            "idempotency: another request under the same key",
            "POST",
            "/v1/orders",
            422,
            "idempotency_key_reused",
            body=b'{"sku": "chair-oak", "quantity": 3}',
            headers=headers,
        )
        self.provoke(
            "unit of work: an order that cannot be filled leaves nothing",
            "POST",
            "/v1/orders",
            409,
            body=b'{"sku": "no-such-thing", "quantity": 1}',
            headers={**headers, "idempotency-key": "demo-2"},
        )
        self.provoke(
            "ownership: somebody else's order does not exist",
            "GET",
            f"/v1/orders/{json.loads(first.body)['id']}",
            404,
            "not_found",
            headers=self.bearer("stranger"),
        )

    def payments(self) -> None:
        """Show what becomes of a service whose payments are slow, away, and back."""
        self.stage.act("8. Payments, which the service calls and does not trust")
        order = b'{"sku": "lamp-brass", "quantity": 1}'
        headers = {**self.bearer("bob"), "content-type": "application/json", "idempotency-key": "demo-paid"}
        before = self.steer()["charges"]
        self.provoke("an order is charged", "POST", "/v1/orders", 201, body=order, headers=headers)
        self.provoke("and sent again by its client", "POST", "/v1/orders", 201, body=order, headers=headers)
        charged = self.steer()["charges"] - before
        self.stage.verdict("idempotency: the duplicate is charged once", good=charged == 1, why=f"{charged} charges")
        told = self.until(lambda: json.loads(self.service.request(
            "GET", "/v1/notifications", headers=self.bearer("bob")).body))  # fmt: skip
        self.stage.say(f"GET /v1/notifications  ->  {told}")
        self.stage.verdict("outbox: what follows is done after the answer", good=bool(told), why="nobody was told")
        self.steer(mode="hang")
        hurried = {**headers, "idempotency-key": "demo-hurried", "x-request-timeout-ms": "700"}
        began = time.monotonic()
        self.provoke(
            "deadline: payments hang, and the caller has 0.7 s", "POST", "/v1/orders", 504, body=order, headers=hurried
        )
        took = time.monotonic() - began
        self.stage.verdict(f"deadline: cut after {took:.2f} s", good=took < 2, why="too late")  # noqa: PLR2004 - busy
        self.circuit(order, headers)

    def circuit(self, order: bytes, headers: Headers) -> None:
        """Show the circuit open and close."""
        self.steer(mode="reset")
        seen = self.steer()["requests"]
        codes = []
        for number in range(9):
            key = {**headers, **self.bearer("carol"), "idempotency-key": f"demo-down-{number}"}
            codes.append(self.service.request("POST", "/v1/orders", body=order, headers=key).status)
        self.stage.say(f"payments down, nine orders  ->  {codes}")
        circuit = json.loads(self.service.request("GET", "/readyz").body)["checks"]["upstream_payments"]
        reached = self.steer()["requests"] - seen
        self.stage.say(f"GET /readyz  ->  upstream_payments {circuit}; {reached} attempts reached it")
        self.provoke(
            "circuit breaker: open, so the caller is told at once and payments are left alone",
            "POST",
            "/v1/orders",
            503,
            "upstream_unavailable",
            body=order,
            headers={**headers, "idempotency-key": "demo-open"},
            header="retry-after",
        )
        still = self.steer()["requests"] - seen
        self.stage.verdict(
            "circuit breaker: no attempt reached it any more",
            good=circuit["circuit"] == "open" and still == reached,
            why=f"{circuit}, {reached} attempts, then {still}",
        )
        self.steer(mode="normal")
        placed = iter(range(1000))

        def closed() -> bool:
            key = {**headers, "idempotency-key": f"demo-back-{next(placed)}"}
            self.service.request("POST", "/v1/orders", body=order, headers={**key, **self.bearer("dave")})
            check = json.loads(self.service.request("GET", "/readyz").body)["checks"]["upstream_payments"]
            return bool(check["circuit"] == "closed")

        good = bool(self.until(closed, pause=1.5))
        self.stage.verdict("circuit breaker: payments are back, three probes went well, closed", good=good, why="open")

    def steer(self, **behaviour: str) -> dict[str, int]:
        """Have the simulator behave so, if anything is said; return its state."""
        host, port = self.simulator.removeprefix("http://").split(":")
        connection = HTTPConnection(host, int(port), timeout=PATIENCE)
        try:
            body = json.dumps(behaviour).encode() if behaviour else None
            connection.request("PUT" if behaviour else "GET", "/behaviour", body=body)
            state: dict[str, int] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if behaviour:
            self.stage.say(f"PUT /behaviour {json.dumps(behaviour)}  (payments simulator)")
        return state

    def until(self, look: Callable[[], object], pause: float = 0.1) -> object:
        """Return what ``look`` finds, once it finds anything; None if that takes too long."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(pause)
        return None

    def stock(self) -> int:
        """Return how many chairs there are."""
        answer = self.service.request("GET", "/v1/inventory", headers=self.bearer("customer"))
        return int(next(item["available"] for item in json.loads(answer.body)["items"] if item["sku"] == "chair-oak"))

    def failures(self) -> None:
        """Show what a failure tells."""
        self.stage.act("9. What a failure tells, and to whom")
        answer = self.provoke(
            "problem details: a crash says nothing to the client",
            "GET",
            "/v1/reports/broken",
            500,
            "internal_error",
            headers=self.bearer("customer"),
            must_not_say="hunter2",
        )
        line = self.service.wait_for("unhandled_exception")
        self.stage.say(f"log: {line[:260]}")
        same = answer.headers.get("x-request-id", "-") in line
        self.stage.verdict(
            "structured logging: the line has the request's id, and no password",
            why=line,
            good=same and "hunter2" not in line and "RuntimeError" in line,
        )
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        headers = {**self.bearer("customer"), "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        answer = self.service.request("GET", "/v1/orders", headers=headers)
        self.stage.say(f"GET /v1/orders  ->  {answer.status}  traceparent: {answer.headers.get('traceparent')}")
        line = self.service.wait_for(trace)
        self.stage.verdict(
            "tracing: the caller's trace goes on, in the answer and in the log",
            why=line,
            good=trace in answer.headers.get("traceparent", ""),
        )
        self.stage.verdict(
            "security headers: on every answer",
            why=str(answer.headers),
            good=answer.headers.get("x-content-type-options") == "nosniff",
        )

    def misbehaviour(self, uv: str) -> None:
        """Show what becomes of handlers that the gate was not asked about."""
        self.stage.act("10. What the gate missed is contained")
        reader = self.bearer("customer")
        self.provoke(
            "containment: a handler that is talked into reading a file does not",
            "GET",
            "/v1/reports/template?name=/etc/passwd",
            500,
            "internal_error",
            headers=reader,
            must_not_say="root:",
        )
        self.stage.say(f"log: {self.service.wait_for('containment_refused')[:300]}")
        formula = "/v1/reports/sum?formula=__import__('os').getpid()"
        self.provoke(
            "containment: nor one that is to evaluate text", "GET", formula, 500, "internal_error", headers=reader
        )
        self.provoke(
            "stage: a route on probation is out of service at the first strike, and the others are not",
            "GET",
            "/v1/reports/sum?formula=1",
            503,
            "route_quarantined",
            headers=reader,
            header="retry-after",
        )
        act = ("routes", "release", "GET /v1/reports/sum", "--why", "the demonstration goes on")
        run(self.stage, uv, "run", "--frozen", "app", *act, cwd=self.service.folder)
        line = self.service.wait_for('"act":"release"')
        self.stage.say(f"log: {line[:260]}")
        self.stage.verdict(
            "stage: a person's word reaches every process, with who and why",
            good="the demonstration goes on" in line,
            why=line,
        )
        self.service.request("GET", "/v1/reports/crunch", headers=reader)
        line = self.service.wait_for("event_loop_blocked")
        self.stage.say(f"log: ...{line[-180:]}")
        self.stage.verdict(
            "watchdog: what holds the event loop is named, with its stack", good="reports.py" in line, why=line
        )
        statuses = self.crowd(reader)
        self.stage.say(f"GET /v1/reports/slow, 60 at a time  ->  {statuses}")
        self.stage.verdict(
            "load shedding: one route has half of all places, the rest is told at once",
            good=set(statuses) == {503, 504} and statuses[503] > 0,
            why=str(statuses),
        )

    def crowd(self, headers: Headers) -> dict[int, int]:
        """Return the answers to sixty requests at a time, for what takes half a second."""
        statuses: dict[int, int] = {}
        lock = threading.Lock()

        def one() -> None:
            status = self.service.request("GET", "/v1/reports/slow", headers=headers).status
            with lock:
                statuses[status] = statuses.get(status, 0) + 1

        threads = [threading.Thread(target=one) for _ in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses

    def server(self) -> None:
        """Show what does not get as far as a route."""
        self.stage.act("11. What does not get as far as a route")
        for what, data, status in (
            ("server: two Host headers", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
            ("server: a header of 64 KiB", b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 65_536 + b"\r\n\r\n", "431"),
            ("server: a head that never ends", b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ", "408"),
        ):
            answer = self.service.raw(data)
            self.stage.say(f"{data[:40]!r}  ->  {answer[:60]!r}")
            self.stage.verdict(what, good=f" {status} " in answer[:16], why=answer[:300])
        statuses = {self.service.request("GET", "/nowhere").status for _ in range(320)}
        self.stage.say(f"GET /nowhere, 320 times  ->  {sorted(statuses)}")
        self.stage.verdict(
            "flood limit: one address, before it is even asked who it is",
            why=str(statuses),
            good=statuses == {404, 429},
        )
        self.provoke("health is never refused", "GET", "/readyz", 200)

    def end(self) -> None:
        """Show an orderly end."""
        self.stage.act("12. The end")
        self.stage.say("$ kill -TERM ...")
        os.kill(child_of(self.service.process.pid), signal.SIGTERM)
        status = self.service.process.wait(timeout=PATIENCE)
        self.stage.verdict("graceful shutdown: drained, exit status 0", good=status == 0, why=f"status {status}")


def forged(token: str) -> str:
    """Return ``token`` with its signature gone and its header saying that it needs none."""
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."


def child_of(pid: int) -> int:
    """Return the process that ``uv run`` started, so that the signal goes where an orchestrator would send it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return int(children.read_text("ascii").split()[0])
    except (OSError, IndexError):
        return pid


def drop_in(stage: Stage, service: Service, uv: str) -> None:
    """Drop a handler into the running service; it stays out until the policy knows it."""
    stage.act("4. Drop in a handler that a model wrote, unchanged")
    (service.folder / "app" / "handlers" / "reports.py").write_text(HANDLER, "utf-8")
    line = service.wait_for("not_reloaded")
    stage.say(json.loads(line)["problem"].replace("\\n", "\n"))  # a log line escapes what would break it
    answer = service.request("POST", "/v1/reports")
    stage.verdict(
        "deny by default: no entry in the policy, so it is not there",
        good=answer.status == HTTPStatus.NOT_FOUND,
        why=f"{answer.status} {answer.body}",
    )
    entries = run(stage, uv, "run", "--frozen", "app", "routes", "--missing", cwd=service.folder)
    stage.say(entries)
    stage.say("A person decides, and writes this into policy.toml:")
    stage.say(ENTRIES)
    with (service.folder / "policy.toml").open("a", encoding="utf-8") as policy:
        policy.write(ENTRIES)
    service.wait_for('"reloaded"')
    stage.say("reloaded")


def show(stage: Stage, target: Path, uv: str, telemetry: str | None) -> None:
    """Play all parts."""
    folder = generate(stage, target)
    stage.act("2. Install what its lock file says, and let it be judged")
    run(stage, uv, "sync", "--frozen", "--no-progress", cwd=folder)
    stage.say(run(stage, uv, "run", "--frozen", "app", "check", cwd=folder))
    stage.say(run(stage, uv, "run", "--frozen", "app", "routes", cwd=folder))
    stage.act("3. Run it")
    with simulating(stage, folder, uv) as payments, serving(stage, folder, uv, payments, telemetry) as service:
        tokens = {
            role: run(stage, uv, "run", "--frozen", "app", "token", "--role", role, cwd=folder).strip()
            for role in ("customer", "support")
        }
        for name, subject in (("stranger", "mallory"), ("bob", "bob"), ("carol", "carol"), ("dave", "dave")):
            token = ("token", "--subject", subject, "--role", "customer")
            tokens[name] = run(stage, uv, "run", "--frozen", "app", *token, cwd=folder).strip()
        drop_in(stage, service, uv)
        demonstration = Demonstration(stage, service, tokens, payments)
        demonstration.identity()
        demonstration.bounds()
        demonstration.effects()
        demonstration.payments()
        demonstration.failures()
        demonstration.misbehaviour(uv)
        demonstration.server()
        demonstration.end()


def main() -> int:
    """Run the demonstration and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the generated service and say where it is")
    endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
    parser.add_argument("--telemetry", metavar="URL", default=os.environ.get(endpoint), help=f"collector ({endpoint})")
    arguments = parser.parse_args()
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    stage, started = Stage(), time.monotonic()
    target = Path(tempfile.mkdtemp(prefix="breakwater-demo-"))
    try:
        show(stage, target, uv, arguments.telemetry)
    finally:
        if arguments.keep:
            stage.act(f"kept in {target}")
        else:
            shutil.rmtree(target, ignore_errors=True)
    seconds = time.monotonic() - started
    if stage.failed:
        stage.act(f"{len(stage.failed)} of {stage.shown} failed: {'; '.join(stage.failed)}")
        return 1
    stage.act(f"all {stage.shown} fired, in {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
