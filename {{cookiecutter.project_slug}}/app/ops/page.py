"""Renders the page. Whatever is not written here passes :func:`text`, which lets no markup through."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.ops.snapshot import RouteView, Sample, Snapshot, UpstreamView

WIDTH: Final = 180
HEIGHT: Final = 28
"""Pixels of a sparkline."""


def text(value: object) -> str:
    """Return a value as text of an HTML document or of a quoted attribute."""
    return escape(str(value), quote=True)


def document(title: str, body: str) -> str:
    """Return a whole document round ``body``, which is HTML."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title>"
        '<link rel="stylesheet" href="/ops/style.css"><script src="/ops/live.js" defer></script>'
        f"</head><body>{body}</body></html>"
    )


def login(message: str = "") -> str:
    """Return the page that asks for a token."""
    note = f'<p class="note">{text(message)}</p>' if message else ""
    return document(
        "Operations",
        f'<main class="login"><h1>Operations</h1>{note}<form method="post" action="/ops/login">'
        '<label for="token">Token with <code>ops:read</code></label>'
        '<input id="token" name="token" type="password" autocomplete="off" required>'
        "<button>Open</button></form></main>",
    )


def page(snapshot: Snapshot, *, subject: str, may_act: bool, told: str = "") -> str:
    """Return the whole page.

    Args:
        snapshot: what to show.
        subject: who is looking.
        may_act: whether to offer what changes something.
        told: what became of the last act.
    """
    note = f'<p class="note" role="status">{text(told)}</p>' if told else ""
    header = (
        f"<header><h1>{text(snapshot.service)}</h1><p>{text(subject)}, "
        f'{"may act" if may_act else "may look"}</p><form method="post" action="/ops/logout">'
        "<button>Leave</button></form></header>"
    )
    return document(f"{snapshot.service}: operations", f"{header}{note}{live(snapshot, may_act=may_act)}")


def live(snapshot: Snapshot, *, may_act: bool) -> str:
    """Return the part that a script fetches again and again."""
    moment = datetime.fromtimestamp(snapshot.at, UTC).strftime("%H:%M:%S")
    return (
        f'<main id="live"><p class="moment">{moment} UTC, process {snapshot.process}</p>'
        f"{_cards(snapshot)}{_routes(snapshot.routes, may_act=may_act)}"
        f"{_upstreams(snapshot.upstreams, may_act=may_act)}{_refusals(snapshot)}</main>"
    )


def _cards(snapshot: Snapshot) -> str:
    load = snapshot.load
    used = f"{load.get('in_flight', 0):.0f} of {load.get('limit', 0):.0f}"
    cards = [
        f"<li><b>{used}</b><span>requests at a time</span></li>",
        f"<li><b>{load.get('queued', 0):.0f}</b><span>wait</span></li>",
    ]
    for name, check in snapshot.checks.items():
        state = str(check.get("state", ""))
        rest = ", ".join(f"{key} {_short(value)}" for key, value in check.items() if key != "state")
        cards.append(
            f'<li class="{_class(state)}"><b>{text(state)}</b><span>{text(name.replace("_", " "))}</span>'
            f"<small>{text(rest)}</small></li>"
        )
    return f'<ul class="cards">{"".join(cards)}</ul>'


def _routes(routes: Iterable[RouteView], *, may_act: bool) -> str:
    rows = []
    for route in routes:
        last = route.samples[-1] if route.samples else None
        figures = (
            f"<td>{last.rate:.1f}</td><td>{last.errors:.1%}</td><td>{last.p99 * 1000:.0f}</td>"
            if last
            else "<td>-</td><td>-</td><td>-</td>"
        )
        state = route.state if not route.reason else f"{route.state} ({route.reason})"
        rows.append(
            f'<tr><th scope="row">{text(route.name)}</th><td class="{_class(route.stage)}">{text(route.stage)}</td>'
            f'<td class="{_class(route.state)}">{text(state)}</td>{figures}<td>{sparkline(route.samples)}</td>'
            f"<td>{route.in_flight} / {route.most}</td><td>{route.shed}</td><td>{route.strikes}</td>"
            f"<td>{_acts(route) if may_act else ''}</td></tr>"
        )
    return (
        f'<h2>Routes</h2><div class="wide"><table>{_head(_ROUTE_COLUMNS)}<tbody>{"".join(rows)}</tbody></table></div>'
    )


_ROUTE_COLUMNS: Final = (
    "Route", "Stage", "State", "Requests/s", "Errors", "p99, ms", "p99, five minutes", "In flight", "Shed", "Strikes",
    "",
)  # fmt: skip


def _head(columns: Iterable[str]) -> str:
    cells = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    return f"<thead><tr>{cells}</tr></thead>"


def _acts(route: RouteView) -> str:
    acts = {"serving": ["quarantine"], "held": ["release"]}.get(route.state, ["release", "quarantine"])
    if route.stage == "probation":
        acts.append("promote")
    return _form("route", route.name, acts)


def _form(kind: str, name: str, acts: Iterable[str]) -> str:
    buttons = "".join(f'<button name="act" value="{act}">{act}</button>' for act in acts)
    return (
        f'<details><summary>act</summary><form method="post" action="/ops/act"><input type="hidden" name="{kind}" '
        f'value="{text(name)}"><input name="why" placeholder="why" aria-label="why" maxlength="300" required>{buttons}'
        "</form></details>"
    )


def _upstreams(upstreams: Iterable[UpstreamView], *, may_act: bool) -> str:
    rows = "".join(
        f'<tr><th scope="row">{text(each.name)}</th><td class="{_class(each.circuit)}">{text(each.circuit)}</td>'
        f"<td>{each.in_flight} / {each.places}</td><td>{each.queued}</td><td>{each.retries:.0f}</td>"
        f"<td>{_form('upstream', each.name, ('isolate', 'reset')) if may_act else ''}</td></tr>"
        for each in upstreams
    )
    return (
        '<h2>Services behind this one (this process)</h2><div class="wide"><table>'
        f"{_head(('Service', 'Circuit', 'In flight', 'Waiting', 'Retries left', ''))}"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _refusals(snapshot: Snapshot) -> str:
    rows = "".join(
        f"<tr><td>{datetime.fromtimestamp(each.at, UTC).strftime('%H:%M:%S')}</td><td>{each.status}</td>"
        f"<td>{text(each.code)}</td><td>{text(each.route)}</td><td><code>{text(each.request_id)}</code></td></tr>"
        for each in snapshot.refusals
    )
    return (
        f'<h2>Last refusals</h2><div class="wide"><table>{_head(("At", "Status", "Code", "Route", "Request"))}'
        f"<tbody>{rows or '<tr><td>none</td></tr>'}</tbody></table></div>"
    )


def sparkline(samples: Sequence[Sample]) -> str:
    """Return the p99 of the samples as a line, and their errors as ticks; a picture, so it says what it shows."""
    values, errors = [sample.p99 for sample in samples], [sample.errors for sample in samples]
    if len(values) < 2:  # noqa: PLR2004 - a line has two ends
        return ""
    most = max(values) or 1.0
    step = WIDTH / (len(values) - 1)
    points = " ".join(
        f"{number * step:.1f},{HEIGHT - 2 - value / most * (HEIGHT - 4):.1f}" for number, value in enumerate(values)
    )
    ticks = "".join(
        f'<rect x="{number * step - 1:.1f}" y="{HEIGHT - 3}" width="2" height="3"/>'
        for number, share in enumerate(errors)
        if share
    )
    return (
        f'<svg class="spark" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="p99 up to {most * 1000:.0f} ms"><polyline points="{points}"/>{ticks}</svg>'
    )


_GOOD: Final = frozenset({"ok", "active", "serving", "closed"})
_FAIR: Final = frozenset({"degraded", "probation", "trying", "half-open", "half_open"})


def _class(state: str) -> str:
    return "good" if state in _GOOD else "fair" if state in _FAIR else "bad"


def _short(value: object) -> str:
    return str(value)[:60]
