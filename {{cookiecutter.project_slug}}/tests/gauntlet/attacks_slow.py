"""Clients that take their time. They wait beside the other attacks: it is a matter of waiting."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from tests.gauntlet.attack import Fault
from tests.gauntlet.forms import BOUNDARY, MULTIPART, URLENCODED
from tests.gauntlet.world import Call

if TYPE_CHECKING:
    from tests.gauntlet.world import Route, World

MARGIN: Final = 5.0
"""Seconds after its time in which a body that does not come has to be refused, on a busy machine."""

BEGUN: Final = {None: b'{"a"', URLENCODED: b"a=", MULTIPART: f"--{BOUNDARY}".encode()}
"""What is sent of a body that never comes, by what kind of form it is."""

LONGEST: Final = 20.0
"""Seconds that are waited at most; a route that gives a body longer is named instead."""


AT_A_TIME: Final = 8
"""Bodies that are held at a time: fewer than the service has places for, or nobody else would find one."""


class SlowClients:
    """Begins a body on each route that takes one, never ends it, and sees when it is refused."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pool = ThreadPoolExecutor(AT_A_TIME)
        self._held = {route.name: self._pool.submit(self._hold, route) for route in world.routes if self.applies(route)}
        self._pool.shutdown(wait=False)

    @staticmethod
    def applies(route: Route) -> bool:
        return route.schema is not None or route.other_body is not None

    def outcome(self, route: Route) -> Fault | str:
        """Return what came of a route, as soon as that is known: a fault, ``ok``, ``-``, or why it cannot be told."""
        return self._held[route.name].result() if route.name in self._held else "-"

    def _hold(self, route: Route) -> Fault | str:
        wait = float(route.facts["body_timeout"])
        if wait > LONGEST:
            return f"a body may take {wait:g} s"
        if route.closed:
            return "the route is closed"
        try:
            status = self._send(route, wait + MARGIN)
        except TimeoutError:
            text = f"a body that does not come holds a connection for more than {wait:g} s (guard: body_limit)"
            return Fault("BW706", text)
        except OSError as error:
            return Fault("BW706", f"a body that does not come: {type(error).__name__} where 408 was due")
        return (
            "ok"
            if status in {"408", "504"}
            else Fault("BW706", f"a body that does not come: {status} where 408 was due")
        )

    def _send(self, route: Route, patience: float) -> str:
        """Return the status that a body is answered with which never ends.

        Raises:
            TimeoutError: it was not answered in this many seconds.
            OSError: the connection broke.
        """
        call = Call(route, subject=self._world.subject("slow"))
        address = ("127.0.0.1", self._world.target.port)
        with socket.create_connection(address, timeout=patience) as connection:
            connection.sendall(self._world.head(call, 50) + BEGUN[route.form])
            answer = connection.recv(4096).decode("latin-1")
        return answer.split(" ", 2)[1] if answer.startswith("HTTP/1.1 ") else "no answer"
