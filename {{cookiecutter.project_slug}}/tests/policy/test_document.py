"""Files that are no TOML documents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.policy import CLOSED, PolicyError, PolicyProblem, load_policy, model
from app.policy.document import read_document

if TYPE_CHECKING:
    from tests.policy.conftest import Problems

CLOSED_ENTRY = f'[routes."GET /v1/things"]\nallow = ["{CLOSED}"]'


def problem_of(path: Path) -> PolicyProblem:
    with pytest.raises(PolicyError) as raised:
        load_policy(path)
    (problem,) = raised.value.problems
    return problem


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    assert problem_of(path) == PolicyProblem(
        str(path),
        1,
        "there is no such file; without a policy every route is closed",
        CLOSED_ENTRY,
    )


def test_a_directory(tmp_path: Path) -> None:
    assert problem_of(tmp_path).message == "this is a directory, not a policy file"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    os.mkfifo(path)
    assert problem_of(path).message == "this is not a regular file"


def test_a_name_that_no_file_can_have() -> None:
    assert problem_of(Path("a\0b")).message.startswith("the file cannot be read: ")
    assert problem_of(Path("a\0b")).file == "a\\u0000b"
    assert problem_of(Path("a" * 5000)).message.startswith("the file cannot be read: ")


def test_the_path_may_be_text(policy_file: Path) -> None:
    policy_file.write_text("")
    assert policy_file == load_policy(str(policy_file)).source


@pytest.mark.parametrize("size", [model.MAX_FILE + 1, 2 * model.MAX_FILE])
def test_a_file_that_is_too_large(problems: Problems, size: int) -> None:
    (problem,) = problems(b"\n" * size)
    assert (problem.line, problem.message) == (1, "the file is larger than 1048576 bytes: that is no policy file")


def test_a_line_that_is_too_long(problems: Problems) -> None:
    (problem,) = problems("\n#" + "#" * model.MAX_LINE)
    assert (
        problem.line,
        problem.message,
        problem.fix,
    ) == (2, "a line has at most 10000 characters", "# break the line up")


def test_a_byte_order_mark(problems: Problems) -> None:
    (problem,) = problems(b"\xef\xbb\xbf[roles]\n")
    assert (
        problem.line,
        problem.column,
        problem.message,
        problem.fix,
    ) == (1, 1, "the file begins with a byte order mark; save it as UTF-8 without one", "[roles]")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16(problems: Problems, encoding: str) -> None:
    (problem,) = problems(("\ufeff[roles]\nx = []").encode(encoding))
    assert (problem.line, problem.message, problem.fix) == (1, "the file is UTF-16; save it as UTF-8", "[roles]")


def test_bytes_that_are_not_utf_8(problems: Problems) -> None:
    (problem,) = problems("[roles]\n# für wen\nx = []".encode("latin-1"))
    assert (
        problem.line,
        problem.column,
        problem.message,
        problem.fix,
    ) == (2, 4, "the file is not UTF-8 here; save it as UTF-8", "# für wen")


def test_a_nul(problems: Problems) -> None:
    (problem,) = problems('[roles]\nx = ["a\0b"]')
    assert (
        problem.line,
        problem.column,
        problem.message,
        problem.fix,
    ) == (2, 8, "the file has a NUL character here", 'x = ["ab"]')


@pytest.mark.parametrize(
    ("text", "place", "message", "fix"),
    [
        ("[defaults]\nrate = 60/minute\n", (2, 10), "not TOML: Expected newline", 'rate = "60/minute"'),
        ("[defaults]\nrate = 60/minute # why\n", (2, 10), "not TOML: Expected newline", 'rate = "60/minute"'),
        ("[defaults]\ntimeout: 5s\n", (2, 8), "not TOML: Expected '='", 'timeout = "5s"'),
        ('[defaults]\nrate = "60/minute\n', (2, 18), "not TOML: Illegal character", 'rate = "60/minute"'),
        ("[routes.GET /livez]\n", (1, 13), "not TOML: Expected ']'", '[routes."GET /livez"]'),
        ('[routes."GET /livez]\n', (1, 21), "not TOML: Illegal character", '[routes."GET /livez"]'),
        ('[routes."GET /livez"\n', (1, 21), "not TOML: Expected ']'", '[routes."GET /livez"]'),
        ("[roles\nx = []\n", (1, 7), "not TOML: Expected ']'", "[roles]"),
        ('[routes."GET /livez"]\npublic = True\n', (2, 10), "not TOML: Invalid value", "public = true"),
        ('[roles]\na = ["b:c"\nd = ["e:f"]\n', (3, 1), "not TOML: Unclosed array; see line 2", 'a = ["b:c"]'),
        ('[roles]\na = ["b:c"\n', (2, None), "not TOML: ", 'a = ["b:c"]'),
        ("[roles]\na = [b:c, d:e]\n", (2, 6), "not TOML: Invalid value", 'a = ["b:c", "d:e"]'),
        ("[roles]\na = []\na = []\n", (3, 7), "not TOML: Cannot overwrite a value", "# a = []"),
        (
            '[routes."GET /x"]\npublic = true\n\n[routes."GET /x"]\npublic = true\n\n[roles]\n',
            (4, 17),
            "not TOML: Cannot declare",
            '# [routes."GET /x"]\n# public = true',
        ),
        ("nonsense ?\n", (1, 10), "not TOML: ", "# nonsense ?"),
        ("a = 2020-13-45\n", (1, None), "not TOML: ", 'a = "2020-13-45"'),
        ("a = " + "9" * 5000 + "\n", (1, None), "not TOML: Exceeds the limit", None),
    ],
)
def test_a_syntax_error_has_its_line_and_a_correction(
    problems: Problems, text: str, place: tuple[int, int | None], message: str, fix: str | None
) -> None:
    (problem,) = problems(text)
    assert problem.line == place[0]
    assert place[1] is None or problem.column == place[1]
    assert problem.message.startswith(message)
    assert fix is None or problem.fix == fix


def test_values_nested_too_deep(problems: Problems) -> None:
    (problem,) = problems("a = " + "[" * 5_000)
    assert problem.message == "the values are nested too deep for any policy"


def test_a_syntax_error_shows_nothing_that_does_not_print(problems: Problems) -> None:
    (problem,) = problems('a = "\x1b[31m"')
    assert str(problem).replace("\n", "").isprintable()


def test_the_text_has_line_feeds_only(policy_file: Path) -> None:
    policy_file.write_bytes(b"[roles]\r\na = []\r\n")
    assert read_document(policy_file) == ("[roles]\na = []\n", {"roles": {"a": []}})
