"""What is declared is opened at boot with what it needs, or the boot says what that is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from app.settings import BootRefused, Environment, Settings
from app.upstreams import DECLARED, NAMES, CallContext, HttpUpstream, PaymentsClient, Upstream, Upstreams, WebClient
from tests.support.upstreams import CONTEXT, telemetry


def production(**settings: Any) -> Settings:
    return Settings(
        environment=Environment.PRODUCTION,
        issuer="https://issuer.example/",
        jwks_url="https://issuer.example/jwks.json",
        **settings,
    )


def upstreams(settings: Settings, *kinds: type[Any]) -> Upstreams:
    return Upstreams(settings, telemetry(), declared=kinds or DECLARED)


def refusal(settings: Settings, *kinds: type[Any]) -> str:
    with pytest.raises(BootRefused) as refused:
        upstreams(settings, *kinds).open(kind.upstream.name for kind in (kinds or DECLARED))
    return "\n".join(refused.value.problems)


def test_every_declared_service_has_a_name_of_its_own() -> None:
    assert len(NAMES) == len(DECLARED)
    assert {"payments", "web"} == NAMES


async def test_development_runs_a_simulator_where_no_url_is_set_and_nothing_else_does() -> None:
    asked: list[str] = []

    def simulator() -> str:
        asked.append("asked")
        return "http://127.0.0.1:9"

    for settings, expected in (
        (Settings(), ["asked"]),
        (Settings(payments_url="http://127.0.0.1:8001"), []),
    ):
        asked.clear()
        registry = Upstreams(settings, telemetry(), declared=(PaymentsClient,), simulators={"payments": simulator})
        registry.open([])
        assert asked == []
        registry.open(["payments"])
        assert asked == expected
        await registry.aclose()
    asked.clear()
    with pytest.raises(BootRefused, match="APP_PAYMENTS_URL: unset"):
        Upstreams(production(), telemetry(), declared=(PaymentsClient,), simulators={"payments": simulator}).open(
            ["payments"]
        )
    assert asked == []


async def test_opening_again_changes_nothing() -> None:
    registry = upstreams(Settings(payments_url="http://127.0.0.1:8001"), PaymentsClient)
    registry.open(["payments"])
    before = dict(registry._connections)
    registry.open(["payments"])
    assert before == registry._connections
    await registry.aclose()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, 'APP_PAYMENTS_URL: unset, and policy.toml has outbound = ["payments"]'),
        ({"payments_url": "http://payments.example", "payments_token": "x"}, "APP_PAYMENTS_URL: must be https://"),
        ({"payments_url": "https://payments.example"}, "APP_PAYMENTS_TOKEN: unset"),
        ({"payments_url": "payments.example", "payments_token": "x"}, "APP_PAYMENTS_URL: "),
        ({"payments_url": "https://u:hunter2@payments.example", "payments_token": "x"}, "APP_PAYMENTS_URL: "),
        ({"payments_url": "https://payments.example/?a=b", "payments_token": "x"}, "APP_PAYMENTS_URL: "),
    ],
)
def test_production_refuses_a_service_that_is_missing_or_unsafe(settings: dict[str, str], problem: str) -> None:
    text = refusal(production(**settings), PaymentsClient)
    assert text.startswith(problem)
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "settings",
    [
        {"payments_url": "https://payments.example"},
        {"payments_url": "http://127.0.0.1:8080"},
        {"payments_url": "http://localhost:8080"},
        {"payments_url": "http://payments.example", "allow_plain_upstreams": True},
    ],
)
async def test_production_takes_tls_a_sidecar_and_what_a_mesh_encrypts(settings: dict[str, Any]) -> None:
    registry = upstreams(production(payments_token="x", **settings), PaymentsClient)
    registry.open(["payments"])
    await registry.aclose()


def test_a_service_that_no_route_reaches_needs_no_settings() -> None:
    upstreams(production()).open([])


def test_everything_that_is_missing_is_said_at_once() -> None:
    class Shipping(HttpUpstream):
        upstream: ClassVar[Upstream] = Upstream(name="shipping", token=False)

    class Billing(HttpUpstream):
        upstream: ClassVar[Upstream] = replace(PaymentsClient.upstream, simulated=False)

    first, second = refusal(Settings(), Shipping, Billing).splitlines()
    assert first.startswith("APP_PAYMENTS_URL: unset")
    assert second.startswith("app/settings.py:1: Settings has no shipping_url")


def test_a_service_that_was_not_opened_says_so_and_one_that_is_not_allowed_says_that() -> None:
    registry = upstreams(Settings())
    with pytest.raises(RuntimeError, match="not open"):
        registry.client(PaymentsClient, CONTEXT)
    with pytest.raises(Exception, match="outbound"):
        registry.client(WebClient, CallContext())


def test_the_web_has_no_circuit_so_it_is_not_in_the_report() -> None:
    assert list(upstreams(Settings()).checks()) == ["upstream_payments"]
