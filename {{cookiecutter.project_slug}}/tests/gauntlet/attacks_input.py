"""What is sent: malformed, oversize, deep, unknown, at its bounds and past them, hostile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.gauntlet.attack import ATTACKS, CannotTell, Fault, check
from tests.gauntlet.attacks_identity import some_call
from tests.gauntlet.values import HOSTILE, MAX_DEPTH, NoValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.gauntlet.world import Call, Route, World

REFUSED = {400, 404, 409, 413, 415, 422}
CHUNK = 64 * 1024


def has_body(route: Route) -> bool:
    return route.body is not None


def takes_values(route: Route) -> bool:
    return has_body(route) or bool(route.parameters("path") or route.parameters("query"))


@ATTACKS.attack("problem_details", applies=has_body)
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
    form = replace(call, raw=b"a=b", body=None, headers={**call.headers, "content-type": "application/xml"})
    yield from check(world.send(form, subject=world.subject("clumsy")), REFUSED, "BW707", "XML as its body")


@ATTACKS.attack("body_limit", applies=lambda route: route.facts["max_body"] < 4 * 1024 * 1024)
def oversize(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    limit = route.facts["max_body"]
    large = replace(call, raw=b" " * (limit + 1), body=None)
    answer = world.send(large, subject=world.subject("large"))
    yield from check(answer, {413}, "BW706", f"a body of {limit + 1} bytes (guard: body_limit)")
    if has_body(route):
        deep = replace(call, raw=b"[" * 200 + b"]" * 200, body=None)
        answer = world.send(deep, subject=world.subject("deep"))
        yield from check(answer, {400, 413}, "BW706", "JSON that nests 200 deep (guard: body_limit)")
        if limit >= 60_000:
            deepest = replace(call, raw=b'{"a":' * 10_000 + b"1" + b"}" * 10_000, body=None)
            answer = world.send(deepest, subject=world.subject("deep"))
            yield from check(answer, {400, 413}, "BW706", "JSON that nests 10,000 deep (guard: body_limit)")


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
    for path, schema in fields(world, route, call):
        for what, value in world.generator.past_bounds(schema):
            answer = world.send(call.with_field(path, value), subject=world.subject("past"))
            yield from check(answer, REFUSED, "BW707", f"{'.'.join(path)}: {what}")
    if isinstance(call.body, dict):
        for name in (world.generator.resolve(route.body or {})).get("required", ()):
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
                yield from _echoes(answer.text, answer.headers.get("content-type", ""), text, part["name"])
        for path, schema in fields(world, route, call):
            if schema.get("type", "string") == "string" or "anyOf" in schema:
                answer = world.send(call.with_field(path, text), subject=world.subject("hostile"))
                yield from check(answer, set(), "BW707", f"{'.'.join(path)}: {what}")


def _echoes(said: str, kind: str, text: str, name: str) -> Iterator[Fault]:
    if text.startswith("<script") and text in said and "json" not in kind:
        yield Fault("BW710", f"{name}: markup comes back as it was sent, in {kind}")


@ATTACKS.attack(applies=has_body)
def unknown_fields(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    if not isinstance(call.body, dict):
        raise CannotTell("its body is no object")
    extra = {"is_admin": True, "role": "admin", "owner": "root", "owner_subject": "root", "tenant": "all", "price": 0}
    declared = set(world.generator.resolve(route.body or {}).get("properties", ()))
    sent = {name: value for name, value in extra.items() if name not in declared}
    answer = world.send(replace(call, body={**call.body, **sent}), subject=world.subject("pushy"))
    yield from check(answer, set(), "BW707", "fields that the model does not have")
    if answer.is_success:
        rows = [value for table in world.target.snapshot().values() for row in table for value in row]
        if "root" in rows:
            yield Fault("BW707", "a field that the model does not have reached the database: owner = root")


def fields(world: World, route: Route, call: Call) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield path and schema of every field of an example's body, through objects, not through lists."""
    if route.body is None or not isinstance(call.body, dict):
        return
    try:
        yield from _fields(world, route.body, call.body, (), 0)
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
