"""Fetches of what a caller names go to the public internet, within bounds, and carry nothing along."""

from __future__ import annotations

import pytest

from app.patterns.http_client import UrlFetcher
from app.patterns.ssrf_guard import SsrfGuard, UrlRefused
from app.settings import Settings
from app.upstreams import CallContext, UpstreamError, Upstreams, WebClient
from app.upstreams.web import Internet
from tests.support.upstreams import Seen, telemetry

CONTEXT = CallContext(outbound=frozenset({"web"}), request_id="a" * 32, remaining=lambda: 2.0)


def web(seen: Seen, guard: SsrfGuard) -> WebClient:
    registry = Upstreams(Settings(), telemetry(seen), declared=(WebClient,))
    return WebClient(registry.pipeline("web"), Internet(guard, UrlFetcher(WebClient.upstream.http_config())), CONTEXT)


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/", "http://127.0.0.1/", "http://[::1]/", "file:///x"])
async def test_a_url_that_leads_inside_is_refused_by_the_address_that_it_leads_to(url: str) -> None:
    client = web(Seen(), SsrfGuard())
    with pytest.raises(UrlRefused):
        await client.fetch(url)


async def test_a_dead_host_that_somebody_names_does_not_close_the_web_for_others() -> None:
    async def nowhere(_host: str, _port: int) -> list[str]:
        raise OSError

    seen = Seen()
    client = web(seen, SsrfGuard(resolve=nowhere))
    for _ in range(50):
        with pytest.raises(UpstreamError) as caught:
            await client.fetch("http://dead.example/")
        assert (caught.value.reason, caught.value.upstream) == ("dns", "web")
    assert seen.counts("http.client.request.duration") == {("web", "GET", "dns"): 50}


async def test_the_registry_makes_the_guard_and_the_fetcher() -> None:
    registry = Upstreams(Settings(), telemetry(), declared=(WebClient,))
    registry.open(["web"])
    with pytest.raises(UrlRefused, match="address_not_public"):
        await registry.client(WebClient, CONTEXT).fetch("https://10.0.0.1/")
    await registry.aclose()
