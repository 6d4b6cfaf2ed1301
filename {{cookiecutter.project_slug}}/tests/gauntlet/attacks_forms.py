"""Forms that are broken: fields that nobody sends, parts without an end, names of files, bodies that are cut."""

from __future__ import annotations

import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import httpx2

from tests.gauntlet.attack import ATTACKS, CannotTell, Fault, check, example_of
from tests.gauntlet.attacks_identity import some_call
from tests.gauntlet.attacks_input import LARGEST, REFUSED, echoes
from tests.gauntlet.forms import (
    BOUNDARY,
    MULTIPART,
    URLENCODED,
    File,
    fields_of,
    multipart,
    part,
    quoted,
    urlencoded,
)
from tests.gauntlet.values import HOSTILE, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gauntlet.world import Call, Route, Way, World

GRACE: Final = 5.0
"""Seconds over a route's timeout after which its answer is late: a machine may be busy."""

MANY: Final = 5_000
"""Fields or parts of one body, where they fit: five times what is read of a form by default."""

MOST: Final = 999
"""Fields or parts that are still read, and reach the handler."""

MUCH: Final = 1024 * 1024
"""Bytes of a body of many parts, or of several bodies at once, where the route takes so much."""

AT_ONCE: Final = 4
ROOM: Final = 48 * 1024 * 1024
"""Bytes by which the service may grow under the largest forms, and 16 times what was sent to it at the same time."""

CHARSETS: Final = ("utf-7", "utf-16", "rot13", "zlib", "undefined", "idna", "punycode", "no-such-charset")
"""Encodings that a client may name; the first two mean other text, the others are no encodings of text, or dear."""

NAMES: Final = {
    "a path up": "../../../../etc/passwd",
    "a path of Windows": "C:\\..\\..\\boot.ini",
    "an absolute path": "/etc/passwd",
    "a dot": ".",
    "nothing": "",
    "NUL": "a\0.txt",
    "control characters": "a\x01\x08\x1b[2J\x7f.txt",
    "a line break": "a\r\nset-cookie: a=b",
    "a quote": 'a"; name="other',
    "markup": HOSTILE["markup"],
    "a lone surrogate": HOSTILE["a lone surrogate"],
    "another direction": HOSTILE["another direction"],
    "3,000 characters": "n" * 3_000,
}
"""What files are called by those who mean harm."""


def has_form(route: Route) -> bool:
    return route.form is not None


def in_parts(route: Route) -> bool:
    return route.form == MULTIPART


@ATTACKS.attack("problem_details", applies=lambda route: route.form == URLENCODED)
def broken_form(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    first, good = _a_field(world, route, file=False), call.content or b""
    bodies: dict[str, bytes] = {
        "no body": b"",
        "a JSON document": b'{"a": 1}',
        "only separators": b"&&==&=&;",
        "halves of escapes": b"surplus=%&surplus=%z&surplus=%u0041&%=%",
        "bytes that are no UTF-8": b"\xff\xfe=\xff\xfe&%ff=%ff",
        "UTF-16": "surplus=b".encode("utf-16"),
        "names with brackets": b"a[b][c]=1&a[]=2&__proto__[x]=1&a.b=1",
        "a name of 20,000 characters": b"n" * 20_000 + b"=1",
        "NUL": b"\0=\0&%00=%00",
    }
    for what, raw in bodies.items():
        yield from _judged(world, replace(call, raw=raw, body=None), _due(world, route), what)
        beside = replace(call, raw=good + b"&" + raw, body=None)
        yield from _judged(world, beside, set(), f"{what}, behind an honest form")
    for value in (b"%ff%fe", b"\xff\xfe", b"%00", b"%ed%a0%80", b"%0d%0aa:b", b"+" * 5_000):
        sent = replace(call, raw=_with(call, first, value), body=None)
        yield from _judged(world, sent, set(), f"{first}={value[:20].decode('latin-1')}")
    yield from _judged(world, replace(call, raw=good + b"&" + good, body=None), set(), "each field twice")
    for count, want in ((MANY, REFUSED), (MOST, set())):
        many = b"&".join([quoted(first) + b"=1"] * min(count, _room(route, len(first) + 3)))
        over = want if many.count(b"=") > MOST + 1 else set()
        yield from _judged(world, replace(call, raw=many, body=None), over, f"{first}, {many.count(b'=')} times")


@ATTACKS.attack("problem_details", applies=in_parts)
def broken_parts(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    parts = [part(name, value) for name, value in fields_of(call.body or {})]
    good, mark = multipart(parts), BOUNDARY.encode()
    name = _a_field(world, route, file=False)
    named = b'Content-Disposition: form-data; name="%s"' % quoted(name)
    for what, raw in (("no body", b""), ("a last boundary only", multipart([]))):
        yield from _judged(world, replace(call, raw=raw, body=None), _due(world, route), what)
    refused: dict[str, bytes] = {
        "a JSON document": b'{"a": 1}',
        "another boundary than is said": multipart(parts, boundary=b"another"),
        "a first boundary only": b"--" + mark + b"\r\n",
        "parts that are never closed": multipart(parts, end=b""),
        "parts that are cut": good[: -len(mark) - 12],
        "a part without a name": multipart([*parts, b"Content-Disposition: form-data\r\n\r\na"]),
        "a part without a head": multipart([*parts, b"\r\na"]),
        "a head that is no head": multipart([*parts, b"\0\1\2\r\n\r\na"]),
        "a head of 20,000 characters": multipart([*parts, named + b"\r\nX-Much: " + b"m" * 20_000 + b"\r\n\r\na"]),
        "a head of 300 lines": multipart([*parts, named + b"\r\nX-Many: 1" * 300 + b"\r\n\r\na"]),
    }
    for what, raw in refused.items():
        yield from _judged(world, replace(call, raw=raw, body=None), REFUSED, what)
    taken: dict[str, bytes] = {
        "text before the first boundary": b"preamble\r\n" + good,
        "text behind the last boundary": good + b"epilogue",
        "lines that end in LF": good.replace(b"\r\n", b"\n"),
        "each part twice": multipart(parts + parts),
        "a part that is encoded": multipart([*parts, part("surplus", "YQ==", b"Content-Transfer-Encoding: base64")]),
        "a part of another charset": multipart([*parts, part("surplus", "a", b"Content-Type: a/b; charset=utf-7")]),
        "a name that is said twice": multipart([*parts, named + b"; name=\"other\"; filename*=utf-8''..%2Fa\r\n\r\na"]),
        "surplus parts": multipart([*parts, part("owner_id", "root"), part("surplus", File())]),
        "bytes that are no UTF-8": multipart([*parts, named + b"\r\n\r\n\xff\xfe\0"]),
    }
    for what, raw in taken.items():
        yield from _judged(world, replace(call, raw=raw, body=None), set(), what)
    yield from _many_parts(world, route, call)


def _many_parts(world: World, route: Route, call: Call) -> Iterator[Fault]:
    kind = {"content-type": f"{MULTIPART}; boundary=b"}
    for file in (False, True):
        name = _a_field(world, route, file=file)
        one = part(name, File(b"", "f", "a/b") if file else "1")
        for count in (MANY, MOST):
            fitting = min(count, _room(route, len(multipart([one], boundary=b"b"))))
            raw = multipart([one] * fitting, boundary=b"b")
            want = REFUSED if fitting > MOST + 1 else set()
            what = f"{fitting} parts that are {'files' if file else 'texts'}"
            yield from _judged(world, replace(call, raw=raw, body=None, headers={**call.headers, **kind}), want, what)


@ATTACKS.attack("problem_details", applies=has_form)
def other_kinds(world: World, route: Route) -> Iterator[Fault]:
    """The right body under a wrong name, and names that a parser has to make sense of."""
    call = some_call(world, route)
    due = _due(world, route)
    others = ("", "text/plain", "application/json", "form-data", "multipart/mixed; boundary=a", "/", "\xff")
    kinds = dict.fromkeys((*others, "a/b;" * 500), due)
    if route.form == MULTIPART:
        kinds |= dict.fromkeys((MULTIPART, f"{MULTIPART}; boundary=", f"{MULTIPART}; boundary={'b' * 500}"), REFUSED)
        kinds |= {URLENCODED: due, f'{MULTIPART}; boundary="{BOUNDARY}': set()}
    else:
        kinds |= {f"{MULTIPART}; boundary=a": due, MULTIPART: REFUSED}
    kinds |= {f"{route.kind}; charset={charset}": set[int]() for charset in CHARSETS}
    for kind, want in kinds.items():
        sent = replace(call, headers={**call.headers, "content-type": kind})
        yield from _judged(world, sent, want, f"{kind[:60] or 'nothing'} as its Content-Type")
    if route.form == MULTIPART:
        name = _a_field(world, route, file=False)
        for charset in CHARSETS:
            kind = f"{route.kind}; charset={charset}"
            raw = multipart([part(name, "a" * _room(route, 1))])
            sent = replace(call, raw=raw, body=None, headers={**call.headers, "content-type": kind})
            yield from _judged(world, sent, set(), f"much text in {charset}")


@ATTACKS.attack(applies=in_parts)
def names_of_files(world: World, route: Route) -> Iterator[Fault]:
    call = some_call(world, route)
    name = _a_field(world, route, file=True)
    rest = [part(other, value) for other, value in fields_of(call.body or {}) if other != name]
    for what, text in NAMES.items():
        sent = replace(call, raw=multipart([*rest, part(name, File(name=text))]), body=None)
        yield from _judged(world, sent, set(), f"a file whose name is {what}", text)
        kind = File(kind=text.replace("\r\n", " ").encode("ascii", "replace").decode())
        sent = replace(call, raw=multipart([*rest, part(name, kind)]), body=None)
        yield from _judged(world, sent, set(), f"a file whose type is {what}", text)


@ATTACKS.attack("body_limit", applies=has_form)
def large_forms(world: World, route: Route) -> Iterator[Fault]:
    """As large as a body may be, and larger; what is larger does not say so before."""
    call, limit = some_call(world, route), route.facts["max_body"]
    if limit > LARGEST:
        raise CannotTell(f"a body of {limit} bytes would have to be sent")
    over = f"a form of more than {limit} bytes"
    forms: tuple[tuple[int, set[int], Way, str], ...] = (
        (limit, set(), "whole", f"a form of {limit} bytes"),
        (limit + 1, {413}, "whole", f"{over} (guard: body_limit)"),
        (limit + 60_000, {413}, "chunked", f"{over} that does not say so (guard: body_limit)"),
    )
    for size, want, way, what in forms:
        raw = _of_size(world, route, size)
        yield from _judged(world, replace(call, raw=raw, body=None), want, what, way=way)


@ATTACKS.attack("body_limit", applies=has_form)
def memory_of_forms(world: World, route: Route) -> Iterator[Fault]:
    """The largest forms, and those of the most parts, several at once."""
    world.target.forget_peak()  # what an attack before this one took would hide what this one takes
    call, before = some_call(world, route), world.target.peak()
    if before is None:
        raise CannotTell("this system does not say how much memory a process takes")
    size = min(route.facts["max_body"], MUCH)
    bodies = [_of_size(world, route, size)]
    if in_parts(route):
        one = part(_a_field(world, route, file=True), File(b"", "f", "a/b"))
        bodies.append(multipart([one] * min(MOST, _room(route, len(multipart([one]))))))
    sent = [replace(call, raw=raw, body=None) for raw in bodies for _ in range(AT_ONCE)]
    subjects = [world.subject("many") for _ in sent]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda each: world.send(each[0], subject=each[1]), zip(sent, subjects, strict=True)))
    grown = (world.target.peak() or 0) - before
    if grown > ROOM + 16 * AT_ONCE * size:
        yield Fault("BW706", f"{len(sent)} forms of {size} bytes at most have it grow by {grown // 2**20} MiB")


@ATTACKS.attack("unit_of_work", applies=has_form)
def a_form_that_is_cut(world: World, route: Route) -> Iterator[Fault]:
    """The client says how much it sends, sends half of it, and leaves."""
    call = example_of(world, route)
    before, content = world.target.snapshot(), call.content or b""
    for part_of, what in (
        (len(content) // 2, "half of a form"),
        (0, "no byte of a form"),
        (len(content) - 1, "all but a byte"),
    ):
        status = _cut(world, call, content[:part_of], len(content))
        if status >= 500:
            yield Fault("BW707", f"{what}, and the client leaves: {status}")
    if world.target.snapshot() != before:
        yield Fault("BW709", "a form that was cut has an effect")


@ATTACKS.attack("idempotency", applies=lambda route: route.keyed and in_parts(route))
def a_form_again(world: World, route: Route) -> Iterator[Fault]:
    """A client that lost the answer sends its form again, and draws its boundary anew, as most do."""
    call, key = example_of(world, route), str(uuid.uuid4())
    first = world.send(call, key=key)
    if not first.is_success:
        raise CannotTell(f"its example is answered with {first.status_code} now")
    after = world.target.snapshot()
    raw = multipart((part(*field) for field in fields_of(call.body)), boundary=b"drawn-anew")
    headers = {**call.headers, "content-type": f"{MULTIPART}; boundary=drawn-anew"}
    second = world.send(replace(call, raw=raw, body=None, headers=headers), key=key)
    what = "the same form under another boundary (guard: idempotency)"
    yield from check(second, {first.status_code}, "BW704", what)
    if second.is_success and second.headers.get("idempotent-replayed") != "true":
        yield Fault("BW704", f"{what} is not marked as replayed")
    if world.target.snapshot() != after:
        yield Fault("BW704", f"{what} had a second effect")


def _cut(world: World, call: Call, sent: bytes, length: int) -> int:
    """Send less than was promised, close the way there, and return the status of the answer; 0 if there is none."""
    patience = float(call.route.facts["body_timeout"]) + GRACE
    with socket.create_connection(("127.0.0.1", world.target.port), timeout=patience) as connection:
        connection.sendall(world.head(call, length) + sent)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(4096)
        except OSError:
            return 0
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def _judged(
    world: World, call: Call, want: set[int], what: str, text: str = "", *, way: Way = "whole"
) -> Iterator[Fault]:
    """Send a form, and yield what is wrong with the answer and with when it came."""
    began = time.monotonic()
    try:
        answer = world.send(call, subject=world.subject("form"), way=way)
    except httpx2.HTTPError as error:
        yield Fault("BW707", f"{what}: the service does not answer ({type(error).__name__})")
        return
    took = time.monotonic() - began
    yield from check(answer, want, "BW707", what)
    if took > float(call.route.facts["timeout"]) + GRACE:
        yield Fault("BW708", f"{what}: answered after {took:.1f} s (guard: deadline)")
    yield from echoes(answer, text, what)


def _due(world: World, route: Route) -> set[int]:
    """Return what is due to a body without any field of the form: with nothing that is required, any answer is."""
    return REFUSED if world.generator.resolve(route.schema or {}).get("required") else set()


def _a_field(world: World, route: Route, *, file: bool) -> str:
    """Return a field that is a file or a text; one that may be there many times if there is any, else a surplus one."""
    found = ["surplus"]
    for name, schema in world.generator.resolve(route.schema or {}).get("properties", {}).items():
        resolved = world.generator.resolve(schema)
        many = resolved.get("type") == "array"
        if is_file(world.generator.resolve(resolved.get("items", {})) if many else resolved) == file:
            found.insert(0 if many or len(found) == 1 else 1, name)
    return found[0]


def _room(route: Route, size: int) -> int:
    """Return how many of what takes so many bytes a body may hold, with some to spare."""
    most: int = route.facts["max_body"]
    return max(1, (min(most, MUCH) - 300) // size)


def _with(call: Call, name: str, value: bytes) -> bytes:
    """Return a form with another value of one field, as it is."""
    rest = [(other, said) for other, said in fields_of(call.body or {}) if other != name]
    return urlencoded(rest) + b"&" + quoted(name) + b"=" + value


def _of_size(world: World, route: Route, size: int) -> bytes:
    """Return a form of that many bytes, most of which are one file, or one text."""
    name = _a_field(world, route, file=route.form == MULTIPART)
    if route.form == URLENCODED:
        return (quoted(name) + b"=").ljust(size, b"a")
    empty = len(multipart([part(name, File(b""))]))
    return multipart([part(name, File(b"a" * max(size - empty, 0)))])
