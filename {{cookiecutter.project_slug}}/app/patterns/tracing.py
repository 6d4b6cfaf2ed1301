"""Tracing: one server span a request, decided before it costs anything.

Threat: a failure that nobody can follow from the caller's log line to the service that caused it; and the
cure being dearer than the disease, when tracing takes longer than the request or a caller can switch it on.

Defaults: W3C Trace Context in (parsed strictly, what is malformed is ignored) and ``traceparent`` out on every
response. One request in ten is sampled, by trace id, as OpenTelemetry's ``TraceIdRatioBased`` does. The decision
is taken first: an unsampled request creates no span, but has its ids (``scope["state"]["trace_id"]`` and
``["span_id"]``, for log lines) and a non-recording span as context, so that what a handler starts follows the
decision and correlates. A request that ends in 5xx or in an exception gets its span all the same, made at the
end with the ids and the start that it had; at most a hundred a second, for an outage must not double its load.

A caller's ``sampled`` flag is *not* trusted unless told so: anyone could set it on every request and have all of
them recorded. Nor is its trace id, which could be chosen to fall under the ratio: for such a request the decision
hangs on the span id, which is drawn here. Trust both behind a gateway that drops or sets the header.

Attributes are the stable HTTP semantic conventions, without ``url.path`` and ``url.query``: they carry
identifiers and tokens and have no bound; ``http.route`` says as much as is safe. An exception leaves its type,
and its text only through ``redact``.

What it does not do: authenticate a trace id (let none decide anything); follow websockets; keep the child spans
of a request that turned out an error (they were never made); read ``baggage``; redact what handlers put on
spans, which is the exporter's work.

To lift it: needs ``opentelemetry-sdk``, and ``starlette`` for its types. FastAPI traces by itself as soon as there is
a global provider: make it with ``telemetry={"tracing": False}``. The provider must take ids and decisions from here::

    provider = TracerProvider(sampler=RequestSampler(config.ratio), id_generator=RequestIds())
    app = Tracing(app, tracer=provider.get_tracer("app"), config=config)
"""

from __future__ import annotations

import random
import re
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer as SDKTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.exception_attributes import EXCEPTION_MESSAGE, EXCEPTION_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS
from opentelemetry.semconv.attributes.url_attributes import URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from opentelemetry.trace import Link, Tracer
    from opentelemetry.util.types import Attributes, AttributeValue
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"))
"""The methods that the semantic conventions know; a client's own inventions are recorded as ``_OTHER``."""

SAMPLING_REASON = "sampling.reason"
"""Attribute of a span that the ratio had not chosen: ``error`` or ``kept``. Leave these out when counting."""

MAX_TRACESTATE = 512
"""Bytes of ``tracestate`` passed on (W3C Trace Context, 3.3.1.5: at least 512); a longer one is dropped whole."""

MAX_TRACESTATE_MEMBERS = 32
"""W3C Trace Context, 3.3.1.1."""

_LENGTH = 55
"""Bytes of ``version-traceid-parentid-flags`` (W3C Trace Context, 3.2.2)."""

_MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=([ -+\--<>-~]{0,255}[!-+\--<>-~])"
)
"""A member of ``tracestate`` (W3C Trace Context, 3.3.1.3). Checked here, for the SDK logs what does not fit."""

_READ_TEXT = 4096
"""Characters of foreign text given to ``redact``: more than are kept, so that no secret is cut before it is seen,
and few enough for any regular expression."""

_LOWER_64 = (1 << 64) - 1
_SECOND = 1_000_000_000
_SERVER_ERROR = 500
_FLAGS = tuple(TraceFlags(bits) for bits in range(4))
_ROOT = Context()
_SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, _ROOT)))
"""Where the API keeps the current span; a context made with it at once is copied once less."""

_drawn: ContextVar[tuple[int, int] | None] = ContextVar("drawn", default=None)
"""Trace id and span id of the span that :class:`Tracing` is starting at this moment, and of no other."""


@dataclass(frozen=True)
class TracingConfig:
    """What is traced, and how much of it.

    Attributes:
        ratio: share of requests that are sampled, 0 to 1. One takes 20 us here and 45 in the exporter's thread, so
            a tenth costs each request 6 us on average; what fails is kept without it.
        trust_remote_sampling: follow a caller's ``sampled`` flag, as OpenTelemetry's ``ParentBased`` does.
        max_kept_per_second: spans a second and process for requests that were not sampled, errors among them.
        server_address: public name of the service for ``server.address``; the Host header is a caller's word.
        client_address: record ``scope["state"]["client"]``; off, because it is personal data.
        user_agent: record the User-Agent, redacted and bounded; off, because it names people's devices.
        max_text: characters kept of text that somebody else wrote (exception message, user agent).
    """

    ratio: float = 0.1
    trust_remote_sampling: bool = False
    max_kept_per_second: int = 100
    server_address: str | None = None
    client_address: bool = False
    user_agent: bool = False
    max_text: int = 256


class RequestIds(RandomIdGenerator):
    """Random ids, except where :class:`Tracing` has drawn them before. Safe among threads and tasks."""

    def generate_trace_id(self) -> int:
        """Return the trace id that the request has already, or a random one."""
        drawn = _drawn.get()
        return super().generate_trace_id() if drawn is None else drawn[0]

    def generate_span_id(self) -> int:
        """Return the span id that the request has already, or a random one."""
        drawn = _drawn.get()
        return super().generate_span_id() if drawn is None else drawn[1]


class RequestSampler(Sampler):
    """Records what :class:`Tracing` decided to record; other spans follow their parent, or else the ratio.

    Args:
        ratio: share of traces begun outside a request (by a job, say) that are sampled, 0 to 1.
    """

    def __init__(self, ratio: float) -> None:
        self._others = ParentBased(TraceIdRatioBased(ratio))

    def should_sample(  # noqa: PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the decision taken for this request, or take one."""
        if _drawn.get() is None:
            return self._others.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        parent = get_current_span(parent_context).get_span_context()
        return SamplingResult(Decision.RECORD_AND_SAMPLE, None, parent.trace_state)

    def get_description(self) -> str:
        """Return the sampler's name."""
        return "RequestSampler"


def route_template(scope: Scope) -> str | None:
    """Return the path template of the route that matched, as Starlette and FastAPI leave it, or None."""
    template: str | None = getattr(scope.get("route"), "path_format", None)
    return template


def note_exception(scope: Scope, error: BaseException) -> None:
    """Tell the request's span about an exception that an inner layer turned into a 5xx response."""
    scope.setdefault("state", {})["exception"] = error


def remote_parent(headers: Iterable[tuple[bytes, bytes]]) -> SpanContext | None:
    """Return the caller's span, read from ``traceparent`` and ``tracestate``, or None without a valid one.

    Strict, after W3C Trace Context: one header, lower-case hexadecimal, no all-zero id, not version ff, exact
    length in version 00. A bad ``tracestate`` costs only itself.
    """
    parent = state = None
    for name, value in headers:
        if name == b"traceparent":
            if parent is not None:
                return None
            parent = value
        elif name == b"tracestate":
            state = value if state is None else state + b"," + value
    if parent is None or not _well_formed(parent):
        return None
    trace_id, span_id = int(parent[3:35], 16), int(parent[36:52], 16)
    if not trace_id or not span_id:
        return None
    flags = _FLAGS[int(parent[53:55], 16) & 3]
    trace_state = None if state is None else _trace_state(state)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags, trace_state=trace_state)


def _well_formed(parent: bytes) -> bool:
    length = len(parent)
    if length < _LENGTH or not parent[2] == parent[35] == parent[52] == 0x2D:  # noqa: PLR2004 - a hyphen
        return False
    # A later version may append fields after another hyphen, but must begin like this one.
    if length > _LENGTH and (parent.startswith(b"00") or parent[_LENGTH] != 0x2D):  # noqa: PLR2004 - a hyphen
        return False
    return parent[:_LENGTH].translate(None, b"0123456789abcdef") == b"---" and not parent.startswith(b"ff")


def _trace_state(state: bytes) -> TraceState | None:
    if len(state) > MAX_TRACESTATE or not state.isascii():
        return None
    members: dict[str, str] = {}
    for part in state.decode("ascii").split(","):
        if not (text := part.strip(" \t")):
            continue
        match = _MEMBER.fullmatch(text)
        if match is None or match[1] in members:
            return None
        members[match[1]] = match[2]
    return TraceState(list(members.items())) if len(members) <= MAX_TRACESTATE_MEMBERS else None


class Tracing:
    """Draws a request's ids, decides whether it is sampled, and records it.

    Args:
        app: the ASGI application to trace.
        tracer: an SDK tracer whose provider uses :class:`RequestIds` and :class:`RequestSampler`; or a
            ``NoOpTracer``, and requests have ids but no spans.
        config: what is traced.
        route: names the route that matched, once the router ran; None when nothing matched.
        redact: takes secrets out of foreign text; without it no such text is recorded.
        keep: asked at the end of an unsampled request whether to record it although nothing failed.
        random_bits: draws an integer of so many bits; ids are not secrets.
        now: nanoseconds since the epoch.

    Raises:
        TypeError: the tracer's provider would not follow the decisions made here.
        ValueError: the ratio is not within 0 to 1.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tracer: Tracer,
        config: TracingConfig | None = None,
        route: Callable[[Scope], str | None] = route_template,
        redact: Callable[[str], str] | None = None,
        keep: Callable[[Scope], bool] | None = None,
        random_bits: Callable[[int], int] = random.getrandbits,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.app = app
        self.config = config or TracingConfig()
        if not 0 <= self.config.ratio <= 1:
            raise ValueError(f"ratio must be within 0 to 1, not {self.config.ratio!r}")
        self._tracer = _checked(tracer)
        self._bound = TraceIdRatioBased.get_bound_for_rate(self.config.ratio) if self._tracer else 0
        self._trust = self.config.trust_remote_sampling and self._tracer is not None
        # Who records nothing passes a trusted decision on, so that the services behind still follow it.
        self._passed_flags = 3 if self.config.trust_remote_sampling and self._tracer is None else 2
        self._route, self._redact, self._keep = route, redact, keep
        self._bits, self._now = random_bits, now
        self._window = self._kept = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Trace one request; what is not HTTP passes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = _Request(scope, send, self._now(), remote_parent(scope["headers"]))
        token = otel_context.attach(Context({_SPAN_KEY: self._begin(request)}))
        try:
            await self.app(scope, receive, request.answer)
        except BaseException as error:
            self._end(request, error)
            raise
        else:
            if (
                request.span is not None
                or not 0 < request.status < _SERVER_ERROR
                or (self._keep is not None and self._keep(scope))
            ):
                self._end(request, None)
        finally:
            otel_context.detach(token)

    def _begin(self, request: _Request) -> Span:
        """Draw the ids and decide; return the span that is the request's context."""
        parent = request.parent
        span_id = request.span_id = self._bits(64) or 1
        state = None
        # 1. Nobody came before: an own trace id, and the ratio over its lower half.
        if parent is None:
            trace_id = self._bits(128) or 1
            sampled = trace_id & _LOWER_64 < self._bound
            flags = 2  # the trace id is random
        else:
            trace_id, state = parent.trace_id, parent.trace_state
            flags = parent.trace_flags & self._passed_flags
            # 2. A caller that is trusted has decided. 3. Another has no say, not by its trace id either.
            sampled = parent.trace_flags.sampled if self._trust else span_id < self._bound
        request.trace_id = trace_id
        facts = request.scope.setdefault("state", {})
        # By bytes: formatting a number of so many bits takes twice as long.
        trace_hex = facts["trace_id"] = trace_id.to_bytes(16).hex()
        span_hex = facts["span_id"] = span_id.to_bytes(8).hex()
        request.header = f"00-{trace_hex}-{span_hex}-0{flags | sampled}".encode()
        if sampled:
            span = request.span = self._start(request)
            return span
        return _UnsampledSpan(trace_id, span_id, flags, state)

    def _start(self, request: _Request) -> Span:
        """Start the request's span with the ids that it has already, recorded in any case."""
        if self._tracer is None:
            raise RuntimeError("nothing is sampled without a tracer")
        context = _ROOT
        if request.parent is not None:
            context = set_span_in_context(NonRecordingSpan(request.parent), _ROOT)
        token = _drawn.set((request.trace_id, request.span_id))
        try:
            method = request.scope["method"]
            return self._tracer.start_span(
                method if method in METHODS else "HTTP", context, SpanKind.SERVER, start_time=request.started
            )
        finally:
            _drawn.reset(token)

    def _end(self, request: _Request, error: BaseException | None) -> None:
        """End the span; make it first if the request was not sampled and is worth keeping."""
        failed = error is not None or not 0 < request.status < _SERVER_ERROR
        if failed:
            # Taken out in any case: an exception's frames hold the scope, which would hold the exception.
            noted: BaseException | None = request.scope["state"].pop("exception", None)
            error = error or noted
        span = request.span
        if span is None:
            if not self._may_keep():
                return
            span = self._start(request)
            span.set_attribute(SAMPLING_REASON, "error" if failed else "kept")
        self._describe(span, request)
        if failed:
            self._describe_failure(span, request, error)
        span.end(self._now())

    def _may_keep(self) -> bool:
        """Count a span for a request that was not sampled; False when this second's share is used up."""
        window = self._now() // _SECOND
        if window != self._window:
            self._window, self._kept = window, 0
        self._kept += 1
        return self._tracer is not None and self._kept <= self.config.max_kept_per_second

    def _describe(self, span: Span, request: _Request) -> None:
        scope, config = request.scope, self.config
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        attributes: dict[str, AttributeValue] = {
            HTTP_REQUEST_METHOD: method,
            URL_SCHEME: scope.get("scheme", "http"),
            NETWORK_PROTOCOL_VERSION: scope.get("http_version", ""),
        }
        if request.status:
            attributes[HTTP_RESPONSE_STATUS_CODE] = request.status
        if (route := self._route(scope)) is not None:
            attributes[HTTP_ROUTE] = route
            span.update_name(f"{method if method != '_OTHER' else 'HTTP'} {route}")
        if config.server_address is not None:
            attributes[SERVER_ADDRESS] = config.server_address
        if config.client_address and isinstance(client := scope["state"].get("client"), str):
            attributes[CLIENT_ADDRESS] = client
        if config.user_agent and (agent := self._safe(_user_agent(scope))):
            attributes[USER_AGENT_ORIGINAL] = agent
        span.set_attributes(attributes)

    def _describe_failure(self, span: Span, request: _Request, error: BaseException | None) -> None:
        if error is not None:
            kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
            event = {EXCEPTION_TYPE: kind}
            if text := self._safe(error):
                event[EXCEPTION_MESSAGE] = text
            span.add_event("exception", event)
        else:
            kind = str(request.scope["state"].get("code") or request.status or "no_response")
        span.set_attribute(ERROR_TYPE, kind)
        span.set_status(StatusCode.ERROR)

    def _safe(self, foreign: object) -> str:
        """Return redacted and bounded text, or nothing where it cannot be made safe."""
        if self._redact is None:
            return ""
        try:
            return self._redact(str(foreign)[:_READ_TEXT])[: self.config.max_text]
        except Exception:  # noqa: BLE001 - a faulty __str__ or redact must cost a text and never a request
            return ""


class _UnsampledSpan(NonRecordingSpan):
    """The span of a request that is not recorded. Its context is made when somebody asks, which is rarely."""

    __slots__ = ("_parts",)

    def __init__(self, trace_id: int, span_id: int, flags: int, state: TraceState | None) -> None:
        self._parts = (trace_id, span_id, flags, state)

    def get_span_context(self) -> SpanContext:
        trace_id, span_id, flags, state = self._parts
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=_FLAGS[flags], trace_state=state)


class _Request:
    """What one request needs until its end. Slots and a bound method cost less than a closure and its cells."""

    __slots__ = ("header", "parent", "scope", "send", "span", "span_id", "started", "status", "trace_id")

    def __init__(self, scope: Scope, send: Send, started: int, parent: SpanContext | None) -> None:
        self.scope, self.send, self.started, self.parent = scope, send, started, parent
        self.span: Span | None = None
        self.trace_id = self.span_id = self.status = 0
        self.header = b""

    def answer(self, message: Message) -> Awaitable[None]:
        """Send on, with ``traceparent`` on the head of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"traceparent", self.header)]
            # A copy: an application may keep its message and send it again.
            message = {**message, "headers": headers}
        return self.send(message)


def _user_agent(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return str(value[:_READ_TEXT], "latin-1")
    return ""


def _checked(tracer: Tracer) -> SDKTracer | None:
    """Return a tracer that follows :class:`Tracing`, or None for the one that does nothing."""
    if isinstance(tracer, NoOpTracer):
        return None
    if not isinstance(tracer, SDKTracer):
        raise TypeError(f"tracer must be the SDK's or a NoOpTracer, not {type(tracer).__name__}")
    if not isinstance(tracer.id_generator, RequestIds) or not isinstance(tracer.sampler, RequestSampler):
        raise TypeError("the tracer's provider must be built with RequestIds and RequestSampler")
    return tracer
