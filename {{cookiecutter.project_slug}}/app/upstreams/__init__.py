"""The services that this one may call, each behind its resilience pipeline. What is not declared cannot be reached.

To declare another: write a module like ``payments.py``, name its class in :data:`DECLARED`, add ``NAME_url`` (and
``NAME_token``, if it wants one) to the settings, and give handlers a type to ask for it by in ``app/dependencies.py``.
Which route may reach it stands in policy.toml: ``outbound = ["NAME"]``.

The modules: ``declaration`` (what is declared, and the defaults), ``call`` (one call, and what of its request travels
along), ``pipeline`` (the layers in their order), ``telemetry`` (spans, metrics, logs), ``client`` (what handlers hold),
``fallbacks`` (what they fall back on), ``registry`` (all services of one process).
"""

from typing import Any

from app.patterns.http_client import (
    UpstreamBadAnswer,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.patterns.ssrf_guard import UrlRefused
from app.upstreams.call import CallContext, KeyNeeded, OutboundNotAllowed
from app.upstreams.client import HttpUpstream, UpstreamClient
from app.upstreams.declaration import Upstream
from app.upstreams.fallbacks import Fallbacks, RequestFallback
from app.upstreams.payments import Charge, PaymentDeclined, PaymentsClient
from app.upstreams.registry import Upstreams
from app.upstreams.telemetry import UpstreamTelemetry
from app.upstreams.web import WebClient

DECLARED: tuple[type[UpstreamClient[Any]], ...] = (PaymentsClient, WebClient)
"""Every service that may be called."""

NAMES = frozenset(kind.upstream.name for kind in DECLARED)
"""What ``outbound`` in policy.toml may name."""

__all__ = [
    "DECLARED",
    "NAMES",
    "CallContext",
    "Charge",
    "Fallbacks",
    "HttpUpstream",
    "KeyNeeded",
    "OutboundNotAllowed",
    "PaymentDeclined",
    "PaymentsClient",
    "RequestFallback",
    "Upstream",
    "UpstreamBadAnswer",
    "UpstreamClient",
    "UpstreamError",
    "UpstreamRefused",
    "UpstreamTelemetry",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "Upstreams",
    "UrlRefused",
    "WebClient",
]
