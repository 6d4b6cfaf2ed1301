"""Where people's words about routes lie, and the evidence: a folder for one machine, Redis for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from app.settings import Settings

KEPT_ACTS: Final = 1000
"""Acts that are remembered: years of them, in a service where they are rare."""

KEPT_SECONDS: Final = 7 * 86_400
"""Seconds that the evidence of a process is kept after its last word: a week of deployments."""

KEPT_PROCESSES: Final = 500
"""Processes whose evidence is added up; with more, the oldest are left out."""

MAX_WHY: Final = 300
"""Characters of a reason, and of a name."""

LAST_DATE: Final = 253_402_300_799
"""9999-12-31T23:59:59Z in seconds since the epoch: the last moment that can be shown."""

MAX_FILE: Final = 4 * 1024 * 1024
"""Bytes of a file that is read: a thousand routes of evidence are a quarter of that."""


class Act(StrEnum):
    """What a person may do with a route."""

    QUARANTINE = "quarantine"
    RELEASE = "release"
    PROMOTE = "promote"


class ControlUnavailable(Exception):
    """Words cannot be given, or read, at the moment; the text says why, without a secret."""


@dataclass(frozen=True, slots=True)
class Order:
    """A person's word about a route.

    Attributes:
        route: method and path template.
        act: what to do.
        by: who says it; one printable line, as the reason is, so that neither can pass for another order where they
            are listed.
        why: the reason.
        at: seconds since the epoch.
    """

    route: str
    act: Act
    by: str
    why: str
    at: float

    def __post_init__(self) -> None:
        """Make one line of each text."""
        for name in ("by", "why"):
            object.__setattr__(self, name, _line(getattr(self, name)))

    @classmethod
    def of(cls, value: object) -> Order | None:
        """Return the order that a JSON value holds, or None: what somebody wrote by hand may be anything."""
        if not isinstance(value, dict):
            return None
        route, act, by, why, at = (value.get(name) for name in ("route", "act", "by", "why", "at"))
        if not isinstance(route, str) or not route.isprintable() or not isinstance(act, str):
            return None
        if not isinstance(at, int | float) or isinstance(at, bool) or not 0 <= at <= LAST_DATE:  # NaN is not
            return None
        with contextlib.suppress(ValueError):
            return cls(route, Act(act), str(by), str(why), float(at))
        return None


class Control(Protocol):
    """Keeps orders and evidence."""

    async def orders(self) -> dict[str, Order]:
        """Return the last word about each route. Raises ``ControlUnavailable``."""

    async def promotions(self) -> dict[str, Order]:
        """Return the last promotion of each route: it holds, whatever was said since. Raises ``ControlUnavailable``."""

    async def give(self, order: Order) -> None:
        """Keep an order, and remember it. Raises ``ControlUnavailable``."""

    async def acts(self) -> list[Order]:
        """Return what was ordered, newest first. Raises ``ControlUnavailable``."""

    async def report(self, process: str, evidence: Mapping[str, Any]) -> None:
        """Keep the evidence of one process: route -> counts. Raises ``ControlUnavailable``."""

    async def evidence(self) -> list[dict[str, Any]]:
        """Return the evidence of each process. Raises ``ControlUnavailable``."""

    async def aclose(self) -> None:
        """Close what is open."""


class FolderControl:
    """Keeps them in a folder of this machine.

    Args:
        folder: made when there is something to keep.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def orders(self) -> dict[str, Order]:
        """Return the last word about each route."""
        return _last(await self.acts())

    async def promotions(self) -> dict[str, Order]:
        """Return the last promotion of each route."""
        return _last(order for order in await self.acts() if order.act is Act.PROMOTE)

    async def give(self, order: Order) -> None:
        """Keep an order."""
        await asyncio.to_thread(self._give, order)

    def _give(self, order: Order) -> None:
        with self._locked():
            acts = [asdict(order), *map(asdict, self._acts())][:KEPT_ACTS]
            self._write("acts.json", acts)

    async def acts(self) -> list[Order]:
        """Return what was ordered, newest first."""
        return await asyncio.to_thread(self._acts)

    def _acts(self) -> list[Order]:
        value = self._read(self._folder / "acts.json")
        found = [Order.of(each) for each in value[:KEPT_ACTS]] if isinstance(value, list) else []
        return [order for order in found if order is not None]

    async def report(self, process: str, evidence: Mapping[str, Any]) -> None:
        """Keep the evidence of one process."""
        await asyncio.to_thread(self._write, f"evidence-{_plain(process)}.json", dict(evidence))

    async def evidence(self) -> list[dict[str, Any]]:
        """Return the evidence of each process, and forget what is too old."""
        return await asyncio.to_thread(self._evidence)

    def _evidence(self) -> list[dict[str, Any]]:
        found = []
        try:
            files = sorted(((_changed(path), path) for path in self._folder.glob("evidence-*.json")), reverse=True)
        except OSError as error:
            raise ControlUnavailable(f"{self._folder}: {error.strerror}") from error
        for number, (changed, path) in enumerate(files):
            if number >= KEPT_PROCESSES or time.time() - changed > KEPT_SECONDS:
                with contextlib.suppress(OSError):  # another process may have been first
                    path.unlink()
                continue
            value = self._read(path)
            if isinstance(value, dict):
                found.append(value)
        return found

    async def aclose(self) -> None:
        """Nothing is open."""

    def _read(self, path: Path) -> Any:
        try:
            if path.stat().st_size > MAX_FILE:
                raise ControlUnavailable(f"{path}: larger than {MAX_FILE} bytes; move it away")
            return json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ControlUnavailable(f"{path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ControlUnavailable(f"{path}: not JSON; move it away") from error

    def _write(self, name: str, value: object) -> None:
        """Write a file whole: who reads it sees the old one or the new one."""
        path = self._folder / name
        new = path.with_suffix(f".{os.getpid()}.new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Not escaped: else a thousand acts could be more than is read.
            new.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
            new.replace(path)
        except OSError as error:
            raise ControlUnavailable(f"{path}: {error.strerror}") from error

    @contextlib.contextmanager
    def _locked(self) -> Any:
        import fcntl  # noqa: PLC0415 - not on every platform, and only commands that give orders need it

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ControlUnavailable(f"{self._folder}: {error.strerror}") from error


class RedisControl:
    """Keeps them in Redis, for every machine that shares it.

    Args:
        url: of the Redis.
        service: its name; services that share a Redis have their own words.
        timeout: seconds for one command.
    """

    def __init__(self, url: str, service: str, timeout: float) -> None:
        from redis.asyncio import Redis  # noqa: PLC0415 - most services start without it

        self._redis: Any = Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        self._prefix = f"breakwater:{_plain(service)}"

    async def orders(self) -> dict[str, Order]:
        """Return the last word about each route."""
        return await self._orders("orders")

    async def promotions(self) -> dict[str, Order]:
        """Return the last promotion of each route."""
        last = {route: order for route, order in (await self.orders()).items() if order.act is Act.PROMOTE}
        return await self._orders("promotions") | last

    async def _orders(self, key: str) -> dict[str, Order]:
        values = await self._do(self._redis.hgetall(f"{self._prefix}:{key}"))
        found = (Order.of(_json(value)) for value in values.values())
        return {order.route: order for order in found if order is not None}

    async def give(self, order: Order) -> None:
        """Keep an order."""
        text = json.dumps(asdict(order))
        async with self._redis.pipeline(transaction=True) as both:
            both.hset(f"{self._prefix}:orders", order.route, text)
            if order.act is Act.PROMOTE:
                both.hset(f"{self._prefix}:promotions", order.route, text)
            both.lpush(f"{self._prefix}:acts", text)
            both.ltrim(f"{self._prefix}:acts", 0, KEPT_ACTS - 1)
            await self._do(both.execute())

    async def acts(self) -> list[Order]:
        """Return what was ordered, newest first."""
        values = await self._do(self._redis.lrange(f"{self._prefix}:acts", 0, KEPT_ACTS - 1))
        found = (Order.of(_json(value)) for value in values)
        return [order for order in found if order is not None]

    async def report(self, process: str, evidence: Mapping[str, Any]) -> None:
        """Keep the evidence of one process."""
        key = f"{self._prefix}:evidence:{_plain(process)}"
        await self._do(self._redis.set(key, json.dumps(evidence), ex=KEPT_SECONDS))

    async def evidence(self) -> list[dict[str, Any]]:
        """Return the evidence of each process."""
        keys: list[Any] = []
        cursor = 0
        while True:
            cursor, some = await self._do(self._redis.scan(cursor, match=f"{self._prefix}:evidence:*", count=200))
            keys += some
            if not cursor or len(keys) >= KEPT_PROCESSES:
                break
        values = await self._do(self._redis.mget(keys[:KEPT_PROCESSES])) if keys else []
        found = (_json(value) for value in values if value is not None)
        return [value for value in found if isinstance(value, dict)]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _do(self, command: Any) -> Any:
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            return await command
        except (RedisError, OSError, TimeoutError) as error:
            raise ControlUnavailable(f"Redis: {type(error).__name__}") from error


def make_control(settings: Settings) -> Control:
    """Return where this service's words lie: Redis where there is one, else a folder."""
    if settings.redis_url is None:
        return FolderControl(settings.routes_path)
    return RedisControl(settings.redis_url.get_secret_value(), settings.service_name, settings.redis_timeout)


def _last(acts: Iterable[Order]) -> dict[str, Order]:
    """Return the first order about each route, of orders that are newest first."""
    last: dict[str, Order] = {}
    for order in acts:
        last.setdefault(order.route, order)
    return last


def _changed(path: Path) -> float:
    """Return when a file was written, seconds since the epoch; 0 if another process has removed it since."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:MAX_WHY])


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:100]


def _json(value: Any) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
