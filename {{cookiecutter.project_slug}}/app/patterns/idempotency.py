"""Idempotency keys: a request that is sent again is answered again, and not done again.

Threat: an answer is lost, the client sends its request once more, and the order exists twice. Two copies race. The
process dies between the effect and the answer. Somebody else guesses the key and reads the answer.

What it does, by draft-ietf-httpapi-idempotency-key-header-07: a request carries an ``Idempotency-Key``. Its answer is
stored with the key *in the transaction of its effects*, so that either both exist or neither. The same request with the
same key gets the stored answer, marked ``Idempotent-Replayed: true``. Another request under the same key is refused
(422), and so is one whose twin is still running (409, with Retry-After).

Defaults:

* a key is known for 24 hours, as Stripe's is: longer than any client keeps trying;
* a key has at most 255 characters, as Stripe's has; a UUID has 36;
* an answer is stored up to 64 KiB, with the headers in :data:`KEPT_HEADERS` and never a cookie; a larger one fails the
  request, because it could not be given twice;
* only answers below 400 are stored. A refusal has left no effect, so there is nothing to protect: the key may be used
  again, and the request is judged anew. (Stripe stores failures too, once a request has begun.)

Whose key: it belongs to a caller and a route. The same key of somebody else, or on another route, is another key. This
guard stands inside authentication and authorization, so a replay passes both again.

Effects elsewhere (``external``): a charge is not undone by a rollback. There the key is claimed in a transaction of
its own before the handler runs, with a lease and a token. A process that dies leaves its claim to whoever comes after
the lease; one that was merely slow finds its token outdated and keeps nothing. What makes the charge happen once is
the derived key, which the handler sends along (``scope["state"]["idempotency"].key_for("charge")``): it is the same
each time.

What it does not do: make an external effect happen once by itself, if the other side knows no keys.

To lift it: needs ``starlette`` for its types only, this file, a store (``idempotency_store.py`` has one for
SQLAlchemy), and a transaction round it that commits when the answer passes, before it leaves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = b"idempotency-key"
KEPT_HEADERS: Final = frozenset({b"content-type", b"content-language", b"location", b"etag", b"last-modified", b"link"})
"""Headers of the stored answer. An allowlist: a cookie, or a header that tells of one request, must not come twice."""

MAX_REFUSAL: Final = 1024 * 1024
"""Bytes of an answer of 400 or more, which is held to its end and not stored; as many as a unit of work holds."""

MAX_KEPT_HEADERS: Final = 4096
"""Bytes of the stored headers; a Location and a Content-Type have some hundred."""

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*+)"')
_BARE: Final = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""RFC 8941 has strings in quotes. Without them nearly all clients send: visible ASCII but for ``"``, ``,``, ``;`` and
``\\``, which would say that something else was meant."""

_BOUNDARY: Final = re.compile(rb"""boundary\s*=\s*(?:"([^"]*)|([^;\s]*))""", re.IGNORECASE)

_FAILED: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyConfig:
    """How keys are taken on one route.

    Attributes:
        required: refuse a request without a key; else it passes unprotected.
        external: the handler has effects that no rollback undoes.
        lifetime: seconds that an answer is kept.
        lease: seconds that an external claim holds; longer than a request can take.
        max_key: characters of a key.
        max_request: bytes of body that are read; a guard outside usually bounds them closer.
        max_response: bytes of body that are stored.
        max_keys: live keys of one caller.
    """

    required: bool = True
    external: bool = False
    lifetime: int = 24 * 60 * 60
    lease: float = 60.0
    max_key: int = 255
    max_request: int = 1024 * 1024
    max_response: int = 64 * 1024
    max_keys: int = 10_000


class IdempotencyError(Exception):
    """A request was refused because of its key.

    Attributes:
        status: of the answer.
        code: stable name of the reason.
        retry_after: seconds after which to try again, or None.
    """

    status = 400
    code = "idempotency_key_invalid"
    retry_after: int | None = None


class KeyMissing(IdempotencyError):
    """The route needs a key, and there is none."""

    code = "idempotency_key_missing"

    def __init__(self) -> None:
        super().__init__(
            'Send an Idempotency-Key, such as "8e03978e-40d5-43dd-bc93-6894a57f9324": new for each request, '
            "the same each time it is tried again."
        )


class KeyInvalid(IdempotencyError):
    """What was sent is no key."""


class KeyInUse(IdempotencyError):
    """A request with this key is running."""

    status = 409
    code = "idempotency_key_in_use"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being worked on; try again for its answer.")


class KeyReused(IdempotencyError):
    """The key belongs to another request."""

    status = 422
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another request; use a new one.")


class TooManyKeys(IdempotencyError):
    """The caller has as many live keys as it may."""

    status = 429
    code = "too_many_idempotency_keys"
    retry_after = 3600

    def __init__(self, limit: int) -> None:
        super().__init__(f"At most {limit} keys are remembered for one caller; the oldest are forgotten first.")


class RequestTooLarge(IdempotencyError):
    """The body is larger than what is read to tell requests apart."""

    status = 413
    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body may have at most {limit} bytes.")


class ClaimLost(IdempotencyError):
    """Another try took the external claim over, because this one was too slow; nothing was kept of it."""

    status = 409
    code = "idempotency_claim_lost"
    retry_after = 1

    def __init__(self) -> None:
        super().__init__("This request took too long and another try took its place; try again for the answer.")


class ResponseNotStorable(Exception):
    """The answer is larger than ``limit`` bytes, so it could not be given again, or held: the handler's fault."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer to a request with an Idempotency-Key may have at most {limit} bytes")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Claim:
    """What tells one request from all others.

    Attributes:
        id: SHA-256 of caller, route and key: what the store looks up.
        principal: the caller, as the store counts its keys.
        fingerprint: SHA-256 of path, query and body: what makes it the same request.
    """

    id: bytes
    principal: str
    fingerprint: bytes

    def key_for(self, name: str) -> str:
        """Return a key for a call to another service, the same each time this request is tried.

        Args:
            name: tells apart the calls of one request, such as ``charge``.
        """
        return hmac.digest(self.id, name.encode(), "sha256").hex()


class Answer(Protocol):
    """An answer that was stored. ``headers`` is JSON: pairs of strings."""

    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def headers(self) -> str: ...  # noqa: D102
    @property
    def body(self) -> bytes: ...  # noqa: D102


class Found(Protocol):
    """What a store knows of a claim.

    Attributes:
        state: ``granted``: go on. ``busy``: another try is running. ``reused``: the key belongs to another request.
            ``full``: the caller has too many keys. ``answered``: ``answer`` is set.
        answer: what was answered before.
        token: of an external claim, to be shown when it is settled.
    """

    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def answer(self) -> Answer | None: ...  # noqa: D102
    @property
    def token(self) -> bytes | None: ...  # noqa: D102


class Store(Protocol):
    """Where claims and answers are kept, for one request. Times are seconds since 1970."""

    async def claim(self, claim: Claim, *, now: float, max_keys: int) -> Found:
        """Claim a key in the request's own transaction."""

    async def save(self, claim: Claim, *, status: int, headers: str, body: bytes, now: float, expires: float) -> bool:
        """Store an answer in the request's own transaction; False if somebody else has."""

    async def claim_external(self, claim: Claim, *, now: float, lease: float, expires: float, max_keys: int) -> Found:
        """Claim a key in a transaction of its own, which ends before this returns."""

    async def settle(
        self, claim: Claim, token: bytes, *, status: int, headers: str, body: bytes, expires: float
    ) -> bool:
        """Store the answer to an external claim in the request's own transaction; False if the claim is lost."""

    async def release(self, claim: Claim, token: bytes, *, now: float) -> None:
        """Let an external claim go, whose request has failed. Its fingerprint stays, because its effect may."""


class Running(Protocol):
    """Which requests run; ``process_locks.py`` has one that several workers share."""

    def acquire(self, name: bytes, /) -> bool:
        """Note that a request runs, and tell whether it did not already."""

    def release(self, name: bytes, /) -> None:
        """Note that it has ended."""


class _RunningHere:
    """The requests that run in this process: as many as are in flight."""

    def __init__(self) -> None:
        self._names: set[bytes] = set()

    def acquire(self, name: bytes, /) -> bool:
        if name in self._names:
            return False
        self._names.add(name)
        return True

    def release(self, name: bytes, /) -> None:
        self._names.discard(name)


Refuse = Callable[["Scope", "Receive", "Send", IdempotencyError], Awaitable[None]]


def parse_key(values: list[bytes], *, max_key: int) -> str:
    """Return the key from the values of its header: an RFC 8941 string, or the same without its quotes.

    Raises:
        KeyInvalid: there are two headers, or it is empty, too long, wrongly quoted or not visible ASCII.
    """
    if len(values) > 1:
        raise KeyInvalid("There are two Idempotency-Key headers; send one.")
    text = values[0].decode("latin-1").strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    else:
        raise KeyInvalid(
            "An Idempotency-Key is a text of visible ASCII characters in double quotes; the quotes may be left out."
        )
    if not 0 < len(key) <= max_key or not key.isascii() or not key.isprintable():
        raise KeyInvalid(f"An Idempotency-Key has 1 to {max_key} visible ASCII characters.")
    return key


def _digest(*parts: bytes) -> bytes:
    """Return the SHA-256 of parts whose borders cannot be moved: each is preceded by its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class Idempotency:
    """Answers each request once, however often it is sent.

    Args:
        app: the ASGI application to guard.
        config: how keys are taken.
        route: method and path template: keys of one route are nothing to another.
        principal: names the caller of a request.
        store: gives the store for a request.
        now: the clock; seconds since 1970.
        running: which requests run, asked before the store; by default those of this process.
        refuse: answers what is refused; default is a bare problem document.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        config: IdempotencyConfig,
        route: str,
        principal: Callable[[Scope], str],
        store: Callable[[Scope], Store],
        now: Callable[[], float],
        running: Running | None = None,
        refuse: Refuse | None = None,
    ) -> None:
        self.app = app
        self.config = config
        self.route = route
        self.principal = principal
        self.store = store
        self.now = now
        self.refuse = refuse or _refuse
        self._running = running or _RunningHere()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request if it is new, or answer it as before."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        values = [value for name, value in scope["headers"] if name == HEADER]
        if not values and not self.config.required:
            await self.app(scope, receive, send)
            return
        try:
            if not values:
                raise KeyMissing
            key = parse_key(values, max_key=self.config.max_key)
            body = await self._read(receive)
            if body is None:
                return  # the client left before its request was complete; there is nobody to answer
            await self._once(self._claim(scope, key, body), scope, _replay(body, receive), send)
        except IdempotencyError as error:
            await self.refuse(scope, receive, send, error)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the whole body, or None if the client left."""
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self.config.max_request:
                raise RequestTooLarge(self.config.max_request)
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)

    def _claim(self, scope: Scope, key: str, body: bytes) -> Claim:
        principal = self.principal(scope)
        # The path with its values belongs to the request and not to the key: the same key for another order is a
        # mistake that the client has to hear of. So does the query. The headers do not: a retry may come by another
        # way.
        # Nor does the boundary of a multipart form, which clients draw anew each time.
        said = _without_boundary(scope.get("headers", ()), body)
        fingerprint = _digest(scope["path"].encode("utf-8", "surrogatepass"), scope.get("query_string", b""), said)
        return Claim(
            _digest(principal.encode("utf-8", "surrogatepass"), self.route.encode(), key.encode()),
            principal,
            fingerprint,
        )

    async def _once(self, claim: Claim, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._running.acquire(claim.id):
            raise KeyInUse  # said without asking the database: duplicates cost no connection
        runs = True

        def answered() -> None:
            nonlocal runs
            if runs:  # once: from then on it may be another request that runs
                runs = False
                self._running.release(claim.id)

        try:
            await (self._external if self.config.external else self._local)(claim, scope, receive, send, answered)
        finally:
            answered()

    async def _local(
        self, claim: Claim, scope: Scope, receive: Receive, send: Send, answered: Callable[[], None]
    ) -> None:
        """Run the request in a transaction that holds its effects and its answer alike."""
        store, now = self.store(scope), self.now()
        found = await store.claim(claim, now=now, max_keys=self.config.max_keys)
        if await self._answered(found, scope, send):
            return

        async def save(status: int, headers: str, body: bytes) -> None:
            end = now + self.config.lifetime
            if not await store.save(claim, status=status, headers=headers, body=body, now=now, expires=end):
                raise KeyInUse  # it was answered between our look and now; everything done here is rolled back

        await self._run(claim, scope, receive, send, save, answered=answered)

    async def _external(
        self, claim: Claim, scope: Scope, receive: Receive, send: Send, answered: Callable[[], None]
    ) -> None:
        """Run the request under a claim that outlives it, because its effects do."""
        store, now = self.store(scope), self.now()
        end = now + self.config.lifetime
        found = await store.claim_external(
            claim, now=now, lease=self.config.lease, expires=end, max_keys=self.config.max_keys
        )
        if await self._answered(found, scope, send):
            return
        token, held = found.token or b"", True

        async def save(status: int, headers: str, body: bytes) -> None:
            nonlocal held
            if not await store.settle(claim, token, status=status, headers=headers, body=body, expires=end):
                raise ClaimLost
            held = False

        async def release() -> None:
            nonlocal held
            await store.release(claim, token, now=self.now())
            held = False

        try:
            await self._run(claim, scope, receive, send, save, answered=answered, release=release)
        except BaseException:
            held = True  # what was settled was rolled back with the rest
            raise
        finally:
            if held:
                await release()

    async def _answered(self, found: Found, scope: Scope, send: Send) -> bool:
        """Give the stored answer again, and tell whether there was one.

        Raises:
            IdempotencyError: the claim was not granted.
        """
        match found.state:
            case "granted":
                return False
            case "answered":
                answer = found.answer
                assert answer is not None  # noqa: S101 - for the type checker: the store's promise
                headers = [
                    (name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(answer.headers)
                ]
                headers += [(b"content-length", b"%d" % len(answer.body)), (b"idempotent-replayed", b"true")]
                scope.setdefault("state", {})["reason"] = "replayed"  # for the log: nothing was done here
                await send({"type": "http.response.start", "status": answer.status, "headers": headers})
                await send({"type": "http.response.body", "body": answer.body})
                return True
            case "reused":
                raise KeyReused
            case "full":
                raise TooManyKeys(self.config.max_keys)
        raise KeyInUse

    async def _run(
        self,
        claim: Claim,
        scope: Scope,
        receive: Receive,
        send: Send,
        save: Callable[[int, str, bytes], Awaitable[None]],
        *,
        answered: Callable[[], None],
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Run the application, and store its answer, or let go of its claim, before it passes on."""
        scope.setdefault("state", {})["idempotency"] = claim
        start: Message | None = None
        chunks: list[bytes] = []
        size = 0

        async def hold(message: Message) -> None:
            nonlocal start, size
            if message["type"] == "http.response.start":
                start = message
                return
            if start is None or message["type"] != "http.response.body":
                await send(message)
                return
            chunk = message.get("body", b"")
            size += len(chunk)
            most = self.config.max_response if start["status"] < _FAILED else MAX_REFUSAL
            if size > most:
                raise ResponseNotStorable(most)
            chunks.append(chunk)
            if message.get("more_body", False):
                return
            body, first, start = b"".join(chunks), start, None
            if first["status"] < _FAILED:
                await save(first["status"], _kept(first["headers"]), body)
            elif release is not None:
                await release()  # who is told of a failure may try again at once
            await send(first)
            await send({"type": "http.response.body", "body": body})
            answered()  # who has the answer may ask again, whatever the application still does

        await self.app(scope, receive, hold)


def _kept(headers: Any) -> str:
    """Return as JSON the headers that are stored.

    Raises:
        ResponseNotStorable: they are larger than any answer needs.
    """
    pairs = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name.lower() in KEPT_HEADERS
    ]
    text = json.dumps(pairs)
    if len(text) > MAX_KEPT_HEADERS:
        raise ResponseNotStorable(MAX_KEPT_HEADERS)
    return text


def _without_boundary(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return a body as it is told from others: of a multipart form with the same boundary for all."""
    if not body.startswith(b"--"):
        return body
    for name, value in headers:
        found = _BOUNDARY.search(value) if name == b"content-type" else None
        boundary = (found[1] or found[2] or b"") if found is not None else b""
        if boundary:
            return body.replace(b"--" + boundary, b"--boundary")
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body once more, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(_scope: Scope, _receive: Receive, send: Send, error: IdempotencyError) -> None:
    document = {"type": "about:blank", "title": "Refused", "status": error.status, "code": error.code}
    body = json.dumps({**document, "detail": str(error)}).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
