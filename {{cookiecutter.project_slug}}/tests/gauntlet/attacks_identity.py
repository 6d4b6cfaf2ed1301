"""Who is calling: no token, bad tokens, a role that may not, a rate that is used up."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.gauntlet.attack import ATTACKS, CannotTell, Fault, check
from tests.gauntlet.values import NoValue
from tests.gauntlet.world import NO_SUCH, Call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gauntlet.world import Route, World

MAX_REQUESTS = 1_000
"""Requests of one caller that are sent to see a rate; a route that allows more is named instead."""


def protected(route: Route) -> bool:
    return not route.public


def some_call(world: World, route: Route) -> Call:
    """Return a request, valid as far as possible: who is refused before the body is read needs none that is."""
    try:
        return world.examples.get(route.name) or world.example(route)
    except NoValue:
        return Call(route, {part["name"]: NO_SUCH for part in route.parameters("path")})


@ATTACKS.attack("authentication", applies=protected, closed=True)
def no_token(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    answer = world.send(call, subject=None)
    yield from check(answer, {401}, "BW701", "without a token (guard: authentication)")
    if answer.status_code == 401 and "www-authenticate" not in answer.headers:
        yield Fault("BW701", "a 401 does not say how to authenticate")
    malformed = replace(call, raw=b'{"a": ', body=None)
    yield from check(
        world.send(malformed, subject=None),
        {401},
        "BW701",
        "a malformed body without a token is looked at (guard: authentication)",
    )


@ATTACKS.attack("authentication", applies=protected, closed=True)
def bad_tokens(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    good = world.token("owner")
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    tampered = _encoded({**claims, "sub": "root"})
    target = world.target
    bad = {
        "nonsense": "nonsense",
        "a signature that is cut": f"{head}.{body}.{signature[:-8]}",
        "other claims under the signature": f"{head}.{tampered}.{signature}",
        "no algorithm": f"{_encoded({'alg': 'none', 'typ': 'at+jwt'})}.{body}.",
        "an expired token": target.token("owner", clock=lambda: time.time() - 7200, lifetime=60),
        "a token of the future": target.token("owner", clock=lambda: time.time() + 7200),
        "another audience": target.token("owner", audience="somebody-else"),
        "another issuer's key": target.token("owner", key=target.folder / "other-issuer.json"),
    }
    for what, token in bad.items():
        world.secrets.add(token.rpartition(".")[2])
        yield from check(world.send(call, token=token), {401}, "BW701", f"{what} (guard: authentication)")
    basic = replace(call, headers={**call.headers, "authorization": "Basic YWRtaW46YWRtaW4="})
    yield from check(world.send(basic, subject=None), {401}, "BW701", "Basic credentials (guard: authentication)")


def _encoded(claims: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


@ATTACKS.attack("authorization", applies=lambda route: protected(route) and bool(route.facts["allow"]), closed=True)
def wrong_role(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    for roles in ((), ("nobody-of-the-gauntlet",)):
        token = world.target.token("nobody", roles)
        answer = world.send(call, token=token)
        yield from check(answer, {403}, "BW702", "a role that may not (guard: authorization)")
        if any(permission in answer.text for permission in route.facts["allow"]):
            yield Fault("BW710", "a 403 says which permission would open the route")


@ATTACKS.attack("rate_limit", applies=lambda route: route.facts["rate"] is not None)
def past_the_rate(world: World, route: Route) -> Iterator[Fault]:
    rate, window = route.facts["rate"]
    if rate > MAX_REQUESTS:
        raise CannotTell(f"{rate} requests would be needed to see its rate")
    call = some_call(world, route)
    # Every request counts; one whose body cannot be read costs the least.
    cheap = replace(call, raw=b"{", body=None) if route.schema is not None else call
    subject = None if route.public else world.subject("eager")
    began = time.monotonic()
    answers = [world.send(cheap, subject=subject, order="rate_limit") for _ in range(rate + 1)]
    if time.monotonic() - began > window and answers[-1].status_code != 429:
        raise CannotTell(f"{rate + 1} requests take longer than the {window:g} s of its rate")
    if any(answer.status_code == 429 for answer in answers[:-1]):
        yield Fault("BW705", f"refused before its rate of {rate} was used up")
    yield from check(answers[-1], {429}, "BW705", f"request {rate + 1} of {rate} (guard: rate_limit)")
    if answers[-1].status_code == 429 and not answers[-1].headers.get("retry-after", "").isdigit():
        yield Fault("BW705", "a 429 does not say when to come back")
    if not route.public:
        other = world.send(cheap, subject=world.subject("calm"), order="rate_limit")
        if other.status_code == 429:
            yield Fault("BW705", "one caller uses up the rate of another")
