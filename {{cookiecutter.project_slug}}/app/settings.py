"""Typed settings from ``APP_*`` variables and secret files; unsafe combinations do not boot.

Every default stands here with its reason. A variable may also come from a file named after it in lower case
(``app_redis_url``) in ``APP_SECRETS_DIR``, which is how Docker and Kubernetes hand over secrets.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: where policy.toml and pyproject.toml stand."""

DEVELOPMENT_ISSUER = "breakwater-development"
"""``iss`` of development tokens, as the development issuer writes it."""


class Environment(StrEnum):
    """Where the service runs; everything that is lenient is lenient in development only."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class BootRefused(Exception):
    """The service does not start; the text says everything that is wrong and what to do.

    Attributes:
        problems: one sentence each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _split(value: object) -> object:
    """Accept ``a, b`` from the environment where a tuple is asked for."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A comma-separated list."""


def _project(field: str, otherwise: str) -> str:
    """Return a field of the project's pyproject.toml, the one place where the service's name is written."""
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        return str(project[field])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return otherwise


class Settings(BaseSettings):
    """Settings of one process. Frozen: what was checked at boot stays true.

    Raises:
        pydantic.ValidationError: a value does not parse or a combination is unsafe; see :func:`load_settings`.
    """

    model_config = SettingsConfigDict(env_prefix="APP_", extra="ignore", frozen=True, hide_input_in_errors=True)

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="development or production; production refuses what is unsafe"
    )
    service_name: str = Field(
        default_factory=lambda: _project("name", "service"),
        max_length=100,
        description="name in logs and telemetry; default is the name in pyproject.toml",
    )
    policy_path: Path = Field(ROOT / "policy.toml", description="the policy file")

    routes_path: Path = Field(
        ROOT / ".routes",
        description="folder of people's words about routes, and of the evidence; where Redis is set they lie there",
    )

    issuer: str = Field(
        DEVELOPMENT_ISSUER,
        min_length=1,
        max_length=500,
        description="`iss` that tokens must carry; the default stands for the development issuer",
    )
    audience: str = Field("api", min_length=1, max_length=200, description="`aud` that tokens must carry")
    jwks_url: str | None = Field(
        None, max_length=2000, description="where the issuer publishes its keys; unset: development issuer"
    )
    development_key_path: Path = Field(
        ROOT / ".development-issuer.json", description="where the development issuer keeps its key"
    )

    database_url: SecretStr = Field(
        SecretStr("sqlite:///app.db"),
        description="sqlite:///file, relative to the project, or postgresql://user:password@host/name",
    )
    database_owner_url: SecretStr | None = Field(
        None, description="who owns the tables and migrates them; unset: APP_DATABASE_URL, in development only"
    )
    row_security_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="signs the caller of a transaction for PostgreSQL; unset: derived from the password in the URL",
    )
    database_pool_size: int = Field(
        10, ge=1, le=200, description="connections a process; all processes together stay under the server's maximum"
    )
    database_pool_timeout: float = Field(
        2.0, gt=0, le=30, description="seconds to wait for one of them, then 503: a queue longer than that only grows"
    )
    database_connect_timeout: int = Field(
        3, ge=2, le=30, description="seconds to connect; libpq counts whole ones and takes 2 at least"
    )
    database_lock_timeout: float = Field(
        2.0, gt=0, le=30, description="seconds to wait for a lock that another transaction holds, then 503"
    )

    idempotency_lifetime: int = Field(
        86_400, ge=60, le=2_592_000, description="seconds that an answer is kept for a repeated request"
    )
    idempotency_keys_per_caller: int = Field(
        10_000, ge=1, le=1_000_000, description="answers kept for one caller at a time; past it 429"
    )

    jobs_in_process: bool | None = Field(
        None,
        description="do jobs in the processes that serve; default: not in production on PostgreSQL, where `app worker` "
        "does them",
    )

    payments_url: str | None = Field(
        None,
        max_length=2000,
        description="base URL of the payments service; unset: in development a simulator inside of the service",
    )
    payments_token: SecretStr | None = Field(
        None, min_length=1, max_length=4000, description="bearer token that the payments service takes"
    )
    allow_plain_upstreams: bool = Field(
        False, description="let production call services by http://; only where a mesh encrypts between the hosts"
    )

    redis_url: SecretStr | None = Field(
        None, description="redis:// or rediss://; unset: rate limits are counted in each process"
    )
    redis_timeout: float = Field(
        0.2,
        gt=0,
        le=2,
        description="seconds to wait for Redis, then limits are counted per process: a healthy one answers in 1-5 ms",
    )
    flood_rate: str = Field(
        "600/minute", description="requests per client address before authentication, `unlimited` to switch off"
    )
    failed_authentication_rate: str = Field(
        "10/minute", description="refused tokens per client address before more are refused unread"
    )
    trusted_proxies: Words = Field(
        (), description="networks whose X-Forwarded-For is believed, such as 10.0.0.0/8; nobody's by default"
    )
    cors_origins: Words = Field((), description="origins that browsers may call from; none by default")

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="least level that is written")
    log_format: str | None = Field(
        None, pattern="^(json|console)$", description="default: json in production, console in development"
    )
    trace_sample_ratio: float = Field(
        0.1, ge=0, le=1, description="share of requests that are traced; requests that fail always are"
    )
    trust_remote_sampling: bool = Field(
        False, description="follow the sampled flag of an incoming traceparent; only behind a gateway that sets it"
    )

    ops: bool = Field(False, description="serve /ops, the operator's page, to who has ops:read; acts want ops:write")
    docs: bool | None = Field(None, description="serve /docs and /openapi.json; default: in development only")
    hsts: bool = Field(False, description="send Strict-Transport-Security (two years); once every caller comes by TLS")
    allow_plain_jwks: bool = Field(False, description="accept http:// for the JWKS URL; development only")

    max_connections: int = Field(
        1000, ge=1, le=100_000, description="open connections a process; above it new ones get 503"
    )
    max_in_flight: int = Field(
        1000,
        ge=10,
        le=100_000,
        description="requests at a time at most; the limit below that is found by itself",
    )
    max_memory: int | None = Field(
        None,
        ge=64,
        description="MiB of memory a process; default: nine tenths of what the container may have, for all processes "
        "together",
    )
    threads: int = Field(40, ge=4, le=1000, description="threads for synchronous handlers; a route gets a quarter")
    header_timeout: float = Field(5.0, gt=0, le=60, description="seconds for a request's head to arrive")
    drain_delay: float | None = Field(
        None,
        ge=0,
        le=120,
        description="seconds between failing readiness and closing the door; default: 5 in production, else 0",
    )
    drain_timeout: float = Field(
        20.0, gt=0, le=600, description="seconds that requests in flight have to end after that"
    )

    @property
    def production(self) -> bool:
        """True where only what is safe may run."""
        return self.environment is Environment.PRODUCTION

    @property
    def works(self) -> bool:
        """True when the processes that serve do the jobs too."""
        if self.jobs_in_process is not None:
            return self.jobs_in_process
        return not self.production or self.database_url.get_secret_value().startswith("sqlite")

    @property
    def serves_docs(self) -> bool:
        """True when /docs and /openapi.json are served."""
        return not self.production if self.docs is None else self.docs

    @property
    def development_issuer(self) -> bool:
        """True when tokens are verified with the development issuer's key."""
        return self.jwks_url is None

    @property
    def renders_json(self) -> bool:
        """True when log lines are JSON."""
        return self.production if self.log_format is None else self.log_format == "json"

    @property
    def seconds_before_closing(self) -> float:
        """Seconds between failing readiness and refusing connections."""
        if self.drain_delay is not None:
            return self.drain_delay
        return 5.0 if self.production else 0.0

    @model_validator(mode="after")
    def _safe(self) -> Self:
        problems = [*self._malformed(), *(self._unsafe() if self.production else ())]
        if problems:
            raise _UnsafeError(problems)
        return self

    def _malformed(self) -> list[str]:
        found = map(trusted_proxy_problem, self.trusted_proxies)
        problems = [f"APP_TRUSTED_PROXIES: {problem}" for problem in found if problem is not None]
        for origin in self.cors_origins:
            parts = urlsplit(origin)
            if origin != "*" and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.path):
                problems.append(f"APP_CORS_ORIGINS: {origin!r} is not an origin; write for example https://app.example")
        if self.redis_url and urlsplit(self.redis_url.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
            problems.append("APP_REDIS_URL: must start with redis://, rediss:// or unix://")
        for name in ("database_url", "database_owner_url"):
            problem = database_url_problem(getattr(self, name))
            if problem is not None:
                problems.append(f"APP_{name.upper()}: {problem}")
        if self.jwks_url and urlsplit(self.jwks_url).scheme not in {"http", "https"}:
            problems.append("APP_JWKS_URL: must start with https://")
        if self.jwks_url and self.issuer == DEVELOPMENT_ISSUER:
            problems.append("APP_ISSUER: name the issuer whose keys APP_JWKS_URL publishes")
        return problems

    def _unsafe(self) -> list[str]:
        problems = []
        if self.jwks_url is None:
            problems.append(
                "APP_JWKS_URL: unset, so the development issuer would be trusted; set it to your issuer's JWKS URL"
            )
        elif urlsplit(self.jwks_url).scheme != "https":
            problems.append("APP_JWKS_URL: keys must come over https://, or anyone on the way can sign tokens")
        if self.issuer == DEVELOPMENT_ISSUER:
            problems.append("APP_ISSUER: is the development issuer; set it to your issuer's `iss`")
        if self.serves_docs:
            problems.append("APP_DOCS: documentation is for development; leave it unset")
        if self.allow_plain_jwks:
            problems.append("APP_ALLOW_PLAIN_JWKS: is for development; leave it unset")
        if "*" in self.cors_origins:
            problems.append("APP_CORS_ORIGINS: '*' lets every page call this service; name the origins")
        if self.log_level == "debug":
            problems.append("APP_LOG_LEVEL: debug lines may carry what callers sent; use info")
        if self.flood_rate == "unlimited":
            problems.append("APP_FLOOD_RATE: 'unlimited' leaves the door to authentication open; name a rate")
        return problems


def trusted_proxy_problem(network: str) -> str | None:
    """Return what is wrong with a network whose word about addresses is believed."""
    try:
        whole = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return f"{network!r} is not a network; write for example 10.0.0.0/8"
    if whole.prefixlen == 0:
        return "a network of everyone lets any caller choose its address"
    if whole.network_address != ipaddress.ip_address(network.partition("/")[0]):
        return f"{network!r} is an address in a network; write {str(whole)!r}"
    return None


def database_url_problem(url: SecretStr | None) -> str | None:
    """Return what is wrong with a database URL, without repeating it: it holds a password."""
    if url is None:
        return None
    scheme, _, rest = url.get_secret_value().partition("://")
    if scheme not in {"sqlite", "sqlite+aiosqlite", "postgresql", "postgresql+psycopg"}:
        return "must start with sqlite:///, postgresql:// or postgresql+psycopg://"
    if scheme.startswith("sqlite") and rest.strip("/").partition("?")[0] in {"", ":memory:"}:
        return "a database in memory is another one for each connection; name a file, such as sqlite:///app.db"
    return None


class _UnsafeError(ValueError):
    """Carries several problems through one pydantic validator."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings of this process.

    Args:
        environ: where ``APP_SECRETS_DIR`` is looked up; default is the process's environment.
        overrides: values that win over the environment, by field name.

    Raises:
        BootRefused: with every faulty value and every unsafe combination at once, never with a value itself.
    """
    environ = os.environ if environ is None else environ
    secrets = environ.get("APP_SECRETS_DIR")
    if secrets is not None and not Path(secrets).is_dir():
        raise BootRefused([f"APP_SECRETS_DIR: {secrets!r} is not a folder"])
    problems = _misspelt(environ)
    settings: Settings | None = None
    try:
        settings = Settings(_secrets_dir=secrets, **overrides)
    except ValidationError as error:
        problems += _describe(error)
    if problems or settings is None:
        raise BootRefused(problems)
    return settings


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Return the ``APP_*`` variables that no setting reads, for a warning at boot."""
    known = {f"APP_{name.upper()}" for name in Settings.model_fields} | {"APP_SECRETS_DIR"}
    return sorted(name for name in environ if name.startswith("APP_") and name not in known)


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    """A variable that nearly names a setting is a guard silently off: that refuses, a stranger only warns."""
    known = [f"APP_{name.upper()}" for name in Settings.model_fields]
    problems = []
    for name in unknown_settings(environ):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if near:
            problems.append(f"{name}: no such setting; did you mean {near[0]}?")
    return problems


def _describe(error: ValidationError) -> list[str]:
    problems: list[str] = []
    for fault in error.errors(include_input=False, include_url=False):
        cause = (fault.get("ctx") or {}).get("error")
        if isinstance(cause, _UnsafeError):
            problems += cause.problems
        else:
            name = "APP_" + "_".join(str(part) for part in fault["loc"][:1]).upper()
            problems.append(f"{name}: {fault['msg']}")
    return problems
