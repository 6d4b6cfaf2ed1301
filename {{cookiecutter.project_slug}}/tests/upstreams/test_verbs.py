"""Calls as they are: what a handler writes that knows nothing of retries, keys and circuits."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from app.upstreams import HttpUpstream, UpstreamBadAnswer, UpstreamRefused
from app.upstreams.client import _template
from tests.support.upstreams import Bench, bench

CHARGE: dict[str, Any] = {"amount": 500, "currency": "EUR", "reference": "order 7"}


def plain(on: Bench, **changes: Any) -> HttpUpstream:
    return on.client(**changes)


async def test_a_handler_posts_and_gets_and_reads_json() -> None:
    async with bench() as on:
        made = (await plain(on).post("/v1/charges", json=CHARGE)).json()
        read = await plain(on).get(f"/v1/charges/{made['id']}")
        assert (read.status, read.json()) == (200, made)
        assert (await plain(on).get("/v1/charges", params={"limit": "1"})).json()["count"] == 1


async def test_what_fails_in_between_is_tried_again_and_done_once() -> None:
    async with bench() as on:
        on.behave(error_rate=0.3)
        for number in range(10):
            await plain(on, key_for=lambda name, number=number: f"{number}-{name}").post("/v1/charges", json=CHARGE)
        assert len(on.simulator.charges) == 10
        assert on.simulator.requests > 10


async def test_the_second_call_of_a_request_is_another_and_the_request_tried_again_is_not() -> None:
    async with bench() as on:
        first, again = plain(on), plain(on)
        made = [(await client.post("/v1/charges", json=CHARGE)).json()["id"] for client in (first, first, again, again)]
        assert made[:2] == made[2:]
        assert made[0] != made[1]


async def test_calls_to_other_paths_have_other_keys() -> None:
    async with bench() as on:
        client = plain(on)
        for path, values in [("/v1/charges/{id}/refund", {"id": "a"}), ("/v1/charges/{id}/refund", {"id": "b"})]:
            with pytest.raises(UpstreamRefused):
                await client.post(path, values=values)
            values["key"] = on.simulator.last["idempotency-key"]
        with pytest.raises(UpstreamRefused):
            await client.patch("/v1/charges/a", json={})
        assert on.simulator.last["idempotency-key"] == "key-payments:PATCH /v1/charges/a [] 1"


async def test_a_request_without_a_key_sends_none_and_what_may_have_arrived_is_not_repeated() -> None:
    async with bench() as on:
        on.behave(mode="reset")
        with pytest.raises(UpstreamBadAnswer):
            await plain(on, key_for=None).post("/v1/charges", json=CHARGE)
        assert on.simulator.requests == 1
        assert "idempotency-key" not in on.simulator.last


@pytest.mark.parametrize("verb", ["put", "delete"])
async def test_what_may_be_repeated_by_its_method_has_no_key_and_is_repeated(verb: str) -> None:
    async with bench() as on:
        on.behave(mode="reset")
        with pytest.raises(UpstreamBadAnswer):
            await getattr(plain(on), verb)("/v1/charges/a")
        assert on.simulator.requests == 3
        assert "idempotency-key" not in on.simulator.last


async def test_a_page_where_json_should_be_counts_against_the_service() -> None:
    async with bench(attempts=1) as on:
        on.behave(mode="html")
        for _ in range(20):
            with pytest.raises(UpstreamBadAnswer, match="content_type"):
                await plain(on).get("/v1/charges")
        assert on.pipeline.check()["state"] == "degraded"


async def test_what_a_caller_sent_stays_in_its_segment_when_it_is_quoted() -> None:
    async with bench() as on:
        with pytest.raises(UpstreamRefused, match="status_404"):
            await plain(on).get(f"/v1/charges/{quote('a b?c=d', safe='')}")


@pytest.mark.parametrize(
    "value", ["../charges", "..", "a?b", "a#b", quote("a/b", safe=""), "%2e%2e", "%5Cx", "a\r\nb", "%00"]
)
async def test_what_would_leave_its_segment_is_not_sent(value: str) -> None:
    async with bench() as on:
        with pytest.raises(ValueError, match="template"):
            await plain(on).get(f"/v1/charges/{value}")
        assert on.simulator.requests == 0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/charges", "/v1/charges"), ("/v1/charges/{id}/refund", "/v1/charges/{id}/refund"),
        ("/v1/charges/ch_1a/refund", "/v1/charges/{}/refund"), ("/parcels/a%20b", "/parcels/{}"),
        ("/keys/" + "x" * 33, "/keys/{}"), ("/keys/" + "x" * 32, "/keys/" + "x" * 32),
    ],
)  # fmt: skip
def test_names_in_telemetry_hold_no_ids(path: str, name: str) -> None:
    assert _template(path) == name
