"""Which database, as whom: from the settings to URLs, with nothing connected to yet."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import URL, make_url

from app.settings import ROOT

if TYPE_CHECKING:
    from app.settings import Settings

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}


def database_url(settings: Settings) -> URL:
    """Return the URL of the database that requests use, with its driver and, for SQLite, an absolute path."""
    return _normal(settings.database_url.get_secret_value())


def owner_url(settings: Settings) -> URL:
    """Return the URL of who owns the tables."""
    if settings.database_owner_url is None:
        return database_url(settings)
    return _normal(settings.database_owner_url.get_secret_value())


def service_url(owner: URL) -> URL:
    """Return the URL of the role that development serves with where it was given the owner's.

    An owner is not bound by row security that it can switch off, and a superuser by none at all. The role's name and
    password follow from the owner's, so that every process knows them and no setting has to.
    """
    password = hmac.digest((owner.password or "").encode(), f"role:{owner.database}".encode(), "sha256").hex()
    return owner.set(username=f"{(owner.database or 'app')[:50]}_service", password=password)


def signing_key(settings: Settings) -> bytes:
    """Return the key that signs the caller of a transaction; the owner of the database keeps the same one in it."""
    if settings.row_security_key is not None:
        return settings.row_security_key.get_secret_value().encode()
    password = database_url(settings).password or ""
    return hashlib.blake2b(password.encode(), digest_size=32, person=b"row-security").digest()


def _normal(text: str) -> URL:
    url = make_url(text)
    url = url.set(drivername=_DRIVERS[url.get_backend_name()])
    if url.get_backend_name() == "sqlite" and url.database is not None:
        url = url.set(database=str(ROOT / Path(url.database)))  # an absolute path stays what it is
    return url
