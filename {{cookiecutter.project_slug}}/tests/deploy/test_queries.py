"""Each query of a rule or a panel asks for metrics and labels that the service really sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import promql_parser
import pytest

from tests.deploy.emitted import busy_service, exposition, labels_by_name, provoke
from tests.deploy.manifests import DEPLOY, documents, queries, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = {
    "breakwater_containment_refusals_total", "breakwater_event_loop_blocks_total", "breakwater_outbox_total",
    "breakwater_upstream_call_duration_seconds_count", "http_server_request_duration_seconds_bucket",
}  # fmt: skip
"""Series that come only once something has happened; without them the comparison would compare nothing."""


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    with busy_service(tmp_path_factory.mktemp("busy")) as (service, receiver):
        provoke(service)
        receiver.wait_for(lambda: labels_by_name(exposition(receiver)).keys() >= EXPECTED)
        return labels_by_name(exposition(receiver))


def selectors(expression: Any) -> Iterator[Any]:
    """Yield the vector selectors of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in ("lhs", "rhs", "expr", "args", "vector_selector", "param"):
        below = getattr(expression, name, None)
        for each in below if isinstance(below, list) else [below]:
            if each is not None:
                yield from selectors(each)


def grouped(expression: Any) -> set[str]:
    """Return the labels that an expression groups by, anywhere in it."""
    found = set()
    modifier = getattr(expression, "modifier", None)
    if isinstance(expression, promql_parser.AggregateExpr) and modifier is not None:
        found |= set(modifier.labels)
    for name in ("lhs", "rhs", "expr", "args"):
        below = getattr(expression, name, None)
        for each in below if isinstance(below, list) else [below]:
            found |= grouped(each) if each is not None else set()
    return found


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.where)
def test_a_query_asks_for_what_is_sent(query: Any, sent: dict[str, set[str]]) -> None:
    parsed = promql_parser.parse(query.expression)
    found = list(selectors(parsed))
    assert found
    known = set()
    for selector in found:
        if selector.name in recorded():
            labels = grouped(promql_parser.parse(recorded()[selector.name]))
        else:
            assert selector.name in sent, query.where
            labels = sent[selector.name]
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels
        known |= labels
    assert grouped(parsed) <= known


def test_what_an_alert_says_is_in_its_labels_and_its_first_aid_is_there() -> None:
    (rules,) = documents(DEPLOY / "prometheus" / "rules.yml")
    headings = {
        line[4:].strip().lower() for line in (DEPLOY / "README.md").read_text().splitlines() if line.startswith("### ")
    }
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert alerts
    for alert in alerts:
        page, _, anchor = alert["annotations"]["runbook"].partition("#")
        assert page == "deploy/README.md"
        assert anchor in headings
        assert alert["labels"]["severity"] in {"page", "ticket"}
        parsed = promql_parser.parse(alert["expr"])
        names = grouped(parsed) or {"job"}
        text = " ".join(alert["annotations"].values())
        assert {part.split("}")[0].strip().split()[0] for part in text.split("$labels.")[1:]} <= names


def test_a_metric_that_nobody_sends_would_be_found(sent: dict[str, set[str]]) -> None:
    assert "breakwater_degraded_ratio" not in sent
    assert "component" in sent["breakwater_degraded"]
    assert "service_name" not in sent["breakwater_degraded"]
