"""What is sent: malformed, oversize, deep, unknown, at its bounds and past them, hostile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tests.gauntlet.attack import ATTACKS, CannotTell, Fault, check, example_of
from tests.gauntlet.attacks_identity import some_call
from tests.gauntlet.forms import MULTIPART, URLENCODED
from tests.gauntlet.values import HOSTILE, MAX_DEPTH, NoValue
from tests.gauntlet.world import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx2

    from tests.gauntlet.world import Call, Route, World

REFUSED = {400, 404, 409, 413, 415, 422}
LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a body that is sent at most; a route that takes larger ones is named instead."""

FILLING: Final = {None: b" ", URLENCODED: b"&", MULTIPART: b"\n"}
"""A byte that means nothing at the end of a body, by what kind of form it is."""


def has_json(route: Route) -> bool:
    return route.body is not None


def has_body(route: Route) -> bool:
    return route.schema is not None


def takes_values(route: Route) -> bool:
    return has_body(route) or bool(route.parameters("path") or route.parameters("query"))


@ATTACKS.attack("problem_details", applies=has_json)
def malformed_body(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    bodies = {
        "half of a JSON document": b'{"a": ',
        "no body": b"",
        "a number": b"1",
        "null": b"null",
        "a list": b"[]",
        "bytes that are no UTF-8": b'{"a": "\xff\xfe"}',
        "NaN": b'{"a": NaN}',
        "a number of 400 digits": b'{"a": 1' + b"0" * 400 + b"}",
        "a key twice": b'{"a": 1, "a": 2}',
    }
    for what, raw in bodies.items():
        answer = world.send(replace(call, raw=raw, body=None), subject=world.subject("clumsy"))
        yield from check(answer, REFUSED, "BW707", f"{what} as its body")
    for kind in ("application/xml", URLENCODED, f"{MULTIPART}; boundary=a"):
        other = replace(call, raw=b"a=b", body=None, headers={**call.headers, "content-type": kind})
        answer = world.send(other, subject=world.subject("clumsy"))
        yield from check(answer, REFUSED, "BW707", f"{kind.partition(';')[0]} as its body")


@ATTACKS.attack("body_limit")
def oversize(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    limit = route.facts["max_body"]
    if limit > LARGEST:
        raise CannotTell(f"a body of more than {limit} bytes would have to be sent")
    large = replace(call, raw=b" " * (limit + 1), body=None)
    answer = world.send(large, subject=world.subject("large"))
    yield from check(answer, {413}, "BW706", f"a body of {limit + 1} bytes (guard: body_limit)")
    if has_json(route):
        deep = replace(call, raw=b"[" * 200 + b"]" * 200, body=None)
        answer = world.send(deep, subject=world.subject("deep"))
        yield from check(answer, {400, 413}, "BW706", "JSON that nests 200 deep (guard: body_limit)")
        if limit >= 60_000:
            deepest = replace(call, raw=b'{"a":' * 10_000 + b"1" + b"}" * 10_000, body=None)
            answer = world.send(deepest, subject=world.subject("deep"))
            yield from check(answer, {400, 413}, "BW706", "JSON that nests 10,000 deep (guard: body_limit)")


@ATTACKS.attack("body_limit", applies=has_body)
def a_full_body(world: World, route: Route) -> Iterator[Fault]:
    """An honest request of as many bytes as the route takes, filled up with what means nothing."""
    limit = route.facts["max_body"]
    if limit > LARGEST:
        raise CannotTell(f"a body of {limit} bytes would have to be sent")
    for way in WAYS:
        call = example_of(world, route)
        content = call.content or b""
        filled = replace(call, raw=content + FILLING[route.form] * (limit - len(content)), body=None)
        status = world.send(filled, way=way).status_code
        if status in {400, 408, 413} or status >= 500:
            yield Fault("BW706", f"an honest body of {limit} bytes, sent {way}, is answered with {status}")


@ATTACKS.attack(applies=takes_values)
def past_each_bound(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    for place in ("path", "query"):
        for part in route.parameters(place):
            for what, value in world.generator.past_bounds(part.get("schema", {})):
                if place == "path" and value == "":
                    continue
                answer = world.send(call.with_parameter(place, part["name"], value), subject=world.subject("past"))
                yield from check(answer, REFUSED, "BW707", f"{part['name']}: {what}")
    required = world.generator.resolve(route.schema or {}).get("required", ())
    for path, schema in fields(world, route, call):
        for what, value in world.generator.past_bounds(schema):
            if route.form is not None and value in ("", []) and path[0] not in required:
                continue  # a form does not tell what is empty from what is not there
            answer = world.send(call.with_field(path, value), subject=world.subject("past"))
            yield from check(answer, REFUSED, "BW707", f"{'.'.join(path)}: {what}")
    if isinstance(call.body, dict):
        for name in required:
            body = {key: value for key, value in call.body.items() if key != name}
            answer = world.send(replace(call, body=body), subject=world.subject("past"))
            yield from check(answer, REFUSED, "BW707", f"without {name}")


@ATTACKS.attack(applies=takes_values)
def at_each_bound(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    for place in ("path", "query"):
        for part in route.parameters(place):
            for value in world.generator.at_bounds(part.get("schema", {})):
                answer = world.send(call.with_parameter(place, part["name"], value), subject=world.subject("edge"))
                yield from check(answer, set(), "BW707", f"{part['name']} = {str(value)[:40]}")
    for path, schema in fields(world, route, call):
        for value in world.generator.at_bounds(schema):
            answer = world.send(call.with_field(path, value), subject=world.subject("edge"))
            yield from check(answer, set(), "BW707", f"{'.'.join(path)} = {str(value)[:40]}")


@ATTACKS.attack(applies=takes_values)
def hostile_strings(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    for what, text in HOSTILE.items():
        for place in ("path", "query"):
            for part in route.parameters(place):
                # A longer line is refused below the service, by its server.
                answer = world.send(
                    call.with_parameter(place, part["name"], text[:2000]), subject=world.subject("hostile")
                )
                yield from check(answer, set(), "BW707", f"{part['name']}: {what}")
                yield from echoes(answer, text, part["name"])
        for path, schema in fields(world, route, call):
            if schema.get("type", "string") == "string" or "anyOf" in schema:
                answer = world.send(call.with_field(path, text), subject=world.subject("hostile"))
                yield from check(answer, set(), "BW707", f"{'.'.join(path)}: {what}")
                yield from echoes(answer, text, ".".join(path))


def echoes(answer: httpx2.Response, text: str, name: str) -> Iterator[Fault]:
    """Yield a fault where markup comes back as it was sent, in what a browser would read as markup."""
    kind = answer.headers.get("content-type", "")
    if text.startswith("<script") and text in answer.text and "json" not in kind:
        yield Fault("BW710", f"{name}: markup comes back as it was sent, in {kind}")


@ATTACKS.attack(applies=has_body)
def unknown_fields(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    if not isinstance(call.body, dict):
        raise CannotTell("its body is no object")
    extra = {"is_admin": True, "role": "admin", "owner": "root", "owner_subject": "root", "tenant": "all", "price": 0}
    declared = set(world.generator.resolve(route.schema or {}).get("properties", ()))
    sent = {name: value for name, value in extra.items() if name not in declared}
    answer = world.send(replace(call, body={**call.body, **sent}), subject=world.subject("pushy"))
    yield from check(answer, set(), "BW707", "fields that the model does not have")
    if answer.is_success:
        rows = [value for table in world.target.snapshot().values() for row in table for value in row]
        if "root" in rows:
            yield Fault("BW707", "a field that the model does not have reached the database: owner = root")


def fields(world: World, route: Route, call: Call) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield path and schema of every field of an example's body, through objects, not through lists."""
    if route.schema is None or not isinstance(call.body, dict):
        return
    try:
        yield from _fields(world, route.schema, call.body, (), 0)
    except NoValue:
        return


def _fields(
    world: World, schema: Mapping[str, Any], value: Any, path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    resolved = world.generator.resolve(schema)
    for name, part in resolved.get("properties", {}).items():
        if not isinstance(value, dict) or name not in value:
            continue
        inner = world.generator.resolve(part)
        yield (*path, name), dict(inner)
        if isinstance(value[name], dict) and depth < MAX_DEPTH:
            yield from _fields(world, inner, value[name], (*path, name), depth + 1)
