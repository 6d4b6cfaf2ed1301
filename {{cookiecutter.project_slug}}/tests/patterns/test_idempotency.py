"""A request with a key is done once, over a real server and with the store in both databases."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import Column, Integer, MetaData, Table, Text, event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from starlette.background import BackgroundTask

from app.patterns.idempotency import (
    MAX_REFUSAL,
    Claim,
    Idempotency,
    IdempotencyConfig,
    KeyInvalid,
    _without_boundary,
    parse_key,
)
from app.patterns.idempotency_store import SqlIdempotencyStore, idempotency_table, reap
from app.patterns.unit_of_work import UnitOfWork, UnitSession
from tests.support.live import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.types import Receive, Scope, Send

    Start = Callable[..., tuple["Bench", str]]

METADATA = MetaData()
RECORDS = idempotency_table(METADATA)
EFFECTS = Table("effects", METADATA, Column("id", Integer, primary_key=True), Column("what", Text))
BEGINNING = 1_000_000.0


class Bench:
    """An application behind a unit of work and the guard, with a clock of its own.

    Attributes:
        app: routes go here.
        clock: seconds since 1970, as the guard sees it.
        lingers: what a handler may do after its answer ends when this is set.
        statements: what went to the database, since the last ``clear``.
    """

    def __init__(self, url: str, **config: Any) -> None:
        self.app = FastAPI()
        self.clock = BEGINNING
        self.lingers = asyncio.Event()
        self.statements: list[str] = []
        self._url = url
        self._engine: AsyncEngine | None = None
        self._guard = Idempotency(
            self.app,
            config=IdempotencyConfig(**config),
            route="POST /",
            principal=lambda scope: dict(scope["headers"]).get(b"x-caller", b"alice").decode(),
            store=self.store,
            now=lambda: self.clock,
        )
        self._unit = UnitOfWork(self._guard, sessions=lambda _scope, _reads: UnitSession(self.engine))

    def store(self, scope: Scope) -> SqlIdempotencyStore:
        unit = scope["state"]["session"]
        return SqlIdempotencyStore(RECORDS, session=unit(), transaction=self.transaction, give_up=unit.give_up)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self.engine) as session, session.begin():
            yield session

    @property
    def engine(self) -> AsyncEngine:
        if self._engine is None:
            sqlite = self._url.startswith("sqlite")
            self._engine = create_async_engine(self._url, pool_size=1 if sqlite else 10, max_overflow=0)
            event.listen(self._engine.sync_engine, "before_cursor_execute", self._note)
            if sqlite:
                event.listen(self._engine.sync_engine, "connect", self._connected)
                event.listen(
                    self._engine.sync_engine, "begin", lambda c: c.connection.cursor().execute("BEGIN IMMEDIATE")
                )
        return self._engine

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.statements.append(statement)

    @staticmethod
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "lifespan":
            with contextlib.suppress(RuntimeError):  # a handler's own crash; FastAPI has answered it
                await self._unit(scope, receive, send)
            return
        await receive()
        async with self.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.engine.dispose()
        await send({"type": "lifespan.shutdown.complete"})


def work(bench: Bench) -> None:
    """Give the application a handler that has an effect, and a way to count them."""

    @bench.app.post("/", status_code=201)
    async def handler(request: Request, then: str = "ok") -> Response:
        session: AsyncSession = request.scope["state"]["session"]()
        body = await request.body()
        await session.execute(insert(EFFECTS).values(what=body.decode("latin-1")))
        if then == "refuse":
            raise HTTPException(409, "no")
        if then == "crash":
            raise RuntimeError
        if then == "slow":
            await asyncio.sleep(0.05)
        if then == "linger":
            return Response("done", 201, background=BackgroundTask(bench.lingers.wait))
        count = await session.scalar(select(func.count()).select_from(EFFECTS))
        key = request.scope["state"]["idempotency"]
        headers = {"location": f"/{count}", "set-cookie": "a=b", "x-number": str(count), "content-type": "text/plain"}
        return Response(f"effect {count} {key.key_for('charge') if key else None}", 201, headers)

    @bench.app.get("/end")
    async def end() -> None:
        bench.lingers.set()

    @bench.app.get("/effects")
    async def effects() -> int:
        async with bench.engine.connect() as connection:
            return int(await connection.scalar(select(func.count()).select_from(EFFECTS)) or 0)

    @bench.app.get("/statements")
    async def statements() -> list[str]:
        said, bench.statements = bench.statements, []
        return said


@pytest.fixture
def start(database_url: str) -> Iterator[Callable[..., tuple[Bench, str]]]:
    with contextlib.ExitStack() as stack:

        def begin(**config: Any) -> tuple[Bench, str]:
            bench = Bench(database_url, **config)
            work(bench)
            return bench, stack.enter_context(serve(bench))

        yield begin


def send(url: str, key: str | None = "k-1", body: bytes = b"a", caller: str = "alice", **query: str) -> httpx2.Response:
    headers = {"x-caller": caller} | ({"idempotency-key": key} if key is not None else {})
    return httpx2.post(url, content=body, headers=headers, params=query, timeout=20)


def effects(url: str) -> int:
    count: int = httpx2.get(f"{url}/effects").json()
    return count


def test_the_same_request_is_answered_alike_and_done_once(start: Start) -> None:
    _, url = start()
    first, second = send(url), send(url)
    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert effects(url) == 1


def test_of_the_headers_only_those_that_belong_to_the_answer_come_again(start: Start) -> None:
    _, url = start()
    first, second = send(url), send(url)
    assert (second.headers["location"], second.headers["content-type"]) == ("/1", "text/plain")
    assert {"set-cookie", "x-number"} <= first.headers.keys()
    assert not {"set-cookie", "x-number"} & second.headers.keys()


def test_fifty_copies_at_once_have_one_effect(start: Start) -> None:
    _, url = start()
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: send(url, then="slow"), range(50)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 409)
    assert effects(url) == 1


def test_copies_in_two_processes_have_one_effect(database_url: str) -> None:
    benches = [Bench(database_url), Bench(database_url)]  # two guards that share nothing but the database
    for bench in benches:
        work(bench)
    with serve(benches[0]) as one, serve(benches[1]) as two, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: send((one, two)[number % 2], then="slow"), range(20)))
        assert effects(one) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1


@pytest.mark.parametrize("then", ["refuse", "crash"])
def test_what_failed_has_left_nothing_and_may_be_tried_again(start: Start, then: str) -> None:
    _, url = start()
    assert send(url, then=then).status_code in {409, 500}
    assert effects(url) == 0
    assert send(url).status_code == 201  # another query, and still: nothing was kept of the first
    assert effects(url) == 1


@pytest.mark.parametrize("by", [{"body": b"b"}, {"then": "slow"}, {"body": b""}], ids=["body", "query", "no body"])
def test_another_request_under_the_same_key_is_refused(start: Start, by: dict[str, Any]) -> None:
    _, url = start()
    send(url)
    answer = send(url, **by)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert effects(url) == 1


def test_an_empty_body_is_a_request_like_any_other(start: Start) -> None:
    _, url = start()
    assert [send(url, body=b"").headers.get("idempotent-replayed") for _ in range(2)] == [None, "true"]
    assert effects(url) == 1


def test_the_key_of_another_caller_is_another_key(start: Start) -> None:
    _, url = start()
    mine, theirs = send(url), send(url, caller="bob")
    assert "idempotent-replayed" not in theirs.headers
    assert mine.content != theirs.content
    assert effects(url) == 2


def test_a_request_without_a_key_is_refused_where_one_is_required(start: Start) -> None:
    _, url = start()
    answer = send(url, key=None)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert "Send an Idempotency-Key" in answer.json()["detail"]
    assert effects(url) == 0


def test_a_request_without_a_key_passes_where_it_is_optional(start: Start) -> None:
    bench, url = start(required=False)

    @bench.app.post("/plain")
    async def plain(request: Request) -> bool:
        return "idempotency" in request.scope["state"]

    assert send(f"{url}/plain", key=None).json() is False
    assert [send(url).headers.get("idempotent-replayed") for _ in range(2)] == [None, "true"]


BAD = [
    "",
    '""',
    '"unclosed',
    'closed"',
    "two words",
    '"a" ; b=c',
    '"a", "b"',
    "a,b",
    "a;b",
    "a\\b",
    '"a\\b"',
    "k" * 256,
    '"' + "k" * 256 + '"',
    "9" * 300,
    "café",
    '"café"',
    "a\tb",
]


def test_what_is_no_key_is_refused_with_what_to_write(sqlite_url: str) -> None:
    bench = Bench(sqlite_url)
    work(bench)
    with serve(bench) as url:
        for key in BAD:
            answer = httpx2.post(url, headers=[(b"idempotency-key", key.encode())])
            assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid"), key
            assert "Idempotency-Key" in answer.json()["detail"]
        assert effects(url) == 0


def test_two_keys_are_refused_even_if_they_are_the_same(start: Start) -> None:
    _, url = start()
    answer = httpx2.post(url, headers=[("idempotency-key", "a"), ("idempotency-key", "a")])
    assert answer.json()["code"] == "idempotency_key_invalid"


@pytest.mark.parametrize("value", ["\x00", "a\x00b", "\x7f", "\x80"])
def test_a_character_that_servers_refuse_is_no_key_either(value: str) -> None:
    with pytest.raises(KeyInvalid):
        parse_key([value.encode("latin-1")], max_key=255)


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"8e03978e"', "8e03978e"),
        ('  "a b" ', "a b"),
        (r'"a\"b\\c"', r"a\"b\c".replace('\\"', '"')),
        ("k" * 255, "k" * 255),
        ('"' + "k" * 255 + '"', "k" * 255),
        ("a/b+c=:{}", "a/b+c=:{}"),
    ],
)
def test_a_key_is_taken_with_and_without_quotes(sent: str, key: str) -> None:
    assert parse_key([sent.encode()], max_key=255) == key


def test_a_quoted_key_is_the_same_as_the_bare_one(start: Start) -> None:
    _, url = start()
    send(url, key="k-1")
    assert send(url, key='"k-1"').headers["idempotent-replayed"] == "true"


def test_keys_callers_and_routes_cannot_be_shifted_into_each_other() -> None:
    def claim(principal: str, route: str, key: str) -> bytes:
        async def unused(*_: object) -> Any:
            raise AssertionError

        guard = Idempotency(
            unused,
            config=IdempotencyConfig(),
            route=route,
            principal=lambda _scope: principal,
            store=lambda _scope: unused,  # type: ignore[arg-type,return-value]
            now=lambda: 0.0,
        )
        return guard._claim({"path": "/", "query_string": b""}, key, b"").id

    assert len({claim("a", "b", "c"), claim("ab", "", "c"), claim("a", "bc", ""), claim("", "ab", "c")}) == 4


def test_a_form_is_the_same_under_another_boundary() -> None:
    def said(boundary: bytes, value: bytes, kind: bytes = b"multipart/form-data; boundary=%s") -> bytes:
        body = b'--%s\r\nContent-Disposition: form-data; name="a"\r\n\r\n%s\r\n--%s--\r\n' % (boundary, value, boundary)
        return _without_boundary([(b"content-type", kind % boundary)], body)

    assert said(b"one", b"1") == said(b"two", b"1") == said(b"three", b"1", b'multipart/form-data; boundary="%s"')
    assert said(b"one", b"1") != said(b"two", b"2")
    assert _without_boundary([(b"content-type", b"application/json")], b"--one") == b"--one"


def test_an_answer_is_forgotten_when_its_time_is_over(start: Start) -> None:
    bench, url = start(lifetime=100)
    send(url)
    bench.clock = BEGINNING + 99.9
    assert send(url).headers["idempotent-replayed"] == "true"
    bench.clock = BEGINNING + 100
    answer = send(url, body=b"something else")
    assert (answer.status_code, "idempotent-replayed" in answer.headers) == (201, False)
    assert effects(url) == 2


def test_the_keys_of_a_caller_are_bounded(start: Start) -> None:
    bench, url = start(max_keys=3, lifetime=100)
    assert [send(url, key=f"k-{number}").status_code for number in range(3)] == [201, 201, 201]
    answer = send(url, key="k-3")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_idempotency_keys")
    assert answer.headers["retry-after"] == "3600"
    assert send(url, key="k-0").headers["idempotent-replayed"] == "true"  # what is known is still answered
    assert send(url, key="k-0", caller="bob").status_code == 201
    bench.clock += 100
    assert send(url, key="k-3").status_code == 201


@pytest.mark.parametrize(("size", "status"), [(60, 201), (61, 500)])
def test_an_answer_that_is_too_large_to_keep_fails_and_leaves_nothing(start: Start, size: int, status: int) -> None:
    bench, url = start(max_response=60)

    @bench.app.post("/large")
    async def large(request: Request) -> Response:
        await request.scope["state"]["session"]().execute(insert(EFFECTS).values(what="large"))
        return Response(b"x" * size, 201)

    assert send(f"{url}/large").status_code == status
    assert effects(url) == (status == 201)


def test_a_refusal_without_an_end_is_not_held_without_one(start: Start) -> None:
    bench, url = start()
    taken: list[int] = []

    @bench.app.post("/endless")
    async def endless() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(200):
                taken.append(number)
                yield b"x" * (MAX_REFUSAL // 10)

        return StreamingResponse(parts(), 422)

    assert send(f"{url}/endless").status_code == 500
    assert len(taken) <= 12


@pytest.mark.parametrize(("size", "status"), [(100, 201), (101, 413)])
def test_a_request_that_is_too_large_to_compare_is_refused(start: Start, size: int, status: int) -> None:
    _, url = start(max_request=100)
    assert send(url, body=b"x" * size).status_code == status


def test_a_client_that_leaves_before_its_request_is_whole_has_asked_for_nothing(start: Start) -> None:
    _, url = start()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nidempotency-key: k-1\r\ncontent-length: 9\r\n\r\nhalf")
    assert send(url, body=b"the whole").status_code == 201
    assert effects(url) == 1


def test_a_key_costs_two_statements(start: Start) -> None:
    _, url = start(required=False)
    send(url, key=None)  # opens the connection
    httpx2.get(f"{url}/statements")

    @contextlib.contextmanager
    def counted() -> Iterator[list[str]]:
        said: list[str] = []
        yield said
        said += httpx2.get(f"{url}/statements").json()

    with counted() as plain:
        send(url, key=None)
    with counted() as keyed:
        send(url)
    with counted() as replayed:
        send(url)
    assert len(keyed) - len(plain) == 2
    assert len(replayed) == 1


def test_a_record_that_appeared_after_the_look_undoes_what_was_done(database_url: str) -> None:
    bench = Bench(database_url)
    work(bench)
    claim = Claim(b"i" * 32, "alice", b"f" * 32)

    async def race() -> list[Any]:
        async with bench.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
        answer = {"status": 201, "headers": "[]", "body": b"", "now": 1.0, "expires": 100.0}
        outcomes: list[Any] = []
        for _ in range(2):  # each has looked before the other has saved: what a snapshot may show
            async with bench.transaction() as session:
                store = SqlIdempotencyStore(
                    RECORDS,
                    session=session,
                    transaction=bench.transaction,
                    give_up=session.rollback,
                )
                outcomes.append(await store.save(claim, **answer))  # type: ignore[arg-type]
        await bench.engine.dispose()
        return outcomes

    assert asyncio.run(race()) == [True, False]


def test_whoever_was_overtaken_unseen_does_nothing_and_says_so(database_url: str) -> None:
    class Overtaken(Bench):
        def store(self, scope: Scope) -> SqlIdempotencyStore:
            store = super().store(scope)

            async def too_late(*_: object, **__: object) -> bool:
                return False  # what an insert finds that another one has overtaken

            store.save = too_late  # type: ignore[method-assign]
            return store

    bench = Overtaken(database_url)
    work(bench)
    with serve(bench) as url:
        answer = send(url)
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")
        assert effects(url) == 0


def test_on_postgresql_a_twin_in_another_transaction_is_told_without_waiting(postgres_url: str) -> None:
    bench = Bench(postgres_url)
    claim = Claim(b"i" * 32, "alice", b"f" * 32)

    async def run() -> list[str]:
        async with bench.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
        states: list[str] = []
        async with bench.transaction() as first, bench.transaction() as second:
            for session in (first, second):
                store = SqlIdempotencyStore(
                    RECORDS, session=session, transaction=bench.transaction, give_up=session.rollback
                )
                async with asyncio.timeout(5):
                    states.append((await store.claim(claim, now=1.0, max_keys=10)).state)
        await bench.engine.dispose()
        return states

    assert asyncio.run(run()) == ["granted", "busy"]


def test_what_is_dead_is_reaped_and_nothing_else(database_url: str) -> None:
    bench = Bench(database_url)

    async def run() -> list[int]:
        async with bench.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
            for number in range(5):
                row = {"id": bytes([number]) * 32, "principal": "a", "fingerprint": b"f", "expires_at": number * 1000}
                await connection.execute(insert(RECORDS).values(status=201, headers="[]", body=b"", **row))
        removed = []
        for _ in range(3):
            async with bench.transaction() as session:
                removed.append(await reap(session, RECORDS, now=3.0, limit=3))
        async with bench.engine.connect() as connection:
            removed.append(int(await connection.scalar(select(func.min(RECORDS.c.expires_at))) or 0))
        await bench.engine.dispose()
        return removed

    assert asyncio.run(run()) == [3, 1, 0, 4000]


# --- effects elsewhere ---


def test_an_external_effect_gets_the_same_key_each_time_it_is_tried(start: Start) -> None:
    bench, url = start(external=True, lease=5.0)
    seen: list[str] = []

    @bench.app.post("/charge", status_code=201)
    async def charge(request: Request) -> str:
        seen.append(request.scope["state"]["idempotency"].key_for("charge"))
        if len(seen) < 3:
            raise HTTPException(503)
        return seen[-1]

    assert [send(f"{url}/charge").status_code for _ in range(4)] == [503, 503, 201, 201]
    assert len(seen) == 3
    assert len(set(seen)) == 1
    send(f"{url}/charge", key="k-2")
    assert len(set(seen)) == 2


class Remembering:
    """A store that grants every claim, and remembers what became of it."""

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened

    async def claim_external(self, claim: Claim, **_about: Any) -> Any:
        return Granted(token=claim.id)

    async def settle(self, *_about: Any, **_answer: Any) -> bool:
        self._happened.append("settled")
        return True

    async def release(self, *_about: Any, **_when: Any) -> None:
        await asyncio.sleep(0)
        self._happened.append("released")


@dataclass(frozen=True)
class Granted:
    token: bytes
    state: str = "granted"
    answer: None = None


@pytest.mark.parametrize(("status", "first"), [(503, "released"), (201, "settled")])
def test_a_claim_has_ended_before_its_answer_leaves(status: int, first: str) -> None:
    """Who is told of a failure may try again at once, by another connection, and finds no claim in the way."""
    happened: list[str] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        happened.append(message["type"])

    guard = Idempotency(
        app,
        config=IdempotencyConfig(external=True),
        route="POST /charge",
        principal=lambda _scope: "alice",
        store=lambda _scope: Remembering(happened),  # type: ignore[arg-type,return-value]  # as much of one as is asked
        now=lambda: BEGINNING,
    )
    scope = {"type": "http", "method": "POST", "path": "/charge", "headers": [(b"idempotency-key", b"k-1")]}
    asyncio.run(guard(scope, receive, send))
    assert happened == [first, "http.response.start", "http.response.body"]


def test_a_failed_external_request_may_be_tried_at_once_but_only_as_it_was(start: Start) -> None:
    _, url = start(external=True, lease=1000.0)
    assert send(url, then="crash").status_code == 500
    assert effects(url) == 0
    answer = send(url, body=b"another payload", then="crash")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("external", [False, True])
def test_who_has_an_answer_gets_it_again_though_the_handler_is_not_done(start: Start, *, external: bool) -> None:
    _, url = start(external=external)
    first, second = send(url, then="linger"), send(url, then="linger")
    httpx2.get(f"{url}/end")
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["idempotent-replayed"] == "true"


def test_an_external_request_that_succeeded_is_answered_alike(start: Start) -> None:
    _, url = start(external=True)
    first, second = send(url), send(url)
    assert (second.content, second.headers["idempotent-replayed"]) == (first.content, "true")
    assert effects(url) == 1


async def _claimed(bench: Bench, now: float, lease: float) -> tuple[SqlIdempotencyStore, Claim, Any]:
    claim = Claim(b"i" * 32, "alice", b"f" * 32)
    session = UnitSession(bench.engine)

    async def give_up() -> None:
        await session.end(commit=False)

    store = SqlIdempotencyStore(RECORDS, session=session, transaction=bench.transaction, give_up=give_up)
    found = await store.claim_external(claim, now=now, lease=lease, expires=now + 100, max_keys=10)
    return store, claim, found


ANSWER: dict[str, Any] = {"status": 201, "headers": "[]", "body": b"done", "expires": BEGINNING + 100}


def test_the_claim_of_a_process_that_died_is_taken_over_after_its_lease(database_url: str) -> None:
    bench = Bench(database_url)

    async def run() -> list[str]:
        async with bench.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
        states = []
        for moment in (0.0, 4.9, 5.0):  # nobody ever settles or releases: as if each had been killed
            _, _, found = await _claimed(bench, BEGINNING + moment, 5.0)
            states.append(found.state)
        await bench.engine.dispose()
        return states

    assert asyncio.run(run()) == ["granted", "busy", "granted"]


def test_who_was_too_slow_finds_its_claim_lost(database_url: str) -> None:
    bench = Bench(database_url)

    async def run() -> list[bool]:
        async with bench.engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
        slow, claim, first = await _claimed(bench, BEGINNING, 5.0)
        late, _, second = await _claimed(bench, BEGINNING + 6, 5.0)
        outcomes = [await slow.settle(claim, first.token, **ANSWER)]
        await slow.release(claim, first.token, now=BEGINNING + 6)  # and cannot release what is another's now
        outcomes.append(await late.settle(claim, second.token, **ANSWER))
        await late._session.end(commit=True)  # type: ignore[attr-defined]
        await bench.engine.dispose()
        return outcomes

    assert asyncio.run(run()) == [False, True]


def test_a_claim_that_was_lost_undoes_what_was_done(postgres_url: str) -> None:
    # On SQLite nobody can take it over: whoever has written holds the only lock.
    bench = Bench(postgres_url, external=True, lease=5.0)
    work(bench)

    @bench.app.post("/slow", status_code=201)
    async def slow(request: Request) -> str:
        await request.scope["state"]["session"]().execute(insert(EFFECTS).values(what="slow"))
        if bench.clock == BEGINNING:
            bench.clock += 6
            bench._guard._running = type(bench._guard._running)()  # as if the other one came to another process
            async with httpx2.AsyncClient() as client:
                other = await client.post(f"{url}/slow", content=b"a", headers={"idempotency-key": "k-1"})
                assert other.status_code == 201
        return "done"

    with serve(bench) as url:
        answer = send(f"{url}/slow")
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_claim_lost")
        assert effects(url) == 1


def test_a_refusal_says_so_in_a_document_of_its_own(start: Start) -> None:
    _, url = start()
    answer = send(url, key=None)
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.text)["status"] == 400
