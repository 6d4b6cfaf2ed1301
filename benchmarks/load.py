"""A closed-loop HTTP/1.1 client that checks every answer: kept-alive connections, one request each.

One generator on every machine, and no ``wrk`` even where there is one: it cannot check answers, nor stop
after a number of requests, and numbers from two generators do not compare. Raw sockets and epoll keep this
client's core a quarter busy with the cheapest server, so that it is the server's core that is full.
"""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SILENCE = 10.0
"""Seconds without one byte from any connection after which a run is given up."""
MAX_ANSWER = 65_536
"""Bytes; the answers here have fewer than 2 KiB."""


class LoadError(RuntimeError):
    """An answer was wrong, late or missing: a number measured with it would mean nothing."""


@dataclass(frozen=True)
class Exchange:
    """A request and what its answer must begin with.

    Attributes:
        request: the bytes to send.
        status: the status that the answer must have.
        body_prefix: what its body must begin with.
    """

    request: bytes
    status: int
    body_prefix: bytes


@dataclass(frozen=True)
class Load:
    """What one run saw.

    Attributes:
        requests: how many were answered as they should be.
        seconds: wall time from first byte out to last byte in.
        client_busy: share of that time in which the client was on its CPU; near 1 it would be the bottleneck.
        latencies: seconds, one a request, sorted.
    """

    requests: int
    seconds: float
    client_busy: float
    latencies: tuple[float, ...]

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in seconds that the given share of requests did not exceed."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


class _Connection:
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self._received = bytearray()
        self._exchange: Exchange | None = None
        self._sent_at = 0.0

    def ask(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._sent_at = time.perf_counter()
        self.socket.sendall(exchange.request)

    def read(self) -> float | None:
        """Take what arrived; the latency in seconds once the answer is whole and right."""
        exchange = self._exchange
        data = self.socket.recv(MAX_ANSWER)
        if not data or exchange is None:
            raise LoadError("the server closed a connection, or answered what nobody asked")
        received = self._received
        received += data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            return None
        body_start = head_end + 4
        missing = body_start + _content_length(bytes(received[:body_start])) - len(received)
        if missing > 0:
            return None
        status = int(received[9:12])
        if missing < 0 or status != exchange.status or not received.startswith(exchange.body_prefix, body_start):
            raise LoadError(f"expected {exchange.status} {exchange.body_prefix!r}, got {bytes(received[:400])!r}")
        received.clear()
        self._exchange = None
        return time.perf_counter() - self._sent_at


def _content_length(head: bytes) -> int:
    start = head.lower().find(b"\r\ncontent-length:")
    if start < 0:
        raise LoadError(f"an answer without Content-Length: {head[:400]!r}")
    return int(head[start + 17 : head.index(b"\r\n", start + 2)])


def drive(port: int, exchanges: Sequence[Exchange], *, requests: int, connections: int) -> Load:
    """Send ``requests`` requests over ``connections`` connections, taking turns through ``exchanges``.

    Raises:
        LoadError: an answer was not the expected one, or none came for ``SILENCE`` seconds.
    """
    latencies: list[float] = []
    with contextlib.ExitStack() as stack, select.epoll() as poll, _collector_off():
        lines: dict[int, _Connection] = {}
        for _ in range(min(connections, requests)):
            line = _Connection(port)
            stack.callback(line.socket.close)
            poll.register(line.socket, select.EPOLLIN)
            lines[line.socket.fileno()] = line
        busy, started = time.process_time(), time.perf_counter()
        for sent, line in enumerate(lines.values()):
            line.ask(exchanges[sent % len(exchanges)])
        sent = len(lines)
        while len(latencies) < requests:
            events = poll.poll(SILENCE)
            if not events:
                raise LoadError(f"no answer within {SILENCE:g} seconds")
            for number, _ in events:
                line = lines[number]
                latency = line.read()
                if latency is None:
                    continue
                latencies.append(latency)
                if sent < requests:
                    line.ask(exchanges[sent % len(exchanges)])
                    sent += 1
        seconds = time.perf_counter() - started
        busy = time.process_time() - busy
    return Load(requests, seconds, busy / seconds, tuple(sorted(latencies)))


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    """No garbage collection in the client while it measures latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
