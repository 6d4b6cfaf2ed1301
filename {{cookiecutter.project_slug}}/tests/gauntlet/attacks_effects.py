"""What a request leaves behind: one effect however often it is sent, and none when it fails."""

from __future__ import annotations

import socket
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import httpx2

from tests.gauntlet.attack import ATTACKS, CannotTell, Fault, check, code_of, example_of
from tests.gauntlet.attacks_identity import some_call
from tests.gauntlet.attacks_input import fields
from tests.gauntlet.forms import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.gauntlet.world import Call, Route, World

AT_ONCE: Final = 6
"""Clients that send the same key at the same time."""

PATIENCE: Final = 10.0
CUT_WITHIN: Final = 5.0
"""Seconds in which a request has to end that was given a quarter of one: a machine may be busy."""

PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between tries; long enough for a busy machine."""


def keyed(route: Route) -> bool:
    return route.keyed


@ATTACKS.attack("idempotency", applies=lambda route: route.facts["idempotency"] == "required")
def no_key(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)  # the key is asked for before anybody looks at the rest
    before = world.target.snapshot()
    answer = world.send(call, key=None)
    yield from check(answer, {400}, "BW704", "without an Idempotency-Key (guard: idempotency)")
    if answer.status_code == 400 and code_of(answer) != "idempotency_key_missing":
        yield Fault("BW704", f"without an Idempotency-Key: refused for something else, {code_of(answer)}")
    answer = world.send(call, key="k" * 300)
    yield from check(answer, {400}, "BW704", "a key of 300 characters (guard: idempotency)")
    if world.target.snapshot() != before:
        yield Fault("BW704", "a request without a valid key had an effect (guard: idempotency)")


@ATTACKS.attack("idempotency", applies=keyed)
def a_key_again(world: World, route: Route) -> Iterator[Fault]:
    call, key = example_of(world, route), str(uuid.uuid4())
    first = world.send(call, key=key)
    if not first.is_success:
        raise CannotTell(f"its example is answered with {first.status_code} now")
    after = world.target.snapshot()
    second = world.send(call, key=key)
    yield from check(second, {first.status_code}, "BW704", "the same request again (guard: idempotency)")
    if second.headers.get("idempotent-replayed") != "true":
        yield Fault("BW704", "a repeated request is not marked as replayed (guard: idempotency)")
    elif second.content != first.content:
        yield Fault("BW704", "a replay differs from the first answer (guard: idempotency)")
    if world.target.snapshot() != after:
        yield Fault("BW704", "a repeated request had a second effect (guard: idempotency)")
    other = other_body(world, route, call)
    if other is not None:
        answer = world.send(other, key=key)
        yield from check(answer, {422}, "BW704", "a key that was used for another body (guard: idempotency)")
        if world.target.snapshot() != after:
            yield Fault("BW704", "a key that was used for another body had an effect (guard: idempotency)")


@ATTACKS.attack("idempotency", applies=keyed)
def a_key_at_once(world: World, route: Route) -> Iterator[Fault]:
    once = _once(world, route)
    call, key = example_of(world, route), str(uuid.uuid4())
    answers: list[httpx2.Response] = []

    def at_once() -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers.extend(pool.map(lambda _: world.send(call, key=key), range(AT_ONCE)))

    many = _delta(world, at_once)
    for answer in answers:
        if not answer.is_success:
            # 503: SQLite lets one write at a time and says so honestly.
            yield from check(
                answer, {409, 503}, "BW704", "the same key at once (guard: idempotency)", allowed=frozenset({503})
            )
    done = [answer for answer in answers if answer.is_success and "idempotent-replayed" not in answer.headers]
    if len(done) != 1:
        yield Fault("BW704", f"{len(done)} of {AT_ONCE} requests with one key were done (guard: idempotency)")
    if many != once:
        yield Fault("BW704", f"{AT_ONCE} requests with one key left {many}, one leaves {once} (guard: idempotency)")


@ATTACKS.attack("unit_of_work", applies=lambda route: route.writes)
def many_at_once(world: World, route: Route) -> Iterator[Fault]:
    """One caller, the same request, each time a key of its own: whoever is second is told so, and nothing is broken."""
    call = example_of(world, route)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: world.send(call), range(AT_ONCE)))
    for answer in answers:
        yield from check(answer, set(), "BW707", f"{AT_ONCE} of it at once", allowed=frozenset({503}))
        if answer.status_code == 503 and not answer.headers.get("retry-after", "").isdigit():
            yield Fault("BW709", f"{AT_ONCE} of it at once: a 503 does not say when to come back")
    yield from check(world.send(call), set(), "BW707", f"one more, after {AT_ONCE} of it at once")


@ATTACKS.attack("idempotency", "unit_of_work", applies=keyed)
def a_client_that_leaves(world: World, route: Route) -> Iterator[Fault]:
    once = _once(world, route)
    call, key = example_of(world, route), str(uuid.uuid4())

    answers: list[httpx2.Response] = []

    def leave_and_retry() -> None:
        _send_and_leave(world, call, key)
        answers.append(_until_done(world, call, key))

    left = _delta(world, leave_and_retry)
    if not answers[0].is_success:
        yield Fault("BW704", f"a client that left and tried again is answered with {answers[0].status_code}")
    elif left != once:
        yield Fault("BW704", f"a client that left and tried again left {left}, one request leaves {once}")


def _until_done(world: World, call: Call, key: str) -> httpx2.Response:
    """Send a request again, as a client does, until the one before it is out of the way."""
    for pause in PAUSES:
        answer = world.send(call, key=key)
        if answer.status_code not in {409, 503}:
            return answer
        time.sleep(pause)
    return answer


def _send_and_leave(world: World, call: Call, key: str) -> None:
    body = call.content or b""
    with socket.create_connection(("127.0.0.1", world.target.port), timeout=PATIENCE) as connection:
        connection.sendall(world.head(call, len(body), key=key) + body)


@ATTACKS.attack("problem_details")
def an_exception(world: World, route: Route) -> Iterator[Fault]:
    call = example_of(world, route)
    before = world.target.snapshot()
    for order, what in (("raise", "a handler that raises"), ("raise-after", "a handler that raises after its work")):
        answer = world.send(call, order=order)
        yield from check(answer, {500}, "BW709", f"{what} (guard: problem_details)", allowed=frozenset({500}))
        if world.target.snapshot() != before:
            yield Fault("BW709", f"{what} leaves an effect (guard: unit_of_work)")


@ATTACKS.attack("unit_of_work", applies=lambda route: bool(route.facts["session"]))
def no_database(world: World, route: Route) -> Iterator[Fault]:
    call = example_of(world, route)
    before = world.target.snapshot()
    answer = world.send(call, order="no-database")
    yield from check(answer, {503}, "BW709", "the database is away", allowed=frozenset({503}))
    if answer.status_code == 503 and not answer.headers.get("retry-after", "").isdigit():
        yield Fault("BW709", "a 503 does not say when to come back")
    if world.target.snapshot() != before:
        yield Fault("BW709", "a 503 left an effect")


@ATTACKS.attack("deadline")
def a_handler_that_hangs(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)  # its handler is not asked
    before = world.target.snapshot()
    hurried = replace(call, headers={**call.headers, "x-request-timeout-ms": "250"})
    try:
        answer = world.send(hurried, order="hang", patience=CUT_WITHIN)
    except httpx2.HTTPError as error:
        yield Fault("BW708", f"a handler that hangs is not cut ({type(error).__name__}) (guard: deadline)")
        return
    yield from check(answer, {504}, "BW708", "a handler that hangs (guard: deadline)", allowed=frozenset({504}))
    if world.target.snapshot() != before:
        yield Fault("BW708", "a request that was cut left an effect (guard: unit_of_work)")


def other_body(world: World, route: Route, call: Call) -> Call | None:
    """Return the same request with one field changed to another valid value."""
    for path, schema in fields(world, route, call):
        value: Any = call.body
        for name in path:
            value = value[name]
        if isinstance(value, File):
            return call.with_field(path, replace(value, content=value.content[1:] + b"x"))
        if schema.get("type") == "integer" and not isinstance(value, bool):
            step = 1 if value + 1 <= schema.get("maximum", value + 1) else -1
            return call.with_field(path, value + step)
        if (
            schema.get("type") == "string"
            and "format" not in schema
            and "enum" not in schema
            and "pattern" not in schema
        ):
            return call.with_field(path, (value + "x")[-schema.get("maxLength", 100) :])
    return None


def _once(world: World, route: Route) -> dict[str, int]:
    """Return what one request leaves."""
    call = example_of(world, route)
    return _delta(world, lambda: world.send(call))


def _delta(world: World, act: Callable[[], object]) -> dict[str, int]:
    """Return by how many rows each table grew."""
    before = _counts(world)
    act()
    return {
        table: count - before.get(table, 0) for table, count in _counts(world).items() if count != before.get(table, 0)
    }


def _counts(world: World) -> Counter[str]:
    return Counter({table: len(rows) for table, rows in world.target.snapshot().items()})
