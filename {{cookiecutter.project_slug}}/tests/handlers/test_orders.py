"""The worked example: orders belong to who placed them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2
import pytest

from app.handlers.orders import Order, OrderStore
from app.policy import load_policy
from tests.support.service import ROOT, Service, copy_project, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = copy_project(tmp_path_factory.mktemp("orders"), dropped=False)
    policy = folder / "policy.toml"
    policy.write_text(policy.read_text().replace('"10/minute"', '"1000/minute"'))
    with running(folder) as started:
        yield started


def place(service: Service, subject: str, **body: object) -> httpx2.Response:
    return httpx2.post(f"{service.url}/v1/orders", json=body, headers=service.bearer("customer", subject=subject))


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
        f"{service.url}/v1/orders", json={"sku": "a", "quantity": 1}, headers=service.bearer("support", subject="bob")
    )
    assert answer.status_code == 403


def test_only_an_administrator_deletes(service: Service) -> None:
    placed = place(service, "alice", sku="chair-oak", quantity=2).json()
    url = f"{service.url}/v1/orders/{placed['id']}"
    assert httpx2.delete(url, headers=service.bearer("customer")).status_code == 403
    assert httpx2.delete(url, headers=service.bearer("admin")).status_code == 204
    assert httpx2.delete(url, headers=service.bearer("admin")).status_code == 404


def test_a_list_holds_ones_own_orders_newest_first_and_is_bounded(service: Service) -> None:
    ids = [place(service, "carol", sku="lamp", quantity=1).json()["id"] for _ in range(3)]
    place(service, "dave", sku="lamp", quantity=1)
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
    answer = httpx2.post(f"{service.url}/v1/orders", json=body, headers=service.bearer("customer"))
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
    headers = {**service.bearer("customer"), "content-type": "application/json"}
    answer = httpx2.post(f"{service.url}/v1/orders", content=body, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def order() -> Order:
    return Order(id=uuid4(), sku="a", quantity=1, note=None, placed_at=datetime.now(UTC))


def test_the_store_is_bounded_and_the_oldest_goes_first() -> None:
    store, orders = OrderStore(capacity=2), [order() for _ in range(3)]
    for each in orders:
        store.add("alice", each)
    assert store.of("alice", 10) == orders[:0:-1]
    assert store.get(orders[0].id) is None


def test_its_policy_is_what_people_agreed_on() -> None:
    policy = load_policy(ROOT / "policy.toml")
    assert list(policy.routes) == [
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("POST", "/v1/orders"),
        ("GET", "/v1/orders"),
        ("GET", "/v1/orders/{order_id}"),
        ("DELETE", "/v1/orders/{order_id}"),
    ]
    assert [role for role, held in policy.roles.items() if "orders:delete" in held] == ["admin"]
    assert [key for key, route in policy.routes.items() if route.public] == [("GET", "/livez"), ("GET", "/readyz")]
