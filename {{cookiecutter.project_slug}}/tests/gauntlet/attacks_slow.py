"""Clients that take their time. All routes are held at once, beside the other attacks: it is a matter of waiting."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from tests.gauntlet.attack import Fault
from tests.gauntlet.forms import BOUNDARY, MULTIPART, URLENCODED

if TYPE_CHECKING:
    from tests.gauntlet.world import Route, World

MARGIN: Final = 5.0
"""Seconds after its time in which a body that does not come has to be refused, on a busy machine."""

BEGUN: Final = {None: b'{"a"', URLENCODED: b"a=", MULTIPART: f"--{BOUNDARY}".encode()}
"""What is sent of a body that never comes, by what kind of form it is."""

LONGEST: Final = 20.0
"""Seconds that are waited at most; a route that gives a body longer is named instead."""


class SlowClients:
    """Begins a body on each route that takes one, never ends it, and sees when it is refused."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._found: dict[str, Fault | str] = {}
        self._threads = [
            threading.Thread(target=self._hold, args=(route,), daemon=True)
            for route in world.routes
            if self.applies(route)
        ]

    @staticmethod
    def applies(route: Route) -> bool:
        return route.schema is not None or route.other_body is not None

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def result(self, route: Route) -> Fault | str | None:
        """Return what came of a route: a fault, why it could not be told, or None where it was refused in time."""
        for thread in self._threads:
            thread.join(timeout=LONGEST + 2 * MARGIN)
        return self._found.get(route.name)

    def _hold(self, route: Route) -> None:
        wait = route.facts["body_timeout"]
        if wait > LONGEST:
            self._found[route.name] = f"a body may take {wait:g} s"
            return
        if route.closed:
            self._found[route.name] = "it is closed"
            return
        started = time.monotonic()
        status = self._send(route, wait + MARGIN)
        if status is None or time.monotonic() - started > wait + MARGIN:
            self._found[route.name] = Fault(
                "BW706", f"a body that does not come holds a connection for more than {wait:g} s (guard: body_limit)"
            )
        elif status not in {408, 504}:
            self._found[route.name] = Fault("BW706", f"a body that does not come: {status} where 408 was due")

    def _send(self, route: Route, patience: float) -> int | None:
        path = route.path.replace("{", "").replace("}", "")
        head = [
            f"{route.method} {path} HTTP/1.1",
            "host: gauntlet",
            f"content-type: {route.kind}",
            "content-length: 50",
        ]
        if not route.public:
            head.append(f"authorization: Bearer {self._world.target.token(f'slow-{id(route)}')}")
        if route.keyed:
            head.append("idempotency-key: slow-client-of-the-gauntlet")
        address = ("127.0.0.1", self._world.target.port)
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=patience) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + BEGUN[route.form])
            answer = connection.recv(4096)
            return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None
        return None
