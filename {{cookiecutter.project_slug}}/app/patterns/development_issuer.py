"""Development issuer: signs tokens for whoever develops, so that authentication is never switched off.

Threat: where a token is hard to come by, people add a flag that turns authentication off, and one day the flag
is set in production. This issuer makes a token a one-liner instead; the service then verifies it like any other.

**For development only.** Whoever reads the key file is anybody. Production must refuse to start with it: check
``ISSUER`` against the configured issuer where the settings are read. Its name is fixed, so that a token of this
issuer never passes for one of yours.

What it does: keeps one Ed25519 key in a file, made on first use with mode 0600. Several worker processes that
start together agree on one key, because the file appears whole or not at all (a hard link, which fails if the
name exists). A file that others may read, that is someone else's, or that is a symbolic link is refused: in a
shared directory it would let a neighbour choose the key.

What it does not do: rotate or revoke keys, serve a JWK Set, or authenticate anybody.

To lift it: needs ``joserfc`` and a POSIX file system with hard links::

    issuer = DevelopmentIssuer(Path(".development-key.json"), audience="orders")
    token = issuer.issue("alice", ("customer",))

It is also a source of keys (``async def key(kid, algorithm)``) for a verifier that expects ``ISSUER``.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

if TYPE_CHECKING:
    from collections.abc import Callable

ISSUER: Final = "breakwater-development"
ALGORITHM: Final = "Ed25519"
"""RFC 9864's name; the signature is short and quick, and there is no parameter to get wrong."""

MAX_LIFETIME: Final = 86_400
"""Seconds: a working day's token, not one that is forgotten in a script."""

_MAX_FILE_BYTES: Final = 4096


class KeyFileError(Exception):
    """The key file cannot be trusted or read; the message says what to do about it."""


class DevelopmentIssuer:
    """Issues tokens for development and knows the key that verifies them.

    Args:
        path: of the key file; made if it is not there, its directory is not.
        audience: the ``aud`` of every token.
        roles_claim: claim for the roles.
        tenant_claim: claim for the tenant.
        clock: seconds since the epoch.

    Raises:
        KeyFileError: the file cannot be trusted or read.
        OSError: the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        audience: str,
        roles_claim: str = "roles",
        tenant_claim: str = "tenant",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.audience = audience
        self._roles_claim = roles_claim
        self._tenant_claim = tenant_claim
        self._clock = clock
        self._private = _load_or_create(path)
        self._public = OKPKey.import_key(self._private.as_dict(private=False))
        self.kid = self._private.thumbprint()

    async def key(self, kid: str, algorithm: str) -> OKPKey:
        """Return the public key.

        Raises:
            LookupError: ``kid`` or ``algorithm`` is not this issuer's.
        """
        if kid != self.kid or algorithm != ALGORITHM:
            raise LookupError("the development issuer has no such key")
        return self._public

    def issue(
        self, subject: str, roles: tuple[str, ...], tenant: str | None = None, lifetime_seconds: int = 3600
    ) -> str:
        """Return a signed token (RFC 9068's ``at+jwt``) that is valid from now on.

        Raises:
            ValueError: no subject, or a lifetime that is not between 1 s and a day.
        """
        if not subject:
            raise ValueError("a token needs a subject")
        if not 1 <= lifetime_seconds <= MAX_LIFETIME:
            raise ValueError(f"lifetime_seconds must be between 1 and {MAX_LIFETIME}, not {lifetime_seconds}")
        now = int(self._clock())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": self.audience,
            "sub": subject,
            "iat": now,
            "exp": now + lifetime_seconds,
            "jti": secrets.token_urlsafe(16),
            self._roles_claim: list(roles),
        }
        if tenant is not None:
            claims[self._tenant_claim] = tenant
        header = {"alg": ALGORITHM, "kid": self.kid, "typ": "at+jwt"}
        return jwt.encode(header, claims, self._private, algorithms=[ALGORITHM])


def _load_or_create(path: Path) -> OKPKey:
    """Return the key in ``path``, made there first if there is none."""
    try:
        return _load(path)
    except FileNotFoundError:
        _create(path)
        return _load(path)  # whoever was first: this process or another


def _create(path: Path) -> None:
    """Put a new key at ``path`` unless there is one by now. Never seen half written, never replaced."""
    key = OKPKey.generate_key("Ed25519")
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(key.as_dict(private=True), file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return  # another process was quicker: its key is the key
    finally:
        Path(temporary).unlink()


def _load(path: Path) -> OKPKey:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be opened as a plain file ({error.strerror})") from error
    try:
        # Of the open file, not of the name: what is checked is what is read.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise KeyFileError(f"{path}: must be a plain file of the user who runs this; delete it")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise KeyFileError(f"{path}: others can read or write it; delete it, or chmod 600 if you trust it")
        content = os.read(descriptor, _MAX_FILE_BYTES)
    finally:
        os.close(descriptor)
    try:
        key = OKPKey.import_key(json.loads(content))
        if key.curve_name != ALGORITHM or not key.is_private:
            raise KeyFileError(f"{path}: does not hold a private Ed25519 key; delete it")
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise KeyFileError(f"{path}: does not hold a key; delete it") from error
    return key
