"""The requests, byte for byte the same for every contestant but for the token, and what must come back."""

from __future__ import annotations

import json

from load import Exchange

GET = "GET /v1/orders/{order_id}"
POST = "POST /v1/orders"
ROUTES = (GET, POST)

DIFFERENT = 100
"""Different requests a route; the orders that GET asks for are seeded in ``contestants/orders.py``."""

_HEADERS = (
    "Host: 127.0.0.1\r\n"
    "User-Agent: breakwater-bench/1\r\n"
    "Accept: application/json\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Connection: keep-alive\r\n"
)


def exchanges(token: str) -> dict[str, tuple[Exchange, ...]]:
    """Build the exchanges of both routes. No ``traceparent``: each contestant samples for itself."""
    return {
        GET: tuple(read(f"ord-{number}", token) for number in range(DIFFERENT)),
        POST: tuple(create(f"sku-{number}", number + 1, token) for number in range(DIFFERENT)),
    }


def read(order_id: str, token: str | None) -> Exchange:
    """Ask for one seeded order."""
    request = f"GET /v1/orders/{order_id} HTTP/1.1\r\n{_HEADERS}{_authorization(token)}\r\n"
    return Exchange(request.encode(), 200, f'{{"id":"{order_id}"'.encode())


def create(sku: str, quantity: int, token: str | None) -> Exchange:
    """Place one order."""
    body = json.dumps({"sku": sku, "quantity": quantity, "note": "leave it at the harbour office"})
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    request = f"POST /v1/orders HTTP/1.1\r\n{_HEADERS}{_authorization(token)}{head}\r\n{body}"
    return Exchange(request.encode(), 201, b'{"id":"ord-')


def authorized(method: str, path: str, token: str | None, head: str, body: str) -> bytes:
    """Return one request with everything that the others have too."""
    return f"{method} {path} HTTP/1.1\r\n{_HEADERS}{_authorization(token)}{head}\r\n{body}".encode()


def _authorization(token: str | None) -> str:
    return f"Authorization: Bearer {token}\r\n" if token is not None else ""
