"""The usual stack: what tutorials and most templates put round FastAPI, each part as its documentation says.

Outermost first: opentelemetry-instrumentation-fastapi with an SDK, a batch processor and metrics;
asgi-correlation-id; three ``BaseHTTPMiddleware`` (log line, headers, timeout) with slowapi's middleware among
them; and PyJWT in a dependency. Where there was a choice it takes the cheaper one: the routes stand straight
on the application (under ``include_router`` slowapi limits nothing at all), handlers and dependencies are
``async``, the public key is parsed once, FastAPI's own telemetry is off beside the contrib one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import jwt
from asgi_correlation_id import CorrelationIdMiddleware
from asgi_correlation_id.log_filters import CorrelationIdFilter
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from contestants.orders import create_order, read_order
from issuer import AUDIENCE, ISSUER

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TIMEOUT = 5.0
"""Seconds a request may take; the default of the service under test."""
UNREACHABLE_RATE = "1000000000/minute"
"""Counted on every request, reached by none."""

PERMISSIONS = {"customer": frozenset({"orders:read", "orders:write"})}

log = logging.getLogger("usual")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record and the request facts that it carries."""
        line = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "event": record.getMessage(),
            "request_id": getattr(record, "correlation_id", None),
        }
        return json.dumps(line | getattr(record, "facts", {}))


class RequestLog(BaseHTTPMiddleware):
    """One log line a request."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Time the request and write its line."""
        started = time.perf_counter()
        response = await call_next(request)
        facts = {
            "method": request.method,
            "path": request.url.path,
            "status": response.status_code,
            "client": request.client.host if request.client else None,
            "duration_ms": round((time.perf_counter() - started) * 1_000, 3),
        }
        log.info("request", extra={"facts": facts})
        return response


class SecurityHeaders(BaseHTTPMiddleware):
    """The headers that the service under test sends too."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Complete the head of the answer."""
        response = await call_next(request)
        response.headers["content-security-policy"] = "default-src 'none'; frame-ancestors 'none'"
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["referrer-policy"] = "no-referrer"
        response.headers["cross-origin-resource-policy"] = "same-origin"
        response.headers["cross-origin-opener-policy"] = "same-origin"
        response.headers["permissions-policy"] = "camera=(), geolocation=(), microphone=()"
        response.headers["cache-control"] = "no-store"
        return response


class Timeout(BaseHTTPMiddleware):
    """504 when the rest took too long."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Bound the wait for the head of the answer."""
        try:
            return await asyncio.wait_for(call_next(request), TIMEOUT)
        except TimeoutError:
            return JSONResponse({"detail": "timeout"}, status_code=504)


class RequirePermission:
    """Verifies the bearer token of every request, and what its role may do."""

    def __init__(self, permission: str, key: Ed25519PublicKey) -> None:
        self._permission = permission
        self._key = key

    async def __call__(self, credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> None:
        """Refuse with 401 or 403."""
        try:
            claims = jwt.decode(
                credentials.credentials,
                self._key,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            raise HTTPException(status_code=401) from error
        if not any(self._permission in PERMISSIONS.get(role, ()) for role in claims.get("roles", ())):
            raise HTTPException(status_code=403)


def create_app() -> FastAPI:
    """Build the stack; the public key's path is in ``BENCH_PUBLIC_KEY``, the rest in ``OTEL_*``."""
    _configure_logging()
    key = _public_key(Path(os.environ["BENCH_PUBLIC_KEY"]))
    app = FastAPI(title="usual", telemetry={"tracing": False, "metrics": False, "logs": False})
    app.get("/v1/orders/{order_id}", dependencies=[Depends(RequirePermission("orders:read", key))])(read_order)
    app.post("/v1/orders", status_code=201, dependencies=[Depends(RequirePermission("orders:write", key))])(
        create_order
    )
    app.state.limiter = Limiter(key_func=get_remote_address, default_limits=[UNREACHABLE_RATE], headers_enabled=True)
    refuse: Any = _rate_limit_exceeded_handler  # slowapi's own recipe; Starlette wants it to take any exception
    app.add_exception_handler(RateLimitExceeded, refuse)
    app.add_middleware(Timeout)  # innermost first
    app.add_middleware(SlowAPIMiddleware)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLog)
    app.add_middleware(CorrelationIdMiddleware)
    _instrument(app)
    return app


def _configure_logging() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(CorrelationIdFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _public_key(path: Path) -> Ed25519PublicKey:
    return load_pem_public_key(path.read_bytes())  # type: ignore[return-value]  # the harness wrote Ed25519


def _instrument(app: FastAPI) -> None:
    resource = Resource.create({"service.name": "usual"})
    tracer_provider = TracerProvider(
        resource=resource, sampler=ParentBasedTraceIdRatio(float(os.environ["OTEL_TRACES_SAMPLER_ARG"]))
    )
    tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    meter_provider = MeterProvider(
        resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())]
    )
    FastAPIInstrumentor.instrument_app(app, tracer_provider=tracer_provider, meter_provider=meter_provider)
