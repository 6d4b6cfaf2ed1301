"""Words and evidence are kept, whole and bounded, in a folder and in a real Redis; what cannot be read is said."""

from __future__ import annotations

import asyncio
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import count
from typing import TYPE_CHECKING, cast

import pytest
import structlog
from structlog.testing import capture_logs

from app.stages import control, service
from app.stages.control import Act, Control, ControlUnavailable, FolderControl, Order, RedisControl
from app.stages.evidence import BOUNDS, Evidence, verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ORDER = Order("GET /a", Act.QUARANTINE, "ann", "it leaks", 1000.0)


@pytest.fixture(params=["folder", "redis"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Control]:
    found: Control
    if request.param == "folder":
        found = FolderControl(tmp_path / "routes")
    else:
        found = RedisControl(request.getfixturevalue("redis_url"), f"test/{tmp_path.name}", 5.0)
    yield found
    await found.aclose()


async def test_nothing_is_there_at_first(kept: Control) -> None:
    assert (await kept.orders(), await kept.acts(), await kept.evidence()) == ({}, [], [])


async def test_the_last_word_about_a_route_holds_and_all_are_remembered(kept: Control) -> None:
    later = replace(ORDER, act=Act.RELEASE, at=1001.0, why="it's mended, 100 %")
    other = replace(ORDER, route="GET /b", at=1002.0)
    for order in (ORDER, later, other):
        await kept.give(order)
    assert await kept.orders() == {"GET /a": later, "GET /b": other}
    assert await kept.acts() == [other, later, ORDER]


async def test_a_promotion_holds_whatever_was_said_since(kept: Control) -> None:
    promotion = replace(ORDER, act=Act.PROMOTE)
    later = replace(ORDER, act=Act.PROMOTE, at=1003.0, route="GET /b")
    for order in (promotion, replace(ORDER, at=1001.0), replace(ORDER, act=Act.RELEASE, at=1002.0), later):
        await kept.give(order)
    assert await kept.promotions() == {"GET /a": promotion, "GET /b": later}


async def test_so_many_acts_are_remembered(kept: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "KEPT_ACTS", 3)
    for at in range(5):
        await kept.give(replace(ORDER, at=float(at)))
    assert [order.at for order in await kept.acts()] == [4, 3, 2]


async def test_evidence_of_all_processes_is_there_and_the_last_of_each(kept: Control) -> None:
    await kept.report("host/1", {"GET /a": {"requests": 1}})
    await kept.report("host/1", {"GET /a": {"requests": 2}})
    await kept.report("host/2", {"GET /a": {"requests": 5}})
    found = await kept.evidence()
    assert sorted(part["GET /a"]["requests"] for part in found) == [2, 5]


async def test_a_store_that_is_away_is_said_without_its_url(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    away: list[Control] = [
        RedisControl("redis://:hunter2@127.0.0.1:9/0", "s", 0.2),
        FolderControl(tmp_path / "file" / "routes"),
    ]
    for kept in away:
        for call in (kept.give(ORDER), kept.report("p", {})):
            with pytest.raises(ControlUnavailable) as caught:
                await call
            assert "hunter2" not in str(caught.value)


def test_orders_given_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    import asyncio

    folder = FolderControl(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: asyncio.run(folder.give(replace(ORDER, at=float(at)))), range(40)))
    assert sorted(order.at for order in asyncio.run(folder.acts())) == list(range(40))


async def test_a_file_that_somebody_spoilt_is_named_and_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "acts.json"
    for text in ("{", "[" * 100_000, "x" * (control.MAX_FILE + 1)):
        path.write_text(text)
        with pytest.raises(ControlUnavailable, match=r"acts\.json"):
            await FolderControl(tmp_path).give(ORDER)
        assert path.read_text() == text
    path.write_text(json.dumps([{"route": "GET /a", "act": "explode", "at": 1}, 7, {"route": 1}, {"act": "release"}]))
    assert await FolderControl(tmp_path).orders() == {}


@pytest.mark.parametrize("at", ["NaN", "Infinity", "-1", "253402300800", "1" + "0" * 400, "true"])
async def test_an_order_at_no_time_is_none_and_hides_no_other(tmp_path: Path, at: str) -> None:
    good = '{"route": "GET /b", "act": "release", "by": "bob", "why": "mended", "at": 1}'
    odd = f'{{"route": "GET /a", "act": "quarantine", "by": "ann", "why": "it leaks", "at": {at}}}'
    (tmp_path / "acts.json").write_text(f"[{odd}, {good}]", "utf-8")
    assert set(await FolderControl(tmp_path).orders()) == {"GET /b"}


async def test_what_somebody_spoilt_in_redis_hides_no_other_order(redis_url: str, tmp_path: Path) -> None:
    import redis

    kept = RedisControl(redis_url, f"spoilt-{tmp_path.name}", 5.0)
    await kept.give(ORDER)
    with redis.Redis.from_url(redis_url) as store:
        store.hset(f"breakwater:spoilt-{tmp_path.name}:orders", "GET /b", "[" * 100_000)
    assert await kept.orders() == {"GET /a": ORDER}
    await kept.aclose()


async def test_as_many_acts_as_are_remembered_can_be_read_again(tmp_path: Path) -> None:
    wordy = replace(ORDER, by="\U0001f30a" * 300, why="\U0001f30a" * 300)
    acts = [asdict(wordy)] * control.KEPT_ACTS
    (tmp_path / "acts.json").write_text(json.dumps(acts, ensure_ascii=False), "utf-8")
    kept = FolderControl(tmp_path)
    await kept.give(wordy)
    assert await kept.acts() == [wordy] * control.KEPT_ACTS


async def test_evidence_of_a_week_ago_is_forgotten(tmp_path: Path) -> None:
    folder = FolderControl(tmp_path)
    await folder.report("old", {"GET /a": {"requests": 1}})
    await folder.report("new", {"GET /a": {"requests": 2}})
    os.utime(tmp_path / "evidence-old.json", (1, 1))
    assert await folder.evidence() == [{"GET /a": {"requests": 2}}]
    assert not (tmp_path / "evidence-old.json").exists()


async def test_evidence_that_another_process_removes_meanwhile_is_no_failure(tmp_path: Path) -> None:
    folder = FolderControl(tmp_path)
    await folder.report("there", {"GET /a": {"requests": 2}})
    (tmp_path / "evidence-gone.json").symlink_to(tmp_path / "gone")  # listed, and not there when it is looked at
    assert await folder.evidence() == [{"GET /a": {"requests": 2}}]


async def test_evidence_of_so_many_processes_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "KEPT_PROCESSES", 2)
    folder = FolderControl(tmp_path)
    for number in range(3):
        await folder.report(f"p{number}", {})
        os.utime(tmp_path / f"evidence-p{number}.json", (time.time() - 10 + number,) * 2)
    assert len(await folder.evidence()) == 2


def test_evidence_adds_up() -> None:
    one, other = Evidence(), Evidence(strikes=2)
    for status in (200, 404, 500, 503, 0):
        one.ended(status, 0.0011)
    other.ended(200, 5.0)
    total = Evidence.sum([one.to_json(), json.loads(json.dumps(other.to_json())), {"requests": "x", "buckets": [1]}])
    assert (total.requests, total.errors, total.unavailable, total.refused, total.strikes) == (6, 2, 1, 1, 2)
    assert total.quantile(0.5) == BOUNDS[1]
    assert total.quantile(0.99) == pytest.approx(5.0, rel=0.5)
    assert total.error_ratio == pytest.approx(1 / 3)


def test_a_quantile_of_nothing_and_past_all_bounds_is_none() -> None:
    assert Evidence().quantile(0.5) is None
    slow = Evidence()
    slow.ended(200, 10**6)
    assert slow.quantile(0.5) is None


def test_the_verdict_names_what_speaks_against() -> None:
    well = Evidence(requests=1000, errors=10)
    assert verdict(well, admitted=True).speaks_for_it
    against = {
        "fewer than 1000": verdict(Evidence(requests=999), admitted=True),
        "more than 1%": verdict(Evidence(requests=1000, errors=11), admitted=True),
        "kept from something 1 times": verdict(replace(well, strikes=1), admitted=True),
        "quarantined 1 times": verdict(replace(well, quarantines=1), admitted=True),
        "the gate refuses": verdict(well, admitted=False),
        "the gate was not asked": verdict(well, admitted=None),
    }
    for words, found in against.items():
        assert not found.speaks_for_it
        assert words in str(found.against)


class Away:
    """Cannot be reached, and ends the watch at the fourth look."""

    def __init__(self) -> None:
        self.looks = 0

    async def orders(self) -> dict[str, Order]:
        self.looks += 1
        if self.looks > 3:
            raise asyncio.CancelledError
        raise ControlUnavailable("away")


async def test_what_is_away_is_said_once_and_stays_away_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is due at each look, and there is nothing to report."""
    monkeypatch.setattr(service, "LOOK_SECONDS", 0)
    now = count(0, service.REPORT_SECONDS)
    with capture_logs() as lines:
        log = structlog.get_logger()
        stages = service.Stages(cast("Control", Away()), log, limit=lambda: 10.0, clock=lambda: next(now))
        with pytest.raises(asyncio.CancelledError):
            await stages.watch()
    assert [line["state"] for line in lines] == ["unavailable"]
    assert stages.check()["control"] == "unavailable"
