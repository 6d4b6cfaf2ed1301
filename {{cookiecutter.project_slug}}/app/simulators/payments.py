"""A payments service to try calls against: charges cards that do not exist, and misbehaves when it is told to.

``app simulate payments`` runs it, on a loopback address only. It is steered while it runs::

    curl -X PUT http://127.0.0.1:8001/behaviour -d '{"mode": "flapping", "period": 2}'
    curl -X PUT http://127.0.0.1:8001/behaviour -d '{"latency": 0.3, "error_rate": 0.2}'

What it can do is in :class:`Behaviour`. The service itself is small: ``POST /v1/charges`` with an ``Idempotency-Key``
charges once for each key, ``POST /v1/charges/{id}/refund`` gives back, ``GET /v1/charges`` lists. A misbehaving charge
happens all the same before its answer gets lost, as in life; only a refusal (an error, 429) charges nothing.

It speaks as much HTTP/1.1 as that takes, by hand: no server would send what it has to send. Nothing here is for
production.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.simulators.misbehaviour import MISBEHAVIOURS

if TYPE_CHECKING:
    from collections.abc import Callable

HOST: Final = "127.0.0.1"
"""The only address it listens on: it keeps no secret and refuses nobody."""

DEFAULT_PORT: Final = 8001

MAX_HEAD: Final = 16 * 1024
MAX_BODY: Final = 64 * 1024
MAX_CHARGES: Final = 100_000
"""Kept in memory; the oldest go first."""

IDLE: Final = 30.0
"""Seconds that a connection may wait between requests."""

DECLINED: Final = "declined"
"""The reference of a charge that the card's bank turns down."""

Mode = Literal[
    "normal", "flapping", "rate_limited", "hang", "half_close", "reset", "garbage", "html", "redirect", "gzip_bomb",
    "endless_headers", "endless_body", "drip",
]  # fmt: skip


class Behaviour(BaseModel):
    """How it behaves, until it is told otherwise.

    Attributes:
        mode: ``flapping`` works for ``period`` seconds and answers 503 for as long, in turn; ``rate_limited`` answers
            429; the others are in ``misbehaviour.py``.
        latency: seconds before it answers.
        error_rate: share of requests that are answered with 500.
        period: see ``flapping``.
        retry_after: value of Retry-After on 429 and 503, whatever it is.
    """

    model_config = ConfigDict(extra="forbid")

    mode: Mode = "normal"
    latency: float = Field(0.0, ge=0, le=60)
    error_rate: float = Field(0.0, ge=0, le=1)
    period: float = Field(2.0, gt=0, le=3600)
    retry_after: Annotated[str, Field(max_length=100, pattern=r"^[ -~]*$")] | None = None


class ChargeIn(BaseModel):
    """What to charge."""

    model_config = ConfigDict(extra="forbid")

    amount: int = Field(gt=0, le=100_000_000, strict=True)
    currency: str = Field(pattern="^[A-Z]{3}$")
    reference: str = Field(min_length=1, max_length=100)


@dataclass(frozen=True)
class _Answer:
    status: int
    document: object
    headers: dict[str, str] = field(default_factory=dict)


_NOT_FOUND: Final = _Answer(404, {"code": "not_found"})


class PaymentsSimulator:
    """Charges, and the behaviour of the moment.

    Args:
        rng: decides which requests fail.
        clock: seconds, for flapping.

    Attributes:
        behaviour: of the moment.
        charges: id -> charge, in order.
        requests: number of requests for charges that have arrived, whatever became of them.
        peak: most of them at a time.
        last: headers of the last one.
        arrived: set when the first has arrived.
    """

    def __init__(self, *, rng: random.Random | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.behaviour = Behaviour()
        self.charges: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self.requests = 0
        self.peak = 0
        self.last: dict[str, str] = {}
        self.arrived = asyncio.Event()
        self._busy = 0
        self._keys: OrderedDict[str, tuple[bytes, _Answer]] = OrderedDict()
        self._random = rng or random.Random()  # noqa: S311 - for faults, not for secrets
        self._clock = clock
        self._since = clock()

    async def serve(self, port: int = DEFAULT_PORT, host: str = HOST) -> asyncio.Server:
        """Listen; port 0 lets the kernel choose."""
        return await asyncio.start_server(self.connection, host, port, limit=MAX_HEAD)

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, until it ends or has to be broken."""
        # A client that leaves in the middle is what this is for; and who cancels this ends the simulator.
        gone = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            while await self._request(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False if the connection ends with it."""
        async with asyncio.timeout(IDLE):
            head = await reader.readuntil(b"\r\n\r\n")
            line, *lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (part.partition(":") for part in lines)
            }
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > MAX_BODY:
                return False
            body = await reader.readexactly(int(length))
        method, _, rest = line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path == "/behaviour":
            await _respond(writer, self._steer(method, body))
            return True
        self.requests += 1
        self.last = headers
        self.arrived.set()
        self._busy += 1
        self.peak = max(self.peak, self._busy)
        try:
            if self.behaviour.latency:
                await asyncio.sleep(self.behaviour.latency)
            answer = self._refusal() or self._payments(method, path, headers, body)
            misbehave = MISBEHAVIOURS.get(self.behaviour.mode)
            if misbehave is not None:
                await misbehave(writer, self._random)
                return False
            await _respond(writer, answer)
        finally:
            self._busy -= 1
        return headers.get("connection", "").lower() != "close"

    def _steer(self, method: str, body: bytes) -> _Answer:
        if method == "PUT":
            try:
                self.behaviour = Behaviour.model_validate_json(body)
            except ValidationError as error:
                return _Answer(422, {"errors": error.errors(include_url=False, include_context=False)})
            self._since = self._clock()
        state = {"requests": self.requests, "charges": len(self.charges), "peak": self.peak}
        return _Answer(200, self.behaviour.model_dump() | state)

    def _refusal(self) -> _Answer | None:
        """Return the answer to a request that is not even looked at."""
        now = self.behaviour
        again = {} if now.retry_after is None else {"retry-after": now.retry_after}
        if now.mode == "rate_limited":
            return _Answer(429, {"code": "rate_limited"}, again)
        if now.mode == "flapping" and int((self._clock() - self._since) / now.period) % 2:
            return _Answer(503, {"code": "unavailable"}, again)
        if now.error_rate and self._random.random() < now.error_rate:
            return _Answer(500, {"code": "internal_error"})
        return None

    def _payments(self, method: str, path: str, headers: dict[str, str], body: bytes) -> _Answer:
        match [method, *path.strip("/").split("/")]:
            case ["POST", "v1", "charges"]:
                return self._keyed(headers, path, body, lambda: self._charge(body))
            case ["POST", "v1", "charges", charge, "refund"]:
                return self._keyed(headers, path, body, lambda: self._refund(charge))
            case ["GET", "v1", "charges"]:
                return _Answer(200, {"items": list(self.charges.values())[-1000:], "count": len(self.charges)})
            case ["GET", "v1", "charges", charge] if charge in self.charges:
                return _Answer(200, self.charges[charge])
        return _NOT_FOUND

    def _keyed(self, headers: dict[str, str], path: str, body: bytes, do: Callable[[], _Answer]) -> _Answer:
        """Do it once for each key, and answer again what was answered."""
        key = headers.get("idempotency-key", "")
        if not key:
            return _Answer(400, {"code": "idempotency_key_missing"})
        asked = path.encode() + body
        known = self._keys.get(key)
        if known is not None:
            if known[0] != asked:
                return _Answer(422, {"code": "idempotency_key_reused"})
            return replace(known[1], headers={"idempotent-replayed": "true"})
        answer = do()
        if answer.status < 400:  # noqa: PLR2004 - a refusal has done nothing, so there is nothing to remember
            self._keys[key] = (asked, answer)
            if len(self._keys) > MAX_CHARGES:
                self._keys.popitem(last=False)
        return answer

    def _charge(self, body: bytes) -> _Answer:
        try:
            wanted = ChargeIn.model_validate_json(body)
        except ValidationError:
            return _Answer(422, {"code": "validation_failed"})
        if wanted.reference == DECLINED:
            return _Answer(402, {"code": "card_declined"})
        charge = {"id": f"ch_{self._random.randbytes(8).hex()}", "status": "succeeded", **wanted.model_dump()}
        self.charges[charge["id"]] = charge
        if len(self.charges) > MAX_CHARGES:
            self.charges.popitem(last=False)
        return _Answer(201, charge)

    def _refund(self, charge: str) -> _Answer:
        if charge not in self.charges:
            return _NOT_FOUND
        self.charges[charge] = {**self.charges[charge], "status": "refunded"}
        return _Answer(201, self.charges[charge])


async def _respond(writer: asyncio.StreamWriter, answer: _Answer) -> None:
    body = json.dumps(answer.document).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **answer.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    phrase = HTTPStatus(answer.status).phrase
    writer.write(f"HTTP/1.1 {answer.status} {phrase}\r\n{head}\r\n".encode("latin-1") + body)
    await writer.drain()


async def run(port: int = DEFAULT_PORT, *, host: str = HOST, ready: Callable[[str], None] = print) -> None:
    """Serve until cancelled.

    Args:
        port: 0 lets the kernel choose.
        host: address to listen on; it charges nobody, and still is nothing for a network of strangers.
        ready: told the URL.
    """
    server = await PaymentsSimulator().serve(port, host)
    ready(f"http://{host}:{server.sockets[0].getsockname()[1]}")
    try:
        await asyncio.Event().wait()
    finally:
        server.close()  # and no wait for clients, which `async with` has since Python 3.12: they end with the loop
