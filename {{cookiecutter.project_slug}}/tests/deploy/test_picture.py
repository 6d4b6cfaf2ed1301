"""The dashboard is drawn panel by panel: each kind from an answer, and what has none is named."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.deploy.manifests import dashboard
from tests.deploy.picture import KINDS, Box, Series, Span, legend, moments, named, picture, shown, top_of

SPAN = Span(1_800_000_000.0, 1_800_000_600.0)
RISING = tuple((SPAN.start + 10 * number, float(number % 7)) for number in range(61))
STATES = {"0": {"text": "closed", "color": "green", "index": 0}, "1": {"text": "open", "color": "red", "index": 1}}


def panel(kind: str, unit: str = "short") -> dict[str, Any]:
    return {
        "type": kind,
        "title": f"A {kind} <of> it",
        "gridPos": {"h": 8, "w": 8, "x": 8, "y": 1},
        "fieldConfig": {"defaults": {"unit": unit, "mappings": [{"type": "value", "options": STATES}]}},
        "targets": [{"expr": "up", "legendFormat": "{{job}}"}],
    }


def drawn(kind: str, *series: Series, unit: str = "short") -> tuple[ET.Element, tuple[str, ...]]:
    board = {"title": "board", "panels": [panel(kind, unit)]}
    made = picture(board, lambda _panel, _target: list(series), SPAN, "made up")
    return ET.fromstring(made.svg), made.empty


def words(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter() if element.tag.endswith("text")]


def numbers(root: ET.Element) -> list[tuple[float, float, float, float]]:
    rectangles = [element for element in root.iter() if element.tag.endswith("rect")]
    return [tuple(float(each.get(name, "")) for name in ("x", "y", "width", "height")) for each in rectangles]  # type: ignore[misc]


def test_lines_over_time_have_a_scale_with_a_unit_times_and_a_legend() -> None:
    root, empty = drawn("timeseries", Series("one", RISING), Series("two", RISING[:30]), unit="reqps")
    assert {"A timeseries <of> it", "one", "two", "0 req/s", "8 req/s", "08:02", "08:08"} <= set(words(root))
    assert len([element for element in root.iter() if element.get("stroke-width") == "1.6"]) == 2
    assert empty == ()


def test_a_figure_is_the_last_value() -> None:
    root, _ = drawn("stat", Series("orders", ((SPAN.end, 0.0312),)), unit="percentunit")
    assert {"3.12 %", "orders"} <= set(words(root))


def test_a_state_is_a_bar_in_its_colour_as_long_as_it_lasts() -> None:
    at = SPAN.start
    circuit = Series("payments", ((at, 0.0), (at + 100, 0.0), (at + 200, 1.0), (at + 500, 0.0)))
    root, _ = drawn("state-timeline", circuit)
    bars = [element for element in root.iter() if element.get("opacity") == ".85"]
    assert [bar.get("fill") for bar in bars] == ["#37b24d", "#e03131", "#37b24d"]
    widths = [float(bar.get("width", "")) for bar in bars]
    assert widths == pytest.approx([sum(widths) * share for share in (200 / 600, 300 / 600, 100 / 600)], rel=0.01)
    assert {"payments", "closed", "open"} <= set(words(root))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_answer_is_named(kind: str) -> None:
    root, empty = drawn(kind, Series("without a point", ()))
    assert "no data" in words(root)
    assert empty == (f"A {kind} <of> it",)


@pytest.mark.parametrize("kind", ["heatmap", "table"])
def test_a_kind_that_nobody_draws_is_an_error(kind: str) -> None:
    with pytest.raises(KeyError, match=kind):
        drawn(kind, Series("one", RISING))


def test_what_is_drawn_of_the_real_dashboard_stays_in_its_frame() -> None:
    made = picture(dashboard(), lambda _panel, _target: [Series("a", ((SPAN.start, 0.0), (SPAN.end, 1.0)))], SPAN, "")
    root = ET.fromstring(made.svg)
    width, height = (float(root.get(name, "")) for name in ("width", "height"))
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in numbers(root))
    assert {each["title"] for each in dashboard()["panels"]} <= set(words(root))
    assert made.empty == ()


def test_a_legend_that_does_not_fit_says_how_much_is_left_out() -> None:
    many = [(f"GET /v1/a-rather-long-route/{number}", "#000000") for number in range(20)]
    written = [part for part in legend(Box(0, 0, 500, 100), many) if part.startswith("<text")]
    assert len(written) == 7
    assert "and 14 more" in written[-1]
    assert not [part for part in legend(Box(0, 0, 500, 100), many[:2]) if "more" in part]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0123, "s", "12.3 ms"), (2.5, "s", "2.5 s"), (0.5, "percentunit", "50 %"), (12345.0, "short", "12,345"),
     (1.5, "ops", "1.5 /s")],
)  # fmt: skip
def test_a_value_is_written_with_its_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_unit_that_nobody_writes_is_an_error() -> None:
    with pytest.raises(KeyError, match="bytes"):
        shown(1, "bytes")


def test_scales_end_at_round_figures_and_times_are_round() -> None:
    assert [top_of(value) for value in (0, 0.03, 0.4, 3, 81)] == [1, 0.04, 0.4, 4, 100]
    assert [moment % 120 for moment in moments(SPAN)] == [0] * 6


def test_a_series_is_called_as_the_legend_says() -> None:
    labels = {"http_request_method": "GET", "http_route": "/v1/orders"}
    assert named("{{http_request_method}} {{ http_route }}{{absent}}", labels) == "GET /v1/orders"
