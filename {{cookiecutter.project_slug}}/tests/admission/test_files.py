"""A file is judged as Python would run it, or refused with the reason; nothing about it makes the gate fall."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from admission.files import MAX_BYTES, NothingToJudge, find_sources, read_source
from tests.admission.sources import examples, good

if TYPE_CHECKING:
    from pathlib import Path


def judged(path: Path, root: Path | None = None) -> list[tuple[str, int]]:
    root = root or path.parent
    source = read_source(path, root, [root / "app" / "handlers"])
    assert (source.text is None) == bool(source.findings)
    return [(finding.rule, finding.line) for finding in source.findings]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\xff\xfex", 1),
        (b"x = 1\ny = '\xe9'\n", 2),
        (b"#!/usr/bin/python\n# -*- coding: rot13 -*-\n", 2),
        (b"# vim: set fileencoding=utf-7 :\n", 1),
        ("x = 1\ny = '\u202e' # not what it looks like\n".encode(), 2),
    ],
)
def test_a_file_that_is_not_what_it_looks_like_is_refused_with_its_line(tmp_path: Path, data: bytes, line: int) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    assert judged(path) == [("BW902", line)]


@pytest.mark.parametrize("data", [b"# coding: utf-8\nx = 1\n", b"\xef\xbb\xbfx = 1\n", "x = 'ä'\n".encode(), b""])
def test_utf8_is_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    assert judged(path) == []


def test_a_file_is_read_up_to_its_bound_and_refused_past_it(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"#" * MAX_BYTES)
    assert judged(path) == []
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert judged(path) == [("BW903", 1)]


def test_what_is_no_file_is_refused_and_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "missing")
    assert judged(tmp_path / "pipe.py") == [("BW904", 1)]
    assert judged(tmp_path / "nowhere.py") == [("BW904", 1)]


def test_a_handler_that_is_a_link_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    handlers = tmp_path / "app" / "handlers"
    handlers.mkdir(parents=True)
    (tmp_path / "elsewhere.py").write_text("x = 1\n")
    (handlers / "inside.py").write_text("x = 1\n")
    (handlers / "link.py").symlink_to(tmp_path / "elsewhere.py")
    (handlers / "alias.py").symlink_to(handlers / "inside.py")
    assert judged(handlers / "link.py", tmp_path) == [("BW904", 1)]
    assert judged(handlers / "alias.py", tmp_path) == []


def test_a_compiled_module_among_the_handlers_is_found_and_refused(tmp_path: Path) -> None:
    handlers = tmp_path / "app" / "handlers"
    (handlers / "__pycache__").mkdir(parents=True)
    (handlers / "__pycache__" / "a.pyc").write_bytes(b"x")
    (handlers / "hidden.pyc").write_bytes(b"x")
    (handlers / "a.py").write_text(good("a"))
    sources = find_sources([], tmp_path)
    assert {source.name: [finding.rule for finding in source.findings] for source in sources} == {
        "app/handlers/a.py": [],
        "app/handlers/hidden.pyc": ["BW904"],
    }


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingToJudge, match="no such file"):
        find_sources([tmp_path / "nothing.py"], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToJudge, match="no Python file"):
        find_sources([tmp_path / "empty"], tmp_path)


def test_a_service_without_handlers_has_nothing_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "app" / "handlers").mkdir(parents=True)
    assert find_sources([], tmp_path) == []


@pytest.mark.parametrize(
    "said",
    [
        "from app.handlers._weather import now",
        "from app.handlers import _weather",
        "import app.handlers._weather as weather",
        "from ._weather import now",
        "from . import _weather",
        "def f():\n    from app.handlers._weather import now",
    ],
)
def test_a_handler_is_judged_with_the_helpers_that_it_imports(tmp_path: Path, said: str) -> None:
    home = tmp_path / "app" / "handlers"
    home.mkdir(parents=True)
    (home / "forecast.py").write_text(said)
    (home / "_weather.py").write_text("from ._sky import blue\n")
    (home / "_sky.py").write_text("from . import _weather\nblue = True\n")
    (home / "_other.py").write_text("")
    sources = find_sources([home / "forecast.py"], tmp_path)
    assert [source.path.name for source in sources] == ["forecast.py", "_weather.py", "_sky.py"]


def test_what_does_not_parse_or_is_not_there_brings_no_helpers(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from app.handlers._gone import x\nfrom app.handlers import orders\n")
    (tmp_path / "b.py").write_text("from . import (")
    sources = find_sources([tmp_path / "a.py", tmp_path / "b.py"], tmp_path)
    assert [source.path.name for source in sources] == ["a.py", "b.py"]


@pytest.mark.parametrize("rule", ["BW902", "BW903", "BW904"])
def test_the_examples_of_the_pages_do_what_they_say(tmp_path: Path, rule: str) -> None:
    bad, fine = examples(rule, "sh")
    for command, want in ((bad, [(rule, 1)]), (fine, [])):
        (tmp_path / "handler.py").unlink(missing_ok=True)
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
        assert judged(tmp_path / "handler.py") == want
