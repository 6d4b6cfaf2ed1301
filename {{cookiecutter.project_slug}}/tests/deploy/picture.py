"""Draws the dashboard of deploy/grafana from a Prometheus's answers, as one SVG that needs nothing else.

It is no Grafana: it knows the kinds of panels, the units and the places that the dashboard has, and no more.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

COLUMN, UNIT, GAP, MARGIN, HEAD = 60, 30, 8, 16, 58
"""Pixels: a column and a unit of height of Grafana's grid, between panels, round them, and above them."""

COLOURS = (
    "#1f77b4", "#e8710a", "#2f9e44", "#c92a2a", "#7048e8", "#0b7285", "#a61e4d", "#868e96", "#5c940d", "#d6336c",
    "#1098ad", "#845ef7",
)  # fmt: skip
NAMED = {"green": "#37b24d", "yellow": "#fab005", "orange": "#fd7e14", "red": "#e03131", "purple": "#7048e8"}

LETTER = 6.0  # pixels that a letter of a legend takes, on average
TICKS = 4
FILLED = 4  # lines in a panel, up to which what is below them is filled; more would cover each other

STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#343a40}"
    ".title{font-size:13px;font-weight:600}.small{font-size:10.5px;fill:#5c636a}.row{font-size:14px;font-weight:600}"
    ".value{font-size:34px;font-weight:600}.none{font-size:13px;fill:#868e96}.head{font-size:20px;font-weight:600}"
)


@dataclass(frozen=True)
class Series:
    """One line of a panel: its name, and (seconds since 1970, value) in order."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Picture:
    """The drawn dashboard, and the titles of the panels whose queries had no answer."""

    svg: str
    empty: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Span:
    """What is looked at, in seconds since 1970."""

    start: float
    end: float


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Return what a legend's format says of a series."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), legend).strip()


def shown(value: float, unit: str) -> str:
    """Return a value as a person reads it.

    Raises:
        KeyError: nobody has said how the unit is written.
    """
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    factor, behind = {"percentunit": (100, " %"), "reqps": (1, " req/s"), "ops": (1, " /s"), "short": (1, "")}[unit]
    number = value * factor
    return (f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}") + behind


def top_of(value: float) -> float:
    """Return the least of 1, 2, 4, 5, 8 and their tens that is not below a value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * 0.999)


def text(x: float, y: float, words: str, kind: str, more: str = "") -> str:
    """Return a text of one of the style's kinds."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" {more}>{escape(words)}</text>'


def rectangle(box: Box, fill: str, more: str = "") -> str:
    """Return a filled rectangle."""
    place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    return f'<rect {place} fill="{fill}" {more}/>'


def legend(box: Box, entries: Sequence[tuple[str, str]], lines: int = 3) -> Iterator[str]:
    """Yield names and colours in at most so many lines above the lower edge; how many did not fit is said."""
    rows: list[list[tuple[float, str, str]]] = [[]]
    x = 0.0
    for number, (name, colour) in enumerate(entries):
        needs = 16 + len(name) * LETTER + 12
        last = len(rows) == lines and x + needs > box.width - (70 if number + 1 < len(entries) else 0)
        if last:
            rows[-1].append((x, f"and {len(entries) - number} more", "none"))
            break
        if rows[-1] and x + needs > box.width:
            rows.append([])
            x = 0.0
        rows[-1].append((x, name, colour))
        x += needs
    for number, row in enumerate(rows):
        y = box.y + box.height - 15 * (len(rows) - 1 - number) - 3
        for left, name, colour in row:
            yield rectangle(Box(box.x + left, y - 5, 10, 3), colour)
            yield text(box.x + left + 15, y, name, "small")


def moments(span: Span) -> list[float]:
    """Return the round times that an axis names: four to eight."""
    steps = (10, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((step for step in steps if (span.end - span.start) / step <= 7), 7200)
    first = math.ceil(span.start / step) * step
    return [float(moment) for moment in range(first, int(span.end) + 1, step)]


def axis(box: Box, span: Span) -> Iterator[str]:
    """Yield the times below a plot."""
    for moment in moments(span):
        x = box.x + (moment - span.start) / (span.end - span.start) * box.width
        if not box.x + 14 < x < box.x + box.width - 14:  # beside the scale's own figures, or out of the frame
            continue
        at = datetime.fromtimestamp(moment, UTC)
        yield text(
            x,
            box.y + box.height + 15,
            f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}",
            "small",
            'text-anchor="middle"',
        )


def timeseries(box: Box, panel: Mapping[str, Any], series: Sequence[Series], span: Span) -> Iterator[str]:
    """Yield lines over time, the greatest first in the legend."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    ordered = sorted(series, key=lambda each: -max(value for _, value in each.points))
    top = top_of(max(value for each in series for _, value in each.points))
    coloured = [(each, COLOURS[number % len(COLOURS)]) for number, each in enumerate(ordered)]
    below = list(legend(box, [(each.name, colour) for each, colour in coloured]))
    lines = len({part.split('y="')[1].split('"')[0] for part in below if part.startswith("<text")})
    plot = Box(box.x + 62, box.y + 4, box.width - 66, box.height - 30 - 15 * lines)
    for tick in range(TICKS + 1):
        y = plot.y + plot.height * (1 - tick / TICKS)
        yield f'<line x1="{plot.x}" x2="{plot.x + plot.width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e9ecef"/>'
        yield text(plot.x - 6, y + 4, shown(top * tick / TICKS, unit), "small", 'text-anchor="end"')
    yield from axis(plot, span)
    for each, colour in reversed(coloured):
        at = [
            (
                plot.x + (moment - span.start) / (span.end - span.start) * plot.width,
                plot.y + plot.height * (1 - max(value, 0) / top),
            )
            for moment, value in each.points
        ]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        if len(series) <= FILLED:
            foot = plot.y + plot.height
            area = f"M{at[0][0]:.1f} {foot:.1f}L{path}L{at[-1][0]:.1f} {foot:.1f}Z"
            yield f'<path d="{area}" fill="{colour}" opacity=".06"/>'
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round"/>'
    yield from below


def stat(box: Box, panel: Mapping[str, Any], series: Sequence[Series], _span: Span) -> Iterator[str]:
    """Yield the last value of each series, large."""
    width = box.width / len(series)
    for number, each in enumerate(series):
        middle = box.x + width * (number + 0.5)
        value = shown(each.points[-1][1], panel["fieldConfig"]["defaults"]["unit"])
        yield text(middle, box.y + box.height / 2 + 8, value, "value", 'text-anchor="middle"')
        yield text(middle, box.y + box.height / 2 + 30, each.name, "small", 'text-anchor="middle"')


def state_timeline(box: Box, panel: Mapping[str, Any], series: Sequence[Series], span: Span) -> Iterator[str]:
    """Yield a bar for each series, in the colour that its value has at the time."""
    options = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    states = {float(value): (each["text"], NAMED[each["color"]]) for value, each in options.items()}
    yield from legend(box, list(states.values()))
    aside = 14 + max(len(each.name) for each in series) * (LETTER + 0.5)
    plot = Box(box.x + aside, box.y + 4, box.width - aside - 4, box.height - 44)
    height = min(40.0, plot.height / len(series))
    for number, each in enumerate(series):
        y = plot.y + number * height
        yield text(plot.x - 8, y + height / 2 + 2, each.name, "small", 'text-anchor="end"')
        turns = [point for before, point in pairwise([(0.0, math.nan), *each.points]) if before[1] != point[1]]
        for (begun, value), (end, _) in pairwise([*turns, (span.end, math.nan)]):
            left, right = (plot.x + (at - span.start) / (span.end - span.start) * plot.width for at in (begun, end))
            yield rectangle(Box(left, y, right - left, height - 6), states[value][1], 'opacity=".85"')
    yield from axis(Box(plot.x, plot.y, plot.width, height * len(series)), span)


KINDS = {"timeseries": timeseries, "stat": stat, "state-timeline": state_timeline}


def picture(
    dashboard: Mapping[str, Any],
    ask: Callable[[Mapping[str, Any], Mapping[str, Any]], list[Series]],
    span: Span,
    caption: str,
) -> Picture:
    """Draw a dashboard.

    Args:
        dashboard: Grafana's JSON.
        ask: returns the answer to a panel's target.
        span: what is looked at.
        caption: stands above it.

    Raises:
        KeyError: a panel is of a kind, or a value of a unit, that nobody has drawn yet.
    """
    empty, parts = [], []
    bottom = 0.0
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        outer = Box(
            MARGIN + place["x"] * COLUMN,
            HEAD + place["y"] * (UNIT + 2),
            place["w"] * COLUMN - GAP,
            place["h"] * (UNIT + 2) - GAP,
        )
        bottom = max(bottom, outer.y + outer.height)
        if panel["type"] == "row":
            parts.append(text(outer.x + 2, outer.y + 20, panel["title"], "row"))
            continue
        draw = KINDS[panel["type"]]
        parts.append(rectangle(outer, "#ffffff", 'rx="4" stroke="#dee2e6"'))
        parts.append(text(outer.x + 12, outer.y + 21, panel["title"], "title"))
        series = [each for target in panel["targets"] for each in ask(panel, target) if each.points]
        if series:
            inner = Box(outer.x + 12, outer.y + 34, outer.width - 24, outer.height - 44)
            parts += draw(inner, panel, series, span)
        else:
            empty.append(panel["title"])
            middle = outer.x + outer.width / 2
            parts.append(text(middle, outer.y + outer.height / 2 + 8, "no data", "none", 'text-anchor="middle"'))
    width, height = 2 * MARGIN + 24 * COLUMN - GAP, bottom + MARGIN
    size = f'viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<style>{STYLE}</style>",
        rectangle(Box(0, 0, width, height), "#f1f3f5"),
        text(MARGIN, 28, dashboard["title"], "head"),
        text(MARGIN, 47, caption, "small"),
    ]
    return Picture("\n".join([*head, *parts, "</svg>", ""]), tuple(empty))
