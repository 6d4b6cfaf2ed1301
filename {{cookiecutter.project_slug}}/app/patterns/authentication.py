"""Authentication: a bearer JSON Web Token is verified before one byte of the body is read.

Threat: a route that trusts whoever calls it, or a token that only looks signed: ``alg: none``, an RSA public
key used as an HMAC secret, a key that the token brings along (``jwk``, ``jku``, ``x5u``, ``x5c``), a token for
another audience, an ``exp`` that is no number and never passes, a payload that is costly to parse, guessing.

What it does, in the order that costs an attacker most and us least:

1. exactly one ``Authorization: Bearer`` header (RFC 6750), at most 8 KiB, before anything is parsed;
2. a token verified lately is known by its SHA-256, so that no bearer token lies about in memory. It is
   forgotten at its ``exp``, and after 60 s at the latest, because neither a withdrawn key nor a change of mind
   of the issuer reaches a cached result; one signature a minute and caller is all that this costs;
3. ``attempts``, if given, is asked whether this caller failed too often, before any signature is computed;
4. the header: ``alg`` on an allow-list of asymmetric algorithms, ``kid`` required, ``crit`` and every header
   that carries a key refused (RFC 8725, sections 3.1 and 3.10). ``typ`` must be ``at+jwt`` (RFC 9068), ``JWT``
   or absent: RFC 9068 wants the first only, but Keycloak, Cognito and others issue the rest, and what ``typ``
   keeps apart (logout tokens, DPoP proofs, security events) has a ``typ`` of its own. Where the issuer follows
   RFC 9068, set ``token_types=frozenset({"at+jwt"})``;
5. the signature, with a key of the type and curve that the algorithm demands;
6. the claims, typed strictly: ``exp``, ``iss``, ``aud`` and ``sub`` are required, no name may repeat.

The client learns no more than RFC 6750 has it: ``error="invalid_token"``, or no error if it sent no token.
``AuthenticationError.code`` and ``description`` are for the log; neither holds a byte of the token.

What it does not do: revoke single tokens (keep lifetimes short), bind a token to its sender (DPoP, mutual TLS),
accept opaque tokens, or guard WebSockets: it refuses them, because passing them on would be an open door.

To lift it: needs ``joserfc`` (and ``starlette`` for its types only)::

    verifier = TokenVerifier(AuthenticationConfig(issuer="https://id.example", audience="orders"), keys)
    app = Authentication(app, verifier=verifier, realm="orders")

``keys`` is anything with ``async def key(kid, algorithm)``. The caller is ``scope["state"]["principal"]``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from joserfc import jws
from joserfc.errors import DecodeError, JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

if TYPE_CHECKING:
    from joserfc.jwa import JWSAlgModel
    from starlette.types import ASGIApp, Receive, Scope, Send

Key = RSAKey | ECKey | OKPKey
"""A public key. Symmetric keys have no place here: who can verify by them can forge by them."""

_FITTING: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "Ed25519": ("OKP", "Ed25519"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Key type and curve of each algorithm (RFC 7518, RFC 9864). ``EdDSA`` is the deprecated, polymorphic name
that most issuers still write; fixed to one curve it says the same as ``Ed25519``."""

_KEY_HEADERS: Final = frozenset({"jwk", "jku", "x5u", "x5c"})
_LAST_DATE: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that a datetime can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationConfig:
    """What makes a token acceptable.

    Attributes:
        issuer: the only ``iss`` accepted, compared character by character.
        audience: must be the ``aud`` or one of its list.
        algorithms: accepted ``alg`` values; the defaults are what issuers use, all asymmetric.
        token_types: accepted ``typ`` values, lower case, without ``application/``; "" is for none at all.
        leeway_seconds: clock skew granted on ``exp``, ``nbf`` and ``iat``. RFC 7519 says "no more than a few
            minutes"; machines that run NTP differ by far less than 30 s.
        max_token_bytes: 8 KiB, what nginx and Apache take as one header: elsewhere more would not arrive.
        max_header_bytes: of the token's encoded header; a ``kid`` and thumbprints fit several times over.
        max_containers: objects and arrays in one part of a token, which also bounds how deep they nest.
        cache_size: verified tokens remembered, about 1 KiB each; the least recently used goes first.
        cache_seconds: a verified token is checked anew after this time, see the module's docstring.
        roles_claim: claim with the list of roles: a name, or a path such as ("realm_access", "roles").
        tenant_claim: claim with the tenant: a name or a path.
        max_subject_length: characters of ``sub`` and of the tenant; OpenID Connect Core, section 2, has 255.
        max_roles: roles in one token; more is an issuer that sends groups.
        max_role_length: characters of one role.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256", "Ed25519", "EdDSA")
    token_types: frozenset[str] = frozenset({"at+jwt", "jwt", ""})
    leeway_seconds: float = 30.0
    max_token_bytes: int = 8192
    max_header_bytes: int = 1024
    max_containers: int = 256
    cache_size: int = 4096
    cache_seconds: float = 60.0
    roles_claim: str | tuple[str, ...] = "roles"
    tenant_claim: str | tuple[str, ...] = "tenant"
    max_subject_length: int = 255
    max_roles: int = 64
    max_role_length: int = 64

    def __post_init__(self) -> None:
        """Refuse what would accept forged or foreign tokens.

        Raises:
            ValueError: an empty issuer, audience or list of algorithms, an algorithm that is not asymmetric, or
                a leeway that is not between 0 and 300 seconds.
        """
        if not self.issuer or not self.audience:
            raise ValueError("issuer and audience must be set: without them any token of any service is good")
        if not self.algorithms or not set(self.algorithms) <= _FITTING.keys():
            raise ValueError(f"algorithms must be some of {', '.join(_FITTING)}, not {self.algorithms!r}")
        if not 0 <= self.leeway_seconds <= 300:  # noqa: PLR2004 - RFC 7519: "no more than a few minutes"
            raise ValueError(f"leeway_seconds must be between 0 and 300, not {self.leeway_seconds!r}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling.

    Attributes:
        subject: the token's ``sub``: not empty, printable, bounded.
        roles: in the token's order, without repetitions.
        tenant: None if the token names none.
        expires_at: the token's ``exp``, seconds since the epoch.
    """

    subject: str
    roles: tuple[str, ...]
    tenant: str | None
    expires_at: float


class AuthenticationError(Exception):
    """The caller is not known: 401, always with ``WWW-Authenticate`` (RFC 9110, section 11.6.1).

    Attributes:
        code: for the log, not for the client: ``token_missing``, ``token_malformed``, ``token_too_large``,
            ``header_refused``, ``token_unverified``, ``token_expired``, ``token_not_yet_valid``,
            ``issuer_mismatch``, ``audience_mismatch`` or ``claims_invalid``.
        description: a fixed text for the log; holds nothing that the client sent.
        challenge: the value of ``WWW-Authenticate``; the guard puts its realm in.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.challenge = b"Bearer"


class KeysUnavailableError(Exception):
    """No key can be had now, so nobody can be known: 503.

    Attributes:
        retry_after: seconds.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"verification keys are unavailable, retry in {retry_after:g} s")
        self.retry_after = retry_after


class TooManyFailures(Exception):
    """This caller failed to authenticate too often of late: 429.

    Attributes:
        retry_after: seconds.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many failed authentications, retry in {retry_after:g} s")
        self.retry_after = retry_after


class KeySource(Protocol):
    """Finds the issuer's public keys."""

    async def key(self, kid: str, algorithm: str) -> Key:
        """Return the key named ``kid`` for ``algorithm``.

        Raises:
            LookupError: there is no such key.
            ConnectionError: no key can be had now; its attribute ``retry_after``, if any, is in seconds.
        """
        ...


class AttemptLimit(Protocol):
    """Slows down who guesses. Asked only about tokens that are not known good already."""

    async def blocked(self, scope: Scope) -> float | None:
        """Return the seconds that this caller has to wait, or None if it may try."""
        ...

    async def failed(self, scope: Scope) -> None:
        """Count one failed attempt of this caller."""
        ...


class TokenVerifier:
    """Turns a token into a :class:`Principal`, or says why not. One for the process: its cache is shared.

    Not thread-safe: belongs to one event loop.

    Args:
        config: what makes a token acceptable.
        keys: finds the issuer's public keys.
        clock: seconds since the epoch.
    """

    def __init__(self, config: AuthenticationConfig, keys: KeySource, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._keys = keys
        self._clock = clock
        self._registry = _Registry(algorithms=config.algorithms, strict_check_header=False)
        self._registry.max_header_length = config.max_header_bytes
        self._max_bytes = config.max_token_bytes
        # An OrderedDict: taking the oldest out of a dict walks over every entry removed before it.
        self._cache: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    def cached(self, token: bytes) -> Principal | None:
        """Return whose token this is if it was verified lately, else None. Costs one SHA-256."""
        if len(token) > self._max_bytes:
            return None
        digest = hashlib.sha256(token).digest()
        entry = self._cache.get(digest)
        if entry is None:
            return None
        if self._clock() >= entry[0]:
            del self._cache[digest]
            return None
        self._cache.move_to_end(digest)
        return entry[1]

    async def verify(self, token: str | bytes) -> Principal:
        """Verify ``token`` and return who it stands for.

        Raises:
            AuthenticationError: the token is not acceptable.
            KeysUnavailableError: it cannot be told, because no keys can be had.
        """
        # What is not ASCII becomes "?", which no part of a token may hold.
        raw = token.encode("ascii", "replace") if isinstance(token, str) else token
        if not raw:
            raise AuthenticationError("token_missing", "no token was presented")
        if len(raw) > self._max_bytes:
            raise AuthenticationError("token_too_large", f"the token exceeds {self._max_bytes} bytes")
        principal = self.cached(raw)
        if principal is None:
            principal = self._principal(await self._signed_claims(raw))
            self._remember(raw, principal)
        return principal

    def _remember(self, token: bytes, principal: Principal) -> None:
        now = self._clock()
        until = min(principal.expires_at, now + self._config.cache_seconds)
        if until <= now:
            return  # within the leeway: good, but not for long enough to remember
        self._cache[hashlib.sha256(token).digest()] = (until, principal)
        if len(self._cache) > self._config.cache_size:
            self._cache.popitem(last=False)

    async def _signed_claims(self, token: bytes) -> dict[str, object]:
        """Return the claims of a token whose header is in order and whose signature is the issuer's."""
        parts = token.split(b".", 3)
        if len(parts) != 3 or len(parts[0]) > self._config.max_header_bytes:  # noqa: PLR2004 - RFC 7515, section 7.1
            raise AuthenticationError("token_malformed", "not a signed token in compact form")
        kid, algorithm = self._checked_header(self._json(parts[0]))
        try:
            key = await self._keys.key(kid, algorithm)
        except LookupError:
            raise AuthenticationError("token_unverified", "the issuer has no key of this name") from None
        except ConnectionError as error:
            raise KeysUnavailableError(getattr(error, "retry_after", 1.0)) from error
        key_type, curve = _FITTING[algorithm]
        if key.key_type != key_type or (not isinstance(key, RSAKey) and key.curve_name != curve):
            raise AuthenticationError("token_unverified", "the key does not fit the algorithm")
        try:
            jws.deserialize_compact(token, key, registry=self._registry)
        except DecodeError:
            raise AuthenticationError("token_malformed", "a part is not base64url") from None
        except (JoseError, ValueError):
            raise AuthenticationError("token_unverified", "the signature is not the issuer's") from None
        return self._json(parts[1])

    def _checked_header(self, header: dict[str, object]) -> tuple[str, str]:
        """Return ``kid`` and ``alg`` of an acceptable header."""
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
        if not isinstance(algorithm, str) or algorithm not in self._config.algorithms:
            raise AuthenticationError("token_unverified", "the algorithm is not on the allow-list")
        if not isinstance(kid, str) or not kid:
            raise AuthenticationError("header_refused", "kid is missing")
        if not _KEY_HEADERS.isdisjoint(header):
            raise AuthenticationError("header_refused", "the token brings its own key")
        # b64 (RFC 7797) is forbidden in a JWT, and no other extension is implemented here.
        if "crit" in header or "b64" in header:
            raise AuthenticationError("header_refused", "the token needs an extension")
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in self._config.token_types:
            raise AuthenticationError("header_refused", "typ is not that of an access token")
        return kid, algorithm

    def _json(self, part: bytes) -> dict[str, object]:
        """Decode one part of a token: one JSON object, not deeper or wider than allowed."""
        try:
            data = base64.b64decode(part + b"=" * (-len(part) % 4), b"-_", validate=True)
            # json recurses: counting first makes the bound ours and not the interpreter's stack.
            if data.count(b"{") + data.count(b"[") > self._config.max_containers:
                raise ValueError("too many containers")  # noqa: TRY301 - one way out for all that is malformed
            # Decoded here, because json.loads guesses UTF-16 and UTF-32 from bytes.
            value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except ValueError:
            raise AuthenticationError("token_malformed", "a part is not an acceptable JSON object") from None
        if not isinstance(value, dict):
            raise AuthenticationError("token_malformed", "a part is not a JSON object")
        return value

    def _principal(self, claims: dict[str, object]) -> Principal:
        """Check the claims against the config and the clock."""
        config, now = self._config, self._clock()
        if claims.get("iss") != config.issuer:
            raise AuthenticationError("issuer_mismatch", "iss is not the configured issuer")
        audience = claims.get("aud")
        if audience != config.audience and not (isinstance(audience, list) and config.audience in audience):
            raise AuthenticationError("audience_mismatch", "aud does not name this service")
        expires_at = _date(claims, "exp")
        if expires_at is None:
            raise AuthenticationError("claims_invalid", "exp is missing")
        if now >= expires_at + config.leeway_seconds:
            raise AuthenticationError("token_expired", "exp has passed")
        for name in ("nbf", "iat"):
            if (_date(claims, name) or 0) > now + config.leeway_seconds:
                raise AuthenticationError("token_not_yet_valid", f"{name} is in the future")
        subject = _text(claims.get("sub"), config.max_subject_length, "sub")
        tenant = _at(claims, config.tenant_claim)
        return Principal(
            subject=subject,
            roles=self._roles(_at(claims, config.roles_claim)),
            tenant=None if tenant is None else _text(tenant, config.max_subject_length, "the tenant"),
            expires_at=expires_at,
        )

    def _roles(self, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > self._config.max_roles:
            raise AuthenticationError("claims_invalid", "the roles are not a list of acceptable length")
        return tuple(dict.fromkeys(_text(role, self._config.max_role_length, "a role") for role in value))


class _Registry(jws.JWSRegistry):
    """joserfc's own check of the algorithm, without its warning that the name ``EdDSA`` is deprecated."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name == "EdDSA" and self.allowed and name in self.allowed:
            return self.algorithms[name]
        return super().get_alg(name)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse repeated names: two parsers may read two different tokens out of one (RFC 7519, section 4)."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name is repeated")
    return value


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity: Python reads them, JSON has none, and no time is ever past NaN."""
    raise ValueError(name)


def _date(claims: Mapping[str, object], name: str) -> float | None:
    """Return a NumericDate in seconds since the epoch, or None if the claim is absent."""
    if name not in claims:
        return None
    value = claims[name]
    # 1. True is an int.  2. No comparison with NaN is true.  3. 1e999 reads as infinity.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_DATE:
        raise AuthenticationError("claims_invalid", f"{name} is not a NumericDate")
    return float(value)


def _text(value: object, max_length: int, name: str) -> str:
    # isprintable() is false for control characters, direction marks and lone surrogates alike: all that could
    # forge a line of a log or break an encoder further on.
    if not isinstance(value, str) or not 0 < len(value) <= max_length or not value.isprintable():
        raise AuthenticationError("claims_invalid", f"{name} is not an acceptable string")
    return value


def _at(claims: Mapping[str, object], path: str | tuple[str, ...]) -> object:
    """Return the claim at ``path``, or None if it is not there."""
    value: object = claims
    for name in (path,) if isinstance(path, str) else path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


Refusal = AuthenticationError | KeysUnavailableError | TooManyFailures
Refuse = Callable[["Scope", "Receive", "Send", Refusal], Awaitable[None]]


class Authentication:
    """Lets in only requests with an acceptable bearer token.

    Args:
        app: the ASGI application to guard.
        verifier: judges tokens; share one between all routes.
        realm: names the protection space in the challenge; printable ASCII without quotes and backslashes.
        refuse: answers what is refused; default is a bare problem document.
        attempts: bounds failed attempts a caller; default is no bound.

    Raises:
        ValueError: ``realm`` cannot stand in a header.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        verifier: TokenVerifier,
        realm: str,
        refuse: Refuse | None = None,
        attempts: AttemptLimit | None = None,
    ) -> None:
        if not (realm.isascii() and realm.isprintable()) or '"' in realm or "\\" in realm:
            raise ValueError(f"realm must be printable ASCII without quotes and backslashes, not {realm!r}")
        self.app = app
        self.verifier = verifier
        self.refuse = refuse or _refuse
        self.attempts = attempts
        self._challenge = f'Bearer realm="{realm}"'.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through with its principal, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})  # RFC 6455: policy violation
            else:
                await self.app(scope, receive, send)
            return
        token = _bearer(scope["headers"])
        principal = self.verifier.cached(token) if token else None
        if principal is None:
            try:
                principal = await self._authenticate(scope, token)
            except (AuthenticationError, KeysUnavailableError, TooManyFailures) as error:
                await self.refuse(scope, receive, send, error)
                return
        scope.setdefault("state", {})["principal"] = principal
        await self.app(scope, receive, send)

    async def _authenticate(self, scope: Scope, token: bytes | None) -> Principal:
        """Verify what was presented; None stands for more than one Authorization header."""
        if self.attempts is not None and token != b"":
            retry_after = await self.attempts.blocked(scope)
            if retry_after is not None:
                raise TooManyFailures(retry_after)
        try:
            if token is None:
                raise AuthenticationError("token_malformed", "more than one Authorization header")  # noqa: TRY301 - a failed attempt like any other
            return await self.verifier.verify(token)
        except AuthenticationError as error:
            error.challenge = self._challenge
            if token != b"":
                # RFC 6750, section 3.1: no error attribute for who presented nothing.
                error.challenge += b', error="invalid_token"'
                if self.attempts is not None:
                    await self.attempts.failed(scope)
            raise


def _bearer(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """Return the token, empty if there is none, or None if there is more than one Authorization header."""
    found: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            if found is not None:
                return None
            found = value
    if found is None or found[:7].lower() != b"bearer ":
        return b""
    return found[7:].strip(b" ")


async def _refuse(_scope: Scope, _receive: Receive, send: Send, error: Refusal) -> None:
    if isinstance(error, AuthenticationError):
        status, title, code = 401, b"Unauthorized", b"unauthenticated"
        headers = [(b"www-authenticate", error.challenge)]
    else:
        if isinstance(error, TooManyFailures):
            status, title, code = 429, b"Too Many Requests", b"too_many_failures"
        else:
            status, title, code = 503, b"Service Unavailable", b"keys_unavailable"
        headers = [(b"retry-after", b"%d" % max(1, math.ceil(error.retry_after)))]
    body = b'{"type":"about:blank","title":"%s","status":%d,"code":"%s"}' % (title, status, code)
    headers += [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
