"""Ports that have to be known before anybody listens on them, or that are kept while nobody does."""

from __future__ import annotations

import contextlib
import secrets
import socket
from pathlib import Path

LEAST = 10_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that the kernel gives to nobody who asks for any port.

    One that it has just given out may be somebody else's a moment later. Where a server can say which port it has,
    have it ask for port 0 instead.
    """
    kernels_own = int(RANGE.read_text("ascii").split()[0]) if RANGE.exists() else 32_768
    for _ in range(100 if kernels_own > 2 * LEAST else 0):
        port = LEAST + secrets.randbelow(kernels_own - LEAST)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
