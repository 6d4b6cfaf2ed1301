"""The worked example: orders belong to who placed them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import NullPool, create_engine, text

from app.policy import load_policy
from app.upstreams import NAMES
from tests.support.service import PATIENCE, ROOT, Service, copy_project, running, until_served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres_server import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = copy_project(tmp_path_factory.mktemp("orders"), dropped=False)
    policy = folder / "policy.toml"
    policy.write_text(policy.read_text().replace('"10/minute"', '"1000/minute"'))
    settings = {}
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        settings["APP_DATABASE_URL"] = postgres.url(postgres.create_database())
    with running(folder, environ=settings) as started:
        yield started


def place(service: Service, subject: str, *, key: str | None = None, **body: object) -> httpx2.Response:
    headers = {**service.bearer("customer", subject=subject), "idempotency-key": key or uuid4().hex}
    return until_served(lambda: httpx2.post(f"{service.url}/v1/orders", json=body, headers=headers, timeout=PATIENCE))


def cancel(service: Service, order: str, subject: str, *roles: str) -> httpx2.Response:
    headers = {**service.bearer(*roles, subject=subject), "idempotency-key": uuid4().hex}
    return httpx2.post(f"{service.url}/v1/orders/{order}/cancel", headers=headers)


def put_stock(service: Service, sku: str, available: int) -> None:
    url = f"{service.url}/v1/inventory/{sku}"
    answer = httpx2.put(url, json={"available": available}, headers=service.bearer("admin"))
    assert answer.status_code == 200


def stock(service: Service, sku: str = "chair-oak") -> int:
    page = httpx2.get(f"{service.url}/v1/inventory?limit=100", headers=service.bearer("customer")).json()
    found: int = {item["sku"]: item["available"] for item in page["items"]}[sku]
    return found


def read(service: Service, path: str, subject: str, *roles: str) -> httpx2.Response:
    return httpx2.get(f"{service.url}/v1/orders{path}", headers=service.bearer(*roles, subject=subject))


def test_a_customer_places_and_reads_an_order(service: Service) -> None:
    placed = place(service, "alice", sku="chair-oak", quantity=2)
    assert placed.status_code == 201
    assert read(service, f"/{placed.json()['id']}", "alice", "customer").json() == placed.json()


def test_another_customers_order_does_not_exist(service: Service) -> None:
    placed = place(service, "alice", sku="chair-oak", quantity=2).json()
    answer = read(service, f"/{placed['id']}", "mallory", "customer")
    missing = read(service, f"/{uuid4()}", "mallory", "customer")
    assert (answer.status_code, missing.status_code) == (404, 404)
    for document in (answer.json(), missing.json()):
        assert document.pop("instance") == f"urn:request:{document.pop('request_id')}"
    assert answer.json().keys() == missing.json().keys()


def test_support_reads_any_order_and_places_none(service: Service) -> None:
    placed = place(service, "alice", sku="chair-oak", quantity=2).json()
    assert read(service, f"/{placed['id']}", "bob", "support").json() == placed
    answer = httpx2.post(
        f"{service.url}/v1/orders",
        json={"sku": "a", "quantity": 1},
        headers={**service.bearer("support", subject="bob"), "idempotency-key": uuid4().hex},
    )
    assert answer.status_code == 403


def test_a_list_holds_ones_own_orders_newest_first_and_is_bounded(service: Service) -> None:
    ids = [place(service, "carol", sku="lamp-brass", quantity=1).json()["id"] for _ in range(3)]
    place(service, "dave", sku="lamp-brass", quantity=1)
    listed = [order["id"] for order in read(service, "", "carol", "customer").json()["items"]]
    assert listed == ids[::-1]
    assert len(read(service, "?limit=2", "carol", "customer").json()["items"]) == 2
    assert read(service, "?limit=101", "carol", "customer").status_code == 422
    assert read(service, "?limit=0", "carol", "customer").status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sku": "", "quantity": 1},
        {"sku": "a" * 65, "quantity": 1},
        {"sku": "<script>", "quantity": 1},
        {"sku": "a", "quantity": 0},
        {"sku": "a", "quantity": 1001},
        {"sku": "a", "quantity": "2"},
        {"sku": "a", "quantity": True},
        {"sku": "a", "quantity": 1.5},
        {"sku": "a", "quantity": 1, "note": "n" * 501},
        {"sku": "a", "quantity": 1, "price": 0},
        {"sku": "a", "quantity": 1, "owner": "mallory"},
        {"sku": "a", "quantity": 10**400},
        [],
        None,
    ],
)
def test_what_is_missing_unknown_or_out_of_bounds_is_refused(service: Service, body: object) -> None:
    headers = {**service.bearer("customer"), "idempotency-key": uuid4().hex}
    answer = httpx2.post(f"{service.url}/v1/orders", json=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"
    assert "mallory" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"{'sku': 1}",
        b'{"sku": "\xed\xa0\x80", "quantity": 1}',
        b'{"quantity": NaN, "sku": "a"}',
        b"",
    ],
)
def test_a_body_that_is_no_document_is_refused(service: Service, body: bytes) -> None:
    headers = {**service.bearer("customer"), "idempotency-key": uuid4().hex, "content-type": "application/json"}
    answer = httpx2.post(f"{service.url}/v1/orders", content=body, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_repeated_order_is_placed_once(service: Service) -> None:
    before = stock(service)
    key = uuid4().hex
    first, second = (place(service, "alice", key=key, sku="chair-oak", quantity=2) for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert before - stock(service) == 2
    (line,) = service.lines(request_id=second.headers["x-request-id"], event="request")
    assert line["reason"] == "replayed"


def test_a_replay_is_refused_to_another_caller_whose_request_is_a_new_one(service: Service) -> None:
    key = uuid4().hex
    mine = place(service, "alice", key=key, sku="chair-oak", quantity=1)
    theirs = place(service, "mallory", key=key, sku="chair-oak", quantity=1)
    assert theirs.status_code == 201
    assert "idempotent-replayed" not in theirs.headers
    assert theirs.json()["id"] != mine.json()["id"]


def test_a_replay_needs_the_right_to_do_it_still(service: Service) -> None:
    key = uuid4().hex
    assert place(service, "alice", key=key, sku="chair-oak", quantity=1).status_code == 201
    headers = {**service.bearer("support"), "idempotency-key": key}
    body = {"sku": "chair-oak", "quantity": 1}
    assert httpx2.post(f"{service.url}/v1/orders", json=body, headers=headers).status_code == 403


def test_what_is_not_in_stock_is_not_sold_and_leaves_nothing(service: Service) -> None:
    put_stock(service, "last-one", 1)
    assert place(service, "erin", sku="last-one", quantity=2).status_code == 409
    assert place(service, "erin", sku="never-heard-of", quantity=1).status_code == 409
    assert place(service, "erin", sku="last-one", quantity=1).status_code == 201
    assert place(service, "erin", sku="last-one", quantity=1).status_code == 409
    assert len(read(service, "", "erin", "customer").json()["items"]) == 1


def test_of_many_callers_one_gets_the_last_one(service: Service) -> None:
    put_stock(service, "contested", 1)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: place(service, f"c{n}", sku="contested", quantity=1).status_code, range(8)))
    assert sorted(statuses) == [201, *[409] * 7]


def test_a_cancelled_order_gives_its_articles_back_once(service: Service) -> None:
    before = stock(service)
    placed = place(service, "alice", sku="chair-oak", quantity=3).json()
    cancelled = [cancel(service, placed["id"], "alice", "customer").json() for _ in range(2)]
    assert [order["status"] for order in cancelled] == ["cancelled", "cancelled"]
    assert stock(service) == before


def test_nobody_cancels_anothers_order_but_an_administrator(service: Service) -> None:
    placed = place(service, "alice", sku="chair-oak", quantity=1).json()
    assert cancel(service, placed["id"], "mallory", "customer").status_code == 404
    assert cancel(service, placed["id"], "bob", "support").status_code == 403
    # To read all as support and to cancel one's own as a customer is not to cancel all.
    assert cancel(service, placed["id"], "bob", "support", "customer").status_code == 404
    assert read(service, f"/{placed['id']}", "alice", "customer").json()["status"] == "placed"
    assert cancel(service, placed["id"], "root", "admin").json()["status"] == "cancelled"


def test_support_reads_its_tenants_orders_and_no_others(service: Service) -> None:
    body = {"sku": "chair-oak", "quantity": 1}
    headers = {**service.bearer("customer", subject="alice", tenant="acme"), "idempotency-key": uuid4().hex}
    placed = httpx2.post(f"{service.url}/v1/orders", json=body, headers=headers).json()
    url = f"{service.url}/v1/orders/{placed['id']}"

    def status(role: str, subject: str, tenant: str | None) -> int:
        return httpx2.get(url, headers=service.bearer(role, subject=subject, tenant=tenant)).status_code

    assert status("support", "bob", "acme") == 200
    assert status("support", "bob", "umbrella") == 404
    assert status("support", "bob", None) == 404
    assert status("customer", "alice", None) == 404  # the same subject in another tenant is somebody else
    assert status("admin", "root", None) == 200


def test_pages_follow_each_other_without_a_gap(service: Service) -> None:
    ids = [place(service, "paul", sku="desk-pine", quantity=1).json()["id"] for _ in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        page = read(service, f"?limit=2{after}", "paul", "customer").json()
        seen += [order["id"] for order in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == ids[::-1]
    assert read(service, f"?after={ids[0]}", "mallory", "customer").status_code == 404


@pytest.mark.parametrize("note", ["a\x00b", "\ud800"], ids=["NUL", "a lone surrogate"])
def test_a_text_that_no_database_takes_is_refused(service: Service, note: str) -> None:
    headers = {**service.bearer("customer"), "idempotency-key": uuid4().hex, "content-type": "application/json"}
    body = json.dumps({"sku": "chair-oak", "quantity": 1, "note": note}).encode()
    answer = httpx2.post(f"{service.url}/v1/orders", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_its_policy_is_what_people_agreed_on() -> None:
    policy = load_policy(ROOT / "policy.toml", upstreams=NAMES)
    assert list(policy.routes) == [
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("POST", "/v1/orders"),
        ("GET", "/v1/orders"),
        ("GET", "/v1/orders/{order_id}"),
        ("POST", "/v1/orders/{order_id}/cancel"),
        ("GET", "/v1/notifications"),
        ("GET", "/v1/inventory"),
        ("PUT", "/v1/inventory/{sku}"),
    ]
    assert [role for role, held in policy.roles.items() if "inventory:write" in held] == ["admin"]
    assert {key: set(route.outbound) for key, route in policy.routes.items() if route.outbound} == {
        ("POST", "/v1/orders"): {"payments"}
    }
    assert {name: set(job.outbound) for name, job in policy.jobs.items()} == {
        "order.placed": set(),
        "order.undone": {"payments"},
    }
    assert dict(policy.scopes) == {"support": "tenant", "admin": "all"}
    assert [key for key, route in policy.routes.items() if route.public] == [("GET", "/livez"), ("GET", "/readyz")]


def test_an_order_leaves_nothing_on_its_connection_that_would_have_to_be_cleaned(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    name = postgres.create_database()
    asked = text("SELECT query FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()")
    with running(copy_project(tmp_path / "p", dropped=False), environ={"APP_DATABASE_URL": postgres.url(name)}) as own:
        assert place(own, "carla", sku="chair-oak", quantity=1).status_code == 201
        with create_engine(postgres.superuser_url(name), poolclass=NullPool).connect() as connection:
            last = connection.scalars(asked, {"name": name}).all()
    assert any(query in {"COMMIT", "ROLLBACK"} for query in last)
    assert [query for query in last if query.startswith("RESET")] == []


def test_a_database_that_goes_while_a_job_is_deferred_is_said_to_be_away(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    name = postgres.create_database()
    end = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = :name AND wait_event_type = 'Lock' AND query LIKE '%procrastinate_defer%'"
    )
    folder = copy_project(tmp_path / "p", dropped=False)
    engine = create_engine(postgres.superuser_url(name), poolclass=NullPool)
    ending = engine.execution_options(isolation_level="AUTOCOMMIT")
    with running(folder, environ={"APP_DATABASE_URL": postgres.url(name)}) as own, ThreadPoolExecutor() as pool:
        with engine.connect() as holder, ending.connect() as killer:
            holder.execute(text("LOCK TABLE procrastinate_jobs"))  # so that the one that defers waits
            placing = pool.submit(place, own, "carla", sku="chair-oak", quantity=1)
            while not killer.scalars(end, {"name": name}).all():
                assert not placing.done(), placing.result().text
        answer = placing.result(PATIENCE)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
