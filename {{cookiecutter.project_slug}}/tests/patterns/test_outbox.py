"""Work is there if and only if its data is; it is done at least once, in order where asked, and never lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, MetaData, event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.patterns.outbox import (
    LOST,
    MAX_CONTEXT,
    MAX_KEY,
    MAX_NAME,
    MAX_PAYLOAD,
    Discard,
    Message,
    MessageRefused,
    OutboxConfig,
    OutboxStore,
    OutboxWorker,
    outbox_table,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

METADATA = MetaData()
TABLE = outbox_table(METADATA)


class Failed(Exception):
    """What a function raises."""


class Bench:
    """A store with a clock of its own, and a worker whose function fails as it is told."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self.sessions = sessions
        self.now = 1_000_000.0
        self.store = OutboxStore(TABLE, sessions.begin, now=lambda: self.now)
        self.done: list[Message] = []
        self.failures: dict[str, list[Exception]] = {}
        self.seen: list[tuple[str, str]] = []
        self.worker = self.new_worker()

    def new_worker(self, **config: Any) -> OutboxWorker:
        return OutboxWorker(
            self.store, self.deliver, OutboxConfig(**config), uniform=lambda _low, high: high, observe=self.see
        )

    def see(self, event: str, *, message: Message | None, reason: str) -> None:
        self.seen.append((event, reason))

    async def deliver(self, message: Message) -> None:
        failures = self.failures.get(message.payload, [])
        if failures:
            raise failures.pop(0)
        self.done.append(message)

    async def add(self, *payloads: str, key: str | None = None, delay: float = 0.0) -> None:
        for payload in payloads:
            async with self.sessions.begin() as session:
                await self.store.add(session, Message("mail", payload, key, context="trace"), delay=delay)

    @property
    def payloads(self) -> list[str]:
        return [message.payload for message in self.done]


def begin_as_a_writer(engine: AsyncEngine) -> None:
    """Have SQLite take its lock when a transaction begins: a reader that becomes a writer cannot wait for it."""

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_async_engine(url)
    if url.startswith("sqlite"):
        begin_as_a_writer(engine)
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    yield Bench(async_sessionmaker(engine, expire_on_commit=False))
    await engine.dispose()


# --- the store ------------------------------------------------------------------------------------------------------


async def test_what_was_committed_is_done_with_all_that_it_holds(bench: Bench) -> None:
    await bench.add("a", key="order 7")
    assert await bench.worker.work_once() == 1
    (message,) = bench.done
    assert (message.name, message.payload, message.key, message.context) == ("mail", "a", "order 7", "trace")
    assert (message.id > 0, message.attempt) == (True, 1)
    assert await bench.store.counts() == {"todo": 0, "doing": 0, "dead": 0}
    assert bench.seen == [("done", "")]


async def test_what_was_rolled_back_was_never_there(bench: Bench) -> None:
    with contextlib.suppress(Failed):
        async with bench.sessions.begin() as session:
            await bench.store.add(session, Message("mail", "a"))
            raise Failed
    assert await bench.worker.work_once() == 0
    assert await bench.store.counts() == {"todo": 0, "doing": 0, "dead": 0}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
async def test_what_is_not_committed_yet_is_not_done(bench: Bench) -> None:
    async with bench.sessions.begin() as session:
        await bench.store.add(session, Message("mail", "a"))
        assert await bench.worker.work_once() == 0
    assert await bench.worker.work_once() == 1


async def test_what_is_for_later_is_done_later(bench: Bench) -> None:
    await bench.add("a", delay=60.0)
    bench.now += 59.9
    assert await bench.worker.work_once() == 0
    bench.now += 0.1
    assert await bench.worker.work_once() == 1


async def test_two_workers_never_take_the_same(bench: Bench) -> None:
    await bench.add(*(str(number) for number in range(20)))
    first, second = await asyncio.gather(bench.store.claim(10, 60.0), bench.store.claim(10, 60.0))
    third = await bench.store.claim(20, 60.0)
    ids = [message.id for message in (*first, *second, *third)]
    assert len(ids) == len(set(ids)) == 20


async def test_no_more_are_taken_than_there_is_room_for(bench: Bench) -> None:
    await bench.add(*"abc")
    assert [message.payload for message in await bench.store.claim(2, 60.0)] == ["a", "b"]


async def test_no_more_are_taken_whatever_way_postgresql_finds_them(bench: Bench) -> None:
    await bench.add(*"abc")
    async with bench.sessions.begin() as session:
        if session.get_bind().dialect.name == "postgresql":
            # What is left is a loop that asks once more for each row; the planner takes it by itself for some tables.
            for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize"):
                await session.execute(text(f"SET SESSION enable_{way} = off"))
    assert [message.payload for message in await bench.store.claim(1, 60.0)] == ["a"]


async def test_a_worker_that_died_keeps_its_message_for_as_long_as_its_lease(bench: Bench) -> None:
    await bench.add("a")
    (lost,) = await bench.store.claim(1, 60.0)
    bench.now += 59.9
    assert await bench.store.claim(1, 60.0) == []
    bench.now += 0.1
    (taken,) = await bench.store.claim(1, 60.0)
    assert (taken.id, taken.attempt) == (lost.id, 2)


async def test_who_comes_back_late_changes_nothing(bench: Bench) -> None:
    await bench.add("a")
    (late,) = await bench.store.claim(1, 60.0)
    bench.now += 60.0
    (owner,) = await bench.store.claim(1, 60.0)
    assert not await bench.store.done(late)
    assert not await bench.store.again(late, delay=0.0)
    assert not await bench.store.bury(late, error="x")
    assert await bench.store.counts() == {"todo": 0, "doing": 1, "dead": 0}
    assert await bench.store.done(owner)


@pytest.mark.parametrize(
    ("message", "bound"),
    [
        (Message("x" * MAX_NAME, "y" * MAX_PAYLOAD, "k" * MAX_KEY, "c" * MAX_CONTEXT), None),
        (Message("x" * (MAX_NAME + 1), ""), "name"),
        (Message("", ""), "name"),
        (Message("x", "y" * (MAX_PAYLOAD + 1)), "bytes"),
        (Message("x", "ü" * (MAX_PAYLOAD // 2 + 1)), "bytes"),
        (Message("x", "", "k" * (MAX_KEY + 1)), "key"),
        (Message("x", "", ""), "key"),
        (Message("x", "", None, "c" * (MAX_CONTEXT + 1)), "context"),
    ],
    ids=["at-every-bound", "long-name", "no-name", "large", "large-in-bytes", "long-key", "empty-key", "long-context"],
)
async def test_a_message_is_held_to_its_bounds(bench: Bench, message: Message, bound: str | None) -> None:
    async with bench.sessions.begin() as session:
        if bound is None:
            await bench.store.add(session, message)
            return
        with pytest.raises(MessageRefused, match=bound):
            await bench.store.add(session, message)


# --- order ----------------------------------------------------------------------------------------------------------


async def test_messages_of_one_key_are_done_one_after_the_other(bench: Bench) -> None:
    await bench.add("1", "2", "3", key="order 7")
    assert [message.payload for message in await bench.store.claim(10, 60.0)] == ["1"]
    bench.now += 60.0
    await bench.worker.work_once()
    assert bench.payloads == ["1", "2", "3"]


async def test_a_failure_holds_back_those_behind_it_and_no_others(bench: Bench) -> None:
    bench.failures["1"] = [Failed()]
    await bench.add("1", "2", key="order 7")
    await bench.add("other", key="order 8")
    await bench.add("free")
    await bench.worker.work_once()
    assert sorted(bench.payloads) == ["free", "other"]
    bench.now += 1.0
    await bench.worker.work_once()
    assert bench.payloads[2:] == ["1", "2"]


async def test_what_is_dead_holds_nobody_back(bench: Bench) -> None:
    bench.failures["1"] = [Discard("no")]
    await bench.add("1", "2", key="order 7")
    await bench.worker.work_once()
    assert bench.payloads == ["2"]


# --- failures -------------------------------------------------------------------------------------------------------


async def test_a_failure_is_tried_again_after_a_delay_that_doubles_up_to_a_bound(bench: Bench) -> None:
    bench.failures["a"] = [Failed() for _ in range(11)]
    await bench.add("a")
    delays = []
    for _ in range(11):
        await bench.worker.work_once()
        async with bench.sessions() as session:
            due = await session.scalar(select(TABLE.c.due_at))
        assert due is not None
        delays.append(due / 1000 - bench.now)
        bench.now = due / 1000
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]
    await bench.worker.work_once()
    assert bench.payloads == ["a"]
    assert bench.seen[:2] == [("retried", "Failed"), ("retried", "Failed")]


async def test_after_its_last_attempt_a_message_is_dead_and_kept_and_can_be_replayed(bench: Bench) -> None:
    bench.worker = bench.new_worker(attempts=2)
    bench.failures["a"] = [Failed(), Failed()]
    await bench.add("a", "b")
    await bench.worker.work_once()
    bench.now += 1.0
    await bench.worker.work_once()
    (dead,) = await bench.store.dead()
    assert (dead.payload, dead.attempt, dead.error) == ("a", 2, "Failed")
    assert await bench.store.counts() == {"todo": 0, "doing": 0, "dead": 1}
    assert bench.seen[-1] == ("dead", "Failed")
    assert await bench.store.dead(after=dead.id) == []
    assert await bench.store.replay([dead.id + 1000]) == 0
    assert await bench.store.replay([dead.id]) == 1
    await bench.worker.work_once()
    assert bench.payloads == ["b", "a"]
    assert bench.done[-1].attempt == 1


async def test_all_that_is_dead_can_be_replayed_at_once(bench: Bench) -> None:
    for payload in "abc":
        bench.failures[payload] = [Discard("no")]
    await bench.add(*"abcd")
    await bench.worker.work_once()
    assert await bench.store.replay() == 3
    await bench.worker.work_once()
    assert sorted(bench.payloads) == ["a", "b", "c", "d"]


async def test_what_will_never_succeed_is_dead_at_once(bench: Bench) -> None:
    bench.failures["a"] = [Discard("no such order")]
    await bench.add("a")
    await bench.worker.work_once()
    (dead,) = await bench.store.dead()
    assert (dead.attempt, dead.error) == (1, "Discard: no such order")


async def test_what_hangs_is_ended_and_tried_again(bench: Bench) -> None:
    async def hang(_message: Message) -> None:
        await asyncio.Event().wait()

    await bench.add("a")
    worker = OutboxWorker(bench.store, hang, OutboxConfig(timeout=0.01), observe=bench.see)
    await worker.work_once()
    assert bench.seen == [("retried", "TimeoutError")]


async def test_what_lets_a_cancellation_of_its_own_out_has_failed_and_is_counted(bench: Bench) -> None:
    async def give_up(_message: Message) -> None:
        raise asyncio.CancelledError

    await bench.add("a")
    worker = OutboxWorker(bench.store, give_up, OutboxConfig(attempts=1), observe=bench.see)
    await worker.work_once()
    assert bench.seen == [("dead", "CancelledError")]


async def test_what_ends_its_worker_each_time_is_dead_after_its_last_attempt(bench: Bench) -> None:
    await bench.add("a", key="k")
    await bench.add("b", key="k")
    worker = bench.new_worker(attempts=2)
    for attempt in (1, 2):
        (claimed,) = await bench.store.claim(10, 60.0)  # by a worker that dies with it
        assert claimed.attempt == attempt
        bench.now += 61.0
    await worker.work_once()
    (dead,) = await bench.store.dead()
    assert (dead.payload, dead.error, bench.seen[0]) == ("a", LOST, ("dead", LOST))
    assert bench.payloads == ["b"]


async def test_a_store_that_is_away_is_said_and_nothing_is_lost(bench: Bench) -> None:
    await bench.add("a")
    claim = bench.store.claim

    async def away(_limit: int, _lease: float) -> list[Message]:
        raise OperationalError("SELECT", {}, OSError())

    bench.store.claim = away  # type: ignore[assignment,method-assign]
    assert await bench.worker.work_once() == 0
    assert bench.seen == [("store_failed", "OperationalError")]
    bench.store.claim = claim  # type: ignore[method-assign]
    assert await bench.worker.work_once() == 1


async def test_a_message_whose_end_cannot_be_written_comes_back_with_its_lease(bench: Bench) -> None:
    async def away(_message: Message) -> bool:
        raise OperationalError("DELETE", {}, OSError())

    await bench.add("a")
    done, bench.store.done = bench.store.done, away  # type: ignore[assignment,method-assign]
    await bench.worker.work_once()
    bench.store.done = done  # type: ignore[method-assign]
    assert bench.seen == [("store_failed", "OperationalError")]
    assert await bench.worker.work_once() == 0
    bench.now += 75.0
    await bench.worker.work_once()
    assert bench.payloads == ["a", "a"]


# --- the worker's life ----------------------------------------------------------------------------------------------


class Gate:
    """A function that waits until it may end."""

    def __init__(self) -> None:
        self.begun, self.open = asyncio.Event(), asyncio.Event()
        self.running = self.peak = self.ended = 0

    async def __call__(self, _message: Message) -> None:
        self.running += 1
        self.peak = max(self.peak, self.running)
        self.begun.set()
        try:
            await self.open.wait()
            self.ended += 1
        finally:
            self.running -= 1


async def test_it_works_until_it_is_stopped_and_lets_what_runs_end(bench: Bench) -> None:
    gate = Gate()
    worker = OutboxWorker(bench.store, gate, observe=bench.see)
    running = asyncio.create_task(worker.run())
    await bench.add("a")
    worker.nudge()
    await asyncio.wait_for(gate.begun.wait(), 30.0)
    assert worker.in_flight == 1
    worker.stop()
    await bench.add("b")
    gate.open.set()
    await asyncio.wait_for(running, 30.0)
    # The second was added after it was stopped; a claim that was under way may still have taken it, and then did it.
    counts = await bench.store.counts()
    assert gate.ended >= 1
    assert (gate.ended + counts["todo"], counts["doing"]) == (2, 0)


async def test_what_does_not_end_in_time_is_given_back_and_not_counted(bench: Bench) -> None:
    gate = Gate()
    worker = OutboxWorker(bench.store, gate, OutboxConfig(grace=0.01), observe=bench.see)
    running = asyncio.create_task(worker.run())
    await bench.add("a")
    worker.nudge()
    await asyncio.wait_for(gate.begun.wait(), 30.0)
    worker.stop()
    await asyncio.wait_for(running, 30.0)
    assert bench.seen == [("returned", "")]
    (message,) = await bench.store.claim(1, 60.0)
    assert message.attempt == 1


async def test_a_worker_that_is_cancelled_leaves_nothing_running(bench: Bench) -> None:
    gate = Gate()
    worker = OutboxWorker(bench.store, gate, observe=bench.see)
    running = asyncio.create_task(worker.run())
    await bench.add("a")
    worker.nudge()
    await asyncio.wait_for(gate.begun.wait(), 30.0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (gate.running, worker.in_flight) == (0, 0)
    assert await bench.store.counts() == {"todo": 1, "doing": 0, "dead": 0}


async def test_so_many_at_a_time_and_no_more(bench: Bench) -> None:
    gate = Gate()
    worker = OutboxWorker(bench.store, gate, OutboxConfig(concurrency=2, poll=0.01))
    running = asyncio.create_task(worker.run())
    await bench.add(*"abcde")
    worker.nudge()
    async with asyncio.timeout(30):
        while gate.running < 2:  # noqa: ASYNC110 - it is the worker whose turns are waited for
            await asyncio.sleep(0.005)
        gate.open.set()
        while gate.ended < 5:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.005)
    worker.stop()
    await asyncio.wait_for(running, 30.0)
    assert gate.peak == 2


@pytest.mark.parametrize(
    "config",
    [{"concurrency": 0}, {"attempts": 0}, {"timeout": 0}, {"poll": 0}, {"base": 0}, {"cap": 0.5}, {"margin": -1}],
)
def test_a_config_that_makes_no_sense_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        OutboxConfig(**config)
