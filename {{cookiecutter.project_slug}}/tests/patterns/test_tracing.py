"""Each request has its ids, the chosen ones a span, and the failed ones too."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, NoOpTracer, SpanKind, StatusCode, get_current_span

from app.patterns.tracing import RequestIds, RequestSampler, Tracing, TracingConfig, note_exception, remote_parent
from tests.support.live import serve
from tests.support.otlp_receiver import OtlpReceiver, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"
HALF = 1 << 63
"""Of 64 bits: what lies below is sampled at a ratio of 0.5."""


@pytest.fixture(autouse=True)
def _no_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_COMPRESSION"):
        monkeypatch.delenv(name, raising=False)


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{order_id}")
    async def order(request: Request, order_id: str) -> dict[str, str]:
        return {"order": order_id, **ids(request)}

    @app.get("/child")
    async def child(request: Request) -> dict[str, str]:
        with request.app.state.tracer.start_as_current_span("child") as span:
            return {**ids(request), "child_trace": f"{span.get_span_context().trace_id:032x}"}

    @app.get("/meeting")
    async def meeting(request: Request, who: str) -> dict[str, str]:
        await request.app.state.barrier.wait()
        with request.app.state.tracer.start_as_current_span(who) as span:
            await request.app.state.barrier.wait()
            return {**ids(request), "child_trace": f"{span.get_span_context().trace_id:032x}"}

    @app.get("/answers-503")
    async def answers(request: Request) -> JSONResponse:
        request.scope["state"]["code"] = "circuit_open"
        return JSONResponse(ids(request), 503)

    @app.get("/answers-499")
    async def refuses() -> JSONResponse:
        return JSONResponse({}, 499)

    @app.get("/raises")
    async def raises(request: Request) -> None:
        app.state.seen = ids(request)
        raise ValueError(f"password=hunter2 {'x' * 5000}")

    @app.get("/shaped")
    async def shaped(request: Request) -> JSONResponse:
        note_exception(request.scope, LookupError("no such row"))
        return JSONResponse({}, 500)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b", b"c"]))

    return app


def ids(request: Request) -> dict[str, str]:
    return {"trace": request.scope["state"]["trace_id"], "span": request.scope["state"]["span_id"]}


def spans_of(
    app: ASGIApp, talk: Callable[[httpx2.Client], object], *, config: TracingConfig | None = None, **options: Any
) -> list[Span]:
    """Serve ``app`` traced, let ``talk`` call it, and return the spans that a collector got by the end."""
    config = config or TracingConfig(ratio=1.0)
    with OtlpReceiver() as receiver:
        provider = TracerProvider(RequestSampler(config.ratio), id_generator=RequestIds(), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{receiver.endpoint}/v1/traces")))
        if isinstance(app, FastAPI):
            app.state.tracer = provider.get_tracer("handler")
        traced = Tracing(app, tracer=provider.get_tracer("test"), config=config, **options)
        with serve(traced) as url, httpx2.Client(base_url=url) as client:
            talk(client)
        provider.shutdown()
        return receiver.spans()


def none_sampled(**settings: Any) -> TracingConfig:
    return TracingConfig(ratio=0.0, **settings)


def test_a_sampled_request_leaves_one_server_span_named_after_its_route() -> None:
    (span,) = spans_of(application(), lambda client: client.get("/orders/alice@example.com?token=secret"))

    assert span.name == "GET /orders/{order_id}"
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert plain(span.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/orders/{order_id}",
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }


def test_the_span_has_the_ids_that_the_request_and_its_response_have() -> None:
    responses: list[httpx2.Response] = []

    (span,) = spans_of(application(), lambda client: responses.append(client.get("/orders/1")))

    seen = responses[0].json()
    assert (seen["trace"], seen["span"]) == (span.trace_id.hex(), span.span_id.hex())
    assert responses[0].headers["traceparent"] == f"00-{seen['trace']}-{seen['span']}-03"
    assert span.parent_span_id == b""


def test_the_span_goes_under_the_callers_span() -> None:
    headers = {"traceparent": UNSAMPLED, "tracestate": "congo=t61rcWkgMzE, rojo=00f067aa0ba902b7"}

    (span,) = spans_of(application(), lambda client: client.get("/orders/1", headers=headers))

    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.trace_state == "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"


MALFORMED = [
    "",
    "garbage",
    TRACEPARENT.upper(),
    TRACEPARENT[:-1],
    f"{TRACEPARENT}0",
    f"{TRACEPARENT}-00",
    f"ff{TRACEPARENT[2:]}",
    f"0g{TRACEPARENT[2:]}",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[:-1]}-{PARENT}0-01",
    f"00_{TRACE}_{PARENT}_01",
    f"00-{TRACE[:-2]}_1-{PARENT}-01",
    f"00-{TRACE[:-2]}+1-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-0x",
    f"01-{TRACE}-{PARENT}-010",
    f"00-{TRACE}-{PARENT}-01, {TRACEPARENT}",
    f"00-{TRACE[:-1]}\xe9-{PARENT}-01",
]


def test_a_malformed_traceparent_is_ignored() -> None:
    def talk(client: httpx2.Client) -> None:
        for value in MALFORMED:
            headers = [(b"traceparent", value.encode("latin-1"))]
            assert client.get("/orders/1", headers=headers).status_code == 200
        client.get("/orders/1", headers=[("traceparent", TRACEPARENT), ("traceparent", UNSAMPLED)])

    spans = spans_of(application(), talk)

    assert len(spans) == len(MALFORMED) + 1
    assert {span.parent_span_id for span in spans} == {b""}
    assert len({span.trace_id for span in spans}) == len(spans)


@pytest.mark.parametrize("value", MALFORMED)
def test_nothing_is_read_from_a_malformed_traceparent(value: str) -> None:
    assert remote_parent([(b"traceparent", value.encode("latin-1"))]) is None


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (TRACEPARENT, 1),
        (UNSAMPLED, 0),
        (f"{TRACEPARENT[:-2]}ff", 3),
        (f"cc-{TRACEPARENT[3:]}", 1),
        (f"cc-{TRACEPARENT[3:]}-new", 1),
    ],
)
def test_a_valid_traceparent_is_read_of_any_version(value: str, flags: int) -> None:
    parent = remote_parent([(b"host", b"x"), (b"traceparent", value.encode())])

    assert parent is not None
    assert (parent.trace_id, parent.span_id) == (int(TRACE, 16), int(PARENT, 16))
    assert (parent.trace_flags, parent.is_remote) == (flags, True)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["a=1"], {"a": "1"}),
        (["a=1,,b=2 ", "tenant@vendor=3"], {"a": "1", "b": "2", "tenant@vendor": "3"}),
        ([f"a={'x' * 254},b={'y' * 253}"], {"a": "x" * 254, "b": "y" * 253}),
        ([f"a={'x' * 254},b={'y' * 254}"], {}),
        ([",".join(f"k{n}=v" for n in range(32))], {f"k{n}": "v" for n in range(32)}),
        ([",".join(f"k{n}=v" for n in range(33))], {}),
        (["a=1,a=2"], {}),
        (["A=1"], {}),
        (["a=1=2"], {}),
        (["a=\x07"], {}),
        (["a=\xe9"], {}),
        (["novalue"], {}),
    ],
)
def test_a_bad_tracestate_costs_only_itself(
    states: list[str], expected: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    headers = [(b"traceparent", TRACEPARENT.encode()), *((b"tracestate", state.encode("latin-1")) for state in states)]

    parent = remote_parent(headers)

    assert parent is not None
    assert dict(parent.trace_state) == expected
    assert caplog.records == []


def test_without_sampling_a_request_has_its_ids_and_no_span() -> None:
    responses: list[httpx2.Response] = []

    spans = spans_of(application(), lambda client: responses.append(client.get("/orders/1")), config=none_sampled())

    seen = responses[0].json()
    assert spans == []
    assert responses[0].headers["traceparent"] == f"00-{seen['trace']}-{seen['span']}-02"


@pytest.mark.parametrize(("lower_half", "sampled"), [(HALF - 1, True), (HALF, False)])
def test_the_ratio_goes_by_the_trace_id(lower_half: int, *, sampled: bool) -> None:
    def bits(count: int) -> int:
        return (7 << 64) + lower_half if count == 128 else HALF + 5

    spans = spans_of(
        application(), lambda client: client.get("/orders/1"), config=TracingConfig(ratio=0.5), random_bits=bits
    )

    assert [span.trace_id.hex() for span in spans] == ([f"{(7 << 64) + lower_half:032x}"] if sampled else [])


@pytest.mark.parametrize(("drawn", "sampled"), [(HALF - 1, True), (HALF, False)])
@pytest.mark.parametrize("flags", ["00", "01"])
@pytest.mark.parametrize("trace_id", ["f" * 32, f"{1:032x}"])
def test_a_caller_that_is_not_trusted_has_no_say_in_sampling(
    trace_id: str, flags: str, drawn: int, *, sampled: bool
) -> None:
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-{flags}"}

    spans = spans_of(
        application(),
        lambda client: client.get("/orders/1", headers=headers),
        config=TracingConfig(ratio=0.5),
        random_bits=lambda _count: drawn,
    )

    assert [span.trace_id.hex() for span in spans] == ([trace_id] if sampled else [])


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_trusted_caller_decides(ratio: float) -> None:
    def talk(client: httpx2.Client) -> None:
        client.get("/orders/1", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        client.get("/orders/1", headers={"traceparent": f"00-{'e' * 32}-{PARENT}-00"})

    spans = spans_of(application(), talk, config=TracingConfig(ratio=ratio, trust_remote_sampling=True))

    assert [span.trace_id.hex() for span in spans] == [TRACE]


def ticking() -> Callable[[], int]:
    """Nanoseconds that pass by 1000 with every look, so that each span's times are known."""
    ticks = itertools.count(1_700_000_000_000_000_000, 1000)
    return lambda: next(ticks)


def test_an_unsampled_request_that_fails_gets_its_span_with_its_own_ids_and_start() -> None:
    responses: list[httpx2.Response] = []

    (span,) = spans_of(
        application(),
        lambda client: responses.append(client.get("/answers-503", headers={"traceparent": UNSAMPLED})),
        config=none_sampled(),
        now=ticking(),
    )

    seen = responses[0].json()
    assert (span.trace_id.hex(), span.span_id.hex()) == (seen["trace"], seen["span"])
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.start_time_unix_nano == 1_700_000_000_000_000_000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2000
    assert span.name == "GET /answers-503"
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert plain(span.attributes) == {
        "error.type": "circuit_open",
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "http.route": "/answers-503",
        "network.protocol.version": "1.1",
        "sampling.reason": "error",
        "url.scheme": "http",
    }


def test_a_sampled_request_that_fails_leaves_one_span_and_no_sampling_reason() -> None:
    (span,) = spans_of(application(), lambda client: client.get("/answers-503"))

    assert span.status.code == Status.STATUS_CODE_ERROR
    assert "sampling.reason" not in plain(span.attributes)


def test_an_exception_leaves_its_type_and_nothing_of_its_text() -> None:
    app = application()

    (span,) = spans_of(app, lambda client: client.get("/raises"), config=none_sampled())

    assert (span.trace_id.hex(), span.span_id.hex()) == (app.state.seen["trace"], app.state.seen["span"])
    assert plain(span.attributes)["error.type"] == "ValueError"
    assert [(event.name, plain(event.attributes)) for event in span.events] == [
        ("exception", {"exception.type": "ValueError"})
    ]
    assert b"hunter2" not in span.SerializeToString()


def test_an_exceptions_text_is_redacted_and_bounded() -> None:
    (span,) = spans_of(
        application(), lambda client: client.get("/raises"), redact=lambda text: text.replace("hunter2", "[secret]")
    )

    message = plain(span.events[0].attributes)["exception.message"]
    assert message == f"password=[secret] {'x' * 5000}"[:256]
    assert b"hunter2" not in span.SerializeToString()


def test_an_exception_that_became_a_response_is_known_by_its_type() -> None:
    (span,) = spans_of(application(), lambda client: client.get("/shaped"), config=none_sampled())

    assert plain(span.attributes)["error.type"] == "LookupError"


def test_only_so_many_unsampled_failures_a_second_are_kept() -> None:
    def talk(client: httpx2.Client) -> None:
        for _ in range(5):
            client.get("/answers-503")
        clock[0] += 1_000_000_000
        client.get("/answers-503")

    clock = [1_700_000_000_000_000_000]
    spans = spans_of(application(), talk, config=none_sampled(max_kept_per_second=3), now=lambda: clock[0])

    assert [span.start_time_unix_nano - 1_700_000_000_000_000_000 for span in spans] == [0, 0, 0, 1_000_000_000]


def test_an_unsampled_request_can_be_kept_for_another_reason() -> None:
    def talk(client: httpx2.Client) -> None:
        client.get("/orders/1")
        client.get("/child")

    (span,) = spans_of(
        application(), talk, config=none_sampled(), keep=lambda scope: scope["route"].path_format == "/child"
    )

    assert (span.name, plain(span.attributes)["sampling.reason"]) == ("GET /child", "kept")
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_a_clients_error_is_no_error_and_not_kept() -> None:
    def talk(client: httpx2.Client) -> None:
        assert client.get("/answers-499").status_code == 499
        assert client.get("/nowhere").status_code == 404

    assert spans_of(application(), talk, config=none_sampled()) == []
    assert {span.status.code for span in spans_of(application(), talk)} == {Status.STATUS_CODE_UNSET}


def test_a_path_without_route_names_only_the_method() -> None:
    (span,) = spans_of(application(), lambda client: client.get("/wp-admin.php"))

    assert span.name == "GET"
    assert "http.route" not in plain(span.attributes)
    assert b"wp-admin" not in span.SerializeToString()


def test_a_method_of_the_clients_invention_is_recorded_as_other() -> None:
    def talk(client: httpx2.Client) -> None:
        client.request("PROPFIND", "/orders/1")
        client.request("PROPFIND", "/nowhere")

    spans = spans_of(application(), talk)

    assert [span.name for span in spans] == ["HTTP /orders/{order_id}", "HTTP"]
    assert {plain(span.attributes)["http.request.method"] for span in spans} == {"_OTHER"}


def test_a_handlers_span_goes_under_the_requests_span() -> None:
    spans = {span.name: span for span in spans_of(application(), lambda client: client.get("/child"))}

    assert set(spans) == {"child", "GET /child"}
    assert spans["child"].parent_span_id == spans["GET /child"].span_id
    assert spans["child"].trace_id == spans["GET /child"].trace_id


def test_a_handlers_span_follows_the_decision_and_correlates() -> None:
    responses: list[httpx2.Response] = []

    spans = spans_of(application(), lambda client: responses.append(client.get("/child")), config=none_sampled())

    assert spans == []
    assert responses[0].json()["child_trace"] == responses[0].json()["trace"]


def test_concurrent_requests_do_not_mix() -> None:
    app = application()
    app.state.barrier = asyncio.Barrier(20)
    answers: dict[str, dict[str, str]] = {}

    async def meet(url: str) -> None:
        async def call(client: httpx2.AsyncClient, number: int) -> None:
            headers = {"traceparent": f"00-{number + 1:032x}-{PARENT}-01"}
            answers[f"who{number}"] = (await client.get(f"/meeting?who=who{number}", headers=headers)).json()

        async with httpx2.AsyncClient(base_url=url, limits=httpx2.Limits(max_connections=20)) as client:
            await asyncio.gather(*(call(client, number) for number in range(20)))

    spans = spans_of(app, lambda client: asyncio.run(meet(str(client.base_url))))

    servers = {span.span_id: span for span in spans if span.kind == Span.SPAN_KIND_SERVER}
    children = {span.name: span for span in spans if span.kind == Span.SPAN_KIND_INTERNAL}
    assert (len(servers), len(children)) == (20, 20)
    for number in range(20):
        answer, child = answers[f"who{number}"], children[f"who{number}"]
        assert answer["trace"] == answer["child_trace"] == child.trace_id.hex() == f"{number + 1:032x}"
        assert servers[child.parent_span_id].span_id.hex() == answer["span"]


def test_a_streamed_response_ends_its_span_once() -> None:
    bodies: list[str] = []

    (span,) = spans_of(application(), lambda client: bodies.append(client.get("/stream").text))

    assert (span.name, bodies) == ("GET /stream", ["abc"])


def test_a_client_that_leaves_ends_the_span_once() -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    def leave(client: httpx2.Client) -> None:
        with client.stream("GET", "/") as response:
            assert next(response.iter_raw()) == b"first"

    (span,) = spans_of(endless, leave)

    assert (span.name, Status.STATUS_CODE_UNSET) == ("GET", span.status.code)


# What needs no socket: the edges of the ASGI interface and of the constructor.


def http_scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": "http",
        "http_version": "1.1",
        "headers": list(headers),
    }


async def receive() -> Message:
    return {"type": "http.request"}


def raising(error: BaseException) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    return app


def answering(status: int) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def silent(_scope: Scope, _receive: Receive, _send: Send) -> None:
    pass


class InProcess:
    """Calls ``app`` traced, without a server, and keeps what comes of it."""

    def __init__(self, app: ASGIApp, *, config: TracingConfig | None = None, **options: Any) -> None:
        config = config or TracingConfig(ratio=1.0)
        provider = TracerProvider(RequestSampler(config.ratio), id_generator=RequestIds(), shutdown_on_exit=False)
        self.exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        options.setdefault("tracer", provider.get_tracer("test"))
        self.traced = Tracing(app, config=config, **options)
        self.sent: list[Message] = []
        self.scope: dict[str, Any] = {}

    async def call(self, *headers: tuple[bytes, bytes], **scope: Any) -> None:
        async def send(message: Message) -> None:
            self.sent.append(message)

        self.scope = http_scope(*headers) | scope
        await self.traced(self.scope, receive, send)

    def span(self) -> ReadableSpan:
        (span,) = self.exporter.get_finished_spans()
        return span


@pytest.mark.parametrize("fault", ["str", "redact"])
async def test_text_that_cannot_be_made_safe_is_left_out(fault: str) -> None:
    class Faulty(Exception):
        def __str__(self) -> str:
            if fault == "str":
                raise RuntimeError("no text")
            return "text"

    def redact(text: str) -> str:
        if fault == "redact":
            raise RuntimeError("no redaction")
        return text

    process = InProcess(raising(Faulty()), redact=redact)
    with pytest.raises(Faulty):
        await process.call()

    assert set(process.span().events[0].attributes or {}) == {"exception.type"}


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_a_cancelled_request_ends_its_span_and_leaves_no_context(ratio: float) -> None:
    reached = asyncio.Event()

    async def waits(_scope: Scope, _receive: Receive, _send: Send) -> None:
        assert get_current_span().get_span_context().is_valid
        reached.set()
        await asyncio.Event().wait()

    async def watch() -> object:
        try:
            await process.call()
        except asyncio.CancelledError:
            return get_current_span()
        return None

    process = InProcess(waits, config=TracingConfig(ratio=ratio))
    task = asyncio.create_task(watch())
    await asyncio.wait_for(reached.wait(), timeout=10)
    task.cancel()

    assert await asyncio.wait_for(task, timeout=10) is INVALID_SPAN
    assert (process.span().attributes or {})["error.type"] == "asyncio.exceptions.CancelledError"


async def test_an_application_that_answers_nothing_has_failed() -> None:
    process = InProcess(silent, config=none_sampled())

    await process.call()

    assert (process.span().attributes or {})["error.type"] == "no_response"


@pytest.mark.parametrize(("status", "kept"), [(499, 0), (500, 1), (599, 1)])
async def test_an_error_begins_at_500(status: int, kept: int) -> None:
    process = InProcess(answering(status), config=none_sampled())

    await process.call()

    assert len(process.exporter.get_finished_spans()) == kept


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_a_response_that_breaks_off_has_failed(ratio: float) -> None:
    async def breaks(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LookupError

    process = InProcess(breaks, config=TracingConfig(ratio=ratio))
    with pytest.raises(LookupError):
        await process.call()

    attributes = process.span().attributes or {}
    assert (attributes["http.response.status_code"], attributes["error.type"]) == (200, "LookupError")
    assert process.span().status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("settings", [{}, {"tracer": NoOpTracer()}, {"config": none_sampled(max_kept_per_second=0)}])
async def test_a_noted_exception_is_not_held_by_the_scope_that_it_holds(settings: dict[str, Any]) -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        note_exception(scope, LookupError())
        await send({"type": "http.response.start", "status": 500})

    process = InProcess(app, **settings)
    await process.call()

    assert "exception" not in process.scope["state"]


async def test_the_applications_own_message_stays_as_it_was() -> None:
    message: Message = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(message)

    process = InProcess(app)
    await process.call()
    await process.call()

    assert message["headers"] == [(b"a", b"b")]
    assert [[name for name, _ in sent["headers"]] for sent in process.sent] == [[b"a", b"traceparent"]] * 2


async def test_who_is_behind_a_request_is_recorded_only_where_asked_for() -> None:
    agent = (b"user-agent", b"curl hunter2 " + b"x" * 5000)
    facts = {"state": {"client": "192.0.2.7"}}
    plainly = InProcess(answering(200))
    fully = InProcess(
        answering(200),
        config=TracingConfig(ratio=1.0, client_address=True, user_agent=True, server_address="api.example"),
        redact=lambda text: text.replace("hunter2", "***"),
    )

    await plainly.call(agent, **facts)
    await fully.call(agent, **facts)

    extra = {"client.address", "server.address", "user_agent.original"}
    assert extra.isdisjoint(plainly.span().attributes or {})
    attributes = fully.span().attributes or {}
    assert {name: attributes[name] for name in extra} == {
        "client.address": "192.0.2.7",
        "server.address": "api.example",
        "user_agent.original": f"curl *** {'x' * 5000}"[:256],
    }


async def test_a_user_agent_is_not_recorded_without_redaction() -> None:
    process = InProcess(answering(200), config=TracingConfig(ratio=1.0, user_agent=True))

    await process.call((b"user-agent", b"curl"))

    assert "user_agent.original" not in (process.span().attributes or {})


async def test_without_a_recording_tracer_requests_have_ids_and_no_spans() -> None:
    process = InProcess(answering(500), tracer=NoOpTracer())

    await process.call()

    state = process.scope["state"]
    header = f"00-{state['trace_id']}-{state['span_id']}-02".encode()
    assert (b"traceparent", header) in process.sent[0]["headers"]
    assert process.exporter.get_finished_spans() == ()


@pytest.mark.parametrize(("trust", "flag"), [(True, b"01"), (False, b"00")])
async def test_who_records_nothing_passes_a_trusted_decision_on(flag: bytes, *, trust: bool) -> None:
    process = InProcess(answering(200), tracer=NoOpTracer(), config=TracingConfig(trust_remote_sampling=trust))

    await process.call((b"traceparent", TRACEPARENT.encode()))

    assert dict(process.sent[0]["headers"])[b"traceparent"].endswith(b"-" + flag)


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_what_is_not_http_passes_untouched(kind: str) -> None:
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((scope, receive, send))

    async def send(_message: Message) -> None:
        pass

    process = InProcess(app)
    scope = {"type": kind}
    await process.traced(scope, receive, send)

    assert seen == [{"type": kind}, receive, send]
    assert process.exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    "tracer",
    [
        trace.get_tracer("proxy"),
        TracerProvider(shutdown_on_exit=False).get_tracer("plain"),
        TracerProvider(id_generator=RequestIds(), shutdown_on_exit=False).get_tracer("own sampler"),
        TracerProvider(RequestSampler(1.0), shutdown_on_exit=False).get_tracer("own ids"),
    ],
)
def test_a_tracer_that_would_not_follow_is_refused(tracer: trace.Tracer) -> None:
    with pytest.raises(TypeError, match="tracer"):
        Tracing(silent, tracer=tracer)


@pytest.mark.parametrize("ratio", [-0.01, 1.01, float("nan")])
def test_a_ratio_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        Tracing(silent, tracer=NoOpTracer(), config=TracingConfig(ratio=ratio))


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_span_outside_a_request_follows_its_parent_or_the_ratio(ratio: float) -> None:
    tracer = TracerProvider(RequestSampler(ratio), id_generator=RequestIds(), shutdown_on_exit=False).get_tracer("job")

    with (
        tracer.start_as_current_span("job", kind=SpanKind.INTERNAL) as job,
        tracer.start_as_current_span("step") as step,
    ):
        assert job.is_recording() == step.is_recording() == (ratio == 1.0)
        assert job.get_span_context().trace_id == step.get_span_context().trace_id
        assert job.get_span_context().span_id != step.get_span_context().span_id
