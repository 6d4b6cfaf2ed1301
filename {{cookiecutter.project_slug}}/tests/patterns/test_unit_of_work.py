"""One request, one transaction: over a real server, against both databases."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import Column, Integer, MetaData, Table, Text, event, insert, literal, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.patterns.unit_of_work import (
    ClientGone,
    ResponseTooLarge,
    TransactionOwned,
    UnitOfWork,
    UnitSession,
    WroteWhileReading,
)
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.types import Receive, Scope, Send

NOTES = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text, unique=True))
WAIT = 10.0


class Bench:
    """An application behind a unit of work, with what happened to it.

    Attributes:
        app: routes go here.
        errors: what came out of the unit of work, in order.
        settled: set whenever a request has ended.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.app = FastAPI()
        self._errors: list[BaseException] = []
        self.settled = threading.Event()
        self.gate = asyncio.Event()
        self.checked_out = 0
        self._url = url
        self._options = options
        self._engine: AsyncEngine | None = None

    @property
    def errors(self) -> list[BaseException]:
        """Wait for the end of a request: FastAPI's own 500 leaves before the error goes on."""
        assert self.settled.wait(WAIT)
        return self._errors

    @property
    def engine(self) -> AsyncEngine:
        if self._engine is None:
            arguments = {"pool_size": 2, "max_overflow": 0, "pool_timeout": 1}
            self._engine = create_async_engine(self._url, **arguments)
            event.listen(self._engine.sync_engine, "checkout", self._out)
            event.listen(self._engine.sync_engine, "checkin", self._in)
            if self._url.startswith("sqlite"):
                event.listen(self._engine.sync_engine, "connect", self._connected)
                event.listen(self._engine.sync_engine, "begin", self._begin)
        return self._engine

    def _out(self, *_: object) -> None:
        self.checked_out += 1

    def _in(self, *_: object) -> None:
        self.checked_out -= 1

    @staticmethod
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @staticmethod
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = UnitOfWork(self.app, sessions=lambda _scope, _reads: UnitSession(self.engine), **self._options)
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            await guarded(scope, receive, send)
        except BaseException as error:
            self._errors.append(error)
            if not isinstance(error, Exception):
                raise
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.settled.set()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.engine.begin() as connection:
            await connection.run_sync(NOTES.metadata.create_all)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.engine.dispose()
        await send({"type": "lifespan.shutdown.complete"})

    async def notes(self) -> list[str]:
        async with self.engine.connect() as connection:
            return list((await connection.scalars(select(NOTES.c.text).order_by(NOTES.c.id))).all())


def session_of(request: Request) -> UnitSession:
    session: UnitSession = request.scope["state"]["session"]()
    return session


@pytest.fixture
def bench(database_url: str) -> Bench:
    bench = Bench(database_url)

    @bench.app.get("/notes")
    async def notes() -> list[str]:
        return await bench.notes()  # on a connection of its own: what is committed, and nothing else

    return bench


@pytest.fixture
def url(bench: Bench) -> Iterator[str]:
    with serve(bench) as address:
        yield address


async def write(request: Request, note: str = "a") -> UnitSession:
    session = session_of(request)
    await session.execute(insert(NOTES).values(text=note))
    return session


def test_what_a_handler_wrote_is_committed_when_its_caller_reads_the_answer(bench: Bench, url: str) -> None:
    @bench.app.post("/")
    async def handler(request: Request) -> str:
        await write(request)
        return "done"

    assert httpx2.post(url).status_code == 200
    assert httpx2.get(f"{url}/notes").json() == ["a"]
    assert bench.checked_out == 0


def test_nothing_leaves_before_the_commit(bench: Bench, url: str) -> None:
    seen: list[list[str]] = []

    @bench.app.post("/")
    async def handler(request: Request) -> str:
        await write(request)
        return "done"

    app = bench.app

    class Watch:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def look(message: Any) -> None:
                seen.append(await bench.notes())
                await send(message)

            await UnitOfWork(app, sessions=lambda _s, _r: UnitSession(bench.engine))(scope, receive, look)

    bench.app = Watch()  # type: ignore[assignment]
    assert httpx2.post(url).status_code == 200
    assert seen == [["a"], ["a"]]


def test_an_answer_of_failure_rolls_back(bench: Bench, url: str) -> None:
    @bench.app.post("/raised")
    async def raised(request: Request, status: int) -> str:
        await write(request)
        raise HTTPException(status)

    @bench.app.post("/returned")
    async def returned(request: Request, status: int) -> Response:
        await write(request)
        return Response(status_code=status)

    for status in (400, 404, 409, 500, 503):
        for name in ("raised", "returned"):
            assert httpx2.post(f"{url}/{name}?status={status}").status_code == status
    assert httpx2.get(f"{url}/notes").json() == []


def test_every_status_below_400_commits(bench: Bench, url: str) -> None:
    @bench.app.post("/")
    async def handler(request: Request, status: int) -> Response:
        await write(request, str(status))
        return Response(status_code=status)

    for status in (201, 204, 303, 399):
        assert httpx2.post(f"{url}?status={status}").status_code == status
    assert httpx2.get(f"{url}/notes").json() == ["201", "204", "303", "399"]


def test_an_exception_rolls_back_and_gives_the_connection_back(bench: Bench, url: str) -> None:
    @bench.app.post("/")
    async def handler(request: Request) -> str:
        await write(request)
        raise ZeroDivisionError

    for _ in range(5):  # more than the pool has
        assert httpx2.post(url).status_code == 500
    assert httpx2.get(f"{url}/notes").json() == []
    assert bench.checked_out == 0


def test_a_commit_that_fails_is_no_success(bench: Bench, url: str) -> None:
    @bench.app.post("/")
    async def handler(request: Request) -> str:
        session = await write(request)
        event.listen(session.sync_session, "before_commit", fail)
        return "done"

    def fail(_session: object) -> None:
        raise ConnectionError("the server went away")

    assert httpx2.post(url).status_code == 500
    assert isinstance(bench.errors[0], ConnectionError)
    assert httpx2.get(f"{url}/notes").json() == []
    assert bench.checked_out == 0


def test_a_handler_cannot_end_the_transaction(bench: Bench, url: str) -> None:
    @bench.app.post("/")
    async def handler(request: Request, method: str) -> str:
        session = await write(request)
        ended = getattr(session, method)()
        if method == "begin":
            async with ended:
                pass
        await ended
        return "done"

    for method in ("commit", "rollback", "close", "begin", "reset", "invalidate"):
        bench.settled.clear()
        assert httpx2.post(f"{url}?method={method}").status_code == 500
        error = bench.errors[-1]
        assert isinstance(error, TransactionOwned)
        assert f"session.{method}() is not the handler's" in str(error)
    assert httpx2.get(f"{url}/notes").json() == []


def test_a_handler_cannot_end_it_through_the_synchronous_session_either(bench: Bench, url: str) -> None:
    @bench.app.post("/")
    async def handler(request: Request) -> str:
        session = await write(request)
        await session.run_sync(lambda sync: sync.commit())
        return "done"

    assert httpx2.post(url).status_code == 500
    assert isinstance(bench.errors[0], TransactionOwned)
    assert httpx2.get(f"{url}/notes").json() == []


def test_a_savepoint_is_the_handlers_own(bench: Bench, url: str) -> None:
    @bench.app.post("/")
    async def handler(request: Request) -> str:
        session = await write(request, "kept")
        try:
            async with session.begin_nested():
                await write(request, "lost")
                await write(request, "kept")  # it is there already
        except Exception:  # noqa: BLE001 - whichever error the driver has for it
            await write(request, "instead")
        return "done"

    assert httpx2.post(url).status_code == 200
    assert httpx2.get(f"{url}/notes").json() == ["kept", "instead"]


def test_a_request_without_a_statement_takes_no_connection(bench: Bench, url: str) -> None:
    taken: list[int] = []

    @bench.app.post("/")
    async def handler(request: Request) -> str:
        session_of(request)
        taken.append(bench.checked_out)
        return "done"

    assert httpx2.post(url).status_code == 200
    assert taken == [0]


def test_a_session_is_closed_for_good_when_its_answer_has_left(bench: Bench, url: str) -> None:
    failed = threading.Event()

    @bench.app.post("/")
    async def handler(request: Request, later: BackgroundTasks) -> str:
        session = await write(request)
        later.add_task(late, session)
        return "done"

    async def late(session: UnitSession) -> None:
        try:
            await session.execute(insert(NOTES).values(text="too late"))
        except Exception:
            failed.set()
            raise

    assert httpx2.post(url).status_code == 200
    assert failed.wait(WAIT)
    assert httpx2.get(f"{url}/notes").json() == ["a"]


@pytest.mark.parametrize(("size", "status"), [(100, 200), (101, 500)])
def test_the_answer_is_bounded(database_url: str, size: int, status: int) -> None:
    bench = Bench(database_url, max_response=100)

    @bench.app.post("/")
    async def handler(request: Request) -> Response:
        await write(request)
        return Response(b"x" * size)

    @bench.app.get("/notes")
    async def notes() -> list[str]:
        return await bench.notes()

    with serve(bench) as url:
        assert httpx2.post(url).status_code == status
        assert httpx2.get(f"{url}/notes").json() == (["a"] if status == 200 else [])
    assert [type(error) for error in bench.errors] == ([] if status == 200 else [ResponseTooLarge])


def test_a_streamed_answer_to_a_write_is_held_back_whole(bench: Bench, url: str) -> None:
    seen: list[list[str]] = []

    @bench.app.post("/")
    async def handler(request: Request) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            await write(request)
            yield b"one"
            seen.append(await bench.notes())
            yield b"two"

        return StreamingResponse(chunks())

    assert httpx2.post(url).text == "onetwo"
    assert seen == [[]]
    assert httpx2.get(f"{url}/notes").json() == ["a"]


def test_a_get_may_stream_what_it_reads(bench: Bench, url: str) -> None:
    @bench.app.get("/")
    async def handler(request: Request) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            for number in range(3):
                yield str(await session_of(request).scalar(select(literal(number + 1)))).encode()

        return StreamingResponse(chunks())

    assert httpx2.get(url).text == "123"
    assert bench.settled.wait(WAIT)  # the last chunk leaves before the connection goes back
    assert bench.checked_out == 0


def test_what_a_get_read_with_goes_back_before_its_answer_leaves(bench: Bench) -> None:
    seen: list[int] = []

    @bench.app.get("/")
    async def handler(request: Request) -> str:
        await session_of(request).scalar(select(literal(1)))
        seen.append(bench.checked_out)
        return "done"

    app = bench.app

    class Watch:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def look(message: Any) -> None:
                seen.append(bench.checked_out)
                await send(message)

            await UnitOfWork(app, sessions=lambda _s, _r: UnitSession(bench.engine))(scope, receive, look)

    bench.app = Watch()  # type: ignore[assignment]
    with serve(bench) as url:
        assert httpx2.get(url).status_code == 200
    assert seen == [1, 0, 0]


def test_a_get_commits_nothing(bench: Bench, url: str) -> None:
    @bench.app.get("/")
    async def handler(request: Request) -> str:
        await write(request)
        return "done"

    httpx2.get(url)
    assert httpx2.get(f"{url}/notes").json() == []


def test_a_get_whose_objects_changed_is_told(bench: Bench, url: str) -> None:
    from sqlalchemy.orm import registry

    class Note:
        def __init__(self, text: str) -> None:
            self.text = text

    registry().map_imperatively(Note, NOTES)

    @bench.app.get("/")
    async def handler(request: Request) -> str:
        session_of(request).add(Note("a"))
        return "done"

    assert httpx2.get(url).status_code == 500
    assert isinstance(bench.errors[0], WroteWhileReading)


def test_a_client_that_left_before_the_commit_has_done_nothing(bench: Bench, url: str) -> None:
    reached = threading.Event()
    proceed: list[Callable[[], object]] = []

    @bench.app.post("/")
    async def handler(request: Request) -> str:
        await write(request)
        go = asyncio.Event()
        proceed.append(partial(asyncio.get_running_loop().call_soon_threadsafe, go.set))
        reached.set()
        await go.wait()
        while not await request.is_disconnected():  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0)
        return "done"

    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        assert reached.wait(WAIT)
        bench.settled.clear()
    proceed[0]()
    assert bench.settled.wait(WAIT)
    assert isinstance(bench.errors[0], ClientGone)
    assert httpx2.get(f"{url}/notes").json() == []
    assert bench.checked_out == 0


def test_a_cancelled_request_rolls_back_and_leaks_nothing(bench: Bench, url: str) -> None:
    @bench.app.post("/")
    async def handler(request: Request) -> str:
        session = await write(request)
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        await session.execute(text("SELECT 1"))
        await asyncio.sleep(WAIT)
        return "done"

    for _ in range(5):  # more than the pool has
        with contextlib.suppress(httpx2.RemoteProtocolError):  # the server may still say 500
            assert httpx2.post(url).status_code == 500
    assert httpx2.get(f"{url}/notes").json() == []
    assert bench.checked_out == 0


async def test_a_request_leaves_nothing_for_the_garbage_collector() -> None:
    async def answers(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["state"]["session"].session is None
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> Any:
        raise AssertionError("nobody reads")

    async def send(_message: Any) -> None:
        return

    def no_session(_scope: Any, _read_only: bool) -> UnitSession:  # noqa: FBT001 - the pattern's signature
        raise AssertionError("nobody asked for it")

    app = UnitOfWork(answers, sessions=no_session)
    gc.collect()
    for _ in range(20):
        await app({"type": "http", "method": "POST"}, receive, send)
    assert gc.collect() == 0


def test_what_is_not_http_passes() -> None:
    passed: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope["type"])

    async def unused(*_: object) -> Any:
        raise AssertionError

    def no_session(*_: object) -> UnitSession:
        raise AssertionError

    asyncio.run(UnitOfWork(app, sessions=no_session)({"type": "websocket"}, unused, unused))
    assert passed == ["websocket"]
