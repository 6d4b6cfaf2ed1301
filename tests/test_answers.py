from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from cookiecutter.exceptions import FailedHookException

from tests.support.template import bake, files

if TYPE_CHECKING:
    from pathlib import Path

UNSAFE_SLUGS = {
    "parent folder": "../../x",
    "parent folder alone": "..",
    "this folder": ".",
    "absolute path": "/tmp/breakwater-must-not-exist",  # noqa: S108 - must not come to be
    "nested folder": "a/b",
    "Windows path": "a\\b",
    "Windows drive": "c:x",
    "home folder": "~root",
    "empty": "",
    "blank": " ",
    "one letter": "a",
    "51 characters": "a" * 51,
    "10 kB": "a" * 10_000,
    "digit first": "1service",
    "hyphen first": "-rf",
    "hyphen last": "service-",
    "two hyphens": "order--service",
    "underscore": "order_service",
    "capitals": "OrderService",
    "dot": "order.service",
    "space": "order service",
    "line break at the end": "order-service\n",
    "null byte": "order\0service",
    "letter that is not ASCII": "größe",
    "digit that is not ASCII": "service\u0663",
    "letter that only looks ASCII": "\u0430rder",
    "closes a Python string": '"; import os; os.system("touch pwned"); "',
    "shell": "$(touch pwned)",
}

RESERVED_SLUGS = {
    "app": "name of the import package",
    "con": "Windows reserves",
    "nul": "Windows reserves",
    "com1": "Windows reserves",
    "lpt9": "Windows reserves",
    "json": "Python's own modules",
    "asyncio": "Python's own modules",
    "fastapi": "a dependency has that name",
    "typing-extensions": "a dependency has that name",
}

UNSAFE_TEXT = {
    "empty": "",
    "blank": "   ",
    "10 kB": "a" * 10_000,
    "line break": "one\ntwo",
    "carriage return": "one\rtwo",
    "line separator": "one\u2028two",
    "TOML table": 'x"\n[tool.uv]\nindex-url = "http://example.com',
    "YAML key": "x\nprivileged: true",
    "Markdown heading": "# Heading",
    "Markdown link": "[Click](https://example.com)",
    "Markdown code": "`code`",
    "HTML": "<script>alert(1)</script>",
    "Markdown table": "a | b",
    "Jinja expression": "{% raw %}{{ cookiecutter }}{% endraw %}",
    "Jinja statement": "{% raw %}{% include '/etc/passwd' %}{% endraw %}",
    "backslash": "one\\two",
    "null byte": "one\0two",
    "escape sequence": "\x1b[31mred",
    "bell": "ring\a",
    "right-to-left override": "abc\u202ecba",
    "zero width": "a\u200bb",
    "lone surrogate": "a\ud800b",
    "space first": " name",
    "space last": "name ",
}

HARMLESS_TEXT = {
    "quotes": """Bob's "pay" service""",
    "TOML escapes": 'a "quoted" # part = 1',
    "closes a Python string": '''x"; import os; os.system("touch pwned"); y = "''',
    "closes a long Python string": """x''' + __import__('os').system('touch pwned') + '''""",
    "shell": "x; touch pwned; $(touch pwned) && $HOME",
    "letters that are not ASCII": "Größe für 東京",
    "astral": "Pay \U0001f4b8 day",
    "HTML entity": "a &lt;b&gt; c",
    "percent": "100 %(name)s %s",
}


def test_every_slug_that_is_not_a_safe_name_is_refused_before_a_folder_exists(
    template: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    inner = tmp_path / "a" / "b" / "c"
    for case, slug in UNSAFE_SLUGS.items():
        with subtests.test(case):
            with pytest.raises(KeyError, match="use 2 to 50 of a-z, 0-9 and single hyphens"):
                bake(template, inner, {"project_slug": slug})
            assert [path for path in tmp_path.rglob("*") if path not in {inner, *inner.parents}] == []
    assert not (tmp_path.parent / "x").exists()


@pytest.mark.parametrize("slug", RESERVED_SLUGS)
def test_a_reserved_slug_is_refused_with_the_reason(
    template: Path, tmp_path: Path, slug: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        bake(template, tmp_path, {"project_slug": slug})
    assert RESERVED_SLUGS[slug] in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["project_name", "description"])
def test_text_that_would_be_read_as_something_else_is_refused(
    template: Path, tmp_path: Path, field: str, subtests: pytest.Subtests, capfd: pytest.CaptureFixture[str]
) -> None:
    for case, text in UNSAFE_TEXT.items():
        with subtests.test(case):
            with pytest.raises(FailedHookException):
                bake(template, tmp_path, {"project_slug": "order-service", field: text})
            said = capfd.readouterr().err
            assert f"Refused: {field} = " in said
            assert said.isascii()
            assert max(map(len, said.splitlines())) < 250
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", HARMLESS_TEXT)
def test_harmless_text_arrives_as_it_was_written_and_runs_nothing(template: Path, tmp_path: Path, case: str) -> None:
    text = HARMLESS_TEXT[case]
    answers = {"project_slug": "order-service", "project_name": text, "description": text}
    baked = bake(template, tmp_path, answers)
    project = tomllib.loads((baked / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["description"] == text
    assert (baked / "README.md").read_text("utf-8").startswith(f"# {text}\n\n{text}\n")
    assert [path for path in files(tmp_path) if "pwned" in path] == []


@pytest.mark.parametrize(("longest", "field"), [(60, "project_name"), (200, "description")])
def test_the_longest_line_is_taken_and_one_character_more_is_not(
    template: Path, tmp_path: Path, longest: int, field: str
) -> None:
    bake(template, tmp_path / "taken", {"project_slug": "order-service", field: "x" * longest})
    with pytest.raises(FailedHookException):
        bake(template, tmp_path / "refused", {"project_slug": "order-service", field: "x" * (longest + 1)})


@pytest.mark.parametrize("slug", ["ab", "a" * 50, "a1-b2-c3"])
def test_the_shortest_and_the_longest_slug_are_taken(template: Path, tmp_path: Path, slug: str) -> None:
    assert bake(template, tmp_path, {"project_slug": slug}).name == slug


def test_an_example_that_is_neither_wanted_nor_unwanted_is_refused(template: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="maybe provided for variable include_example"):
        bake(template, tmp_path, {"include_example": "maybe"})
    assert list(tmp_path.iterdir()) == []


def test_the_slug_is_made_from_the_name(template: Path, tmp_path: Path) -> None:
    assert bake(template, tmp_path, {"project_name": "Größe & Söhne"}).name == "grosse-sohne"


def test_every_question_is_put_in_words(template: Path) -> None:
    answers = json.loads((template / "cookiecutter.json").read_text("utf-8"))
    questions = answers.pop("__prompts__")
    assert questions.keys() == {name for name in answers if not name.startswith("_")}
    assert all(" " in question for question in questions.values())
