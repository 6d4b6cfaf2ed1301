"""What a request leaves for those who operate the service: one line, a span, a measurement, and no secret."""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tests.gauntlet.attack import ATTACKS, Fault, check
from tests.gauntlet.attacks_identity import some_call
from tests.gauntlet.attacks_input import fields
from tests.gauntlet.service import ORIGIN
from tests.support.otlp_receiver import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gauntlet.world import Route, World
    from tests.support.otlp_receiver import OtlpReceiver

_SECRET_NAMES: Final = re.compile(
    r"pass(word|phrase)?|secret|token|card|iban|cvc|ssn|email|phone|api_?key", re.IGNORECASE
)
_MARK: Final = "gauntletmark"
PATIENCE: Final = 30.0
"""Seconds for a span or a measurement to be exported: it is done several times a second, but a machine may be busy."""


@ATTACKS.attack("request_log", "tracing")
def a_line_and_a_span(world: World, route: Route) -> Iterator[Fault]:
    trace = secrets.token_hex(16)
    call = some_call(world, route)
    marked = replace(call, query={**call.query, "unknown": f"{_MARK}-{secrets.token_hex(4)}"})
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    answer = world.send(marked, headers=headers)
    request = answer.headers.get("x-request-id", "")
    if answer.headers.get("traceparent", "").split("-")[1:2] != [trace]:
        yield Fault("BW711", "the trace that the caller began is not carried on (guard: tracing)")
    try:
        world.target.telemetry.wait_for(
            lambda: any(span.trace_id.hex() == trace for span in world.target.telemetry.spans()), PATIENCE
        )
    except AssertionError:
        yield Fault("BW711", "a sampled request leaves no span (guard: tracing)")
    lines = world.target.lines_of(request) if request else []  # after the span, so that a second line has come too
    if len(lines) != 1:
        yield Fault("BW711", f"a request is closed by {len(lines)} log lines, not by one (guard: request_log)")
    elif (lines[0].get("route"), lines[0].get("status")) != (route.path, answer.status_code):
        yield Fault("BW711", "the log line names another route or status (guard: request_log)")
    for span in world.target.telemetry.spans():
        if span.trace_id.hex() == trace and _MARK in json.dumps(plain(span.attributes)):
            yield Fault("BW710", "a span carries the query that the client sent")


@ATTACKS.attack("metrics")
def a_measurement(world: World, route: Route) -> Iterator[Fault]:
    receiver = world.target.telemetry
    call, seen = some_call(world, route), len(receiver.exports)
    try:
        # One export may be on its way; the one behind it holds every request that has been answered until now.
        receiver.wait_for(lambda: len(receiver.exports) >= seen + 2, PATIENCE)
        before = _measured(receiver, route)
        status = world.send(call).status_code
        receiver.wait_for(lambda: _measured(receiver, route)[status] > before[status], PATIENCE)
    except AssertionError:
        yield Fault("BW711", "a request is not measured by route and status (guard: metrics)")


def _measured(receiver: OtlpReceiver, route: Route) -> Counter[Any]:
    """Return how many requests of a route were answered with each status, as far as that was exported."""
    metric = receiver.metrics().get("http.server.request.duration")
    counts: Counter[Any] = Counter()
    for point in metric.histogram.data_points if metric is not None else ():
        found = plain(point.attributes)
        if (found.get("http.route"), found.get("http.request.method")) == (route.path, route.method):
            counts[found.get("http.response.status_code")] += point.count
    return counts


@ATTACKS.attack("security_headers", "cors")
def what_browsers_read(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    allowed = world.send(call, headers={"origin": ORIGIN})
    yield from check(allowed, set(), "BW712", "a configured origin")
    if allowed.headers.get("access-control-allow-origin") != ORIGIN:
        yield Fault("BW712", "a configured origin may not read the answer (guard: cors)")
    stranger = world.send(call, headers={"origin": "https://evil.example"})
    if "access-control-allow-origin" in stranger.headers:
        yield Fault("BW712", "an origin that nobody configured may read the answer (guard: cors)")


@ATTACKS.attack(applies=lambda route: route.schema is not None)
def secrets_that_are_sent(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    for path, schema in fields(world, route, call):
        if _SECRET_NAMES.search(path[-1]) and schema.get("type") == "string":
            mark = f"{_MARK}{secrets.token_hex(6)}"
            value: Any = f"{mark}@example.com" if "mail" in path[-1] else mark
            answer = world.send(call.with_field(path, value))
            request = answer.headers.get("x-request-id", "")
            if request:
                world.target.lines_of(request)
            if any(mark in line for line in list(world.target.output)):
                yield Fault("BW710", f"what was sent as {'.'.join(path)} stands in the log")


def tokens_in_the_log(world: World) -> Iterator[Fault]:
    """Look for every token that was ever sent; called once, when all attacks are over."""
    text = "\n".join(list(world.target.output))
    found = sum(signature in text for signature in world.secrets if len(signature) > 20)
    if found:
        yield Fault("BW710", f"{found} tokens that were sent stand in the log")
