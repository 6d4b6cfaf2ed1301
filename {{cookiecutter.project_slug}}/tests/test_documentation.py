"""The documentation says what the guards do, and works in development without a CDN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.support.service import Service, copy_project, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(copy_project(tmp_path_factory.mktemp("documented"))) as started:
        yield started


def test_the_document_says_who_may_call_and_how_a_refusal_looks(service: Service) -> None:
    document = httpx2.get(f"{service.url}/openapi.json").json()
    place = document["paths"]["/probe/echo"]["post"]
    assert place["security"] == [{"bearer": ["probe:write"]}]
    assert {"400", "401", "403", "429", "500", "503", "504"} <= place["responses"].keys()
    take = document["paths"]["/probe/json"]["post"]
    assert {"408", "413", "422"} <= take["responses"].keys()
    assert "security" not in document["paths"]["/livez"]["get"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert httpx2.get(f"{service.url}/openapi.json").json() == document  # and it says the same each time


def test_development_documentation_works_without_a_cdn(service: Service) -> None:
    page = httpx2.get(f"{service.url}/docs")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for path in ("/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/start.js"):
        assert path in page.text
        assert httpx2.get(f"{service.url}{path}").status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    for path in ("/docs/../../etc/passwd", "/docs/%2e%2e%2fsecret", "/docs/other.js"):
        assert httpx2.get(f"{service.url}{path}").status_code == 404
