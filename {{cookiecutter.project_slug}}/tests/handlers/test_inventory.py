"""The other half of the worked example: stock is everybody's to see, and one role's to set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.support.service import Service, copy_project, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(copy_project(tmp_path_factory.mktemp("inventory"), dropped=False)) as started:
        yield started


def set_stock(service: Service, sku: str, body: object, role: str = "admin") -> httpx2.Response:
    return httpx2.put(f"{service.url}/v1/inventory/{sku}", json=body, headers=service.bearer(role))


def pages(service: Service, limit: int) -> list[list[str]]:
    found: list[list[str]] = []
    after = ""
    while True:
        url = f"{service.url}/v1/inventory?limit={limit}&after={after}"
        page = httpx2.get(url, headers=service.bearer("customer")).json()
        found.append([item["sku"] for item in page["items"]])
        if page["next"] is None:
            return found
        after = page["next"]


LAMP = {"sku": "lamp-brass", "available": 7, "price": 8900}


def test_only_an_administrator_sets_the_stock(service: Service) -> None:
    assert set_stock(service, "lamp-brass", {"available": 7}, "customer").status_code == 403
    assert set_stock(service, "lamp-brass", {"available": 7}, "support").status_code == 403
    assert set_stock(service, "lamp-brass", {"available": 7}).json() == LAMP
    assert set_stock(service, "lamp-brass", {"available": 7}).json() == LAMP


def test_a_new_article_is_added_and_listed(service: Service) -> None:
    assert set_stock(service, "vase-blue", {"available": 0}).status_code == 200
    (listed,) = pages(service, 100)
    assert {"chair-oak", "desk-pine", "lamp-brass", "swatch-brass", "swatch-oak", "swatch-pine", "vase-blue"} <= {
        *listed
    }
    assert listed == sorted(set(listed))
    assert pages(service, len(listed) - 3) == [listed[:-3], listed[-3:]]
    assert pages(service, len(listed)) == [listed]
    assert pages(service, 1) == [[sku] for sku in listed]


def test_a_price_is_kept_unless_another_is_said(service: Service) -> None:
    assert set_stock(service, "bowl-clay", {"available": 1, "price": 500}).json()["price"] == 500
    assert set_stock(service, "bowl-clay", {"available": 2}).json()["price"] == 500
    assert set_stock(service, "bowl-clay", {"available": 2, "price": 0}).json()["price"] == 0
    for price in (-1, 100_001, "5", 1.5, True):
        assert set_stock(service, "bowl-clay", {"available": 2, "price": price}).status_code == 422


@pytest.mark.parametrize("available", [-1, 1_000_001, "7", 1.5, None, True, 2**63, 10**400])
def test_a_number_out_of_bounds_is_refused(service: Service, available: object) -> None:
    assert set_stock(service, "desk-pine", {"available": available}).status_code == 422


@pytest.mark.parametrize("available", [0, 1_000_000])
def test_a_number_at_its_bounds_is_taken(service: Service, available: int) -> None:
    assert set_stock(service, "chair-oak", {"available": available}).json()["available"] == available
