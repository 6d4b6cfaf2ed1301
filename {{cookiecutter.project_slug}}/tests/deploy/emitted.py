"""What a service really sends, under the names that it has behind the collector's Prometheus exporter.

Names follow OpenTelemetry's "Prometheus and OpenMetrics Compatibility": what is no letter or digit becomes an
underscore, units are spelt and appended, annotations of units are dropped, monotonic sums end in ``_total``.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import httpx2

from tests.support.otlp_receiver import OtlpReceiver, plain
from tests.support.service import DROPPED, Service, copy_project, running
from tests.test_jobs import POLICY as POSTING
from tests.test_outbound import POLICY as PAYING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

UNITS = {"s": "seconds", "By": "bytes", "1": "ratio"}


@contextlib.contextmanager
def busy_service(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[tuple[Service, OtlpReceiver]]:
    """Run a service that serves, refuses, calls, does jobs, holds its loop and is kept from something, once each."""
    project = copy_project(folder)
    for name in ("payer", "exploits", "unruly", "postman"):
        shutil.copy(DROPPED / f"{name}.py", project / "app" / "handlers" / f"{name}.py")
    shutil.copy(DROPPED / "letters.py", project / "app" / "jobs" / "letters.py")
    with (project / "policy.toml").open("a", encoding="utf-8") as policy:
        policy.write(PAYING + POSTING + (DROPPED / "exploits.toml").read_text() + (DROPPED / "unruly.toml").read_text())
    (project / "exports" / "out").mkdir(parents=True)  # what one of the exploits is allowed
    (project / "exports" / "template.txt").touch()
    with OtlpReceiver() as receiver, running(project, environ=environ, telemetry=receiver) as service:
        yield service, receiver


def provoke(service: Service) -> None:
    """Make requests of every kind that a metric tells of."""
    with httpx2.Client(base_url=service.url, timeout=20) as client:
        headers = service.bearer("writer")
        for _ in range(3):
            client.get("/probe/items/1", headers=headers)
        client.get("/probe/items/1")
        client.get("/probe/crash", headers=headers)
        client.get("/nowhere")
        charge = client.post("/pay", headers={**headers, "idempotency-key": "paid-for-once"}).json()["id"]
        client.get(f"/pay/{charge}", headers=headers)
        client.get("/pay/none/or-nothing", headers=headers)
        client.post("/holes/shell", json={"what": "a"})
        client.get("/unruly/spin", params={"seconds": "0.5"})
        letter = {"text": "a", "id": "00000000-0000-4000-8000-000000000001"}
        assert client.post("/post", headers={**headers, "idempotency-key": "written-once"}, json=letter).is_success


def prometheus_name(metric: Metric) -> str:
    """Return a metric's name without the suffixes of a histogram."""
    parts = [re.sub(r"[^a-zA-Z0-9_:]+", "_", metric.name)]
    unit = re.sub(r"\{[^}]*\}", "", metric.unit).strip("/")
    kind = metric.WhichOneof("data")
    if unit and (unit != "1" or kind == "gauge"):
        parts.append(UNITS[unit])
    if kind == "sum" and metric.sum.is_monotonic:
        parts.append("total")
    return "_".join(parts)


def exposition(receiver: OtlpReceiver) -> str:
    """Return the last export in Prometheus's text format."""
    resource = receiver.resource()
    who = {"job": str(resource["service.name"]), "instance": str(resource["service.instance.id"])}
    lines: list[str] = []
    for metric in receiver.metrics().values():
        kind = metric.WhichOneof("data")
        if kind is None:
            continue
        name = prometheus_name(metric)
        for point in getattr(metric, kind).data_points:
            labels = who | {
                re.sub(r"[^a-zA-Z0-9_]", "_", key): str(value) for key, value in plain(point.attributes).items()
            }
            if kind == "histogram":
                lines += _histogram(name, labels, point)
            else:
                value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
                lines.append(f"{name}{_rendered(labels)} {value}")
    return "\n".join(lines) + "\n"


def _histogram(name: str, labels: Mapping[str, str], point: Any) -> Iterator[str]:
    total = 0
    for bound, count in zip([*map(str, point.explicit_bounds), "+Inf"], point.bucket_counts, strict=True):
        total += count
        yield f"{name}_bucket{_rendered({**labels, 'le': bound})} {total}"
    yield f"{name}_sum{_rendered(labels)} {point.sum}"
    yield f"{name}_count{_rendered(labels)} {point.count}"


def _rendered(labels: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'

    return "{" + ",".join(f"{name}={quoted(value)}" for name, value in sorted(labels.items())) + "}"


def labels_by_name(text: str) -> dict[str, set[str]]:
    """Return which labels the series of each name have, out of an exposition."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        found[name] |= set(re.findall(r'(?:^|,)(\w+)="', rest))
    return dict(found)
