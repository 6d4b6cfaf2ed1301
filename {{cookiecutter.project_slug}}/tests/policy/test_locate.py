"""Lines of keys, without any help from the parser."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.locate import locate
from tests.support.wide import examples

DOCUMENT = '''# [roles] in a comment
title = """
[roles]
allow = 1
\\""" still inside""""
literal = \'\'\'
[routes]\'\'\'
[roles] # a comment
  "quo\\u0074ed" = ["a", # ] in a comment
    "b ] # no comment",
    'c'
  , [ "d" ]]
after = 1

 [ routes . "GET /x" ]
allow = []
'rate' = "=[x]"
inline = { one = 1, "two" = [2, { deep = 3 }] }
dotted.key."more" = 2020-01-02 03:04:05 # [x]
[routes."GET /y".sub]
[[list]]
a = 1
[[list]]
a = 2
last = true'''


def test_every_kind_of_key_is_found() -> None:
    positions = locate(DOCUMENT)
    expected = {
        ("title",): 2,
        ("literal",): 6,
        ("roles",): 8,
        ("roles", "quoted"): 9,
        ("roles", "quoted", 0): 9,
        ("roles", "quoted", 1): 10,
        ("roles", "quoted", 2): 11,
        ("roles", "quoted", 3): 12,
        ("roles", "after"): 13,
        ("routes",): 15,
        ("routes", "GET /x"): 15,
        ("routes", "GET /x", "allow"): 16,
        ("routes", "GET /x", "rate"): 17,
        ("routes", "GET /x", "inline", "two"): 18,
        ("routes", "GET /x", "inline", "two", 1, "deep"): 18,
        ("routes", "GET /x", "dotted"): 19,
        ("routes", "GET /x", "dotted", "key", "more"): 19,
        ("routes", "GET /y"): 20,
        ("list",): 21,
        ("list", "a"): 22,
        ("list", "last"): 25,
    }
    assert expected == {path: positions.line(path) for path in expected}


def test_what_is_not_there_falls_back_to_the_table_around_it() -> None:
    positions = locate(DOCUMENT)
    assert positions.line(("routes", "GET /x", "timeout")) == 15
    assert positions.line(("roles", "quoted", 1, "x")) == 10
    assert positions.line(("nowhere",)) == 1
    assert positions.line(()) == 1


def test_thousands_of_levels_do_not_raise() -> None:
    assert locate("\na = " + "[" * 100_000).line(("a",)) == 2
    assert locate("\n" + "a." * 100_000 + "a = 1").line(("a",) * 20) == 2


@settings(derandomize=True, database=None, deadline=None, max_examples=examples(100))
@given(st.text() | st.text(alphabet="[]{}\"'=.,#\\\n a1"))
def test_it_never_raises_whatever_the_text(text: str) -> None:
    assert 1 <= locate(text).line(("a",)) <= text.count("\n") + 1
