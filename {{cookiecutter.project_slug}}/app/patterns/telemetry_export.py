"""Telemetry export: traces and metrics leave by OTLP, and a collector that fails is not felt.

Threat: the collector dies, hangs or answers 503, and the service hangs with it or fills its memory and its log;
telemetry is lost and nobody notices; or it carries secrets out of the house.

Defaults: nothing is exported, and no exporter imported, until there is a URL to send to. Then spans leave in
batches of 512 every 5 s from a queue of 2048, metrics every 60 s, and an attempt ends after 10 s: the figures of the
OpenTelemetry specification. A full queue drops the newest span at once. What was lost is the metric
``telemetry.spans.lost`` by reason, and one warning a minute; the SDK's own complaints are cut to one a minute and
logger. Text on spans is bounded, made valid UTF-8 (one lone surrogate would cost its whole batch) and passed through
``redact``: names, attributes, events and statuses, whoever wrote them, for the SDK records exceptions with message
and stack trace. That happens in the exporting thread.

One process, one :class:`Telemetry`: call :func:`configure_telemetry` in the worker, after the fork. A forked child
that inherits one sends nothing, or each would send its parent's figures again.

What it does not do: export logs (they go to stdout); sample (the sampler does); know a secret by its attribute's
key; stop a collector that answers by drips, which holds up its own thread but no request and no shutdown.
``OTEL_EXPORTER_OTLP_TIMEOUT`` is not read: the specification counts it in milliseconds, Python's exporter in seconds.

To lift it: needs ``opentelemetry-sdk`` and ``opentelemetry-exporter-otlp-proto-http``::

    telemetry = configure_telemetry(TelemetryConfig.from_environment(os.environ, service_name="orders"))
    telemetry.tracer, telemetry.meter  # these do nothing where nothing is exported
    telemetry.shutdown(timeout=5.0)  # blocks: from a coroutine, call it in a thread
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import metrics, trace
from opentelemetry.metrics import NoOpMeter, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import Link, NoOpTracer, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import CallbackOptions, Meter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AnyValue, Attributes

LOST_SPANS = "telemetry.spans.lost"
"""Counter of spans that no collector got, by ``reason``: ``queue_full``, ``export_failed`` or ``shutdown``."""

Redact = Callable[[str], str]
Produce = Callable[[], Sequence[Metric]]

_log = logging.getLogger(__name__)
_SCHEMA = Schemas.V1_44_0.value
_INT64 = 1 << 63
_READ = 4
"""How many times ``max_text`` of a text ``redact`` is given, so that no secret is cut in half before it is seen."""

NAMES_REMEMBERED = 1024
"""Names of spans, events and attributes that are cleaned once; each is short, or cut."""

_NOISY = (
    "opentelemetry.attributes",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal.export",
    "opentelemetry.sdk.metrics._internal.instrument",
    "opentelemetry.sdk.trace",
)
"""Loggers of the SDK that write a line for every failed export, shortened attribute or late call."""


@dataclass(frozen=True, kw_only=True)
class TelemetryConfig:
    """Where telemetry goes, under which name, and what it may cost.

    Attributes:
        service_name: ``service.name``.
        service_version: ``service.version``.
        environment: ``deployment.environment.name``.
        traces_url: where spans are posted, ``.../v1/traces``; None exports none.
        metrics_url: where metrics are posted, ``.../v1/metrics``; None exports none.
        max_queue: spans that may wait (OTEL_BSP_MAX_QUEUE_SIZE); about 4 KiB each, 300 KiB at the limits below.
        max_batch: spans in one request (OTEL_BSP_MAX_EXPORT_BATCH_SIZE).
        export_delay: seconds between two batches that are not full (OTEL_BSP_SCHEDULE_DELAY).
        metrics_interval: seconds between two exports of metrics (OTEL_METRIC_EXPORT_INTERVAL).
        export_timeout: seconds for one batch, retries included (the specification's default).
        max_request: bytes of one request; 4 MiB is what receivers commonly take.
        max_attributes: attributes of a span, event or link; a server span has ten.
        max_events: events and links of a span.
        max_text: characters of a text on a span.
        log_interval: seconds between two log lines about the same failure.
    """

    service_name: str
    service_version: str = "0.0.0"
    environment: str = "development"
    traces_url: str | None = None
    metrics_url: str | None = None
    max_queue: int = 2048
    max_batch: int = 512
    export_delay: float = 5.0
    metrics_interval: float = 60.0
    export_timeout: float = 10.0
    max_request: int = 4 * 1024 * 1024
    max_attributes: int = 32
    max_events: int = 16
    max_text: int = 512
    log_interval: float = 60.0

    def __post_init__(self) -> None:
        for url in (self.traces_url, self.metrics_url):
            if url is not None and not url.startswith(("http://", "https://")):
                raise ValueError(f"an OTLP endpoint must be an http or https URL, not {url!r}")
        if not 0 < self.max_batch <= self.max_queue:
            raise ValueError(f"max_batch ({self.max_batch}) must be within 1 to max_queue ({self.max_queue})")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, service_name: str, **settings: Any) -> Self:
        """Read the standard variables, on top of what the service sets.

        The exporter itself reads those about headers, certificates and compression, and the SDK
        ``OTEL_RESOURCE_ATTRIBUTES``.

        Args:
            environ: ``os.environ``.
            service_name: the name where ``OTEL_SERVICE_NAME`` is not set.
            settings: further fields of the configuration.

        Raises:
            ValueError: a variable asks for what cannot be done; the message names it.
        """
        protocol = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
        if protocol != "http/protobuf":
            raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not {protocol!r}")
        for name, (field, unit) in _VARIABLES.items():
            if text := environ.get(name):
                try:
                    settings[field] = int(text) if unit == 1 else float(text) * unit
                except ValueError:
                    raise ValueError(f"{name} must be a number, not {text!r}") from None
        return cls(
            service_name=environ.get("OTEL_SERVICE_NAME") or service_name,
            traces_url=_url(environ, "traces"),
            metrics_url=_url(environ, "metrics"),
            **settings,
        )


_VARIABLES = {
    "OTEL_BSP_MAX_QUEUE_SIZE": ("max_queue", 1),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ("max_batch", 1),
    "OTEL_BSP_SCHEDULE_DELAY": ("export_delay", 1e-3),
    "OTEL_METRIC_EXPORT_INTERVAL": ("metrics_interval", 1e-3),
}
"""Standard variable -> field, and what one of its units is in the field's."""


def _url(environ: Mapping[str, str], signal: str) -> str | None:
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if off or environ.get(f"OTEL_{signal.upper()}_EXPORTER") == "none":
        return None
    if url := environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"):
        return url
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{base.rstrip('/')}/v1/{signal}" if base else None


def configure_telemetry(
    config: TelemetryConfig,
    *,
    sampler: Sampler | None = None,
    id_generator: IdGenerator | None = None,
    redact: Redact | None = None,
    set_global: bool = False,
) -> Telemetry:
    """Set up export as ``config`` says, and start its threads. Call it once, in each worker process.

    Args:
        config: where to, and how much.
        sampler: decides which spans are recorded; the SDK's default if None.
        id_generator: makes the ids of spans; random ones if None.
        redact: takes secrets out of every text on a span.
        set_global: make these the providers of ``opentelemetry.trace.get_tracer`` and ``metrics.get_meter``, for
            handlers to use. OpenTelemetry allows that once a process. FastAPI then begins to trace and measure by
            itself, with paths and queries, unless it is made with ``telemetry={"tracing": False, "metrics": False,
            "logs": False, "auto_configure": False}``.
    """
    telemetry = Telemetry(config, sampler, id_generator, redact)
    if set_global and telemetry.tracer_provider is not None:
        trace.set_tracer_provider(telemetry.tracer_provider)
    if set_global and telemetry.meter_provider is not None:
        metrics.set_meter_provider(telemetry.meter_provider)
    return telemetry


class Telemetry:
    """A process's tracer and meter, and the way out for what they record. Made by :func:`configure_telemetry`.

    Attributes:
        tracer: for the service's spans; does nothing where spans are not exported.
        meter: for the service's instruments; does nothing where metrics are not exported.
        tracer_provider: the SDK's provider, None where spans are not exported.
        meter_provider: the SDK's provider, None where metrics are not exported.
    """

    def __init__(
        self,
        config: TelemetryConfig,
        sampler: Sampler | None,
        id_generator: IdGenerator | None,
        redact: Redact | None,
    ) -> None:
        self.tracer_provider: TracerProvider | None = None
        self.meter_provider: MeterProvider | None = None
        self.tracer: Tracer = NoOpTracer()
        self.meter: Meter = NoOpMeter(config.service_name)
        self._producers: list[Produce] = []
        self._gate: _SpanGate | None = None
        self._metric_exporter: MetricExporter | None = None
        self._noise = _NoiseFilter(config.log_interval)
        self._closed = False
        if config.traces_url is None and config.metrics_url is None:
            return
        self._noise.install()
        resource = _resource(config)
        if config.traces_url is not None:
            self._gate = _SpanGate(_span_exporter(config, config.traces_url), config, redact)
            self.tracer_provider = TracerProvider(
                sampler, resource, shutdown_on_exit=False, id_generator=id_generator, span_limits=_limits(config)
            )
            self.tracer_provider.add_span_processor(_BoundedSpanProcessor(self._gate, config))
            self.tracer = self.tracer_provider.get_tracer(config.service_name, config.service_version, _SCHEMA)
        if config.metrics_url is not None:
            self._metric_exporter = _metric_exporter(config, config.metrics_url, self._producers)
            reader = PeriodicExportingMetricReader(
                self._metric_exporter,
                export_interval_millis=config.metrics_interval * 1000,
                export_timeout_millis=config.export_timeout * 1000,
            )
            exemplars = AlwaysOffExemplarFilter()
            self.meter_provider = MeterProvider([reader], resource, exemplars, shutdown_on_exit=False)
            self.meter = self.meter_provider.get_meter(config.service_name, config.service_version, _SCHEMA)
            # It always has a value, and must: without any the SDK would not call the exporter for the producers.
            self.meter.create_observable_counter(
                LOST_SPANS, [self._observe_lost], "{span}", "Spans that no collector got."
            )

    def add_producer(self, produce: Produce) -> None:
        """Export what ``produce`` returns beside the meter's own metrics.

        It is called in the exporting thread, every ``metrics_interval`` seconds, and must not block.
        """
        self._producers.append(produce)

    def lost_spans(self) -> Mapping[str, int]:
        """Return how many spans no collector got, by reason."""
        return self._gate.lost.copy() if self._gate is not None else dict.fromkeys(_REASONS, 0)

    def _observe_lost(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"reason": reason}) for reason, count in self.lost_spans().items()]

    def shutdown(self, timeout: float) -> bool:
        """Export what is left, for at most ``timeout`` seconds; blocks as long. A second call does nothing.

        Returns:
            Whether all was done in time.
        """
        if self._closed:
            return True
        self._closed = True
        # The SDK waits for its threads as long as it likes (30 s); from threads of our own we can stop waiting.
        closing = [
            threading.Thread(target=_close, args=(provider,), name="telemetry-shutdown", daemon=True)
            for provider in (self.tracer_provider, self.meter_provider)
            if provider is not None
        ]
        deadline = time.monotonic() + timeout
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))
        done = not any(thread.is_alive() for thread in closing)
        # Whoever is still at it gets no further than the attempt that it is in.
        if self._gate is not None:
            self._gate.shutdown()
        if self._metric_exporter is not None and not done:
            self._metric_exporter.shutdown()
        self._noise.remove()
        return done


def _close(provider: TracerProvider | MeterProvider) -> None:
    try:
        provider.shutdown()
    except Exception as error:  # noqa: BLE001 - the SDK raises just that, for a reader that did not end in time
        _log.warning("telemetry did not shut down cleanly: %s", type(error).__name__)


def _limits(config: TelemetryConfig) -> SpanLimits:
    return SpanLimits(
        max_span_attributes=config.max_attributes,
        max_event_attributes=config.max_attributes,
        max_link_attributes=config.max_attributes,
        max_events=config.max_events,
        max_links=config.max_events,
        max_attribute_length=config.max_text * _READ,
        max_span_attribute_length=config.max_text * _READ,
    )


def _resource(config: TelemetryConfig) -> Resource:
    """Name this process. What the operator set in OTEL_RESOURCE_ATTRIBUTES wins over the service's own word."""
    ours = {
        "service.name": config.service_name,
        "service.version": config.service_version,
        "deployment.environment.name": config.environment,
    }
    # The SDK adds service.instance.id, one a process.
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes}, _SCHEMA)


def _span_exporter(config: TelemetryConfig, url: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only if used

    return OTLPSpanExporter(url, timeout=config.export_timeout, max_request_size=config.max_request)


def _metric_exporter(config: TelemetryConfig, url: str, producers: Sequence[Produce]) -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - only if used
        OTLPMetricExporter,
    )

    # A scope of its own: the encoder keeps one set of metrics a scope, and the SDK's are there already.
    scope = InstrumentationScope(f"{config.service_name}.producers", config.service_version, _SCHEMA)
    process = os.getpid()

    class ProducingExporter(OTLPMetricExporter):
        """Adds the producers' metrics to what the SDK collected."""

        def export(
            self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
        ) -> MetricExportResult:
            if os.getpid() != process:
                return MetricExportResult.SUCCESS
            produced = [metric for produce in producers for metric in _produced(produce)]
            first, *others = metrics_data.resource_metrics
            scopes = [*first.scope_metrics, ScopeMetrics(scope, produced, _SCHEMA)]
            merged = ResourceMetrics(first.resource, scopes, first.schema_url)
            return super().export(MetricsData([merged, *others]), timeout_millis, **kwargs)

    return ProducingExporter(url, timeout=config.export_timeout, max_request_size=config.max_request)


def _produced(produce: Produce) -> Sequence[Metric]:
    try:
        return produce()
    except Exception:  # noqa: BLE001 - one faulty producer must not cost the figures of the others
        _log.exception("a metric producer failed")
        return ()


_REASONS = ("queue_full", "export_failed", "shutdown")


class _SpanGate(SpanExporter):
    """Counts the spans on their way to ``exporter``, cleans them, and tells what was lost."""

    def __init__(
        self,
        exporter: SpanExporter,
        config: TelemetryConfig,
        redact: Redact | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lost = dict.fromkeys(_REASONS, 0)
        self._exporter, self._config, self._clock = exporter, config, clock
        self._clean = _Cleaner(redact, config).span
        self._lock = threading.Lock()
        self._waiting = self._reported = 0
        self._next_report = float("-inf")
        self._process = os.getpid()
        self._closed = False

    def admit(self) -> bool:
        """Take a place in the queue; False when there is none, or not in this process."""
        if os.getpid() != self._process:
            return False
        with self._lock:
            if self._closed or self._waiting >= self._config.max_queue:
                self.lost["shutdown" if self._closed else "queue_full"] += 1
                return False
            self._waiting += 1
            return True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Clean and send a batch."""
        with self._lock:
            if self._closed:
                return SpanExportResult.FAILURE
            self._waiting -= len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export([self._clean(span) for span in spans])
        finally:
            if result is not SpanExportResult.SUCCESS:
                with self._lock:
                    self.lost["export_failed"] += len(spans)
            if self._clock() >= self._next_report:
                self._report()
        return result

    def _report(self) -> None:
        lost = sum(self.lost.values())
        if lost > self._reported:
            self._next_report = self._clock() + self._config.log_interval
            _log.warning("%d more spans lost; in all: %s", lost - self._reported, self.lost)
            self._reported = lost

    def shutdown(self) -> None:
        """Send nothing more, end retries at once, and count what still waits as lost."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.lost["shutdown"] += self._waiting
        self._exporter.shutdown()
        self._report()


class _BoundedSpanProcessor(BatchSpanProcessor):
    """Refuses a span when the queue is full, before the SDK would drop an older one and log it."""

    def __init__(self, gate: _SpanGate, config: TelemetryConfig) -> None:
        super().__init__(gate, config.max_queue, config.export_delay * 1000, config.max_batch)
        self._gate = gate

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span if there is room."""
        if span.context and span.context.trace_flags.sampled and self._gate.admit():
            super().on_end(span)


class _Cleaner:
    """Makes the text on spans safe to export: redacted, bounded, encodable."""

    def __init__(self, redact: Redact | None, config: TelemetryConfig) -> None:
        self._redact, self._config = redact, config
        # What the code chose from a few dozen comes again with each span; values may be anybody's, and are not kept.
        self._name = lru_cache(maxsize=NAMES_REMEMBERED)(self._text)

    def span(self, span: ReadableSpan) -> ReadableSpan:
        """Return a copy of ``span`` with clean text; how much the SDK's limits had cut off is not carried over."""
        status = span.status
        return ReadableSpan(
            name=self._name(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._attributes(span.attributes),
            events=[
                Event(self._name(event.name), self._attributes(event.attributes), event.timestamp)
                for event in span.events
            ],
            links=[Link(link.context, self._attributes(link.attributes)) for link in span.links],
            kind=span.kind,
            status=Status(status.status_code, status.description and self._text(status.description)),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _attributes(self, attributes: Attributes) -> dict[str, AnyValue]:
        return {self._name(key): self._value(value) for key, value in (attributes or {}).items()}

    def _value(self, value: AnyValue) -> AnyValue:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            return "[out of range]"
        if isinstance(value, bytes):
            return value[: self._config.max_text]
        if isinstance(value, Mapping):
            return self._attributes(dict(list(value.items())[: self._config.max_attributes]))
        if isinstance(value, Sequence):
            return [self._value(item) for item in value[: self._config.max_attributes]]
        return value

    def _text(self, text: str) -> str:
        if self._redact is not None:
            try:
                text = self._redact(text[: self._config.max_text * _READ])
            except Exception:  # noqa: BLE001 - what cannot be redacted is not sent
                return "[not redacted]"
        text = text[: self._config.max_text]
        return text if text.isascii() else text.encode("utf-8", "replace").decode()


class _NoiseFilter(logging.Filter):
    """Lets one record a logger and interval pass."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval, self._clock = interval, clock
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether it is this logger's turn."""
        now = self._clock()
        if now < self._next.get(record.name, now):
            return False
        self._next[record.name] = now + self._interval
        return True

    def install(self) -> None:
        for name in _NOISY:
            logging.getLogger(name).addFilter(self)

    def remove(self) -> None:
        for name in _NOISY:
            logging.getLogger(name).removeFilter(self)
