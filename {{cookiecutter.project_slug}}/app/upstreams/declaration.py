"""What is declared of a service that this one calls, and what holds for it unless its declaration says otherwise."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.patterns.http_client import HttpClientConfig
from app.settings import BootRefused

if TYPE_CHECKING:
    from pydantic import SecretStr

    from app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One service. Times in seconds, sizes in bytes.

    The defaults suit a service in the same data centre that answers in some tens of milliseconds.
    """

    name: str
    """What policy.toml calls it. Its settings are ``NAME_url`` and ``NAME_token``."""
    timeout: float = 5.0
    """For a call with all its attempts; what is left of the request's deadline shortens it. Callers of this service
    have five seconds by default too."""
    attempts: int = 3
    """Of one call; AWS SDKs and .NET's standard handler count the same."""
    attempt_timeout: float = 1.5
    """For one attempt: three of them, with the waits between, just fit into ``timeout``."""
    patience: float = 0.25
    """An attempt that was cut off after less says nothing about the service: its caller was in a hurry."""
    concurrency: int = 20
    """Calls at a time. At 50 ms each that is 400 a second from one process."""
    queue: int = 20
    """Calls that may wait for a place: as many again. What is longer is not served in time anyway."""
    slow: float = 1.0
    """An attempt that takes longer counts as slow; a service that has become slow is as good as away."""
    hedge_after: float | None = None
    """Seconds after which a GET that has not answered is asked a second time, paid from the budget of retries; None for
    never. What 95 of 100 calls take is a good value, where one answer in a hundred is late for no reason."""
    max_response: int = 1024 * 1024
    """Of an answer."""
    propagate: bool = True
    """Send the trace, the request's id and its deadline along. Not to other companies."""
    token: bool = True
    """It wants a bearer token, from the setting ``NAME_token``."""

    simulated: bool = False
    """It has a simulator, which development runs inside of the service where no URL is set."""
    breaker: bool = True
    """What it serves fails together, so that one failure says something about the next call."""

    def setting(self, what: str) -> str:
        """Return the environment variable that holds its ``url`` or its ``token``."""
        return f"APP_{self.name.upper()}_{what.upper()}"

    def is_simulated(self, settings: Settings) -> bool:
        """Tell whether its simulator stands in for it."""
        return self.simulated and not settings.production and self._read(settings, "url") is None

    def base_url(self, settings: Settings) -> str:
        """Return where it is.

        Raises:
            BootRefused: that is not set, or is not safe.
        """
        url: str | None = self._read(settings, "url")
        if url is None:
            raise BootRefused([f'{self.setting("url")}: unset, and policy.toml has outbound = ["{self.name}"]'])
        plain = urlsplit(url).scheme != "https" and not _is_loopback(url)
        if plain and settings.production and not settings.allow_plain_upstreams:
            problem = "must be https://, or its token travels in the clear; if a mesh encrypts: "
            raise BootRefused([f"{self.setting('url')}: {problem}APP_ALLOW_PLAIN_UPSTREAMS=true"])
        return url

    def credentials(self, settings: Settings) -> dict[str, str]:
        """Return the headers that say who is calling; none if no token is set.

        Raises:
            BootRefused: it wants a token, and production has none.
        """
        token: SecretStr | None = self._read(settings, "token") if self.token else None
        if token is not None:
            return {"authorization": f"Bearer {token.get_secret_value()}"}
        if self.token and settings.production:
            raise BootRefused([f"{self.setting('token')}: unset; production does not call it as nobody"])
        return {}

    def _read(self, settings: Settings, what: str) -> Any:
        field = f"{self.name}_{what}"
        if field not in type(settings).model_fields:
            raise BootRefused(
                [f"app/settings.py:1: Settings has no {field}, which app/upstreams needs for {self.name}"]
            )
        return getattr(settings, field)

    def http_config(self) -> HttpClientConfig:
        """Return the bounds of its connections. Their time is bounded by the layers round them."""
        return HttpClientConfig(
            timeout=None,
            connect_timeout=min(HttpClientConfig().connect_timeout, self.attempt_timeout),
            max_response=self.max_response,
            max_connections=self.concurrency,
        )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
