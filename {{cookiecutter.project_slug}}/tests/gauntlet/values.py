"""Values for what a route takes, from its JSON Schema: valid ones, and ones that lie past each bound."""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.gauntlet.forms import File

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_DEPTH: Final = 8
"""Nesting of schemas that is followed; a model that contains itself ends here."""

TYPICAL: Final = (
    *("a", "A1", "abc", "sku-1", "EUR", "DE", "en", "2026-11-27", "12:00", "10.00", "alice@example.com", "abcdefgh"),
    *("https://example.com/", "+4915112345678", "0000", "12345678", "a-b_c.d", "Abcdefg1", "ABC-123", "#ffffff"),
)
FORMATS: Final = {
    "date-time": "2026-11-27T12:00:00Z",
    "date": "2026-11-27",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "alice@example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "binary": "x",
}
HOSTILE: Final = {
    "NUL": "a\0b",
    "a lone surrogate": "\ud800",
    "SQL": "' OR 1=1; DROP TABLE things; --",
    "a template": "{{7*7}}${7*7}%(x)s%s{0}",
    "a path": "../../../../etc/passwd",
    "a line break": "a\r\nset-cookie: a=b",
    "markup": "<script>alert(1)</script>",
    "another direction": "\u202eabc",
    "an astral character": "\U0001f4a3",
    "much": "x" * 40_000,
}
"""Texts that break naive code, by what they are."""


class NoValue(Exception):
    """No valid value was found for a schema."""


@dataclass
class Pool:
    """Values that the service itself gave out or took, by the name of the field.

    A handler that wants an article that exists can only be called with one that somebody made before.
    """

    known: dict[str, list[Any]] = field(default_factory=dict)

    def learn(self, name: str, value: Any) -> None:
        """Remember a value; the newest is tried first."""
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            values = self.known.setdefault(name, [])
            if value in values:
                values.remove(value)
            values.insert(0, value)
            del values[20:]

    def learn_all(self, document: Any, prefix: str = "") -> None:
        """Remember every field of an answer or a request; ``id`` also by the name of what it is the id of."""
        if isinstance(document, dict):
            for name, value in document.items():
                self.learn(name, value)
                if name == "id" and prefix:
                    self.learn(f"{prefix}_id", value)
                self.learn_all(value, prefix)
        elif isinstance(document, list):
            for item in document[:5]:
                self.learn_all(item, prefix)


class Generator:
    """Makes values for the schemas of one OpenAPI document."""

    def __init__(self, document: Mapping[str, Any], pool: Pool) -> None:
        self._document = document
        self._pool = pool

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a schema without references, and of alternatives the first that is not null."""
        for _ in range(MAX_DEPTH):
            if "$ref" in schema:
                target: Any = self._document
                for part in schema["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
                schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
            elif "anyOf" in schema or "oneOf" in schema or len(schema.get("allOf", ())) == 1:
                options = schema.get("anyOf") or schema.get("oneOf") or schema["allOf"]
                chosen = next((option for option in options if option.get("type") != "null"), options[0])
                rest = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf", "allOf"}}
                schema = {**chosen, **rest}
            else:
                return schema
        return schema

    def valid(self, schema: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
        """Return a value that the schema accepts.

        Raises:
            NoValue: none was found.
        """
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        if is_file(schema):
            return File(b"a" * max(schema.get("minLength", 0), min(20, schema.get("maxLength", 20))))
        for value in self._offers(schema, name):
            if fits(value, schema):
                return value
        return self._made(schema, name, depth)

    def _made(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            count = max(schema.get("minItems", 1), 1)
            return [self.valid(schema.get("items", {}), name, depth + 1) for _ in range(count)]
        if kind == "string":
            return _text(schema)
        return _number(schema, kind) if kind in {"integer", "number"} else kind == "boolean" or None

    def _offers(self, schema: Mapping[str, Any], name: str) -> Iterator[Any]:
        yield from self._pool.known.get(name, ())
        yield from schema.get("examples", ())
        if "example" in schema:
            yield schema["example"]
        if "default" in schema and schema["default"] is not None:
            yield schema["default"]

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if depth > MAX_DEPTH:
            raise NoValue("models nest too deep")
        required = set(schema.get("required", ()))
        made = {}
        for name, part in schema.get("properties", {}).items():
            try:
                made[name] = self.valid(part, name, depth + 1)
            except NoValue:
                if name in required:
                    raise
        return made

    def past_bounds(self, schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield values that the schema refuses, with what is wrong with each."""
        schema = self.resolve(schema)
        kind = _kind(schema)
        if kind == "string":
            yield from _past_text(schema)
        elif kind in {"integer", "number"}:
            for key, step in (("maximum", 1), ("exclusiveMaximum", 0), ("minimum", -1), ("exclusiveMinimum", 0)):
                if key in schema:
                    yield f"{schema[key] + step}", schema[key] + step
            yield "a text", "not a number"
        elif kind == "array" and schema.get("maxItems", 10_000) < 2_000:
            item = self.valid(schema.get("items", {}))
            yield f"{schema['maxItems'] + 1} items", [item] * (schema["maxItems"] + 1)
        elif kind == "object":
            yield "a list", []

    def at_bounds(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the outermost values that the schema accepts, and where it has no bound, values that are too much."""
        schema = self.resolve(schema)
        kind = _kind(schema)
        if kind in {"integer", "number"}:
            for key in ("maximum", "minimum"):
                if key in schema:
                    yield schema[key]
            yield from (2**31, 2**63, -(2**63) - 1, 10**30)
        elif is_file(schema):
            yield File(b"")
        elif kind == "string" and "pattern" not in schema and "maxLength" in schema and "format" not in schema:
            yield "z" * min(schema["maxLength"], 10_000)


def _past_text(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if is_file(schema):
        if "maxLength" in schema:
            yield f"a file of {schema['maxLength'] + 1} bytes", File(b"a" * (schema["maxLength"] + 1))
        yield "a text where a file is due", "not a file"
        return
    if "maxLength" in schema:
        yield f"{schema['maxLength'] + 1} characters", "a" * (schema["maxLength"] + 1)
    if schema.get("minLength"):
        yield f"{schema['minLength'] - 1} characters", "a" * (schema["minLength"] - 1)
    if "enum" in schema:
        yield "a value that is not in the list", "no-such-value-of-the-gauntlet"


def is_file(schema: Mapping[str, Any]) -> bool:
    """Tell a part that is a file from one that is a text."""
    return schema.get("contentMediaType") == "application/octet-stream" and "contentEncoding" not in schema


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), None)
    if kind is None:
        kind = "object" if "properties" in schema else "string"
    return str(kind)


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Tell whether a scalar keeps to a schema's type and bounds."""
    kind = _kind(schema)
    if kind == "string":
        return isinstance(value, str) and _text_fits(value, schema)
    if kind in {"integer", "number"}:
        if isinstance(value, bool) or not isinstance(value, int | float) or (kind == "integer" and value != int(value)):
            return False
        low, high = _range(schema)
        return low <= value <= high and value % schema.get("multipleOf", 1 if kind == "integer" else value or 1) == 0
    return kind in {"object", "array"} and isinstance(value, dict if kind == "object" else list)


def _range(schema: Mapping[str, Any]) -> tuple[float, float]:
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    if "exclusiveMinimum" in schema:
        low = max(low, schema["exclusiveMinimum"] + (1 if _kind(schema) == "integer" else 1e-6))
    if "exclusiveMaximum" in schema:
        high = min(high, schema["exclusiveMaximum"] - (1 if _kind(schema) == "integer" else 1e-6))
    return low, high


def _text_fits(value: str, schema: Mapping[str, Any]) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
        return False
    if schema.get("format") == "uuid" and not re.fullmatch("[0-9a-f-]{36}", value):
        return False
    if schema.get("format") in {"date-time", "date"} and not re.match(r"\d{4}-\d\d-\d\d", value):
        return False
    pattern = schema.get("pattern")
    try:
        return pattern is None or re.search(pattern, value) is not None
    except re.error:
        return True


def _text(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "uuid":
        return str(uuid.UUID(int=7, version=4))
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    low = schema.get("minLength", 0)
    for value in (*TYPICAL, "a" * max(low, 1), "A" * max(low, 1), "1" * max(low, 1)):
        if _text_fits(value, schema):
            return value
    return _from_pattern(schema)


def _from_pattern(schema: Mapping[str, Any]) -> str:
    from hypothesis import HealthCheck, Phase, given, settings, strategies
    from hypothesis.errors import HypothesisException

    found: list[str] = []

    @settings(max_examples=50, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategies.from_regex(schema["pattern"]))
    def look(value: str) -> None:
        if not found and _text_fits(value, schema):
            found.append(value)

    try:
        look()
    except (HypothesisException, re.error) as error:
        raise NoValue(f"no text for the pattern {schema['pattern']}") from error
    if not found:
        raise NoValue(f"no text for the pattern {schema['pattern']}")
    return found[0]


def _number(schema: Mapping[str, Any], kind: str) -> float:
    low, high = _range(schema)
    step: float = schema.get("multipleOf", 1)
    value: float = max(low, min(step, high)) if low != -math.inf else min(step, high)
    return math.ceil(value / step) * int(step) if kind == "integer" else value
