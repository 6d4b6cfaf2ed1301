"""Calls to the payments service, whole: over a real socket, with everything round them, whatever the service does."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from app.patterns.http_client import MAX_RETRY_AFTER
from app.upstreams import (
    KeyNeeded,
    OutboundNotAllowed,
    PaymentDeclined,
    PaymentsClient,
    UpstreamBadAnswer,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstreams.pipeline import LAYERS
from tests.support.upstreams import CONTEXT, Bench, bench

CHARGE: dict[str, Any] = {"amount": 500, "currency": "EUR", "reference": "order 7"}
NOBODY = "http://127.0.0.1:9"
"""The discard port, where nobody listens."""


async def failure_of(call: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await call
    return caught.value


async def misbehave_once(on: Bench, **behaviour: Any) -> None:
    """Have the next request go wrong, and those after it not."""
    on.simulator.arrived.clear()
    on.behave(**behaviour)
    await on.simulator.arrived.wait()
    on.behave()


# --- what the service does ----------------------------------------------------------------------------------------


async def test_a_charge_is_made_read_and_given_back() -> None:
    async with bench() as on:
        payments = on.client()
        charge = await payments.charge(**CHARGE)
        assert (charge.amount, charge.currency, charge.reference, charge.status) == (500, "EUR", "order 7", "succeeded")
        assert await payments.read(charge.id) == charge
        assert (await payments.refund(charge.id)).status == "refunded"


async def test_a_declined_card_is_an_answer_and_neither_retried_nor_counted() -> None:
    async with bench() as on:
        for _ in range(40):
            with pytest.raises(PaymentDeclined):
                await on.client().charge(**(CHARGE | {"reference": "declined"}))
        assert on.simulator.requests == 40
        assert on.pipeline.check() == {"state": "ok", "circuit": "closed"}


async def test_a_refusal_of_what_was_asked_says_nothing_about_the_service() -> None:
    async with bench() as on:
        errors = [await failure_of(on.client().read("ch_unknown")) for _ in range(40)]
        assert {error.reason for error in errors} == {"status_404"}
        assert on.simulator.requests == 40
        assert on.pipeline.check() == {"state": "ok", "circuit": "closed"}


async def test_a_hostile_id_does_not_reach_another_resource() -> None:
    async with bench() as on:
        charge = await on.client().charge(**CHARGE)
        error = await failure_of(on.client().read(f"../charges/{charge.id}"))
    assert isinstance(error, UpstreamRefused)
    assert error.status == 404


@pytest.mark.parametrize("mode", ["half_close", "reset", "garbage"])
async def test_a_charge_whose_answer_was_lost_is_asked_for_again_and_made_once(mode: str) -> None:
    async with bench() as on:
        charging = asyncio.create_task(on.client().charge(**CHARGE))
        await misbehave_once(on, mode=mode)
        charge = await charging
        assert on.simulator.requests == 2
        assert list(on.simulator.charges) == [charge.id]


async def test_the_request_that_is_tried_again_charges_nothing_more() -> None:
    async with bench() as on:
        first, again = [await on.client().charge(**CHARGE) for _ in range(2)]
        other = await on.client(key_for=lambda name: f"other-{name}").charge(**CHARGE)
    assert first == again
    assert other.id != first.id


async def test_two_charges_of_one_request_are_told_apart_by_name() -> None:
    async with bench() as on:
        deposit = await on.client().charge(**CHARGE, name="deposit")
        rest = await on.client().charge(**CHARGE, name="rest")
    assert deposit.id != rest.id


async def test_a_charge_without_a_key_is_refused_before_anything_is_sent() -> None:
    async with bench() as on:
        with pytest.raises(KeyNeeded, match=r'\[routes."POST /v1/orders"\] .* idempotency = "required"'):
            await on.client(key_for=None).charge(**CHARGE)
        assert on.simulator.requests == 0


async def test_a_service_that_the_policy_does_not_name_is_out_of_reach() -> None:
    async with bench() as on:
        with pytest.raises(OutboundNotAllowed, match=r'\[routes."POST /v1/orders"\] .* outbound = \["payments"\]'):
            on.client(outbound=frozenset({"web"}))


async def test_the_token_is_sent_and_shown_to_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with bench(token="hunter2") as on:
        await on.client().charge(**CHARGE)
        assert on.simulator.last["authorization"] == "Bearer hunter2"
        on.behave(mode="garbage")
        error = await failure_of(on.client().read("x"))
        assert "hunter2" not in f"{error!r} {on.client()!r} {on.upstreams!r} {on.seen.lines}"
    assert "hunter2" not in "".join(record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG)


# --- what it does to us -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "kind", "reason", "requests"),
    [
        ("garbage", UpstreamBadAnswer, "protocol", 3),
        ("half_close", UpstreamBadAnswer, "protocol", 3),
        ("reset", UpstreamBadAnswer, "protocol", 3),
        ("endless_headers", UpstreamBadAnswer, "protocol", 3),
        ("html", UpstreamBadAnswer, "content_type", 1),
        ("redirect", UpstreamBadAnswer, "redirect", 1),
        ("gzip_bomb", UpstreamBadAnswer, "too_large", 1),
        ("endless_body", UpstreamBadAnswer, "too_large", 1),
        ("hang", UpstreamTimeout, "attempt_timeout", 3),
        ("drip", UpstreamTimeout, "attempt_timeout", 3),
        ("rate_limited", UpstreamRefused, "status_429", 3),
    ],
)
async def test_whatever_it_sends_is_one_of_four_errors_and_tried_again_only_if_that_may_help(
    mode: str, kind: type[UpstreamError], reason: str, requests: int
) -> None:
    limit = 0.4 if mode in {"hang", "drip"} else 20.0
    async with bench(attempt_timeout=limit, timeout=60.0, max_response=64 * 1024) as on:
        on.behave(mode=mode)
        error = await failure_of(on.client().read("ch_1"))
        assert (type(error), error.reason, error.upstream, error.sent) == (kind, reason, "payments", True)
        assert on.simulator.requests == requests


@pytest.mark.parametrize(
    ("value", "seconds"), [("9999999", MAX_RETRY_AFTER), ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER)]
)
async def test_a_retry_after_that_does_not_fit_ends_the_call_at_once(value: str, seconds: float) -> None:
    async with bench() as on:
        on.behave(mode="rate_limited", retry_after=value)
        async with asyncio.timeout(20):
            error = await failure_of(on.client(remaining=lambda: 30.0).read("ch_1"))
        assert (error.retry_after, on.simulator.requests) == (seconds, 1)


@pytest.mark.parametrize("value", ["-1", "Mon, 01 Jan 2001 00:00:00 GMT", "soon"])
async def test_a_retry_after_that_makes_no_sense_does_not_stop_a_retry(value: str) -> None:
    async with bench() as on:
        on.behave(mode="rate_limited", retry_after=value)
        await failure_of(on.client().read("ch_1"))
        assert on.simulator.requests == 3


async def test_a_retry_after_is_waited_for() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with bench(clocks={"sleep": sleep}) as on:
        on.behave(mode="rate_limited", retry_after="1")
        await failure_of(on.client().read("ch_1"))
    assert all(1.0 <= seconds <= 1.5 for seconds in waits)
    assert len(waits) == 2


async def test_an_open_circuit_and_a_full_bulkhead_are_not_tried_again() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with bench(clocks={"sleep": sleep}, concurrency=1, queue=0) as on:
        on.behave(latency=0.1)
        results = await asyncio.gather(*(on.client().read("ch_1") for _ in range(2)), return_exceptions=True)
        assert [result.reason for result in results if isinstance(result, UpstreamError)] == [
            "status_404",
            "bulkhead_full",
        ]
        on.pipeline.breaker.isolate()
        assert (await failure_of(on.client().read("ch_1"))).reason == "circuit_open"
    assert waits == []


class Unkeyed(PaymentsClient):
    """A client with a call that is neither safe nor keyed."""

    async def remind(self) -> int:
        return await self.send("POST", "/v1/charges", lambda answer: answer.status, json={})


async def remind(on: Bench) -> int:
    client = Unkeyed(on.pipeline, on.upstreams._connections["payments"], CONTEXT)  # type: ignore[arg-type]
    return await client.remind()


@pytest.mark.parametrize("mode", ["reset", "half_close", "garbage", "rate_limited"])
async def test_what_may_have_been_done_is_not_asked_for_twice_without_a_key(mode: str) -> None:
    async with bench() as on:
        on.behave(mode=mode)
        error = await failure_of(remind(on))
        assert (on.simulator.requests, error.sent) == (1, True)


async def test_what_was_certainly_not_sent_is_tried_again_even_without_a_key() -> None:
    async with bench(url=NOBODY) as on:
        error = await failure_of(remind(on))
        assert type(error) is UpstreamUnavailable
        assert (error.reason, error.sent) == ("connect", False)
        assert on.seen.counts("http.client.request.duration") == {("payments", "POST", "connect"): 3}


async def test_an_error_after_an_attempt_that_may_have_arrived_does_not_say_that_nothing_was_sent() -> None:
    async def sleep(_seconds: float) -> None:
        on.pipeline.breaker.isolate()

    async with bench(clocks={"sleep": sleep}) as on:
        on.behave(mode="rate_limited")
        error = await failure_of(on.client().charge(**CHARGE))
        assert (error.reason, error.sent) == ("circuit_open", True)


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [-1.0, 0.0, 0.01])
async def test_a_request_whose_time_is_up_calls_nobody(left: float) -> None:
    async with bench() as on:
        error = await failure_of(on.client(remaining=lambda: left).read("ch_1"))
        assert type(error) is UpstreamTimeout
        assert on.simulator.requests == 0


async def test_a_call_ends_before_the_deadline_of_its_request_so_that_the_handler_can_answer() -> None:
    async with bench() as on:
        on.behave(mode="hang")
        error = await failure_of(on.client(remaining=lambda: 0.5).read("ch_1"))
        assert type(error) is UpstreamTimeout
        assert int(on.simulator.last["x-request-timeout-ms"]) <= 480  # which is what it gave itself


async def test_a_service_that_hangs_opens_its_circuit_though_callers_give_up_first() -> None:
    async with bench(patience=0.01, concurrency=40) as on:
        on.behave(mode="hang")
        calls = [on.client(remaining=lambda: 0.15).read("ch_1") for _ in range(40)]
        await asyncio.gather(*calls, return_exceptions=True)
        assert on.pipeline.check()["circuit"] == "open"


async def test_it_opens_too_when_the_ends_of_attempt_and_call_come_in_the_same_turn_of_a_busy_loop() -> None:
    async with bench(patience=0.01, concurrency=40) as on:
        on.behave(mode="hang")
        asyncio.get_running_loop().call_later(0.1, time.sleep, 0.2)
        calls = [on.client(remaining=lambda: 0.2).read("ch_1") for _ in range(40)]
        await asyncio.gather(*calls, return_exceptions=True)
        assert on.pipeline.check()["circuit"] == "open"


@pytest.mark.parametrize("busy", [0.0, 0.3], ids=["idle loop", "busy loop"])
async def test_callers_in_a_hurry_do_not_open_the_circuit(busy: float) -> None:
    async with bench(patience=20.0, concurrency=40) as on:
        on.behave(mode="hang")
        asyncio.get_running_loop().call_later(0.05, time.sleep, busy)
        calls = [on.client(remaining=lambda: 0.1).read("ch_1") for _ in range(40)]
        await asyncio.gather(*calls, return_exceptions=True)
        assert on.pipeline.check()["circuit"] == "closed"


async def test_callers_in_a_hurry_do_not_make_a_service_slow() -> None:
    async with bench(patience=20.0, slow=0.05, concurrency=40) as on:
        on.behave(mode="hang")
        calls = [on.client(remaining=lambda: 0.2).read("ch_1") for _ in range(40)]
        await asyncio.gather(*calls, return_exceptions=True)
        assert on.pipeline.check()["circuit"] == "closed"


async def test_clients_that_leave_do_not_open_the_circuit_and_leave_no_place_taken() -> None:
    async with bench(concurrency=10, queue=200) as on:
        on.behave(mode="hang")
        for _ in range(5):
            calls = [asyncio.create_task(on.client().read("ch_1")) for _ in range(200)]
            await asyncio.sleep(0.02)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert on.pipeline.check()["circuit"] == "closed"
        assert (on.pipeline.in_flight(), on.pipeline.queued()) == (0, 0)
        on.behave()
        await on.client().charge(**CHARGE)


# --- the circuit and the budget, with a clock of their own ---------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, _seconds: float) -> None:
        """Wait no time: what is counted is attempts."""


@pytest.mark.parametrize(("without", "attempts"), [("circuit_breaker", 1250), ("", 100)])
async def test_a_dead_service_sees_few_attempts(without: str, attempts: int) -> None:
    clock = Clock()
    layers = tuple(layer for layer in LAYERS if layer.name != without)
    async with bench(url=NOBODY, layers=layers, clocks={"clock": clock, "sleep": clock.sleep}) as on:
        for _ in range(1000):
            clock.now += 0.01
            await failure_of(on.client().charge(**CHARGE))
        made = sum(on.seen.counts("http.client.request.duration").values())
        assert 10 <= made <= attempts


async def test_the_circuit_opens_closes_and_says_so_once() -> None:
    clock = Clock()
    async with bench(clocks={"clock": clock, "sleep": clock.sleep}) as on:
        charge = await on.client().charge(**CHARGE)
        on.behave(error_rate=1.0)
        for _ in range(100):
            await failure_of(on.client().read(charge.id))
        assert on.pipeline.circuit_level() == 2.0
        on.behave()
        clock.now += 120.0
        for _ in range(20):
            await on.client().read(charge.id)
        assert on.pipeline.check() == {"state": "ok", "circuit": "closed"}
    states = [fields["state"] for event, fields in on.seen.lines if event == "circuit"]
    assert states == ["open", "half_open", "closed"]


async def test_a_service_can_be_isolated_and_let_back_by_hand() -> None:
    async with bench() as on:
        charge = await on.client().charge(**CHARGE)
        on.pipeline.breaker.isolate()
        error = await failure_of(on.client().read(charge.id))
        assert error.reason == "circuit_open"
        assert on.pipeline.check() == {"state": "degraded", "circuit": "isolated"}
        on.pipeline.breaker.reset()
        assert await on.client().read(charge.id) == charge


async def test_one_service_that_is_away_does_not_touch_another() -> None:
    async with bench(url=NOBODY) as dead, bench() as well:
        for _ in range(40):
            await failure_of(dead.client().read("ch_1"))
        assert (await well.client().charge(**CHARGE)).status == "succeeded"


# --- what is seen of it -------------------------------------------------------------------------------------------


class FailsFirst(random.Random):
    """Has the first request fail."""

    def __init__(self) -> None:
        super().__init__(7)
        self.drawn = 0

    def random(self) -> float:
        self.drawn += 1
        return 0.0 if self.drawn == 1 else 1.0


async def test_a_call_has_a_span_and_each_attempt_one_inside_it_that_the_service_sees_as_its_parent() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    async with bench(tracer=tracer, rng=FailsFirst()) as on:
        on.behave(error_rate=0.5)
        with tracer.start_as_current_span("request") as request:
            await on.client().charge(**CHARGE)
        parent = on.simulator.last["traceparent"]
    first, second, call, _ = exporter.get_finished_spans()
    assert [first.name, second.name, call.name] == ["POST /v1/charges"] * 2 + ["payments POST /v1/charges"]
    assert call.parent is not None
    assert call.parent.span_id == request.get_span_context().span_id
    assert {span.parent.span_id for span in (first, second) if span.parent} == {call.context.span_id}
    assert parent == f"00-{call.context.trace_id:032x}-{second.context.span_id:016x}-03"
    assert dict(first.attributes or {}) == {
        "breakwater.upstream": "payments",
        "http.request.method": "POST",
        "http.response.status_code": 500,
        "error.type": "status_500",
    }
    assert (second.attributes or {})["http.request.resend_count"] == 1
    assert first.events == ()


async def test_a_request_that_is_not_recorded_makes_no_span_and_passes_its_trace_on_all_the_same() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    async with bench(tracer=tracer) as on:
        with tracer.start_as_current_span("request") as request:
            await on.client().charge(**CHARGE)
        context = request.get_span_context()
        assert on.simulator.last["traceparent"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-02"
    assert exporter.get_finished_spans() == ()


async def test_calls_and_attempts_are_counted_and_a_failure_is_not_logged() -> None:
    async with bench(rng=FailsFirst()) as on:
        on.behave(error_rate=0.5)
        charge = await on.client().charge(**CHARGE)
        on.behave()
        await failure_of(on.client().read("ch_unknown"))
        await on.client().read(charge.id)
        assert on.seen.counts("breakwater.upstream.call.duration") == {
            ("payments", "ok"): 2,
            ("payments", "status_404"): 1,
        }
        assert on.seen.counts("http.client.request.duration") == {
            ("payments", "POST", 500, "status_500"): 1,
            ("payments", "POST", 201): 1,
            ("payments", "GET", 404, "status_404"): 1,
            ("payments", "GET", 200): 1,
        }
        assert on.seen.lines == []


async def test_a_wait_for_a_place_is_counted() -> None:
    async with bench(concurrency=1, queue=5) as on:
        on.behave(latency=0.05)
        await asyncio.gather(*(on.client().read("ch_1") for _ in range(3)), return_exceptions=True)
        assert on.seen.counts("breakwater.upstream.queue.duration") == {("payments",): 2}


async def test_what_is_not_to_travel_does_not() -> None:
    async with bench(propagate=False) as on:
        await on.client(remaining=lambda: 2.0).charge(**CHARGE)
        assert not {"x-request-id", "traceparent", "x-request-timeout-ms"} & on.simulator.last.keys()
        assert "idempotency-key" in on.simulator.last


async def test_an_answer_is_as_large_as_declared_and_no_larger() -> None:
    async with bench(max_response=50) as on:
        assert (await failure_of(on.client().charge(**CHARGE))).reason == "too_large"


async def test_nonsense_in_an_answer_is_a_failure_of_the_service() -> None:
    async with bench(attempts=1) as on:
        charge = await on.client().charge(**CHARGE)
        on.simulator.charges[charge.id]["status"] = "surprised"
        errors = [await failure_of(on.client().read(charge.id)) for _ in range(30)]
        assert (errors[0].reason, errors[0].upstream) == ("unexpected_content", "payments")
        assert errors[-1].reason == "circuit_open"
