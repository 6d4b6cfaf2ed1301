"""Bare FastAPI in its cheapest form: the routes stand straight on the application, with nothing around them.

``include_router`` matches a request twice and would flatter everything that is compared with it.
"""

from __future__ import annotations

from fastapi import FastAPI

from contestants.orders import create_order, read_order


def create_app() -> FastAPI:
    """Build the baseline, without FastAPI's own telemetry."""
    app = FastAPI(title="bare", telemetry={"tracing": False, "metrics": False, "logs": False})
    app.get("/v1/orders/{order_id}")(read_order)
    app.post("/v1/orders", status_code=201)(create_order)
    return app
