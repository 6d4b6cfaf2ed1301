"""Places orders, each many times at once, over connections that are kept, with as little work as can be.

``python -m tests.torture.flood TOKEN KEYS COPIES PORT...`` prints, as JSON, what became of each key's copies. It is a
process of its own with the lowest priority, because it stands for clients that have machines of their own: whoever is
measured beside it should wait for the service, and not for the flood.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass
from uuid import uuid4

PAUSE = 0.25
"""Seconds between two bursts, which keeps the machine below its limit: what is measured is waiting, not a full core."""
PATIENCE = 30.0
"""Seconds for the answers to a burst."""


@dataclass(frozen=True)
class Answer:
    """What one copy was told.

    Attributes:
        key: whose copy.
        status: of the answer.
        replayed: it says that it was given before.
        body: as it came.
    """

    key: str
    status: int
    replayed: bool
    body: str


def burst(connections: list[socket.socket], authorization: str) -> list[Answer]:
    """Send one order over all connections at once.

    Raises:
        TimeoutError: not all were answered in time.
    """
    key = uuid4().hex
    body = json.dumps({"sku": "swatch-oak", "quantity": 1, "note": key})
    request = (
        f"POST /v1/orders HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {authorization}\r\nidempotency-key: {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()
    for connection in connections:
        connection.sendall(request)
    answers: list[Answer] = []
    waiting = {connection.fileno(): (connection, bytearray()) for connection in connections}
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    end = time.monotonic() + PATIENCE
    while waiting:
        if time.monotonic() > end:
            raise TimeoutError(f"{len(waiting)} copies of {key} were not answered")
        for descriptor, _ in poll.poll(1000):
            connection, read = waiting[descriptor]
            read += connection.recv(65536)
            answer = whole(key, bytes(read))
            if answer is not None:
                answers.append(answer)
                poll.unregister(descriptor)
                del waiting[descriptor]
    return answers


def whole(key: str, read: bytes) -> Answer | None:
    """Return the answer that was read, None as long as a part of it is missing."""
    head, found, body = read.partition(b"\r\n\r\n")
    if not found:
        return None
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if len(body) < int(fields[b"content-length"]):
        return None
    return Answer(key, int(head[9:12]), fields.get(b"idempotent-replayed") == b"true", body.decode())


def main(authorization: str, keys: int, copies: int, ports: list[int]) -> list[Answer]:
    os.nice(19)
    connections = [socket.create_connection(("127.0.0.1", ports[number % len(ports)])) for number in range(copies)]
    answers: list[Answer] = []
    for _ in range(keys):
        answers += burst(connections, authorization)
        time.sleep(PAUSE)
    for connection in connections:
        connection.close()
    return answers


if __name__ == "__main__":
    told = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), [int(port) for port in sys.argv[4:]])
    json.dump([asdict(answer) for answer in told], sys.stdout)
