"""Redaction: what must not be read in a log, a span or an error is replaced before it is written.

Threat
    A handler logs a request's headers, a dict of its body, a driver's exception or a URL, and a credential or a
    person's data rests for years where many people read (CWE-532, OWASP A09). Whoever wrote that line did not think
    of it, so nothing here asks the line's author for anything.

How it decides
    *By key*: a mapping's key, a dataclass's or pydantic model's field, the first half of a ``(name, value)`` pair.
    Keys are split into words (``X-API-Key``, ``apiKey`` and ``api_key`` are one) and compared word by word, so
    ``author`` is not ``auth``. A key *about* a secret (``token_count``, ``password_length``) keeps its value.
    *By shape*, inside any text whatever its key: PEM blocks, JSON Web Tokens, Bearer and Basic credentials, keys of
    AWS, GitHub, GitLab, Slack, Stripe, Google, OpenAI and others, user information in URLs, ``name=value`` and
    ``"name": "value"`` whose name is secret by the rule above (query strings, form bodies, reprs, header dumps),
    the values that pydantic, SQLAlchemy and PostgreSQL echo in error texts, e-mail addresses, IBANs (mod 97), payment
    cards (brand prefix, length and Luhn), US social security numbers, telephone numbers (``+`` and country code, or
    the US form with separators: bare digits would take timestamps and ids with them).

Defaults and their reasons
    They stand beside each field of `RedactionConfig`. Every regular expression is linear in its input (possessive
    quantifiers, anchored starts), and the input is cut before any of them runs.

What it does not do
    It cannot know a secret that has neither a telling name nor a shape: ``"wrong password hunter2"`` stays. It does not
    decode base64, gzip or percent-encoding. Names, postal addresses and network addresses are left alone.

Lift it
    No dependencies. ``redactor = Redactor()``; ``redactor.redact(event_dict)`` returns a new dictionary made of plain
    values only, ``redactor.text(string)`` a string. Both are pure, thread-safe, and do not raise.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Final

__all__ = ["RedactionConfig", "RedactionConfigError", "Redactor"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class RedactionConfigError(ValueError):
    """A bound that would switch redaction off or leave it unbounded."""


@dataclasses.dataclass(frozen=True, slots=True)
class RedactionConfig:
    """What counts as secret, and how far to look.

    Words are lower case and without separators. Extend a set with
    ``dataclasses.replace(config, words=config.words | {"diagnosis"})``.
    """

    marker: str = "[redacted]"
    """Stands in the value's place. Holds no character that a shape starts with, so redaction is idempotent."""

    words: frozenset[str] = _words(
        "auth bearer card cookie csrf cvc cvv dob hmac iban jwt mobile msisdn otp pan passport pin pwd session sid "
        "ssn signature tel totp xsrf"
    )
    """Secret as a whole word of a key: short, so that ``discard`` and ``spinner`` must not match."""

    endings: frozenset[str] = _words(
        "token password passwd passcode passphrase secret cookie credential authorization email phone"
    )
    """Secret as the end of a word: ``accesstoken``, ``dbpassword``. Plurals are included."""

    fragments: frozenset[str] = _words(
        "password passphrase secret credential authorization apikey accesskey privatekey signingkey encryptionkey "
        "masterkey sharedkey sshkey licensekey subscriptionkey sessionid creditcard cardnumber accountnumber "
        "routingnumber taxid socialsecurity dateofbirth birthdate recoverycode backupcode verificationcode email "
        "phonenumber"
    )
    """Secret anywhere in the key once its separators are gone."""

    about: frozenset[str] = _words(
        "age algorithm brand bucket budget count enabled endpoint expiry expires expired kind length limit method "
        "present rate required scheme size status time timeout ttl type valid version"
    )
    """A key ending in one of these speaks about a secret and is not one: ``token_type``, ``session_count``."""

    query_names: frozenset[str] = _words("assertion code key sig state ticket")
    """Secret only as a query parameter: OAuth's code and state (RFC 6749), Google's key, Azure's sig."""

    max_text: int = 8192
    """Characters examined and kept of one string; twice what a log value may hold by default."""

    max_depth: int = 8
    """Levels of nesting followed; deeper values are replaced whole (a cycle ends here)."""

    max_nodes: int = 2048
    """Values visited in one call: bounds a wide structure's cost to a few milliseconds."""

    def __post_init__(self) -> None:
        """Refuse bounds below one.

        Raises:
            RedactionConfigError: a bound is not positive, or the marker is empty.
        """
        if min(self.max_text, self.max_depth, self.max_nodes) < 1 or not self.marker:
            raise RedactionConfigError("redaction needs positive bounds and a marker")


_CLEAR, _PLURAL, _SECRET = 0, 1, 2
_CACHED_KEYS: Final = 2048  # more keys than a service has; keys a client invents beyond that are decided anew
_MARGIN: Final = 512  # read past the cut, so that a secret lying across it is still seen whole
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# Cheap gates: a text that passes none of them cannot hold a shape.
_MARK = re.compile(r"[=:@0-9'\"]").search
_LONG_RUN = re.compile(r"[A-Za-z_-]{16}").search
_MANY_DIGITS = re.compile(r"\d(?:[ ().-]{0,2}\d){8}").search

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", re.DOTALL)
_USERINFO = re.compile(r"(?<=://)(?:[^\s/?#@:\"'<>]{0,128}:(?!\d{1,5}[/?#])[^\s@\"'<>]{0,256}@|[^\s/?#@\"'<>]{1,256}@)")
_ECHO = re.compile(r"(input_value=)(?:(?!, input_type=).){1,400}+|(\[parameters: )[^\n]++|(DETAIL:)[^\n]++", re.DOTALL)
_KEY = re.compile(
    r"(?:(?<![\w-])|(?<=%[0-9A-Fa-f]{2}))([^\W\d][\w-]*+)"
    r"(?:(?:\\{0,4}[\"'])?+(?:\]|%5[Dd])?+\s{0,8}+(?:=>|[=:]{1,3}|%3[AaDd])|\\{0,4}[\"']\s{0,8}+,)\s{0,8}+"
)
_QUOTED = re.compile(
    r"b?(?:\\+\"[^\"]*+\"?|\\+'[^']*+'?|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?|'[^'\\]*+(?:\\.[^'\\]*+)*+'?)", re.DOTALL
)
_BARE = re.compile(r"(?:(?i:bearer|basic|digest|negotiate|token|apikey)\s++)?[^\s\"'&<>]*+")
_LINE = re.compile(r"[^\r\n]*+")
_BRACKET = re.compile(r"[\[({\])}]")
_SCHEME = re.compile(
    r"(?i:\b(bearer|apikey)\s{1,4}+(?!(?:auth\w*|tokens?|credentials?|realm|schemes?|is|was|header|access)\b)"
    r"[^\s\"',;<>]{4,}+)"
    r"|\b([Bb]asic|BASIC)\s{1,4}+(?=[A-Za-z][a-z]*+[0-9+/=A-Z]|[0-9])[A-Za-z0-9+/_-]{6,}+={0,2}"
)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{4,}+\.[\w-]++(?:\.[\w-]*+){0,3}")
_VENDOR = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{16}|gh[pousr]_\w{20,}+|github_pat_\w{20,}+|glpat-[\w-]{16,}+"
    r"|xox[abeoprs]-[\w-]{8,}+|xapp-[\w-]{8,}+|(?:[sr]k|pk)_(?:live|test)_\w{8,}+|whsec_[\w+/=]{8,}+|sk-[\w-]{16,}+"
    r"|AIza[\w-]{30,}+|ya29\.[\w-]{8,}+|SG\.[\w-]{16,}+\.[\w-]{16,}+|npm_\w{30,}+|pypi-[\w-]{16,}+|hf_\w{30,}+"
    r"|dop_v1_\w{32,}+|shp(?:at|ss|ca)_\w{16,}+)|(?<=hooks\.slack\.com/services/)[\w/]++"
)
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]++(?:\.[\w-]++)++")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_CARD_BRAND = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35\d{14}|6\d{15,18}"
).fullmatch
_SSN_OR_PHONE = re.compile(
    r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])"
    r"|(?<![\w+])\+[1-9](?:[ ().-]{0,2}\d){7,14}(?!\w)"
    r"|(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?![\w-])"
)


class Redactor:
    """Replaces secrets and personal data in event dictionaries and in text.

    Args:
        config: what is secret, and the bounds.
    """

    def __init__(self, config: RedactionConfig | None = None) -> None:
        self.config = config = config or RedactionConfig()
        self._marker = config.marker
        self._endings = tuple(config.endings)
        self._plurals = tuple(ending + "s" for ending in config.endings)
        self._verdicts: dict[object, int] = {}

    def redact(self, event_dict: MutableMapping[str, Any]) -> dict[str, Any]:
        """Return a redacted copy of ``event_dict``, made of dict, list, str, int, float, bool and None only.

        The argument and what it holds stay untouched. Values beyond ``max_nodes`` or ``max_depth`` are replaced by a
        text that says so: what was not examined is not passed on.
        """
        try:
            return self._mapping(event_dict, 0, [self.config.max_nodes])
        except Exception as error:  # noqa: BLE001 - a key's own code may run here, and a log call must not fail
            return {"...": f"[{type(event_dict).__name__} not readable: {type(error).__name__}]"}

    def text(self, value: str) -> str:
        """Return ``value`` with everything of a secret's shape replaced, cut to ``max_text`` characters."""
        cap = self.config.max_text
        if len(value) > cap:
            value = self._shapes(value[: cap + _MARGIN])
            return value if len(value) <= cap else value[:cap] + "...[cut]"
        if len(value) < 6:  # noqa: PLR2004 - no shape is shorter
            return value
        if _MARK(value) or _LONG_RUN(value):
            return self._shapes(value)
        lower = value.lower()
        if "bearer " in lower or "basic " in lower or "apikey " in lower or "-----" in lower:
            return self._shapes(value)
        return value

    # -- by key ---------------------------------------------------------------------------------------------------

    def _verdict(self, key: object) -> int:
        verdict = self._verdicts.get(key) if type(key) is str or type(key) is bytes else None
        if verdict is None:
            name = _decode(key) if isinstance(key, bytes | bytearray) else str(key)
            verdict = self._judge(name[:256])
            if len(self._verdicts) < _CACHED_KEYS and len(name) <= 64 and isinstance(key, str | bytes):  # noqa: PLR2004 - no longer key is ours
                self._verdicts[key] = verdict
        return verdict

    def _judge(self, name: str) -> int:
        if not name.isascii():
            name = unicodedata.normalize("NFKC", name)  # full-width letters read as the plain ones
        words = [word.lower() for word in _WORD.findall(name)]
        if not words or words[-1] in self.config.about:
            return _CLEAR
        squashed = "".join(words)
        for word in words:
            if word in self.config.words or word.endswith(self._endings):
                return _SECRET
        if words[-1].endswith("s") and (words[-1][:-1] in self.config.words or words[-1].endswith(self._plurals)):
            return _PLURAL
        return _SECRET if any(fragment in squashed for fragment in self.config.fragments) else _CLEAR

    def _item(self, key: object, value: object, depth: int, budget: list[int]) -> Any:
        verdict = self._verdict(key)
        if verdict == _CLEAR:
            return self._value(value, depth, budget)
        if value is None or value is True or value is False or (type(value) is str and not value):
            return value  # whether there is one is no secret, and often the question
        if verdict == _PLURAL and type(value) in {int, float}:
            return value  # "tokens": 512 counts them
        return self._marker

    # -- by structure ---------------------------------------------------------------------------------------------

    def _value(self, value: object, depth: int, budget: list[int]) -> Any:
        kind = type(value)
        if kind is str:
            return self.text(value)  # type: ignore[arg-type]
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            # A card kept as a number; the bound leaves out everything that is too short to be one.
            return self._marker if 10**12 <= value < 10**19 and _is_card(str(value)) else value  # type: ignore[operator]
        budget[0] -= 1
        if budget[0] < 0 or depth >= self.config.max_depth:
            return f"[{kind.__name__} not examined: too deep or too large]"
        try:
            return self._compound(value, depth + 1, budget)
        except Exception as error:  # noqa: BLE001 - any object's own code may run here, and a log call must not fail
            return f"[{kind.__name__} not readable: {type(error).__name__}]"

    def _compound(self, value: object, depth: int, budget: list[int]) -> Any:
        fields = _fields(value)
        if fields is not None:
            return self._mapping(fields, depth, budget)
        if isinstance(value, list | tuple | AbstractSet):
            return self._sequence(value, depth, budget)
        if isinstance(value, bytes | bytearray | memoryview):
            return self.text(_decode(value[: self.config.max_text + _MARGIN]))
        if isinstance(value, BaseException):
            return self.text(f"{type(value).__name__}: {value}")
        return self.text(str(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int, budget: list[int]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            budget[0] -= 1
            if budget[0] < 0:
                result["..."] = f"[{len(value) - len(result)} more not examined]"
                break
            name = key if type(key) is str else _decode(key) if isinstance(key, bytes) else str(key)
            # A key may itself be a secret (a dictionary by token or by e-mail address).
            result[self.text(name)] = self._item(key, item, depth, budget)
        return result

    def _sequence(self, value: Iterable[Any], depth: int, budget: list[int]) -> list[Any]:
        items = list(islice(value, max(budget[0], 0) + 1))
        if len(items) == 2 and isinstance(items[0], str | bytes) and self._verdict(items[0]) != _CLEAR:  # noqa: PLR2004 - a pair
            return [self._value(items[0], depth, budget), self._item(items[0], items[1], depth, budget)]
        result: list[Any] = []
        for item in items:
            budget[0] -= 1
            if budget[0] < 0:
                result.append("[more not examined]")
                break
            result.append(self._value(item, depth, budget))
        return result

    # -- by shape -------------------------------------------------------------------------------------------------

    def _shapes(self, text: str) -> str:
        marker = self._marker
        if "-----BEGIN " in text:
            text = _PEM.sub(marker, text)
        if "@" in text and "://" in text:
            text = _USERINFO.sub(marker + "@", text)
        if "input_value=" in text or "[parameters: " in text or "DETAIL:" in text:
            text = _ECHO.sub(lambda found: (found[1] or found[2] or found[3]) + marker, text)
        if "=" in text or ":" in text or "'" in text or '"' in text or "%3" in text:
            text = self._pairs(text)
        if " " in text:
            text = _SCHEME.sub(lambda found: f"{found[1] or found[2]} {marker}", text)
        if "eyJ" in text:
            text = _JWT.sub(marker, text)
        text = _VENDOR.sub(marker, text)
        if "@" in text:
            text = _EMAIL.sub(marker, text)
        if _MANY_DIGITS(text):
            text = _IBAN.sub(lambda found: marker if _is_iban(found[0]) else found[0], text)
            text = _CARD.sub(lambda found: marker if _is_card(found[0]) else found[0], text)
            text = _SSN_OR_PHONE.sub(marker, text)
        return text

    def _pairs(self, text: str) -> str:
        parts: list[str] = []
        done = 0
        for found in _KEY.finditer(text):
            start, end = found.span()
            if start < done:
                continue  # inside a value that is gone already
            name = found[1]
            if self._verdict(name) == _CLEAR and not (
                name.lower() in self.config.query_names and start and text[start - 1] in "?&"
            ):
                continue
            parts += (text[done:end], self._marker)
            done = _value_end(text, end, whole_line=name.lower().endswith(("cookie", "authorization")))
        return "".join(parts) + text[done:] if parts else text


def _value_end(text: str, start: int, *, whole_line: bool) -> int:
    """Return where the value that starts at ``start`` ends: a quoted string, a bracketed group, a word."""
    quoted = _QUOTED.match(text, start)
    if quoted:
        return quoted.end()
    if text[start : start + 1] in {"[", "{", "("}:
        depth = 0
        for bracket in _BRACKET.finditer(text, start):
            depth += 1 if bracket[0] in "[({" else -1
            if depth == 0:
                return bracket.end()
        return len(text)
    # Cookie and Authorization hold several words: 'a=1; b=2', 'Digest username="x", response="y"'.
    match = (_LINE if whole_line else _BARE).match(text, start)
    return match.end() if match else start


def _fields(value: object) -> Mapping[Any, Any] | None:
    """Return what ``value`` holds by name, if it is a mapping, named tuple, dataclass or pydantic model."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if hasattr(type(value), "model_fields"):  # a pydantic model, known without importing pydantic
        return dict(value)  # type: ignore[call-overload, no-any-return]
    return None


def _decode(value: bytes | bytearray | memoryview) -> str:
    return bytes(value).decode("utf-8", "backslashreplace")


def _is_card(number: str) -> bool:
    digits = number.replace(" ", "").replace("-", "")
    if not _CARD_BRAND(digits):
        return False
    total = 0  # Luhn, ISO/IEC 7812-1 annex B
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of two digits
    return total % 10 == 0


def _is_iban(candidate: str) -> bool:
    compact = candidate.replace(" ", "")
    number = "".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])
    return int(number) % 97 == 1  # ISO 13616: mod 97-10
