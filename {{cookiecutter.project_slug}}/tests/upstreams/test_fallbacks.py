"""What stands in for an answer is named in the code, belongs to one caller, and is said in a header."""

from __future__ import annotations

import pytest
from starlette.datastructures import MutableHeaders

from app.upstreams import (
    Fallbacks,
    RequestFallback,
    UpstreamBadAnswer,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.upstreams.fallbacks import MAX_NAMES


class Service:
    def __init__(self) -> None:
        self.failure: Exception | None = None

    async def read(self, name: str, *, part: str = "all") -> str:
        if self.failure is not None:
            raise self.failure
        return f"{name}:{part}"


def bound(fallbacks: Fallbacks, *owner: str) -> tuple[RequestFallback, MutableHeaders]:
    headers = MutableHeaders()
    return RequestFallback(fallbacks, owner, headers), headers


async def test_an_older_answer_of_the_same_caller_stands_in_and_of_no_other() -> None:
    seen: list[tuple[str, str]] = []
    fallbacks, service = Fallbacks(lambda name, source: seen.append((name, source))), Service()
    alice, headers = bound(fallbacks, "acme", "alice")
    bob, _ = bound(fallbacks, "acme", "bob")
    assert await alice.stale("profiles", service.read, "p1") == "p1:all"
    assert headers.get("cache-status") is None
    service.failure = UpstreamUnavailable("connect")
    assert await alice.stale("profiles", service.read, "p1") == "p1:all"
    assert headers["cache-status"] == "profiles; hit; ttl=-1; detail=stale-if-error"
    with pytest.raises(UpstreamUnavailable):
        await bob.stale("profiles", service.read, "p1")
    assert seen == [("profiles", "stale")]


async def test_an_answer_to_other_arguments_does_not_stand_in() -> None:
    fallbacks, service = Fallbacks(lambda *_: None), Service()
    alice, _ = bound(fallbacks, "alice")
    await alice.stale("profiles", service.read, "p1", part="name")
    service.failure = UpstreamTimeout("timeout")
    assert await alice.stale("profiles", service.read, "p1", part="name") == "p1:name"
    assert await alice.default("profiles", "nobody", service.read, "p1", part="age") == "nobody"
    with pytest.raises(UpstreamTimeout):
        await alice.stale("profiles", service.read, "p2", part="name")


@pytest.mark.parametrize(
    "failure", [UpstreamUnavailable("x"), UpstreamTimeout("x"), UpstreamBadAnswer("x"), UpstreamRefused(503)]
)
async def test_a_failure_of_the_service_is_stood_in_for(failure: UpstreamError) -> None:
    service = Service()
    service.failure = failure
    alice, headers = bound(Fallbacks(lambda *_: None), "alice")
    assert await alice.default("profiles", "nobody", service.read, "p1") == "nobody"
    assert headers["cache-status"] == "profiles; fwd=miss; detail=default"


@pytest.mark.parametrize("failure", [UpstreamRefused(404), UpstreamRefused(403), ValueError("a bug")])
async def test_a_refusal_and_a_bug_are_not(failure: Exception) -> None:
    service = Service()
    alice, _ = bound(Fallbacks(lambda *_: None), "alice")
    await alice.stale("profiles", service.read, "p1")
    service.failure = failure
    with pytest.raises(type(failure)):
        await alice.default("profiles", "nobody", service.read, "p1")


def test_there_are_as_many_fallbacks_as_there_may_be_and_no_more() -> None:
    fallbacks = Fallbacks(lambda *_: None)
    made = [fallbacks.named(f"n{number}") for number in range(MAX_NAMES)]
    assert fallbacks.named("n0") is made[0]
    with pytest.raises(ValueError, match="64 fallbacks"):
        fallbacks.named("one-more")
