"""Every answer tells the browser to do nothing with it but read it."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from app.patterns.security_headers import API_POLICY, DOCS_POLICY, SecurityHeaders, SecurityHeadersConfig
from tests.support.live import serve


def application() -> FastAPI:
    app = FastAPI(docs_url=None)

    @app.get("/plain")
    async def plain() -> dict[str, str]:
        return {}

    @app.get("/loose")
    async def loose() -> JSONResponse:
        headers = {
            "x-content-type-options": "sniff",
            "referrer-policy": "unsafe-url",
            "server": "Toaster/1.0",
            "x-powered-by": "Toast",
            "cache-control": "max-age=60",
            "content-security-policy": "default-src *",
        }
        return JSONResponse({}, headers=headers)

    return app


def answer(path: str, config: SecurityHeadersConfig | None = None) -> httpx2.Response:
    with serve(SecurityHeaders(application(), config=config), server_header=False) as url:
        return httpx2.get(f"{url}{path}")


@pytest.mark.parametrize("path", ["/plain", "/nowhere"])
def test_every_answer_carries_the_headers(path: str) -> None:
    headers = answer(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == API_POLICY
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


def test_a_handler_cannot_loosen_them() -> None:
    headers = answer("/loose").headers
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("referrer-policy") == ["no-referrer"]
    assert API_POLICY in headers.get_list("content-security-policy")
    assert "server" not in headers
    assert "x-powered-by" not in headers


def test_a_handler_may_say_how_long_its_answer_is_good() -> None:
    assert answer("/loose").headers.get_list("cache-control") == ["max-age=60"]


def test_transport_security_is_sent_where_asked_for() -> None:
    config = SecurityHeadersConfig(strict_transport_security="max-age=60")
    assert answer("/plain", config).headers["strict-transport-security"] == "max-age=60"


def test_a_page_may_have_a_policy_of_its_own() -> None:
    config = SecurityHeadersConfig(path_policies={"/plain": DOCS_POLICY})
    assert answer("/plain", config).headers["content-security-policy"] == DOCS_POLICY
    assert answer("/loose", config).headers.get_list("content-security-policy")[-1] == API_POLICY


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "snö", "\x00"])
def test_a_value_that_would_break_the_head_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        SecurityHeaders(application(), config=SecurityHeadersConfig(extra={"x-a": value}))
