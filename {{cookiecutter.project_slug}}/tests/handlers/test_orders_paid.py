"""The worked example, whole: stock, a charge, what follows from it; whatever the payments service does."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2
import pytest

from app.simulators.payments import Behaviour
from tests.guards.probes import is_problem
from tests.support.service import PATIENCE, Service, copy_project, running, until_served
from tests.support.upstreams import simulated_in_a_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.simulators.payments import PaymentsSimulator


class Shop:
    """The service and the payments that it calls."""

    def __init__(self, service: Service, simulator: PaymentsSimulator) -> None:
        self.service, self.simulator = service, simulator

    def behave(self, **behaviour: Any) -> None:
        self.simulator.behaviour = Behaviour(**behaviour)

    def place(
        self, subject: str, sku: str = "chair-oak", *, key: str | None = None, quantity: int = 1
    ) -> httpx2.Response:
        headers = {**self.service.bearer("customer", subject=subject), "idempotency-key": key or uuid4().hex}
        body = {"sku": sku, "quantity": quantity}
        url = f"{self.service.url}/v1/orders"
        return until_served(lambda: httpx2.post(url, json=body, headers=headers, timeout=PATIENCE))

    def get(self, path: str, subject: str) -> Any:
        url = f"{self.service.url}/v1/{path}"
        return httpx2.get(url, headers=self.service.bearer("customer", subject=subject), timeout=PATIENCE).json()

    def set_stock(self, sku: str, available: int, price: int) -> None:
        url, body = f"{self.service.url}/v1/inventory/{sku}", {"available": available, "price": price}
        assert httpx2.put(url, json=body, headers=self.service.bearer("admin")).status_code == 200

    def charges(self, reference: str) -> list[dict[str, Any]]:
        return [charge for charge in tuple(self.simulator.charges.values()) if charge["reference"] == reference]


def until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = copy_project(tmp_path_factory.mktemp("paid"), dropped=False)
    policy = folder / "policy.toml"
    policy.write_text(
        policy.read_text().replace('"10/minute"', '"1000/minute"').replace('"60/minute"', '"1000/minute"')
    )
    with (
        simulated_in_a_thread() as (simulator, url),
        running(folder, environ={"APP_PAYMENTS_URL": url}) as service,
    ):
        yield Shop(service, simulator)


@pytest.fixture
def shop(started: Shop) -> Shop:
    started.behave()
    return started


def test_an_order_is_charged_placed_and_its_customer_told(shop: Shop) -> None:
    placed = shop.place("alice", quantity=2)
    assert (placed.status_code, placed.json()["status"], placed.json()["amount"]) == (201, "placed", 25_800)
    (charge,) = shop.charges("2 x chair-oak")
    assert (charge["amount"], charge["currency"], charge["status"]) == (25_800, "EUR", "succeeded")
    (told,) = until(lambda: shop.get("notifications", "alice"))
    assert (told["order_id"], told["kind"]) == (placed.json()["id"], "placed")
    assert shop.get("notifications", "mallory") == []


def test_a_duplicate_is_charged_once(shop: Shop) -> None:
    key = uuid4().hex
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.place("bob", key=key, quantity=3), range(8)))
    done = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.json()["id"] for answer in done}) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(shop.charges("3 x chair-oak")) == 1
    assert len(shop.get("orders", "bob")["items"]) == 1


def test_what_is_free_is_not_charged(shop: Shop) -> None:
    before = shop.simulator.requests
    assert shop.place("carol", "swatch-oak").json()["amount"] == 0
    assert shop.simulator.requests == before


def test_what_is_not_there_is_not_charged(shop: Shop) -> None:
    before = shop.simulator.requests
    assert shop.place("carol", "never-heard-of").status_code == 409
    assert shop.simulator.requests == before


def test_an_order_that_could_not_be_charged_is_none_and_may_be_tried_again(shop: Shop) -> None:
    shop.behave(mode="rate_limited")
    key = uuid4().hex
    is_problem(shop.place("dave", key=key, quantity=4), 503, "upstream_unavailable")
    assert shop.get("orders", "dave")["items"] == []
    shop.behave()
    assert shop.place("dave", key=key, quantity=4).status_code == 201
    assert len(shop.charges("4 x chair-oak")) == 1


def test_a_charge_whose_answer_was_lost_is_not_made_again(shop: Shop) -> None:
    shop.behave(mode="half_close")
    key = uuid4().hex
    is_problem(shop.place("erin", key=key, quantity=5), 502, "upstream_bad_answer")
    shop.behave()
    assert shop.place("erin", key=key, quantity=5).status_code == 201
    assert len(shop.charges("5 x chair-oak")) == 1


def test_a_cancelled_order_is_refunded_once(shop: Shop) -> None:
    order = shop.place("frank", quantity=6).json()["id"]
    for _ in range(2):
        headers = {**shop.service.bearer("customer", subject="frank"), "idempotency-key": uuid4().hex}
        answer = httpx2.post(f"{shop.service.url}/v1/orders/{order}/cancel", headers=headers)
        assert answer.json()["status"] == "cancelled"
    until(lambda: [charge["status"] for charge in shop.charges("6 x chair-oak")] == ["refunded"])


def test_of_many_who_paid_one_gets_the_last_one_and_the_others_their_money_back(shop: Shop) -> None:
    shop.behave(latency=0.2)  # so that all have looked before the first one takes it
    for number in range(20):  # unless something held them up
        sku = f"last-one-{number}"
        outcomes = outcomes_of_a_run(shop, sku)
        assert outcomes.count("placed") == 1
        assert until(partial(settled, shop, sku)) == 1
        if "rejected" in outcomes:
            break
    assert "rejected" in outcomes


def outcomes_of_a_run(shop: Shop, sku: str) -> list[str]:
    """Have six customers order the last one of an article, and return what became of their orders."""
    shop.set_stock(sku, 1, 500)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: shop.place(f"c{number}", sku), range(6)))
    return [answer.json().get("status", "") if answer.status_code == 201 else "none" for answer in answers]


def settled(shop: Shop, sku: str) -> int:
    """Return how many charges of the last one were kept, once all but one were given back."""
    states = [charge["status"] for charge in shop.charges(f"1 x {sku}")]
    return states.count("succeeded") if states.count("succeeded") <= 1 else 0


def test_while_payments_hang_other_routes_answer_and_write(started: Shop, sqlite_url: str) -> None:
    """In a service of its own, whose circuit the others do not meet."""
    with simulated_in_a_thread() as (simulator, url):
        environ = {"APP_PAYMENTS_URL": url, "APP_DATABASE_URL": sqlite_url.replace("+aiosqlite", "")}
        with running(started.service.folder, environ=environ) as service:
            others_go_on(Shop(service, simulator))


def others_go_on(shop: Shop) -> None:
    shop.behave(mode="hang")
    with ThreadPoolExecutor(4) as pool:
        hanging = [pool.submit(shop.place, "grace", quantity=7) for _ in range(4)]
        assert shop.place("heidi", "swatch-pine").status_code == 201
        shop.set_stock("vase-blue", 5, 100)
        assert len(shop.get("orders", "heidi")["items"]) == 1
        assert not any(place.done() for place in hanging)
    assert {place.result().status_code for place in hanging} <= {503, 504}
    assert shop.get("orders", "grace")["items"] == []
