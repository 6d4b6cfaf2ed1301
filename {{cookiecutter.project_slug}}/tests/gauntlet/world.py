"""What the gauntlet knows of the service while it attacks: its routes, requests that they answer, what exists."""

from __future__ import annotations

import copy
import itertools
import re
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

import httpx2

from tests.gauntlet.forms import BOUNDARY, MULTIPART, URLENCODED, encode, text_of
from tests.gauntlet.serve import HEADER
from tests.gauntlet.sound import RAISED, said_of
from tests.gauntlet.values import Generator, NoValue, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.gauntlet.service import Target

OWNER: Final = "owner"
ITS_OWN: Final = "\0its own"
ORDER: Final = {"PUT": 0, "POST": 1, "GET": 2, "PATCH": 3, "DELETE": 4}
"""In which routes are tried first: what makes things before what needs them, what removes them last."""

ROUNDS: Final = 3
TIMEOUT: Final = 30.0
PAUSE: Final = 0.05
"""Seconds between two pieces of a body: the service has read the first before the second comes."""

UNREAD: Final = 200_000
"""Bytes of a body that is refused after which the service may hang up: such a connection is not used again."""

Way = Literal["whole", "chunked", "in two"]
WAYS: Final[tuple[Way, ...]] = ("whole", "chunked", "in two")
NO_SUCH: Final = "00000000-0000-4000-8000-00000000dead"


@dataclass(frozen=True)
class Route:
    """One route under attack: its policy, from ``serve.describe``, and its OpenAPI operation."""

    facts: dict[str, Any]
    operation: dict[str, Any]

    @property
    def method(self) -> str:
        return str(self.facts["method"])

    @property
    def path(self) -> str:
        return str(self.facts["path"])

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def public(self) -> bool:
        return bool(self.facts["public"])

    @property
    def writes(self) -> bool:
        return self.method not in {"GET", "HEAD"}

    @property
    def keyed(self) -> bool:
        return self.facts["idempotency"] in {"required", "optional"}

    @property
    def closed(self) -> bool:
        return "breakwater:closed" in self.facts["allow"]

    @property
    def body(self) -> dict[str, Any] | None:
        """The schema of its JSON body, if it takes one."""
        content = self.operation.get("requestBody", {}).get("content", {})
        schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
        return schema

    @property
    def form(self) -> str | None:
        """The media type of its body if it takes a form."""
        content = self.operation.get("requestBody", {}).get("content", {})
        return next((kind for kind in (MULTIPART, URLENCODED) if kind in content and self.body is None), None)

    @property
    def schema(self) -> dict[str, Any] | None:
        """The schema of its body, be it JSON or a form."""
        if self.form is None:
            return self.body
        schema: dict[str, Any] = self.operation["requestBody"]["content"][self.form].get("schema", {})
        return schema

    @property
    def other_body(self) -> str | None:
        """The media type of its body where that is neither JSON nor a form: what it would hold, nobody here knows."""
        content = self.operation.get("requestBody", {}).get("content", {})
        return None if self.schema is not None else next(iter(content), None)

    @property
    def kind(self) -> str:
        """The Content-Type of its body."""
        return f"{MULTIPART}; boundary={BOUNDARY}" if self.form == MULTIPART else self.form or "application/json"

    def parameters(self, place: str) -> list[dict[str, Any]]:
        return [part for part in self.operation.get("parameters", ()) if part["in"] == place]


@dataclass(frozen=True)
class Call:
    """One request, before it is sent."""

    route: Route
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    subject: str = OWNER

    @property
    def content(self) -> bytes | None:
        """Its body as it is sent."""
        if self.raw is not None or self.body is None:
            return self.raw
        return dumps(self.body) if self.route.form is None else encode(self.route.form, self.body)[0]

    @property
    def target(self) -> str:
        def filled(match: re.Match[str]) -> str:
            return quote(text_of(self.path.get(match[1], "x")), safe="", errors="surrogatepass")

        return re.sub(r"\{(\w+)(?::\w+)?\}", filled, self.route.path)

    @property
    def query_string(self) -> str:
        pairs = [(name, text_of(item)) for name, value in self.query.items() for item in _many(value)]
        return "&".join(f"{name}={quote(value, safe='', errors='surrogatepass')}" for name, value in pairs)

    @property
    def line(self) -> str:
        """Path and query."""
        return f"{self.target}?{self.query_string}" if self.query else self.target

    def with_parameter(self, place: str, name: str, value: Any) -> Call:
        """Return the call with one parameter changed."""
        if place == "path":
            return replace(self, path={**self.path, name: value})
        return replace(self, query={**self.query, name: value})

    def with_field(self, path: tuple[str, ...], value: Any) -> Call:
        """Return the call with one field of its body changed."""
        body = copy.deepcopy(self.body)
        inner = body
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        return replace(self, body=body)


def answered(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """Return the answer; a second try is made where a connection ended without one.

    A server may end a kept connection as it is used again, and a client then asks again (RFC 9112, 9.3.1). One that
    never answers does not answer the second time either.

    Raises:
        httpx2.RemoteProtocolError: there was no answer, twice.
    """
    try:
        return ask()
    except httpx2.RemoteProtocolError:
        return ask()


class World:
    """The service under attack and what was learnt of it.

    Attributes:
        target: the running service.
        routes: its routes, without the scaffold's own.
        examples: route -> a request that it answered with 2xx.
        answers: route -> status and text of the last try, where it never did.
        sent: the route of each request; a list, because threads add to it.
        secrets: the signatures of all tokens that were sent.
    """

    def __init__(self, target: Target, only: set[str] | None = None) -> None:
        self.target = target
        # Nothing is sent over what has idled for long: the server may be about to close it.
        limits = httpx2.Limits(keepalive_expiry=2.0)
        self.client = httpx2.Client(base_url=target.url, timeout=TIMEOUT, limits=limits, trust_env=False)
        self.document: dict[str, Any] = self.client.get("/openapi.json").json()
        self.pool = Pool()
        self.generator = Generator(self.document, self.pool)
        every = [
            Route(facts, self.document["paths"].get(facts["path"], {}).get(facts["method"].lower(), {}))
            for facts in target.routes
            if not facts["own"]
        ]
        made = {route.path for route in every if route.method == "POST"}

        def turn(route: Route) -> tuple[int, int]:
            """Return when a route is tried; what a PUT is on may have to be made first."""
            method = "PATCH" if route.method == "PUT" and _collection(route.path) in made else route.method
            return ORDER.get(method, 5), route.path.count("{")

        self.all_routes = sorted(every, key=turn)
        self.routes = [route for route in every if only is None or route.name in only]
        self.examples: dict[str, Call] = {}
        self.answers: dict[str, str] = {}
        self.sent: list[Route] = []
        self.secrets: set[str] = set()
        self._numbers = itertools.count(1)
        self._tokens: dict[str, str] = {}

    def close(self) -> None:
        self.client.close()

    def subject(self, what: str) -> str:
        """Return the name of a caller that nobody has used before, so that its rate is untouched."""
        return f"{what}-{next(self._numbers)}"

    def token(self, subject: str) -> str:
        token = self._tokens.get(subject)
        if token is None:
            token = self._tokens[subject] = self.target.token(subject)
            self.secrets.add(token.rpartition(".")[2])
        return token

    def send(
        self,
        call: Call,
        *,
        subject: str | None = ITS_OWN,
        token: str | None = None,
        key: str | None = "new",
        order: str = "",
        headers: dict[str, str] | None = None,
        patience: float = TIMEOUT,
        way: Way = "whole",
    ) -> httpx2.Response:
        """Send a request and return the answer.

        Args:
            call: what to send.
            subject: who sends it; by default who the call was made for; None: nobody, without a token.
            token: a token to send instead of the subject's.
            key: the idempotency key where the route takes one; ``new``: a fresh one; None: none.
            order: what the switches are to do, see ``serve``; words with blanks between them.
            headers: more headers.
            patience: seconds to wait for the answer.
            way: how the body is sent: whole, ``chunked`` without saying before how long it is, or ``in two`` with a
                pause before its end.
        """
        sent: dict[str, str] = {"accept": "application/json", **call.headers}
        subject = call.subject if subject == ITS_OWN else subject
        if token is None and subject is not None and not call.route.public:
            token = self.token(subject)
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        if key is not None and call.route.keyed:
            sent["idempotency-key"] = str(uuid.uuid4()) if key == "new" else key
        sent[HEADER.decode()] = f"{self.target.secret}:{order}"
        content = call.content
        if content is not None and "content-type" not in call.headers:
            sent["content-type"] = call.route.kind
        if not sent.get("content-type", "none"):
            del sent["content-type"]
        if content is not None and len(content) > UNREAD:
            sent["connection"] = "close"
        if content is not None and way == "in two":
            sent["content-length"] = str(len(content))
        whole = httpx2.Headers({**sent, **(headers or {})}, encoding="latin-1")
        answer = answered(
            lambda: self.client.request(
                call.route.method, call.line, content=_as_sent(content, way), headers=whole, timeout=patience
            )
        )
        self.sent.append(call.route)
        if answer.status_code == 500 and not order:
            request_id = answer.headers.get("x-request-id", "none")
            answer.extensions[RAISED] = self.target.raised(request_id, call.route.facts["file"])
        return answer

    def head(self, call: Call, length: int, *, key: str | None = None) -> bytes:
        """Return the head of a request, for a client that writes to a socket itself."""
        lines = [f"{call.route.method} {call.line} HTTP/1.1", "host: gauntlet", f"content-length: {length}"]
        headers = {"content-type": call.route.kind, **call.headers, HEADER.decode(): f"{self.target.secret}:"}
        if call.route.keyed:
            headers["idempotency-key"] = key or str(uuid.uuid4())
        if not call.route.public:
            headers["authorization"] = f"Bearer {self.token(call.subject)}"
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    def example(self, route: Route, subject: str = OWNER) -> Call:
        """Return a request that should be valid.

        Raises:
            NoValue: the schemas allow none that could be found.
        """
        prefix = _collection(route.path)
        path: dict[str, Any] = {}
        for part in route.parameters("path"):
            known = self.pool.known.get(f"{prefix}#{part['name']}")
            path[part["name"]] = known[0] if known else self.generator.valid(part.get("schema", {}), part["name"])
        query = {
            part["name"]: self.generator.valid(part.get("schema", {}), part["name"])
            for part in route.parameters("query")
            if part.get("required")
        }
        headers = {
            part["name"]: str(self.generator.valid(part.get("schema", {}), part["name"]))
            for part in route.parameters("header")
            if part.get("required") and part["name"].lower() != "idempotency-key"
        }
        body = self.generator.valid(route.schema) if route.schema is not None else None
        return Call(route, path, query, body, headers=headers, subject=subject)

    def prime(self) -> None:
        """Call every route until as many as possible have answered with 2xx, learning what exists on the way."""
        for _ in range(ROUNDS):
            before = len(self.examples)
            for route in self.all_routes:
                if route.other_body is not None:
                    self.answers[route.name] = f"what a body of {route.other_body} holds is not known here"
                elif not route.closed and route.name not in self.examples:
                    self.try_route(route)
            if len(self.examples) in {before, len(self.all_routes)}:
                return

    def try_route(self, route: Route, subject: str = OWNER) -> None:
        """Call a route, and learn from the answer."""
        try:
            call = self.example(route, subject)
        except NoValue as error:
            self.answers[route.name] = str(error)
            return
        answer = self.send(call)
        if answer.is_success:
            self.examples[route.name] = call
            self._learn(route, call, answer)
        else:
            self.answers[route.name] = f"its example is answered with {answer.status_code}: {said_of(answer)}"

    def fresh(self, route: Route) -> Call | None:
        """Return a request that is answered with 2xx at this moment, of a caller who has called nothing else.

        What attacks have used up is made anew, and belongs to that caller: stock, things that were cancelled. None: the
        route has never answered with 2xx.
        """
        if route.name not in self.examples:
            return None
        subject = self.subject("owner")
        if route.writes or route.parameters("path"):
            for other in self.all_routes:
                if other.method in {"PUT", "POST"} and other.name in self.examples and other.name != route.name:
                    self.try_route(other, subject)
        return self.example(route, subject)

    def is_owned(self, route: Route) -> bool:
        """Tell whether what a path leads to was made for its maker alone, and not for everybody."""
        places = {route.path[: match.start()] for match in re.finditer(r"/\{", route.path)}
        return any(other.facts["owned"] for other in self.all_routes if other.method == "POST" and other.path in places)

    def _learn(self, route: Route, call: Call, answer: httpx2.Response) -> None:
        for name, value in call.path.items():
            self.pool.learn(name, value)
        if route.writes:
            self.pool.learn_all(call.body)
        try:
            document = answer.json()
        except ValueError:
            return
        if route.method in {"POST", "PUT"} and isinstance(document, dict):
            noun = _singular(route.path.rstrip("/").rpartition("/")[2])
            self.pool.learn_all({name: value for name, value in document.items() if name != "id"})
            for name in ("id", f"{noun}_id", "uuid", "key", "slug"):
                if name in document:
                    for other in self.all_routes:
                        for part in other.parameters("path"):
                            if _collection(other.path) == route.path and other.path.startswith(route.path):
                                self.pool.learn(f"{route.path}#{part['name']}", document[name])
                    self.pool.learn(f"{noun}_id", document[name])
                    break


def _collection(path: str) -> str:
    """Return the path before its first parameter: where things of that kind are made."""
    return path.partition("/{")[0]


def _singular(word: str) -> str:
    return word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s")


def _as_sent(content: bytes | None, way: Way) -> bytes | Iterator[bytes] | None:
    if content is None or way == "whole":
        return content
    return _in_pieces(content, pause=PAUSE if way == "in two" else 0)


def _in_pieces(content: bytes, *, pause: float) -> Iterator[bytes]:
    yield content[:-1]
    time.sleep(pause)
    yield content[-1:]


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def dumps(value: Any) -> bytes:
    """Return JSON, with lone surrogates escaped as JavaScript would send them."""
    import json

    return json.dumps(value, ensure_ascii=True).encode("ascii")
