"""What `app routes` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.policy import CLOSED, MountedRoute, Policy, Said, render_table, table_rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.policy.conftest import Load

POLICY = f"""
[roles]
customer = ["orders:read", "orders:write"]
support = ["orders:read"]
admin = ["orders:read", "orders:write", "orders:delete"]

[routes."GET /livez"]
public = true
rate = "unlimited"
timeout = "250ms"

[routes."POST /v1/orders"]
allow = ["orders:write", "orders:read"]
rate = "10/minute;100/hour"
max_body = "1MiB"
outbound = ["stock", "payments"]
stage = "probation"
idempotency = "off"
idempotency_reason = "the order's number catches a second one"

[routes."GET /v1/orders/{{order_id}}"]
allow = ["orders:read"]

[routes."GET /me"]
authenticated = true

[routes."DELETE /v1/orders/{{order_id}}"]
allow = ["{CLOSED}", "orders:delete"]
"""


def policy_of(load: Load) -> Policy:
    return load(POLICY, upstreams=frozenset({"payments", "stock"}))


def routes_of(policy: Policy, folder: Path) -> list[MountedRoute]:
    return [
        MountedRoute(method, path, str(folder / "app" / "handlers" / "orders.py"), 10 + number, f"handler_{number}")
        for number, (method, path) in enumerate(policy.routes)
    ]


def test_a_row_has_everything_that_is_in_force_as_text(load: Load, policy_file: Path) -> None:
    policy = policy_of(load)
    rows = table_rows(policy, routes_of(policy, policy_file.parent))
    assert rows[2] == {
        "method": "POST",
        "path": "/v1/orders",
        "who": "orders:read -> admin, customer, support; orders:write -> admin, customer",
        "rate": "10/minute; 100/hour",
        "timeout": "5s",
        "max_body": "1MiB",
        "body_timeout": "5s",
        "idempotency": "off",
        "idempotency_reason": "the order's number catches a second one",
        "effects": "local",
        "outbound": "payments, stock",
        "stage": "probation",
        "files": "",
        "source": "app/handlers/orders.py:11",
        "handler": "handler_1",
        "policy": "policy.toml:12",
        "stage_source": "policy.toml:12",
    }
    assert [row["path"] for row in rows] == [
        "/livez",
        "/me",
        "/v1/orders",
        "/v1/orders/{order_id}",
        "/v1/orders/{order_id}",
    ]
    assert [
        "public",
        "any authenticated caller",
        rows[2]["who"],
        "nobody (closed)",
        "orders:read -> admin, customer, support",
    ] == [row["who"] for row in rows]


def test_head_is_shown_with_gets_policy(load: Load, policy_file: Path) -> None:
    policy = policy_of(load)
    head = MountedRoute("HEAD", "/livez", "/srv/health.py", 3, "live")
    get, row = table_rows(policy, [*routes_of(policy, policy_file.parent), head])[:2]
    assert get | {"method": "HEAD", "source": "/srv/health.py:3", "handler": "live"} == row


def test_what_stands_alone_is_shown_and_does_not_look_open(load: Load) -> None:
    policy = load('[routes."GET /livez"]\npublic = true')
    rows = table_rows(policy, [MountedRoute("GET", "/x\x1b[2J", "/srv/\nx.py", 3, "x")])
    assert (rows[0]["source"], rows[0]["who"]) == ("NO HANDLER: does not boot", "public")
    assert (rows[1]["source"], rows[1]["who"]) == ("/srv/\\u000Ax.py:3", "NO ENTRY: does not boot")
    assert rows[1]["path"] == "/x\\u001B[2J"


def test_the_table_is_aligned_and_fits_a_screen(load: Load, policy_file: Path) -> None:
    policy = policy_of(load)
    lines = render_table(policy, routes_of(policy, policy_file.parent)).split("\n")
    assert max(map(len, lines)) <= 140
    columns = [lines[0].index(word) for word in ("PATH", "WHO", "RATE", "TIMEOUT", "MAX BODY", "STAGE", "SOURCE")]
    body = lines[1 : lines.index("")]
    for line in body:
        padded = line.ljust(140)
        assert all(padded[column - 1] == " " for column in columns)
        assert line == line.rstrip()
    assert body[0].split() == [
        "GET",
        "/livez",
        "public",
        "unlimited",
        "250ms",
        "64KiB",
        "none",
        "none",
        "active",
        "app/handlers/orders.py:10",
    ]


def test_a_wrapped_cell_loses_nothing(load: Load, policy_file: Path) -> None:
    policy = policy_of(load)
    text = render_table(policy, routes_of(policy, policy_file.parent))
    start, end = text.index("WHO"), text.index("RATE")
    lines = text.split("\n")[1:]
    block = [line[start:end].strip() for line in lines[2 : lines.index("")]]
    assert "orders:read -> admin, customer, support; orders:write -> admin, customer" in " ".join(block)


def test_names_too_long_for_a_screen_are_shown_in_full(load: Load) -> None:
    path = "/" + "x" * 150
    policy = load(f'[routes."GET {path}"]\npublic = true')
    assert path in render_table(policy, [MountedRoute("GET", path, "/srv/x.py", 1, "x")])


def test_the_table_says_why_a_guard_is_off(load: Load, policy_file: Path) -> None:
    policy = policy_of(load)
    lines = render_table(policy, routes_of(policy, policy_file.parent)).split("\n")
    assert lines[-2:] == [
        "",
        "POST /v1/orders: idempotency is off: the order's number catches a second one",
    ]


def test_the_table_says_who_reaches_further_than_her_own_and_what_has_effects_elsewhere(load: Load) -> None:
    policy = load(
        '[roles]\nclerk = ["a:write"]\nboss = { permissions = ["a:write"], scope = "tenant" }\n'
        '[routes."POST /a"]\nallow = ["a:write"]\neffects = "external"\n'
    )
    text = render_table(policy, [MountedRoute("POST", "/a", "/srv/a.py", 1, "a")])
    assert "a:write -> boss (tenant), clerk" in text
    assert text.endswith("POST /a: has effects elsewhere; its key is claimed before the handler runs")


def test_a_table_of_nothing_is_its_head(load: Load) -> None:
    assert len(render_table(load(""), []).split("\n")) == 1


def test_what_people_have_said_of_a_route_is_in_force_and_said_with_its_source(load: Load, policy_file: Path) -> None:
    policy = policy_of(load)
    routes = routes_of(policy, policy_file.parent)
    said = {"POST /v1/orders": Said("active", "promoted by carol, today: a good\x1bweek")}
    row = next(
        row for row in table_rows(policy, routes, said) if (row["method"], row["path"]) == ("POST", "/v1/orders")
    )
    assert (row["stage"], row["stage_source"]) == ("active", "promoted by carol, today: a good\\u001Bweek")
    notes = render_table(policy, routes, said).split("\n\n")[1].split("\n")
    assert "POST /v1/orders: active: promoted by carol, today: a good\\u001Bweek" in notes
    assert "promoted" not in render_table(policy, routes)
