"""What leaves the service: HTTP clients, sockets, mail, other stores; and the declared upstreams."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from admission.source.canonical import last
from admission.source.match import method

if TYPE_CHECKING:
    from admission.source.module import Call, Module

HTTP_CLIENTS: Final = (
    "httpx.",
    "requests.",
    "aiohttp.",
    "urllib.request.",
    "urllib3.",
    "http.client.",
    "niquests.",
    "httplib2.",
    "pycurl.",
    "treq.",
    "websockets.",
    "websocket.",
)
OTHER_CLIENTS: Final = (
    "socket.",
    "smtplib.",
    "aiosmtplib.",
    "ftplib.",
    "poplib.",
    "imaplib.",
    "telnetlib.",
    "boto3.",
    "botocore.",
    "aioboto3.",
    "aiobotocore.",
    "redis.",
    "aioredis.",
    "pymongo.",
    "motor.",
    "kafka.",
    "aiokafka.",
    "pika.",
    "aio_pika.",
    "nats.",
    "grpc.",
    "stripe.",
    "openai.",
    "anthropic.",
    "twilio.",
    "sendgrid.",
    "slack_sdk.",
    "elasticsearch.",
    "celery.",
    "xmlrpc.client.",
    "google.cloud.",
    "azure.",
    "paramiko.",
    "ldap3.",
    "psycopg.",
    "psycopg2.",
    "asyncpg.",
    "pymysql.",
    "aiomysql.",
    "mysql.",
    "sentry_sdk.",
    "mailjet_rest.",
    "resend.",
    "memcache.",
    "aiomcache.",
)
NO_CALL: Final = frozenset(
    {
        "httpx.HTTPError",
        "httpx.TimeoutException",
        "httpx.HTTPStatusError",
        "httpx.RequestError",
        "httpx.ConnectError",
        "httpx.URL",
        "httpx.Timeout",
        "httpx.Limits",
        "httpx.QueryParams",
        "httpx.codes",
        "httpx.BasicAuth",
        "httpx.Headers",
        "httpx.Response",
        "aiohttp.ClientError",
        "aiohttp.ClientTimeout",
        "requests.RequestException",
        "requests.exceptions.RequestException",
        "socket.gethostname",
        "socket.timeout",
        "socket.gaierror",
        "urllib.request.Request",
        "psycopg.errors.UniqueViolation",
        "redis.exceptions.RedisError",
    }
)
KNOWN_DEPENDENCIES: Final = frozenset(
    {"Caller", "Session", "Identity", "EffectKey", "Outbox", "Look", "Settings", "Clock", "Jobs", "Charge"}
)
"""What ``app.dependencies`` offers that is no upstream."""

_OF_ANSWERS: Final = frozenset(
    [
        "json",
        "raise_for_status",
        "read",
        "text",
        "close",
        "aclose",
        "decode",
        "get",
        "items",
        "keys",
        "values",
        "iter_bytes",
        "aiter_bytes",
        "iter_content",
        "getcode",
        "info",
    ]
)
"""Methods of what a client gave back."""

_BUILTIN_ASYNC: Final = frozenset(
    {
        "asyncio.open_connection",
        "asyncio.open_unix_connection",
        "?.create_connection",
        "asyncio.AbstractEventLoop.create_connection",
        *(
            f"{owner}.{verb}"
            for owner in ("?", "asyncio.AbstractEventLoop")
            for verb in ("create_datagram_endpoint", "create_unix_connection", "sock_connect", "sock_sendto")
        ),
        "asyncio.start_server",
    }
)


FETCHER: Final = "app.dependencies.Web"
"""The declared way to a URL from outside."""


def is_upstream(call: Call) -> bool:
    """Return whether a call goes to a declared upstream."""
    return any(_is_declared(kind) for kind in call.receiver.types) or any(
        _is_declared(name.rpartition(".")[0]) for name in call.names
    )


def _is_declared(name: str) -> bool:
    parts = name.split(".")
    if len(parts) < 3 or parts[0] != "app" or parts[1] not in {"dependencies", "upstreams"}:
        return False
    return parts[2].removesuffix("()") not in KNOWN_DEPENDENCIES and parts[2][:1].isupper()


def undeclared(call: Call) -> str | None:
    """Return the client of another service that a call uses, if it is not a declared upstream."""
    for name in sorted(call.names):
        if name in _BUILTIN_ASYNC:
            return name
        if (
            name in NO_CALL
            or ("()" in name and last(name) in _OF_ANSWERS)
            or last(name).endswith(("Error", "Exception", "Timeout"))
        ):
            continue
        if name.startswith((*HTTP_CLIENTS, *OTHER_CLIENTS)):
            return name
    return None


def leaves(call: Call) -> bool:
    """Return whether a call asks another service, declared or not."""
    if is_upstream(call):
        return True
    name = undeclared(call)
    return name is not None and (not last(name)[:1].isupper()) and method(call) not in {"close", "aclose"}


def functions_that_leave(module: Module) -> set[object]:
    """Return the functions of a module that ask another service, themselves or through one another."""
    found: set[object] = set()
    for call in module.calls.values():
        if leaves(call):
            found.add(module.function_of(call.node))
    for _ in range(8):
        more = {module.function_of(call.node) for call in module.calls.values() if call.functions & found} - found
        if not more:
            break
        found |= more
    return found - {None}


def is_group(call: Call) -> bool:
    """Return whether a method of a task group is called."""
    if any("TaskGroup" in kind for kind in call.receiver.types) or any("TaskGroup" in name for name in call.names):
        return True
    node = call.node.func
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"tg", "group", "task_group", "tasks", "nursery"}
    )
