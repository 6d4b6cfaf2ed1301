"""Typed settings; unsafe combinations do not boot, and all of them are named at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from app.settings import ROOT, BootRefused, Settings, load_settings, unknown_settings

if TYPE_CHECKING:
    from pathlib import Path

SAFE = {
    "APP_ENVIRONMENT": "production",
    "APP_ISSUER": "https://issuer.example/",
    "APP_JWKS_URL": "https://issuer.example/jwks.json",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"APP_{name.upper()}", raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Settings:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refusals(monkeypatch: pytest.MonkeyPatch, **environ: str) -> str:
    with pytest.raises(BootRefused) as refused:
        load(monkeypatch, **environ)
    return "\n".join(refused.value.problems)


def test_development_starts_with_nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings.development_issuer
    assert settings.serves_docs
    assert not settings.renders_json


def test_production_starts_when_it_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **SAFE)
    assert settings.production
    assert not settings.serves_docs
    assert settings.renders_json
    assert settings.seconds_before_closing == 5.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"APP_JWKS_URL": "http://issuer.example/jwks.json"}, "APP_JWKS_URL"),
        ({"APP_DOCS": "true"}, "APP_DOCS"),
        ({"APP_ALLOW_PLAIN_JWKS": "true"}, "APP_ALLOW_PLAIN_JWKS"),
        ({"APP_CORS_ORIGINS": "*"}, "APP_CORS_ORIGINS"),
        ({"APP_LOG_LEVEL": "debug"}, "APP_LOG_LEVEL"),
        ({"APP_FLOOD_RATE": "unlimited"}, "APP_FLOOD_RATE"),
        ({"APP_TRUSTED_PROXIES": "0.0.0.0/0"}, "APP_TRUSTED_PROXIES"),
        ({"APP_TRUSTED_PROXIES": "::/0"}, "APP_TRUSTED_PROXIES"),
    ],
)
def test_production_refuses_what_is_unsafe(monkeypatch: pytest.MonkeyPatch, change: dict[str, str], named: str) -> None:
    assert refusals(monkeypatch, **(SAFE | change)).startswith(f"{named}: ")


def test_production_refuses_the_development_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusals(monkeypatch, APP_ENVIRONMENT="production")
    assert "APP_JWKS_URL: unset" in text
    assert "APP_ISSUER: is the development issuer" in text


def test_everything_unsafe_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusals(
        monkeypatch, APP_ENVIRONMENT="production", APP_DOCS="1", APP_CORS_ORIGINS="*", APP_LOG_LEVEL="debug"
    )
    assert [line.split(":")[0] for line in text.splitlines()] == [
        "APP_JWKS_URL",
        "APP_ISSUER",
        "APP_DOCS",
        "APP_CORS_ORIGINS",
        "APP_LOG_LEVEL",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_ENVIRONMENT", "staging"),
        ("APP_REDIS_TIMEOUT", "0"),
        ("APP_REDIS_TIMEOUT", "2.1"),
        ("APP_TRACE_SAMPLE_RATIO", "1.01"),
        ("APP_MAX_CONNECTIONS", "0"),
        ("APP_REDIS_URL", "http://127.0.0.1"),
        ("APP_TRUSTED_PROXIES", "somewhere"),
        ("APP_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("APP_TRUSTED_PROXIES", "2001:db8::1/32"),
        ("APP_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("APP_CORS_ORIGINS", "app.example"),
        ("APP_CORS_ORIGINS", "https://app.example/path"),
        ("APP_LOG_FORMAT", "xml"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert refusals(monkeypatch, **{name: value}).startswith(f"{name}: ")


def test_a_refusal_never_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusals(monkeypatch, APP_REDIS_URL="http://:hunter2@127.0.0.1")
    assert "hunter2" not in text
    monkeypatch.setenv("APP_REDIS_URL", "redis://:hunter2@127.0.0.1")
    assert "hunter2" not in repr(load_settings())


def test_a_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "did you mean APP_REDIS_URL?" in refusals(monkeypatch, APP_REDIS_ULR="redis://127.0.0.1")


def test_a_strangers_setting_is_only_reported() -> None:
    assert unknown_settings({"APP_COLOUR_OF_THE_SKY": "blue", "APP_REDIS_URL": "x", "PATH": "/"}) == [
        "APP_COLOUR_OF_THE_SKY"
    ]


def test_secrets_come_from_files_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "app_redis_url").write_text("redis://:from-a-file@127.0.0.1/0\n")
    settings = load(monkeypatch, APP_SECRETS_DIR=str(tmp_path))
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://:from-a-file@127.0.0.1/0"


def test_a_folder_of_secrets_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert refusals(monkeypatch, APP_SECRETS_DIR=str(tmp_path / "nowhere")).startswith("APP_SECRETS_DIR: ")


def test_the_example_file_names_every_setting_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    named = set(re.findall(r"^#(APP_[A-Z_]+)=", text, re.MULTILINE))
    assert named == {f"APP_{name.upper()}" for name in Settings.model_fields}


def test_the_values_of_the_example_file_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    load(monkeypatch, **dict(re.findall(r"^#(APP_[A-Z_]+)=(.*)$", text, re.MULTILINE)))


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
