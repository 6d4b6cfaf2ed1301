"""A body that never comes: what is refused in time holds, and every other end is named for what it is."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.gauntlet import attacks_slow
from tests.gauntlet.attack import Fault
from tests.gauntlet.attacks_slow import SlowClients
from tests.gauntlet.world import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY: dict[str, Any] = {"requestBody": {"content": {"application/json": {"schema": {}}}}}


@contextlib.contextmanager
def server(answer: bytes | None) -> Iterator[int]:
    """Answer one connection with these bytes and close it; None: hold it until the block ends."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                if answer is None:
                    ended.wait(timeout=60)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join(timeout=60)


@dataclass
class FakeWorld:
    port: int
    routes: list[Route]
    target: Any = field(init=False)

    def __post_init__(self) -> None:
        self.target = SimpleNamespace(port=self.port)

    def subject(self, what: str) -> str:
        return what

    def head(self, *_arguments: object) -> bytes:
        return b"POST / HTTP/1.1\r\n\r\n"


def outcome(answer: bytes | None, **facts: object) -> Fault | str:
    route = Route({"method": "POST", "path": "/", "allow": [], "body_timeout": 0.1, **facts}, BODY)
    with server(answer) as port:
        world: Any = FakeWorld(port, [route])
        return SlowClients(world).outcome(route)


@pytest.mark.parametrize("status", [b"408", b"504"])
def test_a_body_that_is_refused_in_time_holds(status: bytes) -> None:
    assert outcome(b"HTTP/1.1 " + status + b" Late\r\n\r\n") == "ok"


@pytest.mark.parametrize(("answer", "said"), [(b"HTTP/1.1 200 OK\r\n\r\n", "200"), (b"", "no answer")])
def test_another_end_is_said_as_what_it_is(answer: bytes, said: str) -> None:
    assert outcome(answer) == Fault("BW706", f"a body that does not come: {said} where 408 was due")


def test_a_connection_that_is_held_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks_slow, "MARGIN", 0.2)
    found = outcome(None)
    assert isinstance(found, Fault)
    assert found.text.endswith("holds a connection for more than 0.1 s (guard: body_limit)")


def test_what_would_take_too_long_or_lets_nobody_in_is_named() -> None:
    for facts, said in (
        ({"body_timeout": 300.0}, "a body may take 300 s"),
        ({"allow": ["breakwater:closed"]}, "the route is closed"),
    ):
        route = Route({"method": "POST", "path": "/", "allow": [], "body_timeout": 0.1, **facts}, BODY)
        world: Any = FakeWorld(0, [route])
        assert SlowClients(world).outcome(route) == said
