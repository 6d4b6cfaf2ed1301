"""What the analysis knows of a value: where it came from, and when it stops being the client's."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from admission.source.flow import Flow
from admission.source.patterns import is_catastrophic, is_safe_pattern, longest_match
from admission.source.read import TooComplex, read_module
from admission.source.values import INPUT, NOTHING, SAFE_FOR, SHAPED, Constant, Value, is_free, join, shallow

if TYPE_CHECKING:
    from admission.source.module import Module

HANDLER = """
import html, os, re, uuid
from enum import Enum
from pathlib import Path as FilePath
from typing import Annotated, Literal
from urllib.parse import quote
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
router = APIRouter()
ALLOWED = frozenset({"name", "price"})
COLUMNS = {"name": "t.name"}
class Color(Enum):
    RED = "red"
class Body(BaseModel):
    text: str = Field(max_length=9)
    count: int = Field(le=9)
    color: Color
class Holder:
    def __init__(self, kept):
        self.kept = kept
def same(value):
    return value
def require(value):
    if value not in ALLOWED:
        raise ValueError
def known(value):
    return value in ALLOWED
def wrap(function):
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner
@wrap
def wrapped(value):
    return f"<{value}>"
@router.post("/x/{number}")
async def handle(number: int, q: str, body: Body, request: Request, kind: Literal["a", "b"], flag: bool):
"""


def analysed(source: str) -> Module:
    module = read_module(source, "x.py")
    Flow(module).run()
    return module


def value_of(statements: str) -> Value:
    """Return what ``seen(...)`` is given at the end of a handler."""
    body = "".join(f"    {line}\n" for line in statements.splitlines())
    module = analysed(f"{HANDLER}{body}")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "seen":
            return module.value(node.args[0])
    raise AssertionError("nothing is seen")


FREE = [
    "seen(q)",
    "seen(body.text)",
    "seen(body)",
    "seen(request.headers['x'])",
    "seen(request.query_params.get('x', 'y'))",
    "seen(f'a {q}')",
    "seen('a %s' % q)",
    "seen('a {}'.format(q))",
    "seen('a' + q)",
    "seen(' '.join(['a', q]))",
    "seen(q.strip().lower()[1:])",
    "seen([q][0])",
    "seen({'a': q}['a'])",
    "seen([part for part in q.split(',')])",
    "seen(q or 'x')",
    "seen('x' if flag else q)",
    "seen((lambda value: value)(q))",
    "seen(same(q))",
    "seen(wrapped(q))",
    "seen(Holder(q).kept)",
    "a, b = q, 1\nseen(a)",
    "if (found := q):\n    pass\nseen(found)",
    "parts = []\nparts.append(q)\nseen(''.join(parts))",
    "text = 'a'\nfor part in q.split():\n    text += part\nseen(text)",
    "text = 'a'\nwhile flag:\n    text = q\n    break\nseen(text)",
    "if flag:\n    text = q\nelse:\n    text = 'x'\nseen(text)",
    "if q in ALLOWED:\n    pass\nseen(q)",
    "if q not in ALLOWED and flag:\n    raise ValueError\nseen(q)",
    "if q not in [q]:\n    raise ValueError\nseen(q)",
    "if not re.fullmatch('.*', q):\n    raise ValueError\nseen(q)",
    "if not re.match('[a-z]+', q):\n    raise ValueError\nseen(q)",
    "require(q.upper)\nseen(q)",
    "q = q.strip()\nrequire('name')\nseen(q)",
]

NOT_FREE = [
    "seen('constant')",
    "seen(number)",
    "seen(f'a {number} {kind} {body.color}')",
    "seen(body.count)",
    "seen(body.color.value)",
    "seen(int(q))",
    "seen(str(int(q)))",
    "seen(uuid.UUID(q).hex)",
    "seen(Color(q))",
    "seen(len(q))",
    "seen(q == 'a')",
    "seen(COLUMNS[q])",
    "seen(COLUMNS.get(q, 'x'))",
    "if q not in ALLOWED:\n    raise ValueError\nseen(q)",
    "if q not in ('a', 'b'):\n    q = 'a'\nseen(q)",
    "if q in ALLOWED:\n    seen(q)",
    "if q == 'a':\n    seen(q)",
    "assert q in ALLOWED\nseen(q)",
    "if not q or q.lower() not in ALLOWED:\n    raise ValueError\nseen(q)",
    "ok = q in ALLOWED\nif not ok:\n    raise ValueError\nseen(q)",
    "if body.text not in ALLOWED:\n    raise ValueError\nseen(body.text)",
    "for part in q.split():\n    if part not in ALLOWED:\n        continue\n    seen(part)",
    "match q:\n    case 'a' | 'b':\n        seen(q)",
    "if not re.fullmatch('[a-z_]{1,9}', q):\n    raise ValueError\nseen(q)",
    "if not q.isidentifier():\n    raise ValueError\nseen(q)",
    "require(q)\nseen(q)",
    "if not known(q):\n    raise ValueError\nseen(q)",
    "seen(q if q in ALLOWED else 'name')",
    "try:\n    q = int(q)\nexcept ValueError:\n    q = 0\nseen(q)",
]


@pytest.mark.parametrize("statements", FREE)
def test_text_of_the_client_stays_the_client_s(statements: str) -> None:
    assert is_free(value_of(statements).all_labels())


@pytest.mark.parametrize("statements", NOT_FREE)
def test_what_can_only_be_a_few_things_is_not_free(statements: str) -> None:
    assert not is_free(value_of(statements).all_labels())


@pytest.mark.parametrize(
    ("statements", "use"),
    [
        ("seen(html.escape(q))", "html"),
        ("seen(quote(q, safe=''))", "url"),
        ("seen(FilePath(q).name)", "path"),
        ("seen(os.path.basename(q))", "path"),
        ("seen(re.escape(q))", "regex"),
        ("p = FilePath('/srv') / q\nif not p.is_relative_to('/srv'):\n    raise ValueError\nseen(p)", "path"),
        ("if not q.startswith('/') or q.startswith('//'):\n    raise ValueError\nseen(q)", "url"),
    ],
)
def test_what_is_made_safe_for_one_use_is_safe_for_no_other(statements: str, use: str) -> None:
    labels = value_of(statements).all_labels()
    assert SAFE_FOR + use in labels
    assert not is_free(labels, use)
    assert is_free(labels, "sql")


def test_the_name_of_a_function_is_followed_through_aliases() -> None:
    module = analysed(
        "import os as o\nfrom subprocess import run as r\nf = o.system\ng = getattr(o, 'po' + 'pen')\n"
        "h = __import__('shutil').rmtree\nt = {'a': f}\nf(1)\ng(1)\nh(1)\nr(1)\nt[x](1)\n"
    )
    assert [min(call.names) for call in module.ordered_calls if min(call.names) != "builtins.getattr"][-5:] == [
        "os.system",
        "os.popen",
        "shutil.rmtree",
        "subprocess.run",
        "os.system",
    ]


def test_a_call_knows_whether_it_runs_on_the_event_loop_and_in_which_loops() -> None:
    module = analysed(
        "import asyncio\ndef work(x):\n    a(x)\nasync def f(xs):\n    for x in xs:\n        work(x)\n"
        "def g():\n    b()\nasync def h():\n    await asyncio.to_thread(g)\n"
    )
    calls = {ast.unparse(call.node.func): call for call in module.ordered_calls}
    assert calls["a"].on_loop
    assert len(calls["a"].loops) == 1
    assert not calls["b"].on_loop
    assert calls["b"].loops == set()


def test_steps_are_counted_and_end() -> None:
    lines = "".join(f"    x{i} = f{i + 1}(a + 'x{i}') + f{i + 1}(a + 'y{i}')\n" for i in range(8))
    functions = "".join(f"def f{i}(a):\n{lines}    return x0\n" for i in range(8))
    with pytest.raises(TooComplex, match="steps"):
        analysed(f"{functions}f0('a')\n")


def test_joining_values_joins_their_labels_and_cuts_their_depth() -> None:
    deep = Value(labels=frozenset({INPUT}))
    for _ in range(10):
        deep = Value(items=deep)
    assert INPUT in shallow(deep).all_labels()
    one, other = Value(labels=frozenset({INPUT})), Value(labels=frozenset({SHAPED}), constant=Constant("a", "str"))
    assert join(one, other).labels == {INPUT, SHAPED}
    assert join(one, other).constant is None
    assert join(NOTHING, one) is one
    assert join() is NOTHING


@pytest.mark.parametrize("pattern", ["(a+)+$", r"^(\w+\s?)*$", "(.*)*x", "(a|aa)+$", "([a-z]+)*@", "(a?)+b"])
def test_a_catastrophic_pattern_is_known(pattern: str) -> None:
    assert is_catastrophic(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
        r"^(\d{3}-)*\d{4}$",
        "[a-z0-9]+(?:-[a-z0-9]+)*",
        "(ab|ac)*",
        "(?:a{1,3}b)*",
        r"^\s*(\w+)\s*=\s*(.*)$",
        "(",
    ],
)
def test_an_ordinary_pattern_is_not_taken_for_a_catastrophic_one(pattern: str) -> None:
    assert not is_catastrophic(pattern)


def test_a_pattern_is_safe_if_it_lets_only_harmless_signs_through_and_is_closed_at_its_end() -> None:
    assert is_safe_pattern("^[a-z0-9_-]+$")
    assert is_safe_pattern("[a-z]+", whole=True)
    assert not is_safe_pattern("[a-z]+")
    assert not is_safe_pattern("^.*$")
    assert not is_safe_pattern(r"^[^\x00]*$")
    assert not is_safe_pattern("^[a-z']+$")
    assert not is_safe_pattern("(" + "a" * 3000)


def test_the_longest_match_of_a_pattern_is_known() -> None:
    assert longest_match("^[a-z]{1,10}$") == 10
    assert longest_match("^[a-z]+$") == float("inf")
    assert longest_match("[a-z]{1,10}") == float("inf")
