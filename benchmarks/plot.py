"""The result as one SVG, written by hand: a bar a contestant and route, and its spread."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from report import Row

WIDTH = 860
LEFT = 150
RIGHT = 190
TOP = 78
BAR = 20
GAP = 8
GROUP_HEAD = 30
GROUP_GAP = 18
FOOT = 46

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2733 }
  .title { font-size: 17px; font-weight: 600 }
  .soft { fill: #5b6675; font-size: 12px }
  .group { font: 600 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
  .page { fill: #ffffff }
  .grid { stroke: #e3e7ec; stroke-width: 1 }
  .spread { stroke: #1f2733; stroke-width: 1.4; fill: none }
  .bare { fill: #9aa5b1 }
  .ours { fill: #0b7285 }
  .other { fill: #d9773c }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e8ee } .soft { fill: #9aa5b1 } .page { fill: #0f141a } .grid { stroke: #28303a }
    .spread { stroke: #e4e8ee } .bare { fill: #6b7683 } .ours { fill: #2bb0c5 } .other { fill: #e08a52 }
  }
"""


def bars(
    groups: Mapping[str, Mapping[str, Row]],
    *,
    title: str,
    subtitle: str,
    footer: Sequence[str],
    classes: Mapping[str, str],
    baseline: str,
) -> str:
    """Draw horizontal bars of CPU microseconds a request.

    Args:
        groups: route -> contestant -> row, in drawing order.
        title: one line.
        subtitle: one line under it.
        footer: lines under the bars.
        classes: contestant -> CSS class of its bar (``bare``, ``ours``, ``other``).
        baseline: whose bar the ratios refer to.

    Returns:
        An SVG document, readable on light and dark pages.
    """
    longest = max(_high(row, rows[baseline]) for rows in groups.values() for row in rows.values())
    scale = (WIDTH - LEFT - RIGHT) / longest
    parts: list[str] = []
    y = TOP
    for route, rows in groups.items():
        y += GROUP_HEAD
        parts.append(f'<text class="group" x="20" y="{y - 10}">{escape(route)}</text>')
        for name, row in rows.items():
            parts += _bar(name, row, rows[baseline], y=y, scale=scale, css=classes.get(name, "other"))
            y += BAR + GAP
        y += GROUP_GAP - GAP
    height = y + FOOT + 16 * len(footer)
    grid = [_grid_line(tick, scale, y) for tick in range(0, int(longest) + 1, _step(longest))]
    notes = [
        f'<text class="soft" x="20" y="{y + FOOT + 16 * number - 4}">{escape(line)}</text>'
        for number, line in enumerate(footer)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>',
            f'<text class="title" x="20" y="34">{escape(title)}</text>',
            f'<text class="soft" x="20" y="56">{escape(subtitle)}</text>',
            *grid,
            *parts,
            *notes,
            "</svg>",
            "",
        ]
    )


def _high(row: Row, base: Row) -> float:
    """Where a row's ink ends: the bar, or the end of its spread."""
    return max(row.cpu_us, row.ratio_max * base.cpu_us)


def _step(longest: float) -> int:
    """A round distance between grid lines that leaves about five of them."""
    for step in (50, 100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000):
        if longest / step <= 6:  # noqa: PLR2004 - lines that still look calm
            return step
    return 20_000


def _grid_line(tick: int, scale: float, bottom: float) -> str:
    x = LEFT + tick * scale
    label = f"{tick:,}".replace(",", " ") + (" µs" if tick == 0 else "")
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP + 4}" y2="{bottom}"/>'
        f'<text class="soft" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>'
    )


def _bar(name: str, row: Row, base: Row, *, y: float, scale: float, css: str) -> list[str]:
    middle = y + BAR / 2
    low, high = (LEFT + ratio * base.cpu_us * scale for ratio in (row.ratio_min, row.ratio_max))
    end = max(LEFT + row.cpu_us * scale, high)
    words = f"{row.cpu_us:,.0f} µs".replace(",", " ")
    parts = [
        f'<text x="{LEFT - 10}" y="{middle + 4.5}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{css}" x="{LEFT}" y="{y}" width="{row.cpu_us * scale:.1f}" height="{BAR}" rx="2"/>',
    ]
    if row is not base:
        words += f"   {row.ratio:.2f} x"
        parts.append(
            f'<path class="spread" d="M{low:.1f} {middle}H{high:.1f}'
            f'M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"/>'
        )
    parts.append(f'<text x="{end + 8:.1f}" y="{middle + 4.5}" xml:space="preserve">{escape(words)}</text>')
    return parts
