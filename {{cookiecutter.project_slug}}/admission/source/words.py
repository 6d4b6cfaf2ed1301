"""What names say: which hold secrets, which personal data, which money."""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import Final

from admission.source.values import PASSWORD, PERSONAL, SECRET

_WORDS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

_SECRET_WORDS: Final = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "secrets",
        "token",
        "credential",
        "credentials",
        "authorization",
        "apikey",
        "otp",
        "totp",
        "cvv",
        "cvc",
        "jwt",
        "bearer",
        "signature",
        "passcode",
        "privatekey",
        "secretkey",
        "accesskey",
        "sessionid",
        "mfa",
    ]
)
_SECRET_PAIRS: Final = frozenset(
    {
        ("api", "key"),
        ("secret", "key"),
        ("private", "key"),
        ("access", "key"),
        ("signing", "key"),
        ("encryption", "key"),
        ("auth", "header"),
        ("auth", "code"),
        ("session", "id"),
        ("session", "cookie"),
        ("set", "cookie"),
        ("reset", "code"),
        ("verification", "code"),
        ("recovery", "code"),
        ("security", "code"),
        ("login", "code"),
        ("access", "code"),
        ("pin", "code"),
        ("webhook", "key"),
        ("master", "key"),
        ("connection", "string"),
        ("card", "pin"),
        ("backup", "code"),
        ("pairing", "code"),
        ("invite", "code"),
        ("invitation", "code"),
    }
)
_PASSWORDS: Final = frozenset({"password", "passwords", "passwd", "passphrase", "pwd", "passcode", "pin"})
_NOT_SECRET: Final = frozenset(
    [
        "type",
        "types",
        "count",
        "counts",
        "length",
        "size",
        "limit",
        "max",
        "min",
        "field",
        "fields",
        "name",
        "names",
        "column",
        "url",
        "uri",
        "path",
        "expires",
        "expiry",
        "expired",
        "ttl",
        "lifetime",
        "policy",
        "pattern",
        "regex",
        "valid",
        "required",
        "present",
        "strength",
        "id",
        "ids",
        "prefix",
        "version",
        "at",
        "until",
        "seconds",
        "minutes",
        "days",
        "model",
        "schema",
        "in",
        "response",
        "request",
        "page",
        "usage",
        "used",
        "bucket",
        "input",
        "mismatch",
        "missing",
        "invalid",
        "error",
        "rule",
        "rules",
        "label",
        "hint",
        "algorithm",
    ]
)
"""What ``token_type`` or ``password_expires_at`` hold is not the secret."""

_PERSONAL_WORDS: Final = frozenset(
    [
        "email",
        "emails",
        "ssn",
        "iban",
        "phone",
        "passport",
        "birthdate",
        "birthday",
        "dob",
        "pan",
        "surname",
        "firstname",
        "lastname",
    ]
)
_PERSONAL_PAIRS: Final = frozenset(
    {
        ("e", "mail"),
        ("social", "security"),
        ("credit", "card"),
        ("card", "number"),
        ("account", "number"),
        ("phone", "number"),
        ("date", "birth"),
        ("birth", "date"),
        ("first", "name"),
        ("last", "name"),
        ("full", "name"),
        ("home", "address"),
        ("street", "address"),
        ("postal", "address"),
        ("billing", "address"),
        ("shipping", "address"),
        ("national", "id"),
        ("tax", "id"),
        ("mobile", "number"),
        ("routing", "number"),
        ("medical", "record"),
        ("bank", "account"),
        ("passport", "number"),
        ("driver", "license"),
        ("health", "record"),
    }
)
_NOT_PERSONAL: Final = _NOT_SECRET - {"address", "id"} | frozenset(
    {"template", "service", "client", "sender", "domain", "queue", "job", "sent", "verified", "batch"}
)

_MONEY_WORDS: Final = frozenset(
    [
        "price",
        "prices",
        "amount",
        "amounts",
        "total",
        "subtotal",
        "cost",
        "costs",
        "balance",
        "fee",
        "fees",
        "salary",
        "tax",
        "taxes",
        "discount",
        "payment",
        "refund",
        "charge",
        "deposit",
        "revenue",
        "budget",
        "credit",
        "debit",
        "wage",
        "tip",
        "vat",
        "gross",
        "net",
        "money",
        "payout",
        "income",
        "fare",
        "rent",
        "premium",
        "commission",
        "surcharge",
        "cents",
        "euros",
        "dollars",
        "pence",
    ]
)
_NOT_MONEY: Final = frozenset(
    [
        "rate",
        "ratio",
        "percent",
        "percentage",
        "count",
        "counts",
        "id",
        "ids",
        "pages",
        "items",
        "page",
        "seconds",
        "ms",
        "bytes",
        "score",
        "weight",
        "results",
        "rows",
        "records",
        "hits",
        "time",
        "days",
        "quantity",
        "qty",
        "number",
        "orders",
        "users",
        "units",
        "size",
        "duration",
        "hours",
        "minutes",
        "code",
        "km",
        "distance",
        "pct",
        "fraction",
        "share",
        "factor",
    ]
)

_RANDOM_WORDS: Final = frozenset(
    [
        "token",
        "secret",
        "password",
        "passcode",
        "passwd",
        "code",
        "otp",
        "pin",
        "nonce",
        "salt",
        "session",
        "csrf",
        "coupon",
        "voucher",
        "key",
        "invite",
        "invitation",
        "captcha",
        "credential",
        "ticket",
    ]
)


_PROSE: Final = frozenset(
    [
        "text",
        "name",
        "title",
        "body",
        "comment",
        "message",
        "content",
        "description",
        "bio",
        "note",
        "notes",
        "subject",
        "summary",
        "caption",
        "nickname",
        "headline",
        "review",
        "reply",
        "answer",
        "question",
        "username",
        "filename",
        "quote",
        "excerpt",
        "city",
        "street",
        "address",
    ]
)
"""Where a column's type is not known, its name says that people write it."""


@lru_cache(maxsize=8192)
def words(name: str) -> tuple[str, ...]:
    """Return the words of an identifier or header name, in lower case."""
    return tuple(word.lower() for word in _WORDS.findall(name[:200]))


@lru_cache(maxsize=8192)
def sensitivity(name: str) -> frozenset[str]:
    """Return SECRET or PERSONAL if a value of this name is one."""
    parts = words(name)
    if not parts:
        return frozenset()
    if (
        _has(parts, _SECRET_WORDS, _SECRET_PAIRS)
        and parts[-1] not in _NOT_SECRET
        and parts[0] not in {"is", "has", "num", "max", "min", "hashed"}
    ):
        return frozenset({SECRET, PASSWORD}) if set(parts) & _PASSWORDS else frozenset({SECRET})
    if (
        _has(parts, _PERSONAL_WORDS, _PERSONAL_PAIRS)
        and parts[-1] not in _NOT_PERSONAL - {"name", "names", "id"}
        and parts[0] not in {"is", "has", "num", "send", "max", "min"}
    ):
        return frozenset({PERSONAL})
    return frozenset()


@lru_cache(maxsize=8192)
def sensitivity_of_number(name: str) -> frozenset[str]:
    """Return the same for a value that is known to be a number: a PIN is a secret, a count of tokens is none."""
    return sensitivity(name) if set(words(name)) & _DIGITS else sensitivity(name) - {SECRET, PASSWORD}


_DIGITS: Final = frozenset(
    {"pin", "pins", "otp", "totp", "cvv", "cvc", "passcode", "passcodes", "mfa", "code", "codes", "password"}
)
"""Words for secrets that are made of digits."""


def _has(parts: tuple[str, ...], single: frozenset[str], pairs: frozenset[tuple[str, str]]) -> bool:
    stripped = [part[:-1] if part.endswith("s") and part[:-1] in single else part for part in parts]
    return any(part in single for part in stripped) or any(pair in pairs for pair in itertools.pairwise(parts))


@lru_cache(maxsize=4096)
def is_money(name: str) -> bool:
    """Return whether a value of this name is an amount of money."""
    parts = words(name)
    return any(part in _MONEY_WORDS for part in parts) and not any(part in _NOT_MONEY for part in parts)


@lru_cache(maxsize=4096)
def is_prose(name: str) -> bool:
    """Return whether a value of this name is text that people write."""
    return words(name)[-1:] != () and words(name)[-1] in _PROSE


@lru_cache(maxsize=4096)
def is_markup(name: str) -> bool:
    """Return whether a value of this name is kept to be shown as it is."""
    return bool(set(words(name)) & {"html", "markup", "svg", "rendered", "escaped"})


@lru_cache(maxsize=4096)
def needs_secrecy(name: str) -> bool:
    """Return whether a random value of this name must not be guessed."""
    parts = words(name)
    return any(part in _RANDOM_WORDS or (part.endswith("s") and part[:-1] in _RANDOM_WORDS) for part in parts)
