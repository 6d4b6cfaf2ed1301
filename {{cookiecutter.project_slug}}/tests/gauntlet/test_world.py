"""A connection that ends under a request is no fault of a handler, and one that always does is."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.gauntlet.world import answered

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def serve(listener: socket.socket, *answers: int) -> threading.Thread:
    """Take so many connections, and end each after so many answers, as the next request comes."""

    def run() -> None:
        for number in answers:
            connection, _ = listener.accept()
            with connection:
                for _ in range(number):
                    connection.recv(65_536)
                    connection.sendall(ANSWER)
                connection.recv(65_536)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_kept_connection_that_ends_is_asked_again_over_another(listening: socket.socket) -> None:
    thread = serve(listening, 1, 1)
    with httpx2.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", trust_env=False) as client:
        assert client.get("/").status_code == 204
        assert answered(lambda: client.get("/")).status_code == 204
    thread.join(30)


def test_who_never_answers_is_told(listening: socket.socket) -> None:
    thread = serve(listening, 0, 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with httpx2.Client(base_url=url, trust_env=False) as client, pytest.raises(httpx2.RemoteProtocolError):
        answered(lambda: client.get("/"))
    thread.join(30)
