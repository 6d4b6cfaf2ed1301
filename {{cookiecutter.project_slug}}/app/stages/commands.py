"""What people do with routes from the command line, and what they are shown."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.policy import Said
from app.policy.names import nearest
from app.settings import BootRefused
from app.stages.control import Act, ControlUnavailable, Order, make_control
from app.stages.evidence import Evidence, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.policy import Policy, RoutePolicy
    from app.settings import Settings

SHOWN_ACTS = 20
"""Acts that a list shows: what a person looks back on."""


def entry_of(policy: Policy, route: str) -> RoutePolicy:
    """Return the entry of ``GET /path``.

    Raises:
        BootRefused: there is none; names the nearest one.
    """
    names = {f"{method} {path}": entry for (method, path), entry in policy.routes.items()}
    if route not in names:
        near = nearest(route, tuple(names))
        hint = f"did you mean {near!r}?" if near else "app routes lists them"
        raise BootRefused([f"{policy.source.name} has no route {route!r}; {hint}"])
    return names[route]


async def order(settings: Settings, policy: Policy, act: Act, *, route: str, by: str, why: str) -> str:
    """Give an order to every process that shares the control, and return what to tell.

    Raises:
        BootRefused: there is no such route, or it cannot be given.
    """
    entry = entry_of(policy, route)
    if act is Act.PROMOTE and entry.stage != "probation":
        raise BootRefused([f"{policy.source.name}:{entry.line}: {route} is not on probation"])
    control = make_control(settings)
    try:
        await control.give(Order(route, act, by, why, time.time()))
    except ControlUnavailable as error:
        raise BootRefused([f"the order was not given: {error}"]) from error
    finally:
        await control.aclose()
    told = f"{act}: {route}, by {by}: {why}. Every process obeys within two seconds."
    if act is Act.PROMOTE:
        told += f'\nTo make it last, write stage = "active" at {policy.source.name}:{entry.line}.'
    return told


async def acts(settings: Settings) -> str:
    """Return what people have done with routes, newest first.

    Raises:
        BootRefused: it cannot be read.
    """
    control = make_control(settings)
    try:
        found = await control.acts()
    except ControlUnavailable as error:
        raise BootRefused([str(error)]) from error
    finally:
        await control.aclose()
    lines = [
        f"{_moment(each.at)}  {each.act:<10}  {each.route}  by {each.by}: {each.why}" for each in found[:SHOWN_ACTS]
    ]
    return "\n".join(lines) or "nobody has done anything with a route yet"


async def in_force(settings: Settings, policy: Policy) -> dict[str, Said]:
    """Return the stage that people's words give to routes, where that is another than their entry's.

    What a process does by itself, such as taking a route out that fails, is known to that process only: ``/readyz``.

    Raises:
        ControlUnavailable: it cannot be read.
    """
    control = make_control(settings)
    try:
        orders, promotions = await control.orders(), await control.promotions()
    finally:
        await control.aclose()
    found = {}
    for (method, path), entry in policy.routes.items():
        route = f"{method} {path}"
        last, promoted = orders.get(route), promotions.get(route)
        words = []
        if last is not None and last.act is Act.QUARANTINE:
            words.append(("quarantined", f"quarantined {_by(last)}"))
        if promoted is not None and entry.stage == "probation":
            words.append(("active", f"promoted {_by(promoted)}"))
        if words:
            source = "; ".join(said for _, said in words)
            found[route] = Said(words[0][0], f"{source}; {policy.source.name}:{entry.line} says {entry.stage}")
    return found


def _by(order: Order) -> str:
    return f"by {order.by}, {_moment(order.at)}: {order.why}"


async def evidence(settings: Settings, policy: Policy, route: str, gate: Callable[[], bool | None]) -> tuple[str, bool]:
    """Return what speaks for a route and against it, and whether it speaks for promotion.

    Args:
        settings: where the evidence lies.
        policy: has the route.
        route: method and path template.
        gate: asks the gate about the handler; None if it was not asked.

    Raises:
        BootRefused: there is no such route, or the evidence cannot be read.
    """
    entry = entry_of(policy, route)
    control = make_control(settings)
    try:
        parts = [part[route] for part in await control.evidence() if isinstance(part.get(route), dict)]
        last, promoted = (await control.orders()).get(route), route in await control.promotions()
    except ControlUnavailable as error:
        raise BootRefused([str(error)]) from error
    finally:
        await control.aclose()
    total, admitted = Evidence.sum(parts), gate()
    held = ", active by a person's word" if promoted and entry.stage == "probation" else ""
    found = verdict(total, admitted=admitted)
    lines = [
        route,
        f"  stage         {entry.stage} ({policy.source.name}:{entry.line}){held}",
        f"  seen by       {len(parts)} processes of the last seven days",
        f"  requests      {total.requests}",
        f"  errors        {total.errors} ({total.error_ratio:.2%})",
        f"  refused       {total.refused} of them with 4xx, {total.unavailable} with 503 for what stands behind",
        f"  p50, p99      {_milliseconds(total.quantile(0.5))}, {_milliseconds(total.quantile(0.99))}",
        f"  shed          {total.shed}",
        f"  strikes       {total.strikes}",
        f"  quarantines   {total.quarantines}",
        f"  gate          {_GATE[admitted]}",
    ]
    if last is not None:
        lines.append(f"  last word     {last.act} by {last.by}, {_moment(last.at)}: {last.why}")
    lines += ["", *(f"against promotion: {reason}" for reason in found.against)]
    lines += ["the evidence speaks for promotion"] if found.speaks_for_it else []
    return "\n".join(lines), found.speaks_for_it


_GATE = {True: "admits the handler, gauntlet included", False: "refuses the handler", None: "not asked"}


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"<= {seconds * 1000:.0f} ms"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
