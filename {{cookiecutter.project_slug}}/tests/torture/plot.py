"""Draws lines as an SVG file: no library, for a picture that is drawn once in a while."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 60, 44, 34
COLORS = ("#2f7de1", "#e0525f", "#8494b0")


def lines(title: str, xlabel: str, ylabel: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return an SVG document with one line for each series of points."""
    most_x = max(x for points in series.values() for x, _ in points)
    most_y = max(y for points in series.values() for _, y in points) * 1.1 or 1.0

    def at(x: float, y: float) -> str:
        across, up = x / most_x * (WIDTH - LEFT - 20), y / most_y * (HEIGHT - BOTTOM - TOP)
        return f"{LEFT + across:.1f},{HEIGHT - BOTTOM - up:.1f}"

    middle, upright = (LEFT + WIDTH) / 2, f"translate(16 {HEIGHT / 2}) rotate(-90)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" ',
        f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">{escape(title)}</text>',
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle" fill="#555">{escape(xlabel)}</text>',
        f'<text transform="{upright}" text-anchor="middle" fill="#555">{escape(ylabel)}</text>',
    ]
    for step in range(5):
        y = most_y * step / 4
        place = at(0, y).split(",")[1]
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{place}" y2="{place}" stroke="#e4e8f0"/>'
            f'<text x="{LEFT - 6}" y="{float(place) + 4}" text-anchor="end" fill="#555">{y:.0f}</text>'
        )
    for x in sorted({x for points in series.values() for x, _ in points}):
        place = at(x, 0).split(",")[0]
        parts.append(f'<text x="{place}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#555">{x:g}</text>')
    for number, (name, points) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        line = " ".join(at(x, y) for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{(p := at(x, y).split(","))[0]}" cy="{p[1]}" r="3" fill="{color}"/>' for x, y in points]
        parts.append(
            f'<text x="{WIDTH - 24}" y="{TOP + 16 * number}" text-anchor="end" fill="{color}">{escape(name)}</text>'
        )
    return "".join(parts) + "</svg>\n"
